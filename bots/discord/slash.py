"""`/threadwork ask | stop | status | list | model | mode | queue | settings | help`, answered for the person alone.

`COMMANDS` is what Discord is told of them, and of the command in a message's menu. Next: `commands.py`, which does in a
thread what is also written there with `!`.
"""

from collections.abc import Sequence
from typing import Any, Final

import structlog

from bots.discord import words
from bots.discord.asked import ASK_ABOUT, Commanded, Completing, Where
from bots.discord.commands import Commands, Wish
from bots.discord.parse import DIRECT
from bots.discord.servers import Servers, link
from bots.discord.starting import Starting
from bots.discord.telling import words_of
from bots.words import MODES
from core.domain.chat import Chat, ChatSettings, Mode, Platform
from core.domain.turn import Turn
from core.errors import NotFound, ThreadworkError
from core.ports import Stores
from core.surfaces.discord.components import cut

log = structlog.get_logger(__name__)
SHOWN: Final = 12
_LOOKED_AT: Final = 300
NAME: Final = "threadwork"
MODELS: Final = ("default", "opus", "sonnet", "haiku")
_ANYWHERE: Final = {"integration_types": [0], "contexts": [0, 1]}
_QUEUE: Final = {
    "on": "Messages wait for the next turn",
    "off": "Messages reach the agent at once",
    "interrupt": "Messages stop what it does, and are done in its place",
}


def _verb(name: str, description: str, *options: dict[str, Any]) -> dict[str, Any]:
    return {"type": 1, "name": name, "description": description, "options": list(options)}


def _text(name: str, description: str, **more: Any) -> dict[str, Any]:
    return {"type": 3, "name": name, "description": description, **more}


