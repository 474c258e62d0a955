"""Beginning a chat where nobody mentioned the app: by a command, or about a message that stands there.

Slack shows a command to nobody, so the bot posts what was asked, and the chat is the thread of that post.
Next: `taking.py`.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from bots.context import with_context
from bots.slack.context import read_context
from bots.slack.markup import mentioned, readable
from bots.slack.taking import Offer, Taking
from bots.slack.workspaces import Workspace
from core.domain.chat import Author, Place, Platform
from core.errors import BadInput, ThreadworkError
from core.surfaces.slack.blocks import cut, cut_escaped
from core.surfaces.slack.escaping import escape

_SHOWN: Final = 3_000


class Starting:
    """Begins chats."""

    def __init__(self, taking: Taking) -> None:
        self._taking = taking

    async def start(self, channel: str, user: str, text: str, workspace: Workspace) -> Place:
        """Post what somebody wants done, and begin a chat in that post's thread.

        Raises `BadInput` when they want nothing, `PlaceGone` when the bot is not in the channel.
        """
        if not text.strip():
            raise BadInput("Write what you want done. Example: ask why does the build fail?")
        author = await workspace.people.find(user)
        wanted = readable(text, await workspace.people.names(mentioned(text)))
        ts = await workspace.web.post(channel, _asks(author, wanted))
        place = Place(Platform.SLACK, workspace.team, channel, ts)
        await self._take(Offer(place, author, ts, wanted, title=wanted), workspace)
        return place

    async def start_about(self, about: Mapping[str, Any], user: str, wanted: str, workspace: Workspace) -> Place:
        """Ask in a message's thread, with the message and its thread for the agent to read."""
        channel, thread = str(about["channel"]), str(about["thread"])
        place = Place(Platform.SLACK, workspace.team, channel, thread)
        author = await workspace.people.find(user)
        ts = await workspace.web.post(channel, _asks(author, wanted), thread)
        lines = await read_context(workspace, channel, thread, before=ts)
        quoted = str(about.get("quoted") or "")
        text = f"{wanted}\n\nThis is about: {quoted}" if quoted else wanted
        await self._take(Offer(place, author, ts, with_context(text, lines), title=wanted), workspace)
        return place

    async def _take(self, offer: Offer, workspace: Workspace) -> None:
        """Take it in; if that cannot be, nothing is left standing that nobody will answer."""
        try:
            async with self._taking.in_turn.turn(offer.place.key):
                await self._taking.patiently(lambda: self._taking.take(offer, workspace))
        except ThreadworkError:
            with suppress(ThreadworkError):
                await workspace.web.delete(offer.place.channel, offer.ts)
            raise


def quoted(text: str) -> str:
    """A message's text as it fits into a form's metadata."""
    return cut(text, 1_000)


def _asks(author: Author, text: str) -> str:
    return f"*{escape(author.name)}* asks: {cut_escaped(escape(text), _SHOWN)}"
