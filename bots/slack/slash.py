"""`/threadwork ask | status | list | settings | help`: answers that the person alone sees, and new chats.

Next: `home.py`, the same at a glance.
"""

from collections.abc import Sequence
from typing import Final

import structlog

from bots.slack import words
from bots.slack.asked import Commanded
from bots.slack.starting import Starting
from bots.slack.telling import words_of
from bots.slack.workspaces import Workspace
from core.domain.chat import Chat, ChatSettings, Platform
from core.domain.turn import Turn
from core.errors import ThreadworkError
from core.ports import Stores

log = structlog.get_logger(__name__)
SHOWN: Final = 15
_LOOKED_AT: Final = 300


class Slash:
    """The slash command, called `name`."""

    def __init__(self, stores: Stores, starting: Starting, defaults: ChatSettings, name: str) -> None:
        self._stores = stores
        self._starting = starting
        self._defaults = defaults
        self._name = name

    async def run(self, command: Commanded, workspace: Workspace) -> None:
        """Do it, and answer."""
        try:
            answer = await self._run(command, workspace)
        except ThreadworkError as error:
            log.info("command_refused", code=error.code)
            answer = words_of(error)
        if answer:
            await workspace.web.respond(command.respond_to, answer)

    async def _run(self, command: Commanded, workspace: Workspace) -> str:
        verb, _, rest = command.text.partition(" ")
        match verb.lower():
            case "ask":
                place = await self._starting.start(command.channel, command.user, rest.strip(), workspace)
                return f"It is in its thread: {workspace.link(place.channel, place.thread)}"
            case "status":
                here = [
                    chat for chat in await chats_of(self._stores, workspace) if chat.place.channel == command.channel
                ]
                return await self._list(here, workspace, "No chats in this channel yet.")
            case "list":
                mine = await chats_of(self._stores, workspace, command.user)
                return await self._list(mine, workspace, "You have no chats yet. Mention me in a channel to begin one.")
            case "settings":
                how = words.settings(self._defaults)
                return f"New chats begin so:\n{how}\nIn a thread, `!mode` and `!model` change it."
            case "help" | "":
                return words.slash_help(self._name)
            case _:
                return f"I do not know `{verb[:50].replace('`', '')}`.\n{words.slash_help(self._name)}"

    async def _list(self, chats: Sequence[Chat], workspace: Workspace, nothing: str) -> str:
        if not chats:
            return nothing
        return words.listed(await with_turns(self._stores, chats[:SHOWN]), workspace)


async def chats_of(stores: Stores, workspace: Workspace, user: str | None = None) -> Sequence[Chat]:
    """The workspace's chats, the last active first; with `user` those that they started or were invited to."""
    recent = await stores.chats.recent(Platform.SLACK, _LOOKED_AT)
    here = [chat for chat in recent if chat.place.tenant == workspace.team]
    return here if user is None else [chat for chat in here if user in chat.settings.may_decide]


async def with_turns(stores: Stores, chats: Sequence[Chat]) -> Sequence[tuple[Chat, Turn | None]]:
    """Chats, each with the turn that is not finished."""
    return [(chat, await stores.turns.unfinished(chat.id)) for chat in chats]
