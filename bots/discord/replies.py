"""Answering a click, a form or a command: acknowledged once, within three seconds, and said more to where that is due.

What comes after the acknowledgement goes by the token of the click, which is good for a quarter of an hour. What comes
too late is logged; the person has read from Discord that it failed. Next: `answering.py`.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

import structlog

from bots.discord.asked import Where
from bots.discord.web import DiscordWeb, whispered
from core.errors import ThreadworkError

log = structlog.get_logger(__name__)
# What is not known by then is put off.
QUICK_S: Final = 1.2
_WORDS, _WORDS_LATER, _NOTHING, _CHOICES, _FORM = 4, 5, 6, 8, 9
_EPHEMERAL: Final = 1 << 6
MOST_CHOICES: Final = 25


class Reply:
    """The answer to one click, form or command, for the person alone."""

    def __init__(self, web: DiscordWeb, app: str, where: Where) -> None:
        self._web = web
        self._app = app
        self._where = where
        self._is_acknowledged = False
        self._is_put_off = False

    async def quietly(self) -> None:
        """Acknowledge a click, and leave all as it is."""
        await self._acknowledge(_NOTHING)

    async def later(self) -> None:
        """Acknowledge, with words to come."""
        await self._acknowledge(_WORDS_LATER, {"flags": _EPHEMERAL})
        self._is_put_off = True

    async def form(self, form: Mapping[str, Any]) -> None:
        """Open a form."""
        await self._acknowledge(_FORM, form)

    async def choices(self, choices: Sequence[tuple[str, str]]) -> None:
        """Offer what there is, as what is shown and what it stands for."""
        offered = [{"name": name, "value": value} for name, value in choices[:MOST_CHOICES]]
        await self._acknowledge(_CHOICES, {"choices": offered})

    async def whisper(self, text: str) -> None:
        """Say something, now or after what was done before."""
        if not self._is_acknowledged:
            await self._acknowledge(_WORDS, whispered(text))
            return
        try:
            if self._is_put_off:
                self._is_put_off = False
                await self._web.change_answer(self._app, self._where.token, text)
            else:
                await self._web.answer_more(self._app, self._where.token, text)
        except ThreadworkError as error:
            log.warning("not_answered", interaction=self._where.id, why=str(error))

    async def nothing_more(self) -> None:
        """Take back that words were to come."""
        if self._is_put_off:
            self._is_put_off = False
            try:
                await self._web.take_answer_back(self._app, self._where.token)
            except ThreadworkError as error:
                log.warning("not_answered", interaction=self._where.id, why=str(error))

    async def whisper_what_comes(self, work: Coroutine[Any, Any, str]) -> None:
        """Say what `work` says, at once if it is quick; an empty answer is only acknowledged."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task}, timeout=QUICK_S)
            if not task.done():
                await self.later()
            text = await task
            await (self.whisper(text) if text else self.nothing_more())
        finally:
            task.cancel()

    async def _acknowledge(self, kind: int, data: Mapping[str, Any] | None = None) -> None:
        self._is_acknowledged = True
        try:
            await self._web.answer(self._where.id, self._where.token, kind, data)
        except ThreadworkError as error:
            log.warning("not_acknowledged", interaction=self._where.id, kind=kind, why=str(error))
