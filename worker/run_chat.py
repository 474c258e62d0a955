"""Working on a chat: lease it, seat its agent, and go on until nothing is left to do.

A run never holds anything that its death would lose: the turn is in the database, the agent and its journal in the
sandbox, the posts on the surface. So it begins by looking what is there: ends that were not shown, a turn under way,
messages in the queue. Next: `talk.py`, the loop with the agent; `present.py`, what people see.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

import structlog

from core.domain import events as e
from core.domain.chat import Chat, ChatId
from core.domain.message import Message
from core.domain.states import Actor, ApprovalState, SandboxState, TurnState, step
from core.domain.turn import Turn
from core.errors import (
    AgentError,
    DiskFull,
    Fenced,
    ProcessGone,
    SandboxLost,
    SandboxPaused,
    ThreadworkError,
    Unavailable,
)
from core.log import Changing, about
from core.ports import Sandbox, WakeKind
from worker.agent import process
from worker.agent.ending import WORDS, Cause, how_it_ended
from worker.agent.questions import Asking
from worker.agent.session import open_session
from worker.hold import Hold, take
from worker.inbox import Inbox
from worker.mailbox import Mailbox
from worker.outbox import Outbox
from worker.present import Presenter
from worker.restarted import tell_of_restart
from worker.ruling import Rulings
from worker.sandbox.seating import empty_journal, end_agent, lost
from worker.talk import MailItem, Outcome, Talk, Wake
from worker.telling import Telling
from worker.tools import Tools
from worker.under_way import waits_for_a_person
from worker.wording import for_people, lost_when_stopped, stopped_by

log = structlog.get_logger(__name__)
_TELL_AFTER_S: Final = 5.0
# How often in a row a program may be gone that looked alive a moment before.
_UNHEARD: Final = 3


async def run_chat(tools: Tools, chat_id: ChatId) -> None:
    """Work on a chat until nothing is left to do, it is parked, or another run has it.

    Cancelled, it lets go of everything within a second or two: the agent works on, and the next run takes over.
    Raises `Unavailable` when the database is away before anything could begin.
    """
    taken = await take(tools.stores.chats, chat_id, tools.worker, tools.limits.lease_s)
    if taken is None:
        return
    chat, fence = taken
    hold = Hold(tools.stores.chats, fence, tools.limits.lease_s)
    turn = Changing()
    with about(tenant=str(chat.tenant_id), chat=str(chat_id), key=chat.place.key, epoch=fence.epoch, turn=turn):
        try:
            await _hold_and_work(tools, chat, hold, turn)
        except BaseExceptionGroup as group:
            fenced, rest = group.split(Fenced)
            if rest is not None:
                error = rest.exceptions[0]
                raise error from error.__cause__  # what it came from, not the group around it
            log.warning("run_fenced", why=str(fenced))
        finally:
            await hold.release()


async def _hold_and_work(tools: Tools, chat: Chat, hold: Hold, turn: Changing) -> None:
    surface = tools.surfaces[chat.place.platform]
    presenter = Presenter(surface, tools.stores, tools.budget, hold, chat.place, counters=tools.counters)
    run = ChatRun(tools, chat, hold, presenter, turn)
    async with asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(hold.keep()), tasks.create_task(presenter.run())]
        async with tools.control.listen(chat.id) as wakes:
            background.append(tasks.create_task(run.listen(wakes)))
            await run.work()
            await presenter.settled(tools.limits.settle_s)
        for task in background:
            task.cancel()


class ChatRun:
    """One run of one chat. `logged`: the turn that its log lines name."""

    def __init__(self, tools: Tools, chat: Chat, hold: Hold, presenter: Presenter, logged: Changing) -> None:
        self._tools = tools
        self._stores = tools.stores
        self._chat = chat
        self._seat = chat.seat
        self._hold = hold
        self._presenter = presenter
        self._logged = logged
        self._mailbox: Mailbox[MailItem] = Mailbox()
        self._known: set[str] = set()
        self._away_since: float | None = None
        self._is_told = False
        self._cause = Cause.UNKNOWN
        self._unheard = 0

    async def listen(self, wakes: AsyncIterator[WakeKind]) -> None:
        """Put wakes into the mailbox, for ever."""
        async for kind in wakes:
            self._mailbox.add(Wake(kind))

    async def work(self) -> None:
        """Do what there is to do."""
        await self._show_ends()
        self._presenter.mark_messages()
        while await self._work_once():
            self._chat = replace(await self._stores.chats.get(self._chat.id), seat=self._seat)

    async def _show_ends(self) -> None:
        """Show the ends of turns whose run died before it could."""
        for turn in await self._stores.turns.unshown(self._chat.id):
            await self._telling(turn).catch_up()

    def _telling(self, turn: Turn) -> Telling:
        self._logged.value = str(turn.id)
        return Telling(turn, self._stores, self._tools.bus, self._hold, self._presenter)

    async def _begun(self, queued: Sequence[Message]) -> Telling:
        """A new turn with these messages."""
        turn = await self._stores.turns.begin(self._hold.fence, [message.id for message in queued])
        telling = self._telling(turn)
        log.info("turn_began", messages=len(queued))
        await telling.began(queued)
        return telling

    # ------------------------------------------------------------ one seat

    async def _work_once(self) -> bool:  # noqa: PLR0911 - one way out for each thing that may be wrong
        """Seat the agent and talk until the talk ends. False: nothing is left to do."""
        turn = await self._stores.turns.unfinished(self._chat.id)
        queued = await self._stores.messages.queued(self._chat.id)
        if turn is None and not queued:
            return False
        if turn is None:
            telling = await self._begun(queued)
        else:
            if turn.state is TurnState.WAITING:
                if not queued and await waits_for_a_person(self._stores, turn):
                    return False
                await self._stores.turns.unpark(self._hold.fence, turn.id)
            telling = self._telling(turn)
            await telling.catch_up()
        self._presenter.mark_messages()
        try:
            return await self._seat_and_talk(telling)
        except SandboxPaused:
            # Paused by its own deadline or by somebody else: connecting resumes it.
            log.info("sandbox_was_paused")
            return True
        except SandboxLost as error:
            return await self._lose_sandbox(telling, error)
        except ProcessGone:
            return await self._unheard_again(telling)
        except Unavailable as error:
            return await self._wait_for(telling, error)
        except AgentError as error:
            return await self._agent_failed(telling, error)
        except ThreadworkError as error:
            if isinstance(error, Fenced):
                raise
            await self._give_up(telling, error)
            return True

    async def _wait_for(self, telling: Telling, error: Unavailable) -> bool:
        """Something does not answer: try again for a while, and tell people when it takes long."""
        now = time.monotonic()
        self._away_since = self._away_since or now
        away = now - self._away_since
        if away > self._tools.limits.patience_s:
            await self._give_up(telling, error)
            return True
        if away > _TELL_AFTER_S and not self._is_told:
            self._is_told = True
            await telling.tell([e.Noticed(f"{error.words}. I keep trying.")], self._seat)
        log.info("waiting_for", what=error.what, why=str(error))
        await asyncio.sleep(1.0)
        return True

    async def _unheard_again(self, telling: Telling) -> bool:
        """The program ended between look and word: the next look starts it again, unless it only looks alive."""
        self._unheard += 1
        log.warning("agent_gone_unseen", times=self._unheard)
        if self._unheard >= _UNHEARD:
            return await self._agent_failed(telling, AgentError("The agent's program hears nothing any more."))
        await asyncio.sleep(0.2)
        return True

    async def _agent_failed(self, telling: Telling, error: AgentError) -> bool:
        """The agent's program does not do its part: start it again, a few times."""
        log.warning("agent_failed", why=str(error))
        if await self._stores.turns.restarted(self._hold.fence, telling.turn.id) > self._tools.limits.restarts:
            await self._give_up(telling, error)
        else:
            await self._end_agent()
        return True

    async def _give_up(self, telling: Telling, error: ThreadworkError) -> None:
        log.warning("turn_given_up", code=error.code, why=str(error))
        self._away_since, self._is_told = None, False
        if isinstance(error, DiskFull):
            await self._end_agent()
        by = await self._stores.turns.stop_asked(telling.turn.id)
        if by is not None:
            await self._fail(telling.turn, stopped_by(by), TurnState.STOPPED)
        else:
            await self._fail(telling.turn, for_people(error))

    async def _seat_and_talk(self, telling: Telling) -> bool:
        sandbox = await self._sandbox()
        by = await self._stores.turns.stop_asked(telling.turn.id)
        if by is not None and not await self._is_alive(sandbox):
            await self._fail(telling.turn, stopped_by(by), TurnState.STOPPED)
            return True
        rules = await self._stores.approvals.rules(self._chat.id)
        chat = replace(self._chat, seat=self._seat)
        is_asked = await self._waits_without_agent(telling, sandbox)
        seated = await self._tools.seating.agent(chat, sandbox, self._seat, may_start=not is_asked)
        if seated is None:
            await self._park(telling.turn, sandbox)
            return False
        was_at_work = self._seat.run_dir is not None and telling.seq > 1
        self._seat = seated.seat
        await self._stores.chats.save_seat(self._hold.fence, self._seat)
        note = None
        if seated.is_new and was_at_work:
            note, self._known = await tell_of_restart(self._tools, self._hold, telling, seated, WORDS[self._cause])
        self._mailbox = Mailbox()
        # What came while nobody listened, or while the agent was seated, is in the database: look there first.
        self._mailbox.add(Wake(WakeKind.MESSAGE))
        async with open_session(
            sandbox,
            seated.options,
            pid=self._seat.pid or 0,
            run_dir=self._seat.run_dir or "",
            offset=self._seat.offset,
            pending=self._seat.pending.values(),
            is_new=seated.is_new,
            deliver=self._mailbox.put,
            confirm=self._hold.confirm,
            can_use_tool=Asking(self._mailbox.put).can_use_tool,
        ) as session:
            talk = Talk(
                chat,
                self._seat,
                session=session,
                mailbox=self._mailbox,
                stores=self._stores,
                hold=self._hold,
                limits=self._tools.limits,
                rulings=Rulings(self._stores, self._presenter, rules),
                inbox=Inbox(self._tools.files, sandbox, chat.place),
                outbox=Outbox(self._presenter.posting, self._stores.turns, sandbox, self._tools.limits),
            )
            try:
                outcome = await self._talk_on(talk, telling, note, is_alive=seated.is_alive)
            finally:
                self._seat = talk.seat
        return await self._after(outcome, sandbox)

    async def _talk_on(self, talk: Talk, first: Telling, note: str | None, *, is_alive: bool) -> Outcome:
        """Talk through this turn and those after it, as long as the agent is there. A dead one is only heard out."""
        telling, notes = first, note
        self._away_since, self._is_told = None, False
        while True:
            messages = await self._stores.messages.of_turn(telling.turn.id)
            known = self._known if is_alive else {str(message.id) for message in messages}
            await talk.begin(telling, messages, notes, known)
            notes, self._known = None, set()
            outcome = await talk.attend()
            self._unheard = 0
            if outcome is not None:
                return outcome
            following = await self._following(talk)
            if following is None:
                return Outcome.IDLE
            telling = following

    async def _following(self, talk: Talk) -> Telling | None:
        """The next turn of this chat, waiting a while for one."""
        while True:
            queued = await self._stores.messages.queued(self._chat.id)
            if queued or talk.is_unasked:
                talk.is_unasked = False
                telling = await self._begun(queued)
                self._presenter.mark_messages()
                return telling
            if not await talk.idle(self._tools.limits.linger_s):
                return None

    async def _after(self, outcome: Outcome, sandbox: Sandbox) -> bool:
        match outcome:
            case Outcome.PARKED:
                turn = await self._stores.turns.unfinished(self._chat.id)
                if turn is not None:
                    await self._park(turn, sandbox)
                return False
            case Outcome.IDLE:
                await self._tidy(sandbox)
                return bool(await self._stores.messages.queued(self._chat.id))
            case Outcome.AGENT_GONE:
                return await self._agent_gone(sandbox)

    # ------------------------------------------------------------ the sandbox and the agent's program

    async def _sandbox(self) -> Sandbox:
        """The chat's sandbox, running."""
        sandbox, seat = await self._tools.seating.sandbox(replace(self._chat, seat=self._seat), self._hold.fence.epoch)
        if seat != self._seat:
            self._seat = seat
            await self._stores.chats.save_seat(self._hold.fence, seat)
        return sandbox

    async def _is_alive(self, sandbox: Sandbox) -> bool:
        if self._seat.run_dir is None:
            return False
        return await process.life(sandbox, self._seat.run_dir) is process.Life.ALIVE

    async def _waits_without_agent(self, telling: Telling, sandbox: Sandbox) -> bool:
        """Whether the turn has an open question and no agent that waits for its answer: then a person comes first."""
        if not telling.view.asks or self._seat.run_dir is None:
            return False
        if await self._is_alive(sandbox) or await self._stores.messages.queued(self._chat.id):
            return False
        return any(ask.state is ApprovalState.PENDING for ask in telling.asks.values())

    async def _agent_gone(self, sandbox: Sandbox) -> bool:
        """After the agent's program ended: go on at once, its memory is in the sandbox."""
        if self._seat.run_dir is not None:
            self._cause = (await how_it_ended(sandbox, self._seat.run_dir)).cause
        await self._end_agent()
        if self._cause is Cause.DISK_FULL:
            raise DiskFull
        return True

    async def _end_agent(self) -> None:
        """Make sure that the agent's program is gone; the next look starts another."""
        self._seat = await end_agent(self._tools.seating, replace(self._chat, seat=self._seat), self._hold.fence.epoch)
        await self._stores.chats.save_seat(self._hold.fence, self._seat)

    async def _lose_sandbox(self, telling: Telling, error: SandboxLost) -> bool:
        """The sandbox is gone: a turn in flight fails with it, one that had only begun starts in a new one."""
        log.warning("sandbox_lost", sandbox=self._seat.sandbox_id)
        self._seat = lost(self._seat)
        await self._stores.chats.save_seat(self._hold.fence, self._seat)
        by = await self._stores.turns.stop_asked(telling.turn.id)
        if by is not None:
            await self._fail(telling.turn, lost_when_stopped(by), TurnState.STOPPED)
        elif telling.seq > 1:
            await self._fail(telling.turn, for_people(error))
        else:
            words = "The sandbox of this thread was gone; I start in a new one, without its files and memory."
            await telling.tell([e.Noticed(words)], self._seat)
        return True

    async def _fail(self, turn: Turn, words: str | None, state: TurnState = TurnState.FAILED) -> None:
        """End a turn that has no talk, if it is still open."""
        current = await self._stores.turns.unfinished(self._chat.id)
        if current is None:
            return
        telling = self._telling(current)
        await telling.catch_up()
        end = e.TurnFinished(state, "", telling.view.usage, telling.view.cost_usd, 0.0, words)
        await telling.ended(end, self._seat, None)
        log.info("turn_ended_without_agent", turn=str(turn.id), state=state)

    async def _park(self, turn: Turn, sandbox: Sandbox) -> None:
        """Only a person can move this turn on: pause the sandbox and let go."""
        await self._presenter.settled(self._tools.limits.settle_s)
        await self._hold.confirm()
        await self._tools.provider.pause(sandbox.id)
        if self._seat.sandbox_state is SandboxState.RUNNING:
            paused = step(SandboxState.RUNNING, SandboxState.PAUSED, Actor.RUN)
            self._seat = replace(self._seat, sandbox_state=paused)
        await self._stores.chats.save_seat(self._hold.fence, self._seat)
        await self._stores.turns.park(self._hold.fence, turn.id)
        log.info("parked", turn=str(turn.id))

    async def _tidy(self, sandbox: Sandbox) -> None:
        """Between turns: store how far the journal was read, and empty it when it has grown."""
        await self._stores.chats.save_seat(self._hold.fence, self._seat)
        await empty_journal(sandbox, self._seat, self._tools.limits.rotate_bytes)
