"""Time and ids, as the double tells them: a clock that a test may push forward, and snowflakes that carry its time.

Pushing the clock stands in for hours of waiting (old messages, expired tokens, idle threads). Read `world.py` next.
"""

import time
from datetime import UTC, datetime

_DISCORD_EPOCH_MS = 1_420_070_400_000


class Clock:
    """Wall time plus whatever a test added to it."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


class Snowflakes:
    """Makes ids that only grow and from which a client can read the time of making."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def new(self) -> str:
        candidate = (int(self._clock.now() * 1000) - _DISCORD_EPOCH_MS) << 22
        self._last = max(candidate, self._last + 1)
        return str(self._last)


def iso(seconds: float) -> str:
    """A time as Discord writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()