def _choices(*choices: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": cut(f"{value}: {told}", 100), "value": value} for value, told in choices]


_CHAT: Final = _text("chat", "Which chat; without it, the one of this thread", autocomplete=True)
COMMANDS: Final[Sequence[dict[str, Any]]] = (
    {
        "type": 1,
        "name": NAME,
        "description": "Coding agents in threads",
        **_ANYWHERE,
        "options": [
            _verb(
                "ask",
                "Begin a chat in this channel, or ask in this thread",
                _text("what", "What you want done", required=True, max_length=4_000),
                {"type": 11, "name": "file", "description": "A file for the agent"},
            ),
            _verb("stop", "Stop what the agent does", _CHAT),
            _verb("status", "What goes on in this thread or channel", _CHAT),
            _verb("list", "Your chats"),
            _verb("model", "Which model from the next turn on", _text("name", "The model", autocomplete=True)),
            _verb(
                "mode",
                "What the agent may do without asking",
                _text("mode", "The mode", choices=_choices(*((mode.value, MODES[mode]) for mode in Mode))),
            ),
            _verb(
                "queue",
                "What waits, or what becomes of messages while the agent works",
                _text("set", "What becomes of them", choices=_choices(*_QUEUE.items())),
            ),
            _verb("settings", "How this chat is set, or how new ones are"),
            _verb("help", "What I can do"),
        ],
    },
    {"type": 3, "name": ASK_ABOUT, **_ANYWHERE},
)
_OPTION_OF: Final = {"model": "name", "mode": "mode", "queue": "set"}


class Slash:
    """The slash command."""

    def __init__(
        self, servers: Servers, stores: Stores, starting: Starting, commands: Commands, defaults: ChatSettings
    ) -> None:
        self._servers = servers
        self._stores = stores
        self._starting = starting
        self._commands = commands
        self._defaults = defaults

    async def run(self, command: Commanded) -> str:
        """Do it. Returns what the person is told."""
        try:
            return await self._run(command)
        except ThreadworkError as error:
            log.info("command_refused", verb=command.verb, code=error.code)
            return words_of(error)

    async def complete(self, typing: Completing) -> list[tuple[str, str]]:
        """What there is for an option of which so much is typed."""
        if typing.verb == "model":
            recent = await self._stores.chats.recent(Platform.DISCORD, _LOOKED_AT)
            used = {chat.settings.model for chat in recent if chat.place.tenant == typing.where.guild}
            names = [*MODELS, *sorted(model for model in used if model and model not in MODELS)]
            fitting = [(name, name) for name in names if typing.typed.lower() in name.lower()]
            # What is typed may be a model that nobody has used yet.
            return fitting or [(cut(typing.typed, 100), cut(typing.typed, 100))]
        mine = await self._chats(typing.where, mine=True)
        wanted = typing.typed.lower()
        found = [chat for chat in mine if wanted in chat.title.lower()]
        return [(cut(" ".join(chat.title.split()), 100) or "…", chat.place.thread) for chat in found]

    async def _run(self, command: Commanded) -> str:
        where = command.where
        match command.verb:
            case "ask":
                return await self._ask(command)
            case "list":
                return await self._list(await self._chats(where, mine=True), _NONE_YET)
            case "help":
                return words.SLASH_HELP
            case "settings":
                return await self._settings(where)
            case "status" if not command.options and await self._here(where) is None:
                here = [chat for chat in await self._chats(where) if chat.place.channel == where.channel]
                return await self._list(here, "No chats in this channel yet.")
            case verb:
                chat = await self._chat(command)
                person = await self._servers.author(where.guild, where.person)
                rest = command.options.get(_OPTION_OF.get(verb, ""), "").strip()
                return await self._commands.run(Wish(verb, rest, person, where.id), chat) or "Done."

    async def _ask(self, command: Commanded) -> str:
        where, text = command.where, command.options.get("what", "")
        person = await self._servers.author(where.guild, where.person)
        mark = f"ask {where.id}"
        if where.is_thread or where.guild == DIRECT:
            await self._starting.ask_in(where.place, person, text, mark=mark, files=command.files)
            return "It is asked."
        place = await self._starting.start(where.guild, where.channel, person, text, mark=mark, files=command.files)
        return f"It is in its thread: {link(place)}"

    async def _settings(self, where: Where) -> str:
        chat = await self._here(where)
        if chat is not None:
            return words.settings(chat.settings)
        how = words.settings(self._defaults)
        return f"New chats begin so:\n{how}\nIn a thread, `!mode` and `!model` change it."

    async def _chat(self, command: Commanded) -> Chat:
        """The chat that a command is about: the one named, or that of the thread."""
        named = command.options.get("chat")
        if named is None:
            chat = await self._here(command.where)
        else:
            chats = await self._chats(command.where)
            chat = next((one for one in chats if named in {one.place.thread, one.title}), None)
        if chat is None:
            raise NotFound(
                "There is no such chat."
                if named
                else "There is no chat in this thread yet. Mention me to begin one, or use this in a chat's thread."
            )
        return chat

    async def _here(self, where: Where) -> Chat | None:
        return await self._stores.chats.by_key(where.place.key)

    async def _chats(self, where: Where, *, mine: bool = False) -> Sequence[Chat]:
        """The server's chats, the last active first; or those that the person started or was invited to."""
        recent = await self._stores.chats.recent(Platform.DISCORD, _LOOKED_AT)
        # In direct messages, only one's own are anybody's business.
        mine = mine or where.guild == DIRECT
        here = [chat for chat in recent if chat.place.tenant == where.guild]
        return [chat for chat in here if not mine or where.person.id in chat.settings.may_decide]

    async def _list(self, chats: Sequence[Chat], nothing: str) -> str:
        if not chats:
            return nothing
        rows: list[tuple[Chat, Turn | None]] = [
            (chat, await self._stores.turns.unfinished(chat.id)) for chat in chats[:SHOWN]
        ]
        return words.listed(rows)


_NONE_YET: Final = "You have no chats yet. Mention me in a channel to begin one."
