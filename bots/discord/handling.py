"""Where each thing goes that people say or ask: the one place that knows every part of the bot.

Next: `taking.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import structlog

from bots.bang import parse_bang
from bots.discord import modals
from bots.discord.answering import Answering
from bots.discord.asked import Asked, AskedAbout, Commanded, Completing, Pressed, Strange, Submitted
from bots.discord.commands import Commands
from bots.discord.parse import Deleted, Edited, Event, Said
from bots.discord.replies import Reply
from bots.discord.servers import Servers, link
from bots.discord.slash import Slash
from bots.discord.starting import Starting
from bots.discord.taking import Spoken, Taking
from bots.discord.telling import words_of
from core.domain.chat import Place, Platform
from core.errors import ThreadworkError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the bot."""

    servers: Servers
    taking: Taking
    starting: Starting
    commands: Commands
    answering: Answering
    slash: Slash


class Handling:
    """Hands things on."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def event(self, event: Event, *, may_command: bool = True) -> None:
        """Something happened to a message. What may not command is taken in if it is for the agent."""
        taking = self._parts.taking
        match event:
            case Said():
                await taking.said(event, self._parts.commands.bang if may_command else _nothing_done)
            case Edited():
                await taking.patiently(lambda: taking.edited(event))
            case Deleted():
                await taking.patiently(lambda: taking.deleted(event))
            case _:
                assert_never(event)

    async def asked(self, asked: Asked) -> None:
        """Somebody clicked, sent a form, or used a command."""
        reply = Reply(self._parts.servers.web, self._parts.servers.app, asked.where)
        try:
            await self._asked(asked, reply)
        except Exception:
            if not isinstance(asked, Completing):
                await reply.whisper("That did not work. Please try again.")
            raise

    async def _asked(self, asked: Asked, reply: Reply) -> None:
        parts = self._parts
        match asked:
            case Pressed():
                await parts.answering.pressed(asked, reply)
            case Submitted(press=None):
                await reply.whisper_what_comes(self._about(asked))
            case Submitted(press=press) if press is not None:
                await parts.answering.submitted(asked, press, reply)
            case Commanded():
                await reply.whisper_what_comes(parts.slash.run(asked))
            case Completing():
                await reply.choices(await self._choices(asked))
            case AskedAbout():
                await reply.form(modals.about_form(asked.message))
            case Strange():
                await reply.whisper("That is of no use any more. Please write what you want instead.")

    async def _about(self, form: Submitted) -> str:
        try:
            wanted = form.texts.get(modals.WORDS, "")
            place = await self._parts.starting.start_about(form.where, form.about or "", wanted)
        except ThreadworkError as error:
            log.info("form_refused", code=error.code)
            return words_of(error)
        return f"It is in its thread: {link(place)}"

    async def _choices(self, typing: Completing) -> Sequence[tuple[str, str]]:
        try:
            return await self._parts.slash.complete(typing)
        except ThreadworkError as error:
            log.info("nothing_to_complete", code=error.code)
            return ()


async def _nothing_done(spoken: Spoken) -> bool:
    """Whether it was a command; it is not done."""
    place = Place(Platform.DISCORD, spoken.guild, spoken.channel, spoken.channel)
    return parse_bang(spoken.words, spoken.author.platform_id, place) is not None
