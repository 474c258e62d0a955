"""What was said in a thread before the agent was called into it, for the agent to read.

Only what people wrote, the newest when it is long; bots and our own posts are left out. Next: `bots/context.py`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from bots.context import Line
from bots.slack.markup import mentioned, readable
from bots.slack.workspaces import Workspace
from core.errors import ThreadworkError

log = structlog.get_logger(__name__)
MOST_PAGES: Final = 20
READ_S: Final = 2.0


async def read_context(
    workspace: Workspace, channel: str, thread: str, *, after: str = "0", before: str
) -> Sequence[Line]:
    """What people wrote in the thread between two times; what could be read of it in `READ_S` seconds.

    Slack gives the oldest first, in pages, so all must be read for the newest.
    """
    found: list[Mapping[str, Any]] = []
    try:
        async with asyncio.timeout(READ_S):
            page: str | None = None
            for _ in range(MOST_PAGES):
                answer = await workspace.web.replies(channel, thread, after=after, before=before, page=page)
                found += answer.get("messages") or ()
                page = (answer.get("response_metadata") or {}).get("next_cursor")
                if not page:
                    break
    except (TimeoutError, ThreadworkError) as error:
        log.warning("context_not_read", channel=channel, why=repr(error), read=len(found))
    written = [one for one in found if _is_written(one, after, before)]
    names = await workspace.people.names(_people_in(written))
    return [Line(names[str(one["user"])], readable(str(one["text"]), names)) for one in written]


def _is_written(message: Mapping[str, Any], after: str, before: str) -> bool:
    """Whether a person wrote it, and it says something. The thread's first message comes whatever the times are."""
    text = str(message.get("text") or "")
    is_ours = bool(message.get("bot_id")) or message.get("subtype") not in {None, "file_share", "thread_broadcast"}
    return not is_ours and bool(message.get("user") and text.strip()) and after < str(message["ts"]) < before


def _people_in(messages: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    found = [str(one["user"]) for one in messages]
    return tuple(dict.fromkeys([*found, *(user for one in messages for user in mentioned(str(one["text"])))]))
