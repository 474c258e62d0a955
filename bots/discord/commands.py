"""`!stop`, `!status` and the others, as people write them, and as the slash command gives them to the same chat.

Who changes how a chat is set must be one who may decide in it, and only an admin lets it do everything unasked.
Next: `slash.py`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bots.bang import MODEL, QUEUE, parse_bang
from bots.deciding import MAY_NOT, in_chat
from bots.discord import words
from bots.discord.markup import mentioned
from bots.discord.servers import Servers
from bots.discord.starting import Starting
from bots.discord.taking import Spoken
from bots.discord.telling import announce, reply, words_of
from bots.intake import Intake
from bots.words import BUSY, MODES
from core.domain.chat import Author, Chat, Mode, Place, Platform, Role
from core.errors import BadInput, NotAllowed, NotFound, ThreadworkError
from core.ports import Stores
from core.surfaces.discord.escaping import code, escape


@dataclass(frozen=True, slots=True)
class Wish:
    """A command to a chat: its word, what follows, who wants it, and a mark by which it is done once."""

    name: str
    rest: str
    person: Author
    mark: str


class Commands:
    """Does what a command says, and tells the person."""

    def __init__(self, servers: Servers, intake: Intake, stores: Stores, starting: Starting, *, is_open: bool) -> None:
        self._servers = servers
        self._web = servers.web
        self._intake = intake
        self._stores = stores
        self._starting = starting
        self._is_open = is_open
        self._verbs: Mapping[str, Callable[[Wish, Chat], Awaitable[str]]] = {
            "stop": self._stop,
            "status": self._status,
            "model": self._model,
            "mode": self._mode,
            "queue": self._queue,
            "mentions": self._mentions,
            "invite": self._invite,
        }

    async def bang(self, spoken: Spoken) -> bool:
        """Do what a message says if it is a command, and tell the person what came of it; whether it was one."""
        place = Place(Platform.DISCORD, spoken.guild, spoken.channel, spoken.channel)
        command = parse_bang(spoken.words, spoken.author.platform_id, place)
        if command is None:
            return False
        wish = Wish(command.name, command.rest, spoken.author, spoken.id)
        try:
            answer = await self._said(wish, spoken)
        except ThreadworkError as error:
            if error.retryable:
                raise
            answer = words_of(error)
        if answer:
            await reply(self._web, spoken.channel, spoken.id, answer)
        return True

    async def run(self, wish: Wish, chat: Chat) -> str:
        """Do it in a chat. Returns what the person alone is told; nothing where the thread was told."""
        return await self._verbs[wish.name](wish, chat)

    async def _said(self, wish: Wish, spoken: Spoken) -> str:
        if wish.name == "help":
            return words.IN_THREAD_HELP
        if wish.name == "new":
            return await self._new(wish, spoken)
        if spoken.chat is None:
            raise NotFound("There is no chat in this thread yet. Mention me to begin one.")
        return await self.run(wish, spoken.chat)

    async def _new(self, wish: Wish, spoken: Spoken) -> str:
        room = await self._servers.room(spoken.channel)
        channel = room.parent or room.id
        place = await self._starting.start(spoken.guild, channel, wish.person, wish.rest, mark=f"new {wish.mark}")
        return "" if channel == spoken.channel else f"It is in its own thread: <#{place.thread}>"

    async def _stop(self, wish: Wish, chat: Chat) -> str:
        is_stopping = await self._intake.stop(chat.id, wish.person)
        return "" if is_stopping else "Nothing is at work here; there is nothing to stop."

    async def _status(self, _wish: Wish, chat: Chat) -> str:
        turn = await self._stores.turns.unfinished(chat.id)
        return words.status(chat, turn, len(await self._stores.messages.queued(chat.id)))

    async def _model(self, wish: Wish, chat: Chat) -> str:
        if not wish.rest:
            return words.settings(chat.settings)
        if not MODEL.fullmatch(wish.rest):
            raise BadInput("That is no name of a model. Example: !model claude-sonnet-4-5")
        person = self._must_decide(wish, chat)
        model = None if wish.rest.lower() == "default" else wish.rest
        await self._intake.change(chat, model=model)
        shown = code(model) if model else "the usual model"
        return await self._announced(wish, chat, f"{escape(person.name)} chose {shown}, from the next turn on.")

    async def _mode(self, wish: Wish, chat: Chat) -> str:
        if not wish.rest:
            return words.settings(chat.settings)
        try:
            mode = Mode(wish.rest.lower())
        except ValueError:
            raise BadInput(f"There is no mode {wish.rest}. There are: {', '.join(Mode)}.") from None
        person = self._must_decide(wish, chat)
        if mode is Mode.BYPASS and person.role is not Role.ADMIN:
            raise NotAllowed("Only an admin of the server may let the agent do everything without asking.")
        await self._intake.change(chat, mode=mode)
        told = f"{escape(person.name)} set the mode to `{mode}`: the agent {MODES[mode]}."
        return await self._announced(wish, chat, told)

    async def _queue(self, wish: Wish, chat: Chat) -> str:
        if not wish.rest:
            return words.waiting(await self._stores.messages.queued(chat.id), chat.settings)
        busy = QUEUE.get(wish.rest.lower())
        if busy is None:
            raise BadInput("Write `!queue`, or `!queue on`, `!queue off`, `!queue interrupt`.")
        self._must_decide(wish, chat)
        await self._intake.change(chat, busy=busy)
        return await self._announced(wish, chat, BUSY[busy])

    async def _mentions(self, wish: Wish, chat: Chat) -> str:
        if wish.rest.lower() not in {"on", "off"}:
            raise BadInput("Write `!mentions on` to be heard only when you mention me, or `!mentions off`.")
        self._must_decide(wish, chat)
        is_on = wish.rest.lower() == "on"
        await self._intake.change(chat, mention_only=is_on)
        told = "I listen only when I am mentioned." if is_on else "I listen to everything in this thread."
        return await self._announced(wish, chat, told)

    async def _invite(self, wish: Wish, chat: Chat) -> str:
        invited = [user for user in mentioned(wish.rest) if user != self._servers.me]
        if not invited:
            raise BadInput("Write whom: !invite @name")
        self._must_decide(wish, chat)
        may_decide = tuple(dict.fromkeys([*chat.settings.may_decide, *invited]))
        await self._intake.change(chat, may_decide=may_decide)
        # Discord shows whom this names, and nobody is notified.
        names = " and ".join(f"<@{user}>" for user in invited)
        return await self._announced(wish, chat, f"{names} may now answer the agent's questions in this thread.")

    def _must_decide(self, wish: Wish, chat: Chat) -> Author:
        person = in_chat(wish.person, chat, is_open=self._is_open)
        if person.role is Role.GUEST:
            raise NotAllowed(MAY_NOT)
        return person

    async def _announced(self, wish: Wish, chat: Chat, text: str) -> str:
        """Tell the thread of a change, as it concerns everybody; the person needs no words of their own then."""
        await announce(self._web, chat.place, wish.mark, text)
        return ""
