"""The legs of a message's way: what took time between a message's arrival and its turn's end.

Every process names a leg by the same key, so that what one tells is the child of what another tells, though they
never talk about it: a trace is a message's, and its id and the legs' are made from the ids that are stored anyway.
No text is in a leg. Next: `core/observing/tracing.py`, which sends them; `worker/tracing.py`, which finds most of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


class LegName(StrEnum):
    """What the legs are called. docs/production.md says where each begins and ends."""

    INTAKE = "intake"
    QUEUE = "queue"
    TURN = "turn"
    RUN = "run"
    SANDBOX = "sandbox"
    AGENT = "agent"
    FIRST_TEXT = "first_text"
    APPROVAL = "approval"
    POST = "post"


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg. `trace`: the message whose way it is; times are seconds since the epoch.

    `key` names it where another leg has it as its `parent`; empty, nobody does. `links` are other messages' traces.
    `facts` are ids, names of ours and numbers: never what somebody wrote.
    """

    name: LegName
    trace: UUID
    began_at: float
    ended_at: float
    key: str = ""
    parent: str = ""
    facts: Mapping[str, str | int | bool] = field(default_factory=dict)
    links: Sequence[UUID] = ()
    is_failed: bool = False


def intake_key(message: UUID) -> str:
    """The arrival of a message."""
    return f"{LegName.INTAKE} {message}"


def turn_key(turn: UUID | str) -> str:
    """A turn, whichever runs work on it."""
    return f"{LegName.TURN} {turn}"


def run_key(turn: UUID | str, epoch: int | str) -> str:
    """One run's attempt at a turn."""
    return f"{LegName.RUN} {turn} {epoch}"
