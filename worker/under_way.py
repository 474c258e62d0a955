"""The turn that a talk is about. Next: `talk.py`."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from json import loads
from typing import Any
from uuid import UUID, uuid5

from core.domain.chat import AgentSeat
from core.domain.events import RunEvent, ToolFailed
from core.domain.message import Message
from core.domain.states import ApprovalState, TurnState
from core.domain.turn import Turn
from core.ports import Stores
from worker.telling import Telling


@dataclass(slots=True)
class UnderWay:
    """The turn under way: who is in it, and since when it runs and was last heard of
    (monotonic seconds). `worked_s` leaves out the time it waited for a person.
    """

    telling: Telling
    said: dict[str, Message] = field(default_factory=dict)
    journal_bytes: int = 0
    started_at: float = field(default_factory=time.monotonic)
    heard_at: float = field(default_factory=time.monotonic)
    minded_at: float = field(default_factory=time.monotonic)
    worked_s: float = 0.0
    ending: tuple[TurnState, str | None] | None = None
    interrupted_at: float | None = None
    looked_at_disk: float = field(default_factory=time.monotonic)
    is_full: bool = False

    @property
    def turn(self) -> Turn:
        return self.telling.turn

    def is_quiet(self, now: float, seconds: float) -> bool:
        """Whether nothing was heard for so long, and nobody looked why since; whoever asks is to look."""
        is_so = now - max(self.heard_at, self.looked_at_disk) > seconds
        if is_so:
            self.looked_at_disk = now
        return is_so


def begins_a_turn(body: Mapping[str, Any] | None) -> bool:
    """Whether a journal line says that the agent begins a turn."""
    return body is not None and body.get("type") == "system" and body.get("subtype") == "init"


def without(seat: AgentSeat, request_id: str) -> AgentSeat:
    """The seat once that request is answered."""
    if request_id not in seat.pending:
        return seat
    return replace(seat, pending={key: raw for key, raw in seat.pending.items() if key != request_id})


def without_own_refusals(events: Sequence[RunEvent], seat: AgentSeat) -> Sequence[RunEvent]:
    """Events without the failures of calls that still wait for an answer of ours.

    A CLI whose stdin ends refuses what it has asked for by itself (CLI 2.1), and its sandbox's server may be killed a
    moment before it is. What it takes back it says first (`control_cancel_request`), and what we answered it echoes.
    """
    if not seat.pending or not any(isinstance(event, ToolFailed) for event in events):
        return events
    waiting = {loads(raw)["request"].get("tool_use_id") for raw in seat.pending.values()}
    return [event for event in events if not (isinstance(event, ToolFailed) and event.id in waiting)]


def note_id(turn: Turn) -> str:
    """The uuid under which the agent is told of a restart in this turn: the same however often it is said."""
    return str(uuid5(turn.id, f"restart {turn.restarts}"))


def is_note(uuid: str) -> bool:
    """Whether a uuid is a note's. People's messages have random ones."""
    try:
        return UUID(uuid).version == 5
    except ValueError:
        return False


async def waits_for_a_person(stores: Stores, turn: Turn) -> bool:
    """Whether a turn that was parked still has a question open, and nobody wants it stopped."""
    if await stores.turns.stop_asked(turn.id) is not None:
        return False
    return any(ask.state is ApprovalState.PENDING for ask in await stores.approvals.of_turn(turn.id))
