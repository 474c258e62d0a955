"""The turn that a talk is about. Next: `talk.py`."""

import time
from dataclasses import dataclass, field

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
    notes: set[str] = field(default_factory=set)
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
