"""A run's talk with its agent: one loop that takes everything in its order.

The journal's lines, the agent's requests for permission, and wakes from outside come through one mailbox, so there is
one writer of events and no race between them. The loop says messages, rules on requests, obeys stops, and knows when
a turn ends, when it only waits for a person, and when the agent is gone. Next: `run_chat.py`, which opens the talk.
"""

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

import structlog

from core.domain import events as e
from core.domain.chat import AgentSeat, Busy, Chat
from core.domain.message import Message, MessageId
from core.domain.states import TurnState
from core.errors import AgentError, DiskFull
from core.ports import Stores, WakeKind
from worker.agent.questions import ToolRequest, denied
from worker.agent.results import ResultSeen
from worker.agent.session import Session
from worker.agent.translate import Translator
from worker.agent.transport import JournalBroke, JournalEnded, JournalItem, JournalLine
from worker.hold import Hold
from worker.inbox import Inbox
from worker.limits import Limits
from worker.mailbox import Mailbox
from worker.outbox import Outbox
from worker.ruling import Rulings
from worker.telling import Telling
from worker.under_way import UnderWay, begins_a_turn, is_note, note_id, without, without_own_refusals
from worker.wording import said_by, stopped_by

log = structlog.get_logger(__name__)
_BATCH: Final = 400
SCRIPTED: Final = "offline-"


class Outcome(StrEnum):
    """Why the talk came to its end."""

    IDLE = "idle"
    PARKED = "parked"
    AGENT_GONE = "agent_gone"


@dataclass(frozen=True, slots=True)
class Wake:
    """News in the database."""

    kind: WakeKind


MailItem = JournalItem | ToolRequest | Wake


