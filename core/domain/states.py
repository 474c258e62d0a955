"""The states of a message, a turn, an approval and a sandbox: one table, and the only way to take a step.

Each row reads: *thing*, from, to, who may take the step. The functions of this package go through
`step`, which refuses what is not in the table; the database functions write only what `step` gave them.
ARCHITECTURE.md draws this table, and a stateful test explores it exhaustively. Next: `message.py`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from core.errors import IllegalStep


class MessageState(StrEnum):
    """Where what a person said has got to. The last four are final."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    ANSWERED = "answered"
    STOPPED = "stopped"
    FAILED = "failed"
    DROPPED = "dropped"


class TurnState(StrEnum):
    """Where a turn has got to. The last three are final."""

    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


class ApprovalState(StrEnum):
    """Where a question has got to. All but the first are final."""

    PENDING = "pending"
    ALLOWED = "allowed"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"


class SandboxState(StrEnum):
    """What we last knew of a chat's sandbox."""

    NONE = "none"
    RUNNING = "running"
    PAUSED = "paused"
    LOST = "lost"


class Actor(StrEnum):
    """Who takes a step."""

    PERSON = "person"
    RUN = "run"
    SWEEPER = "sweeper"


State = MessageState | TurnState | ApprovalState | SandboxState
AnyState = TypeVar("AnyState", MessageState, TurnState, ApprovalState, SandboxState)


@dataclass(frozen=True, slots=True)
class Step:
    """One allowed change of state, and who may make it."""

    frm: State
    to: State
    by: frozenset[Actor]
    why: str


def _row(frm: State, to: State, by: str, why: str) -> Step:
    return Step(frm, to, frozenset(Actor(name) for name in by.split()), why)


_M, _T, _A, _S = MessageState, TurnState, ApprovalState, SandboxState

TABLE: Final[tuple[Step, ...]] = (
    _row(_M.QUEUED, _M.DELIVERED, "run", "written to the agent"),
    _row(_M.QUEUED, _M.DROPPED, "person", "deleted before it was delivered, or set aside by a stop"),
    _row(_M.QUEUED, _M.FAILED, "run", "could not be delivered"),
    _row(_M.DELIVERED, _M.ANSWERED, "run", "its turn is done"),
    _row(_M.DELIVERED, _M.FAILED, "run", "its turn failed"),
    _row(_M.DELIVERED, _M.STOPPED, "run", "its turn was stopped"),
    _row(_M.DELIVERED, _M.QUEUED, "run", "the agent was lost before it took it up, or it starts the next turn"),
    _row(_T.RUNNING, _T.WAITING, "run", "only a person can move it on: parked"),
    _row(_T.WAITING, _T.RUNNING, "run", "a person decided, wrote or stopped"),
    _row(_T.RUNNING, _T.DONE, "run", "the agent finished"),
    _row(_T.RUNNING, _T.FAILED, "run", "the agent, its sandbox or a limit ended it"),
    _row(_T.RUNNING, _T.STOPPED, "run", "a person stopped it"),
    _row(_A.PENDING, _A.ALLOWED, "person", "a person, or a rule a person made, allowed it"),
    _row(_A.PENDING, _A.DENIED, "person", "a person denied it"),
    _row(_A.PENDING, _A.WITHDRAWN, "run", "the agent no longer asks: its turn ended or it took it back"),
    _row(_S.NONE, _S.RUNNING, "run", "made for the chat"),
    _row(_S.RUNNING, _S.PAUSED, "run sweeper", "waiting for a person, or idle"),
    _row(_S.PAUSED, _S.RUNNING, "run", "resumed"),
    _row(_S.RUNNING, _S.LOST, "run", "the server no longer knows it"),
    _row(_S.PAUSED, _S.LOST, "run", "the server no longer knows it"),
    _row(_S.LOST, _S.RUNNING, "run", "made anew"),
)

# By kind too: as text, a turn's `running` equals a sandbox's.
_BY_EDGE: Final = {(type(row.frm), row.frm, type(row.to), row.to): row for row in TABLE}


def step(frm: AnyState, to: AnyState, by: Actor) -> AnyState:
    """Return `to` if the table lets `by` go there from `frm`, else raise `IllegalStep`."""
    row = _BY_EDGE.get((type(frm), frm, type(to), to))
    if row is None:
        raise IllegalStep(f"{type(frm).__name__} cannot go from {frm} to {to}")
    if by not in row.by:
        raise IllegalStep(f"{type(frm).__name__} {frm} → {to} is not a step for the {by}")
    return to


def sources(to: State, by: Actor) -> frozenset[str]:
    """Every state from which `by` may go to `to`, as stored: for a guarded UPDATE … WHERE state IN."""
    return frozenset(row.frm.value for row in TABLE if row.to is to and by in row.by)


def is_final(state: State) -> bool:
    """Whether no step leads out of `state`."""
    return not any(row.frm is state for row in TABLE)
