"""A chat whose model is scripted and whose people are the test: verbs that read like sentences.

`until`, `asks` and `finishes` go through what happens in order: each looks behind what the one before found.
"""

import asyncio
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

from core.domain import events as e
from core.domain.approval import Approval, ApprovalId, Decision, Verdict
from core.domain.chat import Author, Chat, ChatId, ChatSettings, Place, Platform, Role
from core.domain.message import Message
from core.domain.states import TurnState
from core.domain.turn import Turn
from core.ports import ConsolePost, Recorded, Sandbox
from tests.doubles.anthropic import Seen, script_prompt
from tests.stage.lines import Block

if TYPE_CHECKING:
    from tests.stage.stage import Stage

Event = TypeVar("Event", bound=e.RunEvent)
PATIENCE_S = 60.0
ANN = Author("u1", "Ann", Role.ADMIN)


@dataclass(frozen=True, slots=True)
class Agent:
    """Which process the agent is: its run folder, its pid in the sandbox, and when the kernel began it."""

    run_dir: str
    pid: int
    began_at: str


class ScriptedChat:
    """One console chat on a stage."""

    def __init__(self, stage: "Stage", name: str, **settings: Any) -> None:
        self.stage = stage
        self.place = Place(Platform.CONSOLE, "local", "", name)
        self.settings = ChatSettings(**settings)
        self._id: ChatId | None = None
        self._at = 0

    # ------------------------------------------------------------ what people do

    async def say(self, words: str = "Do it.", *replies: list[Block], by: Author = ANN, again: str = "") -> Message:
        """Say something; `replies` are the answers the model gives to it, one for each of its requests."""
        text = script_prompt(*replies, say=words) if replies else words
        accepted = await self.stage.intake.accept(
            self.place, by, again or uuid4().hex, text, settings=self.settings, title=self.place.thread
        )
        self._id = accepted.chat.id
        return accepted.message

    async def decide(self, approval: Approval, verdict: Verdict = Verdict.ALLOW, by: Author = ANN, **more: Any) -> None:
        await self.stage.intake.decide(approval.id, Decision(verdict, **more), by)

    async def stop(self, by: Author = ANN) -> bool:
        return await self.stage.intake.stop(self.id, by)

    async def change(self, **settings: Any) -> None:
        await self.stage.intake.change(await self.now(), **settings)

    # ------------------------------------------------------------ what happens

    async def until(self, kind: type[Event], holds: Callable[[Event], bool] = lambda _: True) -> Event:
        """The next event of this kind of which that holds."""
        ear = self.stage.ear
        async with asyncio.timeout(PATIENCE_S), ear.news:
            while True:
                while self._at < len(ear.told):
                    told = ear.told[self._at]
                    self._at += 1
                    if told.chat_id == self.id and isinstance(told.event, kind) and holds(told.event):
                        return told.event
                await ear.news.wait()

    async def asks(self) -> Approval:
        """The next question of the agent."""
        asked = await self.until(e.ApprovalAsked)
        return await self.stage.stores.approvals.get(ApprovalId(UUID(asked.approval_id)))

    async def finishes(self) -> e.TurnFinished:
        """The end of the turn under way."""
        return await self.until(e.TurnFinished)

    async def is_done(self, text: str | None = None) -> e.TurnFinished:
        """The end of the turn under way, which must be a good one, with this answer."""
        end = await self.finishes()
        assert end.state is TurnState.DONE, end
        assert text is None or end.text == text, end
        return end

    async def comes_true(self, holds: Callable[[], Any]) -> None:
        """Wait until something is so; `holds` may be a coroutine function."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = holds()
                if await found if asyncio.iscoroutine(found) else found:
                    return
                await asyncio.sleep(0.03)

    async def is_in_state(self, state: TurnState) -> None:
        """Wait until the newest turn is in that state."""

        async def is_so() -> bool:
            return (await self.turns())[-1].state is state

        await self.comes_true(is_so)

    # ------------------------------------------------------------ the run

    @property
    def run(self) -> "asyncio.Task[None] | None":
        return self.stage.desk.runs.get(self.id)

    async def run_ends(self) -> None:
        """Wait until no run is left, by itself."""
        while (run := self.run) is not None:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.wait((run,))
                await asyncio.sleep(0)

    async def cancel_run(self) -> None:
        """What SIGTERM does to a worker's run: it lets go of everything."""
        run = self.run
        assert run is not None, "no run to cancel"
        run.cancel()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait((run,))

    def start_run(self) -> None:
        """Another worker takes the chat."""
        self.stage.desk.start(self.id)

    # ------------------------------------------------------------ how it stands

    @property
    def id(self) -> ChatId:
        assert self._id is not None, "nothing was said yet"
        return self._id

    async def now(self) -> Chat:
        return await self.stage.stores.chats.get(self.id)

    async def turns(self) -> list[Turn]:
        """Oldest first."""
        return sorted(await self.stage.stores.turns.recent(self.id), key=lambda turn: turn.number)

    async def events(self, number: int = -1) -> list[Recorded]:
        """What is stored of a turn, by its place among the turns."""
        return list(await self.stage.stores.turns.events((await self.turns())[number].id))

    async def kinds(self, number: int = -1) -> list[str]:
        return [e.kind_of(recorded.event) for recorded in await self.events(number)]

    async def posts(self, kind: str = "turn") -> list[ConsolePost]:
        """What is on screen: the turns' posts, or those of questions of a kind."""
        return [post for post in await self.stage.threads.posts(self.place.key) if post.body["kind"] == kind]

    async def receipts(self) -> dict[str, str]:
        return dict(await self.stage.threads.receipts(self.place.key))

    async def state_of(self, message: Message) -> str:
        found = await self.stage.stores.messages.recent(self.id)
        return next(one.state.value for one in found if one.id == message.id)

    @property
    def requests(self) -> list[Seen]:
        """What the model was asked."""
        return self.stage.model.messages

    # ------------------------------------------------------------ the sandbox

    async def sandbox(self) -> Sandbox:
        chat = await self.now()
        assert chat.seat.sandbox_id is not None
        return await self.stage.provider.connect(chat.seat.sandbox_id, time_s=600)

    async def runs(self, command: str) -> str:
        """What a command prints in the sandbox, run by the test."""
        return (await (await self.sandbox()).run(command, time_s=30)).stdout

    async def file(self, name: str) -> str | None:
        """A file of the workspace as it stands on disk, without waking the sandbox."""
        chat = await self.now()
        path = self.stage.host.data_dir / str(chat.seat.sandbox_id) / "home" / "work" / name
        return path.read_text() if path.exists() else None

    async def agent(self) -> Agent:
        """The process that the agent is now."""
        run_dir = (await self.now()).seat.run_dir
        pid, began_at = (
            await self.runs(f"p=$(cat {run_dir}/cli.pid); echo $p; cut -d' ' -f22 /proc/$p/stat || echo dead")
        ).split()
        return Agent(str(run_dir), int(pid), began_at)

    async def agent_remembers(self, words: str) -> None:
        """Wait until the agent's transcript on disk holds these words: it writes it a little after it spoke."""
        search = f"grep -rlF -- {shlex.quote(words)} /home/user/.claude/projects 2>/dev/null || true"
        await self.comes_true(lambda: self.runs(search))

    async def kill_agent(self) -> None:
        """kill -9, as the kernel does for want of memory."""
        await self.runs(f"kill -9 {(await self.agent()).pid}")
