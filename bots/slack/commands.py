"""`!stop`, `!status` and the others: what people ask of the bot in a thread, where Slack has no slash commands.

A line that begins with `!` and none of these words is a message like any other. Who changes how a chat is set must be
one who may decide in it, and only an admin lets it do everything unasked. Next: `slash.py`.
"""

from collections.abc import Awaitable, Callable, Mapping

from bots.bang import MODEL, QUEUE, Command, parse_bang
from bots.deciding import MAY_NOT, in_chat
from bots.intake import Intake
from bots.slack import words
from bots.slack.markup import mentioned
from bots.slack.starting import Starting
from bots.slack.telling import announce, whisper, words_of
from bots.slack.workspaces import Workspace
from bots.words import BUSY, MODES
from core.domain.chat import Author, Chat, Mode, Place, Role
from core.errors import BadInput, NotAllowed, NotFound, ThreadworkError
from core.ports import Stores
from core.surfaces.slack.escaping import escape


class Commands:
    """Does what a command says, and tells the person."""

    def __init__(self, intake: Intake, stores: Stores, starting: Starting, *, is_open: bool) -> None:
        self._intake = intake
        self._stores = stores
        self._starting = starting
        self._is_open = is_open
        self._verbs: Mapping[str, Callable[[Command, Chat, Workspace], Awaitable[str]]] = {
            "stop": self._stop,
            "status": self._status,
            "model": self._model,
            "mode": self._mode,
            "queue": self._queue,
            "mentions": self._mentions,
            "invite": self._invite,
        }

    async def bang(self, text: str, user: str, place: Place, workspace: Workspace) -> bool:
        """Do what a message says if it is a command, and tell the person what came of it; whether it was one."""
        command = parse_bang(text, user, place)
        if command is None:
            return False
        try:
            answer = await self._run(command, workspace)
        except ThreadworkError as error:
            answer = words_of(error)
        if answer:
            await whisper(workspace, command.place, command.user, answer)
        return True

    async def _run(self, command: Command, workspace: Workspace) -> str:
        if command.name == "help":
            return words.IN_THREAD_HELP
        if command.name == "new":
            await self._starting.start(command.place.channel, command.user, command.rest, workspace)
            return ""
        chat = await self._stores.chats.by_key(command.place.key)
        if chat is None:
            raise NotFound("There is no chat in this thread yet. Mention me to begin one.")
        return await self._verbs[command.name](command, chat, workspace)

    async def _stop(self, command: Command, chat: Chat, workspace: Workspace) -> str:
        is_stopping = await self._intake.stop(chat.id, await workspace.people.find(command.user))
        return "" if is_stopping else "Nothing is at work here; there is nothing to stop."

    async def _status(self, _command: Command, chat: Chat, _workspace: Workspace) -> str:
        turn = await self._stores.turns.unfinished(chat.id)
        return words.status(chat, turn, len(await self._stores.messages.queued(chat.id)))

    async def _model(self, command: Command, chat: Chat, workspace: Workspace) -> str:
        if not command.rest:
            return words.settings(chat.settings)
        if not MODEL.fullmatch(command.rest):
            raise BadInput("That is no name of a model. Example: !model claude-sonnet-4-5")
        person = await self._must_decide(command, chat, workspace)
        model = None if command.rest.lower() == "default" else command.rest
        await self._intake.change(chat, model=model)
        shown = f"`{escape(model)}`" if model else "the usual model"
        return await self._announced(command, workspace, f"{escape(person.name)} chose {shown}, from the next turn on.")

    async def _mode(self, command: Command, chat: Chat, workspace: Workspace) -> str:
        if not command.rest:
            return words.settings(chat.settings)
        try:
            mode = Mode(command.rest.lower())
        except ValueError:
            raise BadInput(f"There is no mode {command.rest}. There are: {', '.join(Mode)}.") from None
        person = await self._must_decide(command, chat, workspace)
        if mode is Mode.BYPASS and person.role is not Role.ADMIN:
            raise NotAllowed("Only an admin of the workspace may let the agent do everything without asking.")
        await self._intake.change(chat, mode=mode)
        return await self._announced(
            command, workspace, f"{escape(person.name)} set the mode to `{mode}`: the agent {MODES[mode]}."
        )

    async def _queue(self, command: Command, chat: Chat, workspace: Workspace) -> str:
        if not command.rest:
            queued = await self._stores.messages.queued(chat.id)
            lines = [
                f"{number}. {escape(one.author_name)}: {escape(one.text[:200])}" for number, one in enumerate(queued, 1)
            ]
            return "\n".join(["*Waiting:*", *lines] if lines else ["Nothing waits.", BUSY[chat.settings.busy]])
        busy = QUEUE.get(command.rest.lower())
        if busy is None:
            raise BadInput("Write `!queue`, or `!queue on`, `!queue off`, `!queue interrupt`.")
        await self._must_decide(command, chat, workspace)
        await self._intake.change(chat, busy=busy)
        return await self._announced(command, workspace, BUSY[busy])

    async def _mentions(self, command: Command, chat: Chat, workspace: Workspace) -> str:
        if command.rest.lower() not in {"on", "off"}:
            raise BadInput("Write `!mentions on` to be heard only when you mention me, or `!mentions off`.")
        await self._must_decide(command, chat, workspace)
        is_on = command.rest.lower() == "on"
        await self._intake.change(chat, mention_only=is_on)
        told = "I listen only when I am mentioned." if is_on else "I listen to everything in this thread."
        return await self._announced(command, workspace, told)

    async def _invite(self, command: Command, chat: Chat, workspace: Workspace) -> str:
        invited = [user for user in mentioned(command.rest) if user != workspace.user]
        if not invited:
            raise BadInput("Write whom: !invite @name")
        await self._must_decide(command, chat, workspace)
        may_decide = tuple(dict.fromkeys([*chat.settings.may_decide, *invited]))
        await self._intake.change(chat, may_decide=may_decide)
        names = await workspace.people.names(invited)
        told = f"{escape(' and '.join(names.values()))} may now answer the agent's questions in this thread."
        return await self._announced(command, workspace, told)

    async def _must_decide(self, command: Command, chat: Chat, workspace: Workspace) -> Author:
        person = in_chat(await workspace.people.find(command.user), chat, is_open=self._is_open)
        if person.role is Role.GUEST:
            raise NotAllowed(MAY_NOT)
        return person

    @staticmethod
    async def _announced(command: Command, workspace: Workspace, text: str) -> str:
        """Tell the thread of a change, as it concerns everybody; the person needs no words of their own then."""
        await announce(workspace, command.place, text)
        return ""
