"""Words that all bots use in their answers. Pure; none of them needs a platform's markup."""

from typing import Final

from core.domain.chat import Busy, Mode
from core.domain.states import TurnState
from core.domain.turn import Turn

MODES: Final = {
    Mode.ASK: "asks before everything that changes anything",
    Mode.AUTO: "does what is safe, asks before what is not",
    Mode.PLAN: "only reads and plans",
    Mode.BYPASS: "never asks",
}
BUSY: Final = {
    Busy.STEER: "What you write while it works reaches it at once.",
    Busy.QUEUE: "What you write while it works waits for its next turn.",
    Busy.INTERRUPT: "What you write while it works stops it, and is done in its place.",
}
_STATES: Final = {TurnState.RUNNING: "⏳ at work", TurnState.WAITING: "✋ waits for your answer"}


def count(number: int, what: str) -> str:
    """`1 turn`, `2 turns`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def state(turn: Turn | None) -> str:
    """What a chat does, in a few words."""
    return _STATES.get(turn.state, "idle") if turn is not None else "idle"
