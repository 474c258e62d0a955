"""Beginning a chat where nobody mentioned the app: by a command, or about a message that stands there.

Discord shows a command to nobody, so the bot posts what was asked, and the chat is the thread of that post; in a thread
or in direct messages, it is asked in the chat there. Next: `taking.py`.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from bots.context import with_context
from bots.discord.asked import Where
from bots.discord.context import line_of, read_context
from bots.discord.markup import readable, roles_and_channels
from bots.discord.parse import DIRECT
from bots.discord.taking import Offer, Taking
from core.domain.chat import Author, Place, Platform
from core.domain.message import FileIn
from core.errors import BadInput, ThreadworkError
from core.surfaces.discord.components import cut, cut_escaped
from core.surfaces.discord.escaping import escape

_SHOWN: Final = 1_700


class Starting:
    """Begins chats."""

    def __init__(self, taking: Taking) -> None:
        self._taking = taking
        self._servers = taking.servers
        self._web = taking.servers.web

    async def start(
        self,
        guild: str,
        channel: str,
        author: Author,
        text: str,
        *,
        mark: str,
        files: Sequence[FileIn] = (),
    ) -> Place:
        """Post what somebody wants done in a channel, and begin a chat in that post's thread. `mark` makes it once.

        Raises `BadInput` when they want nothing, `PlaceGone` when the bot may not post or begin threads there.
        """
        wanted = self._wanted(guild, text)
        await self._taking.is_ready()
        post = await self._web.post(channel, _asks(author, wanted), mark)
        try:
            await self._web.start_thread(channel, post, wanted)
            place = Place(Platform.DISCORD, guild, channel, post)
            await self._take(Offer(place, author, post, wanted, files, title=wanted))
        except ThreadworkError:
            # Nothing is left standing that nobody will answer.
            with suppress(ThreadworkError):
                await self._web.delete(channel, post)
            raise
        return place

    async def ask_in(
        self, place: Place, author: Author, text: str, *, mark: str, files: Sequence[FileIn] = ()
    ) -> Place:
        """Ask in a thread or in direct messages, where the agent may be at work already."""
        wanted = self._wanted(place.tenant, text)
        await self._taking.is_ready()
        post = await self._web.post(place.thread, _asks(author, wanted), mark)
        await self._take_or_delete(Offer(place, author, post, wanted, files, title=wanted))
        return place

    async def start_about(self, where: Where, message: str, wanted: str) -> Place:
        """Ask in a message's thread, with the message and its thread for the agent to read."""
        author = await self._servers.author(where.guild, where.person)
        wanted = self._wanted(where.guild, wanted)
        line = line_of(await self._web.message(where.channel, message))
        await self._taking.is_ready()
        place = where.place
        if not where.is_thread and where.guild != DIRECT:
            await self._web.start_thread(where.channel, message, wanted)
            place = Place(Platform.DISCORD, where.guild, where.channel, message)
        post = await self._web.post(place.thread, _asks(author, wanted), f"about {where.id}")
        lines = await read_context(self._web, place.thread, before=post)
        text = f"{wanted}\n\nThis is about: {line.name}: {cut(line.text, 1_000)}" if line else wanted
        await self._take_or_delete(Offer(place, author, post, with_context(text, lines), title=wanted))
        return place

    def _wanted(self, guild: str, text: str) -> str:
        if not text.strip():
            raise BadInput("Write what you want done. Example: ask why does the build fail?")
        return readable(text, self._servers.names(guild, roles_and_channels(text))).strip()

    async def _take(self, offer: Offer) -> None:
        async with self._taking.in_turn.turn(offer.place.key):
            await self._taking.patiently(lambda: self._taking.take(offer))

    async def _take_or_delete(self, offer: Offer) -> None:
        """Take it in; if that cannot be, nothing is left standing that nobody will answer."""
        try:
            await self._take(offer)
        except ThreadworkError:
            with suppress(ThreadworkError):
                await self._web.delete(offer.place.thread, offer.id)
            raise


def _asks(author: Author, text: str) -> str:
    return f"**{escape(author.name)}** asks: {cut_escaped(text, _SHOWN)}"
