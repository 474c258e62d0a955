"""Where each thing goes that people say or ask: the one place that knows every part of the bot.

It finds the workspace that something is from, and the part that deals with it. Next: `taking.py`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import structlog

from bots.intake import Intake
from bots.slack import modals
from bots.slack.answering import Answering, open_within
from bots.slack.asked import Asked, AskedAbout, Commanded, Pressed, Submitted
from bots.slack.commands import Commands
from bots.slack.container import Container
from bots.slack.home import show_home
from bots.slack.markup import mentioned, readable
from bots.slack.parse import AgentStopped, ContainerOpened, Deleted, Edited, Event, HomeOpened, Said, Uninstalled
from bots.slack.slash import Slash
from bots.slack.starting import Starting, quoted
from bots.slack.taking import Taking
from bots.slack.telling import words_of
from bots.slack.workspaces import Workspace, Workspaces
from core.domain.chat import ChatSettings
from core.errors import ThreadworkError
from core.ports import Stores

log = structlog.get_logger(__name__)
Wrong = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the bot."""

    intake: Intake
    stores: Stores
    taking: Taking
    starting: Starting
    commands: Commands
    answering: Answering
    slash: Slash
    container: Container
    defaults: ChatSettings
    command: str


class Handling:
    """Hands things on."""

    def __init__(self, workspaces: Workspaces, parts: Parts) -> None:
        self._workspaces = workspaces
        self._parts = parts

    async def event(self, event: Event) -> None:
        """Something happened in a workspace."""
        if isinstance(event, Uninstalled):
            log.info("uninstalled", team=event.team)
            await self._workspaces.forget(event.team)
            return
        workspace = await self._find(event.team)
        if workspace is None:
            return
        parts = self._parts
        match event:
            case Said():
                await parts.taking.said(event, workspace, parts.commands.bang)
            case Edited():
                await parts.taking.edited(event, workspace)
            case Deleted():
                await parts.taking.deleted(event)
            case AgentStopped():
                await self._agent_stopped(event, workspace)
            case ContainerOpened():
                await parts.container.opened(event, workspace)
            case HomeOpened():
                await show_home(event.user, workspace, parts.stores, parts.defaults, parts.command)
            case _:
                assert_never(event)

    async def asked(self, asked: Asked) -> None:
        """Somebody clicked, or used a shortcut."""
        workspace = await self._find(asked.team)
        if workspace is None:
            return
        match asked:
            case Pressed():
                await self._parts.answering.pressed(asked, workspace)
            case AskedAbout():
                await self._ask_about(asked, workspace)
            case Submitted():
                pass
            case _:
                assert_never(asked)

    async def command(self, command: Commanded) -> None:
        """Somebody typed the slash command."""
        workspace = await self._find(command.team)
        if workspace is not None:
            await self._parts.slash.run(command, workspace)

    async def submitted(self, form: Submitted, outcome: "asyncio.Future[Wrong]") -> None:
        """Take a form in; `outcome` gets what is wrong with it, by field."""
        try:
            outcome.set_result(await self._submitted(form))
        finally:
            if not outcome.done():
                outcome.set_result({next(iter(form.texts), ""): "That did not work. Please try again."})

    async def _submitted(self, form: Submitted) -> Wrong:
        workspace = await self._find(form.team)
        if workspace is None:
            return {}
        if form.form != modals.ABOUT_FORM:
            return await self._parts.answering.submitted(form, workspace)
        try:
            await self._parts.starting.start_about(form.about, form.user, form.texts[modals.WORDS], workspace)
        except ThreadworkError as error:
            return {modals.WORDS: words_of(error)}
        return {}

    async def late(self, form: Submitted, outcome: "asyncio.Future[Wrong]") -> None:
        """Say in a form that is still open what became of it."""
        wrong = await outcome
        workspace = await self._find(form.team)
        if workspace is not None:
            view = (
                modals.notice("That did not work", "; ".join(wrong.values()))
                if wrong
                else modals.notice("Done", "Done.")
            )
            await workspace.web.change_form(form.view, view)

    async def _ask_about(self, asked: AskedAbout, workspace: Workspace) -> None:
        await open_within(workspace, asked.trigger, _about_form(asked, workspace))

    async def _agent_stopped(self, event: AgentStopped, workspace: Workspace) -> None:
        chat = await self._parts.stores.chats.by_key(event.place.key)
        if chat is not None:
            await self._parts.intake.stop(chat.id, await workspace.people.find(event.user))

    async def _find(self, team: str) -> Workspace | None:
        workspace = await self._workspaces.find(team)
        if workspace is None:
            log.warning("workspace_unknown", team=team)
        return workspace


async def _about_form(asked: AskedAbout, workspace: Workspace) -> modals.View:
    text = readable(asked.text, await workspace.people.names(mentioned(asked.text)))
    about = {"channel": asked.channel, "thread": asked.thread, "quoted": quoted(text)}
    return modals.about_form(about, text)
