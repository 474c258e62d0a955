"""The legs that a turn's rows and a run's notes make. Pure. Next: `way.py`, which tells them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from core.domain.approval import Approval
from core.domain.legs import Leg, LegName, intake_key, turn_key
from core.domain.message import Message
from core.domain.turn import Turn, TurnId

Facts = Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class Note:
    """A leg of the run, before it is known whose trace it is in. `turn`: the turn it belongs to."""

    name: LegName
    turn: TurnId
    epoch: int
    began_at: float
    ended_at: float
    facts: Facts = field(default_factory=dict)
    is_failed: bool = False


def queue_legs(note: Note, trace: UUID, turn: Turn, messages: Sequence[Message]) -> list[Leg]:
    """How long the turn's first message waited for it. Nobody waited for a turn that the agent began by itself."""
    return [
        Leg(
            LegName.QUEUE,
            trace,
            message.created_at.timestamp(),
            turn.started_at.timestamp(),
            parent=intake_key(message.id),
            facts=note.facts,
        )
        for message in messages[:1]
    ]


def turn_legs(
    note: Note, trace: UUID, turn: Turn, messages: Sequence[Message], approvals: Sequence[Approval]
) -> list[Leg]:
    """The legs of a turn that ended: its own, and one for each question, from its asking to its settling."""
    ended_at = turn.ended_at.timestamp() if turn.ended_at else note.ended_at
    facts = {**note.facts, "outcome": str(turn.state), "restarts": turn.restarts, "messages": len(messages)}
    legs = [
        Leg(
            LegName.TURN,
            trace,
            turn.started_at.timestamp(),
            ended_at,
            key=turn_key(turn.id),
            parent=intake_key(trace) if trace != turn.id else "",
            facts=facts,
            links=[message.id for message in messages if message.id != trace],
            is_failed=note.is_failed,
        )
    ]
    for approval in approvals:
        settled_at = approval.decided_at.timestamp() if approval.decided_at else ended_at
        asked = {**note.facts, "outcome": str(approval.state), "kind": str(approval.kind)}
        began_at = approval.asked_at.timestamp()
        legs.append(Leg(LegName.APPROVAL, trace, began_at, settled_at, parent=turn_key(turn.id), facts=asked))
    return legs


def noted_leg(note: Note, trace: UUID, *, key: str = "", parent: str) -> Leg:
    """The leg of a note, as it was noted."""
    return Leg(
        note.name,
        trace,
        note.began_at,
        note.ended_at,
        key=key,
        parent=parent,
        facts=note.facts,
        is_failed=note.is_failed,
    )
