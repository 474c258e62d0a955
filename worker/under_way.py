"""The turn that a talk is about. Next: `talk.py`."""

import time
from dataclasses import dataclass, field
from uuid import UUID, uuid5

from core.domain.message import Message
from core.domain.states import TurnState
from core.domain.turn import Turn
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

    @property
    def turn(self) -> Turn:
        return self.telling.turn


def note_id(turn: Turn) -> str:
    """The uuid under which the agent is told of a restart in this turn: the same however often it is said."""
    return str(uuid5(turn.id, f"restart {turn.restarts}"))


def is_note(uuid: str) -> bool:
    """Whether a uuid is a note's. People's messages have random ones."""
    try:
        return UUID(uuid).version == 5
    except ValueError:
        return False
