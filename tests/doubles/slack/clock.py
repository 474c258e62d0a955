"""Time as the double tells it: a wall clock that a test may push forward, and message timestamps that never repeat.

Pushing the clock stands in for waiting (streams that end, triggers that expire, rates that recover). `store.py` next.
"""

import time


class Clock:
    """Wall time plus whatever a test added to it; or a time that stands still, with `stands_at` in seconds since 1970."""

    def __init__(self, *, stands_at: float | None = None) -> None:
        self._stands_at = stands_at
        self._ahead = 0.0
        self._last = 0

    def now(self) -> float:
        """Seconds since 1970."""
        return (time.time() if self._stands_at is None else self._stands_at) + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    def ts(self) -> str:
        """A new message timestamp, later than every other."""
        self._last = max(int(self.now() * 1_000_000), self._last + 1)
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06}"
