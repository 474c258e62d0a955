"""The legs of one run, found from what passes by: put together here, told by a task of its own.

Nothing of the run waits for this: what is noted is put into a bounded queue, and what must be asked of the database
(whose trace a turn is, when a question was decided) is asked behind the run's back. A turn's own legs are told at its
end, out of its rows, so that they are whole even if several runs worked on it. Next: `worker/tracing.py`.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

import structlog

from core.domain.events import RunEvent, TextStreamed, TextWritten, TurnFinished, TurnStarted
from core.domain.legs import LegName, run_key, turn_key
from core.domain.states import TurnState
from core.domain.turn import TurnId
from core.errors import ThreadworkError
from core.log import bound
from core.ports import Stores, Traces
from worker.legs import Facts, Note, noted_leg, queue_legs, turn_legs

log = structlog.get_logger(__name__)
_MOST: Final = 1000
# How a run leaves a turn that it does not end. `let_go` is told as what it was: parked, or fenced by another run.
FAILED: Final = "failed"
HANDED_OVER: Final = "handed_over"
LET_GO: Final = "let_go"


class Way:
    """What one run tells. The run is that of the task's log lines, whose tenant, chat, turn and epoch the legs have."""

    def __init__(self, stores: Stores, traces: Traces) -> None:
        self._stores = stores
        self._traces = traces
        self._notes: asyncio.Queue[Note] = asyncio.Queue(_MOST)
        self._trace_of: dict[TurnId, UUID] = {}
        # The turns that this run took up, and of the one that it works on, since when and what its lines say.
        self._taken: set[str] = set()
        self._about: Mapping[str, str] | None = None
        self._began_at = 0.0
        self._awaits_text = False

    # ------------------------------------------------------------ what passes by

    def take_up(self) -> None:
        """Note that the run works on the turn that its lines name."""
        about = bound()
        turn = about.get("turn", "")
        if turn and turn not in self._taken:
            self._taken.add(turn)
            self._about, self._began_at, self._awaits_text = about, time.time(), False

    def heard(self, events: Sequence[RunEvent]) -> None:
        """Note what was published of the turn."""
        self.take_up()
        for event in events:
            match event:
                case TurnStarted():
                    self._awaits_text = True
                    self.note(LegName.QUEUE, self._began_at)
                case TextStreamed() | TextWritten() if self._awaits_text:
                    self._awaits_text = False
                    self.note(LegName.FIRST_TEXT, self._began_at)
                case TurnFinished():
                    is_failed = event.state is TurnState.FAILED
                    self.leave(str(event.state), is_failed=is_failed)
                    self.note(LegName.TURN, self._began_at, is_failed=is_failed)
                case _:
                    pass

    def leave(self, outcome: str, *, is_failed: bool = False) -> None:
        """Note that the run lets go of the turn it works on, if there is one."""
        if self._about is not None:
            self.note(LegName.RUN, self._began_at, {"outcome": outcome}, is_failed=is_failed, about=self._about)
            self._about = None

    def note(
        self,
        name: LegName,
        began_at: float,
        facts: Facts | None = None,
        *,
        is_failed: bool = False,
        about: Mapping[str, str] | None = None,
    ) -> None:
        """Note a leg that ends now. Returns at once; what does not fit is lost."""
        about = about or bound()
        if not about.get("turn"):
            return
        turn, epoch = about["turn"], int(about["epoch"])
        whose: Facts = {"tenant": about["tenant"], "chat": about["chat"], "turn": turn, "epoch": epoch}
        note = Note(name, TurnId(UUID(turn)), epoch, began_at, time.time(), {**whose, **(facts or {})}, is_failed)
        try:
            self._notes.put_nowait(note)
        except asyncio.QueueFull:
            log.debug("leg_lost", leg=str(name))

    # ------------------------------------------------------------ what is told

    async def tell_for_ever(self) -> None:
        """Tell what is noted; run by `tracing.traced`."""
        while True:
            note = await self._notes.get()
            try:
                await self._tell(note)
            except ThreadworkError as error:
                log.debug("leg_lost", leg=str(note.name), why=str(error))
            except Exception:
                # The legs after it are told all the same.
                log.exception("leg_lost", leg=str(note.name))
            finally:
                self._notes.task_done()

    async def told(self) -> None:
        """Return once all that was noted is told."""
        await self._notes.join()

    async def _tell(self, note: Note) -> None:
        turn_id = note.turn
        is_of_rows = turn_id not in self._trace_of or note.name in {LegName.QUEUE, LegName.TURN}
        messages = await self._stores.messages.of_turn(turn_id) if is_of_rows else ()
        trace = self._trace_of.setdefault(turn_id, messages[0].id if messages else turn_id)
        match note.name:
            case LegName.TURN:
                turn, asked = await self._stores.turns.get(turn_id), await self._stores.approvals.of_turn(turn_id)
                legs = turn_legs(note, trace, turn, messages, asked)
            case LegName.QUEUE:
                legs = queue_legs(note, trace, await self._stores.turns.get(turn_id), messages)
            case LegName.RUN:
                if note.facts["outcome"] == LET_GO:
                    turn = await self._stores.turns.get(turn_id)
                    outcome = "parked" if turn.state is TurnState.WAITING else "fenced"
                    note = replace(note, facts={**note.facts, "outcome": outcome})
                legs = [noted_leg(note, trace, key=run_key(turn_id, note.epoch), parent=turn_key(turn_id))]
            case _:
                is_ours = str(turn_id) in self._taken
                legs = [noted_leg(note, trace, parent=run_key(turn_id, note.epoch) if is_ours else turn_key(turn_id))]
        for leg in legs:
            self._traces.add(leg)
