"""A turn: one request and everything done to answer it.

Its steps are in `states.py`; this file has the values. Next: `events.py`, what happens in a turn.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NewType
from uuid import UUID

from core.domain.chat import ChatId
from core.domain.states import TurnState

TurnId = NewType("TurnId", UUID)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens a turn spent."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total(self) -> int:
        """All of them together."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as stored. `number` counts a chat's turns from 1. `is_shown`: its end is on the surface.

    `unshown_why`: why it cannot be, in words; it is tried again only when something happens in the chat.
    """

    id: TurnId
    chat_id: ChatId
    number: int
    state: TurnState
    started_at: datetime
    ended_at: datetime | None = None
    usage: Usage = Usage()
    cost_usd: Decimal = Decimal(0)
    text: str = ""
    error: str | None = None
    is_shown: bool = False
    unshown_why: str | None = None
    restarts: int = 0