class Talk:
    """What one run says to, and hears from, one process of the agent."""

    def __init__(
        self,
        chat: Chat,
        seat: AgentSeat,
        *,
        session: Session,
        mailbox: Mailbox[MailItem],
        stores: Stores,
        hold: Hold,
        limits: Limits,
        rulings: Rulings,
        inbox: Inbox,
        outbox: Outbox,
    ) -> None:
        self.chat = chat
        self.seat = seat
        self._session = session
        self._mailbox = mailbox
        self._stores = stores
        self._hold = hold
        self._limits = limits
        self._rulings = rulings
        self._inbox = inbox
        self._outbox = outbox
        self._translator = Translator()
        self._open: UnderWay | None = None
        # Messages that the agent's memory held when it was started again: a note stands for them.
        self._held: set[str] = set()
        self.is_unasked = False
        self._looked_at = time.monotonic()
        self._is_over: Outcome | None = None

    # ------------------------------------------------------------ one turn

    async def begin(self, telling: Telling, messages: Sequence[Message], note: str | None, known: set[str]) -> None:
        """Take a turn up: a note of ours, and its messages, but those that the agent's memory already holds.

        The note goes first: what the agent was at comes before what it has not heard of yet.

        A message said twice is harmless: the CLI ignores a uuid it has seen. But it answers nothing then, so what the
        note stands for is not said in a later turn either, to which it may come when others were answered before.
        """
        turn = UnderWay(telling)
        self._open = turn
        self._held |= known
        turn.said = {str(message.id): message for message in messages}
        if note is not None:
            await self._session.say(note_id(turn.turn), note)
        for message in messages:
            if str(message.id) not in self._held:
                await self._say(message)

    async def _say(self, message: Message) -> None:
        """Say a message, once its files are where it says they are."""
        await self._session.say(str(message.id), said_by(message, await self._inbox.bring(message)))

    async def attend(self) -> Outcome | None:
        """Go on until the turn under way ends (None), or the talk does."""
        while (turn := self._open) is not None:
            item = await self._next()
            if isinstance(item, JournalLine):
                await self._take_lines(item)
            elif item is not None:
                await self._take(item)
            if self._is_over is None and self._open is turn:
                await self._mind_the_time(turn)
            if self._is_over is not None:
                break
        return self._is_over

    async def idle(self, seconds: float) -> bool:
        """Stay with the agent between turns. True when there is something to do, False when the time is over.

        An agent that goes on by itself (a background task came back) says so with a new `init` line: that is something
        to do as well, and its lines stay in the mailbox.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            ahead = self._mailbox.peek()
            if isinstance(ahead, JournalLine) and begins_a_turn(ahead.body):
                self.is_unasked = True
                return True
            item = await self._mailbox.get(left) if ahead is None else self._mailbox.take()
            match item:
                case Wake():
                    return True
                case JournalLine() if begins_a_turn(item.body):
                    self._mailbox.put_back(item)
                case JournalLine():
                    self._note(item)
                case JournalEnded() | JournalBroke() | None:
                    return False
                case ToolRequest():
                    item.settle(denied("Nobody asked for this."))
        return False

    async def _next(self) -> MailItem | None:
        item = self._mailbox.take()
        if item is not None:
            return item
        wait = self._limits.look_every_s - (time.monotonic() - self._looked_at)
        item = await self._mailbox.get(max(0.05, wait))
        if item is None:
            await self._look()
        return item

    async def _take(self, item: ToolRequest | Wake | JournalEnded | JournalBroke) -> None:
        match item:
            case ToolRequest():
                await self._rule(item)
            case Wake():
                await self._look()
            case JournalEnded():
                log.warning("agent_ended", chat=str(self.chat.id), exit_code=item.exit_code)
                self._is_over = Outcome.AGENT_GONE
            case JournalBroke():
                raise item.error

    # ------------------------------------------------------------ the journal

    async def _take_lines(self, first: JournalLine) -> None:
        """Take this line and those already waiting behind it, and tell them in one go."""
        assert self._open is not None  # noqa: S101 - attend runs only while a turn is open
        turn = self._open
        turn.heard_at = time.monotonic()
        told: list[e.RunEvent] = []
        line: JournalLine | None = first
        taken = 0
        while line is not None:
            taken += 1
            turn.journal_bytes += len(line.raw)
            before = self.seat
            result, heard = self._note(line)
            told += heard
            if result is not None and self._is_its_end(turn, result):
                await self._finish(turn, result, told, before)
                return
            line = self._more_lines() if taken < _BATCH else None
        if told:
            await turn.telling.tell(told, self.seat)
        if self._rulings.has_news:
            await self._settle(turn)

    def _more_lines(self) -> JournalLine | None:
        """The next item, if it is a line; anything else keeps its place."""
        if not isinstance(self._mailbox.peek(), JournalLine):
            return None
        item = self._mailbox.take()
        return item if isinstance(item, JournalLine) else None

    def _note(self, line: JournalLine) -> tuple[ResultSeen | None, Sequence[e.RunEvent]]:
        """Move the seat past a line; what it says."""
        seat = replace(self.seat, offset=line.offset)
        if line.body is None:
            log.warning("odd_line", chat=str(self.chat.id), chars=len(line.raw))
            self.seat = seat
            return None, ()
        heard = self._translator.feed(line.body)
        match line.body.get("type"):
            case "control_request":
                if line.body.get("request", {}).get("subtype") == "can_use_tool":
                    seat = replace(seat, pending={**seat.pending, str(line.body.get("request_id")): line.raw})
            case "control_cancel_request":
                seat = without(seat, str(line.body.get("request_id")))
                self._rulings.taken_back(line.body, self.seat.pending)
            case "control_response":
                # The CLI echoes our answers (--replay-user-messages): the journal itself says what is answered.
                seat = without(seat, str(line.body.get("response", {}).get("request_id")))
        if heard.init is not None:
            seat = replace(seat, session_id=heard.init.session_id)
        self.seat = seat
        return heard.result, without_own_refusals(heard.events, seat)

    def _is_its_end(self, turn: UnderWay, result: ResultSeen) -> bool:
        """Whether a result ends this turn. The agent also ends turns nobody asked for (a background task's)."""
        if not turn.said:
            return True
        uuids = set(result.user_message_uuids)
        return bool(uuids & turn.said.keys()) or self._is_to_note(turn, uuids) or (not uuids and result.origin is None)

    def _is_to_note(self, turn: UnderWay, uuids: Collection[str]) -> bool:
        """Whether a note is answered that stands for messages of this turn; one of a dead run may stand for any."""
        return any(is_note(uuid) for uuid in uuids) and (not self._held or bool(self._held & turn.said.keys()))

    async def _finish(self, turn: UnderWay, result: ResultSeen, told: list[e.RunEvent], heard_to: AgentSeat) -> None:
        """End the turn. Until that is stored, the seat stays before the result, which a successor so reads again."""
        # The scripted model costs nothing, though the CLI has a price for every name.
        is_free = (result.model or "").startswith(SCRIPTED)
        cost = Decimal(0) if is_free else result.cost_since(self.seat.cost_seen_usd)
        self.seat = replace(self.seat, cost_seen_usd=result.total_cost_usd)
        if told:
            await turn.telling.tell(told, heard_to)
        if turn.ending is None:
            # Who stops a turn wants no more of it; the files go with the next.
            await self._outbox.share(turn.telling, heard_to)
        state, error = turn.ending or ((TurnState.FAILED, result.error) if result.is_error else (TurnState.DONE, None))
        answered: set[MessageId] | None = None
        heard = set(result.user_message_uuids)
        is_to_note = self._is_to_note(turn, heard)
        if state is TurnState.DONE and heard and (self._held or not is_to_note):
            heard |= self._held if is_to_note else set()
            answered = {message.id for uuid, message in turn.said.items() if uuid in heard}
        if is_to_note:
            self._held.clear()
        await self._close(
            turn,
            e.TurnFinished(
                state=state,
                text=result.text if state is TurnState.DONE else "",
                usage=result.usage,
                cost_usd=cost,
                duration_s=result.duration_s or round(time.monotonic() - turn.started_at, 3),
                error=error,
                model=result.model,
            ),
            answered,
        )

    async def _close(self, turn: UnderWay, end: e.TurnFinished, answered: set[MessageId] | None) -> None:
        await turn.telling.ended(end, self.seat, answered)
        self._rulings.forget()
        self._open = None

    async def give_up(self, state: TurnState, words: str | None) -> None:
        """End the turn under way without a word from the agent."""
        if self._open is not None:
            took = round(time.monotonic() - self._open.started_at, 3)
            usage = self._open.telling.view.usage
            await self._close(self._open, e.TurnFinished(state, "", usage, Decimal(0), took, words), None)

    # ------------------------------------------------------------ questions

    async def _rule(self, request: ToolRequest) -> None:
        assert self._open is not None  # noqa: S101 - attend runs only while a turn is open
        await self._rulings.rule(request, self._open.telling, self.chat, self._hold.fence)
        if self._rulings.waits:
            # A question that a dead run asked may be decided already.
            await self._settle(self._open)

    # ------------------------------------------------------------ news from outside

    async def _look(self) -> None:
        """Look in the database for what may have changed: a decision, a stop, settings, messages."""
        self._looked_at = time.monotonic()
        turn = self._open
        if turn is None:
            return
        before = self.chat.settings
        self.chat = replace(await self._stores.chats.get(self.chat.id), seat=self.seat)
        if before.mode is not self.chat.settings.mode:
            with suppress(AgentError):
                await self._session.set_mode(self.chat.settings.mode)
        if before.model != self.chat.settings.model:
            with suppress(AgentError):
                await self._session.set_model(self.chat.settings.model)
        await self._settle(turn)
        by = await self._stores.turns.stop_asked(turn.turn.id)
        if by is not None and turn.ending is None:
            await self._stop(turn, (TurnState.STOPPED, stopped_by(by)))
        if turn.ending is None:
            await self._add_messages(turn)

    async def _settle(self, turn: UnderWay) -> None:
        """Answer what was decided."""
        settled = await self._rulings.settle(turn.telling, self.chat)
        if settled.mode is not None and settled.mode is not self.chat.settings.mode:
            self.chat = replace(self.chat, settings=replace(self.chat.settings, mode=settled.mode))
            await self._stores.chats.change_settings(self.chat.id, self.chat.settings)
        if settled.events:
            turn.heard_at = time.monotonic()
            await turn.telling.tell(settled.events, self.seat)

    async def _add_messages(self, turn: UnderWay) -> None:
        busy = self.chat.settings.busy
        if busy is Busy.QUEUE:
            return
        queued = await self._stores.messages.queued(self.chat.id)
        if not queued:
            return
        if busy is Busy.INTERRUPT:
            await self._stop(turn, (TurnState.STOPPED, "Set aside for a newer message."))
            return
        await self._stores.messages.deliver(self._hold.fence, turn.turn.id, [message.id for message in queued])
        steered = [e.MessageSteered(str(message.id), message.author_name, message.text) for message in queued]
        await turn.telling.tell(steered, self.seat)
        for message in queued:
            turn.said[str(message.id)] = message
            await self._say(message)
        self._rulings.presenter.receipts.steered |= {message.id for message in queued}
        self._rulings.presenter.mark_messages()

    async def _stop(self, turn: UnderWay, ending: tuple[TurnState, str | None]) -> None:
        """Interrupt the agent; its result then ends the turn in that way."""
        turn.ending = ending
        turn.interrupted_at = time.monotonic()
        for uuid in list(turn.said)[1:]:
            with suppress(AgentError):
                await self._session.forget(uuid)
        try:
            await self._session.interrupt()
        except AgentError as error:
            log.warning("not_interrupted", chat=str(self.chat.id), why=str(error))
            turn.interrupted_at = float("-inf")

    # ------------------------------------------------------------ time

    async def _mind_the_time(self, turn: UnderWay) -> None:
        now = time.monotonic()
        if turn.interrupted_at is not None:
            if now - turn.interrupted_at > self._limits.interrupt_s:
                # It does not let itself be interrupted: the process goes, the memory stays.
                state, words = turn.ending or (TurnState.STOPPED, None)
                await self.give_up(state, words)
                self._is_over = Outcome.AGENT_GONE
            return
        since, turn.minded_at = now - turn.minded_at, now
        if self._rulings.waits:
            if now - turn.heard_at > self._limits.park_after_s:
                self._is_over = Outcome.PARKED
            return
        turn.worked_s += since
        if turn.is_quiet(now, self._limits.quiet_s):
            # It may be that all it writes is lost. A command that fills the disk for a moment is none of ours.
            was_full, turn.is_full = turn.is_full, await self._session.is_disk_full()
            if was_full and turn.is_full:
                raise DiskFull
        if turn.worked_s > self._limits.turn_s:
            minutes = self._limits.turn_s / 60
            await self._stop(turn, (TurnState.FAILED, f"This took longer than {minutes:.0f} minutes, so I stopped it."))
        elif turn.journal_bytes > self._limits.turn_bytes:
            size = self._limits.turn_bytes >> 20
            await self._stop(turn, (TurnState.FAILED, f"This wrote more than {size} MB of output, so I stopped it."))
