"""What was said in a thread before the agent was called into it, for the agent to read.

Only what people wrote, the newest when it is long; bots and our own posts are left out. Next: `bots/context.py`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from bots.context import MOST_CHARS, Line
from bots.discord.markup import readable
from bots.discord.parse import names_in, person_of
from bots.discord.web import DiscordWeb
from core.errors import ThreadworkError

log = structlog.get_logger(__name__)
MOST_PAGES: Final = 5
READ_S: Final = 2.0
_WRITTEN: Final = frozenset({0, 19})
# The first row of a thread under a message: it quotes that message.
_STARTER: Final = 21


async def read_context(web: DiscordWeb, thread: str, *, after: str = "0", before: str) -> Sequence[Line]:
    """What people wrote in the thread between two messages, oldest first; what could be read of it in `READ_S` seconds.

    Discord gives the newest first, so what would be left out at last need not be read.
    """
    found: list[Line] = []
    try:
        async with asyncio.timeout(READ_S):
            for _ in range(MOST_PAGES):
                page = await web.messages(thread, before=before)
                found += [line for one in page if (line := line_of(one, after)) is not None]
                if len(page) < 100 or int(page[-1]["id"]) <= int(after) or _size(found) > MOST_CHARS:
                    break
                before = str(page[-1]["id"])
    except (TimeoutError, ThreadworkError) as error:
        log.warning("context_not_read", thread=thread, why=repr(error), read=len(found))
    return found[::-1]


def _size(lines: Sequence[Line]) -> int:
    return sum(len(line.text) for line in lines)


def line_of(message: Mapping[str, Any], after: str = "0") -> Line | None:
    """A message as a line; None for one that no person wrote, that says nothing, or that is not after the other."""
    if message.get("type") == _STARTER:
        message = message.get("referenced_message") or {}
    if int(message.get("id") or 0) <= int(after):
        return None
    author = message.get("author") or {"bot": True}
    text = str(message.get("content") or "")
    if author.get("bot") or message.get("webhook_id") or message.get("type") not in _WRITTEN or not text.strip():
        return None
    return Line(person_of(author, message.get("member")).name, readable(text, names_in(message)))
