"""What Discord's answers say about its own limits, kept so that no call is made that would be refused.

Each answer tells how many calls its bucket has left, and when it is full again. A call for which there is no room waits
if that is short, and is refused with `RateLimited` if it is long; one refused call too many, and Discord bans the
address. Those that wait for one bucket leave it as it has room, not all at once. All calls together keep under
Discord's limit on a bot. Next: `client.py`.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from core.errors import RateLimited

_LONGEST_S: Final = 6.0
_A_SECOND: Final = 40  # of 50, since there may be other workers and the bot itself
_REMEMBERED: Final = 5_000


@dataclass(slots=True)
class _Bucket:
    """Calls that are limited together. `limit` fit in when it is full; of one we know nothing of, one tells."""

    limit: int = 1
    left: int = 1
    full_at: float = 0.0
    under_way: int = 0
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    def room(self, now: float) -> int:
        """How many calls more may be made now."""
        return (self.limit if now >= self.full_at else self.left) - self.under_way


class Gates:
    """One bot's limits, as this process knows them. `clock` gives seconds that only grow; `sleep` lets them pass."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._all_open_at = 0.0
        self._lately: deque[float] = deque(maxlen=_A_SECOND)

    @asynccontextmanager
    async def through(self, bucket: str) -> AsyncIterator[None]:
        """Make a call within, once there is room for it. Raises `RateLimited` where that would take long."""
        found = self._bucket(bucket)
        await self._enter(bucket, found)
        found.under_way += 1
        try:
            yield
        finally:
            found.under_way -= 1
            found.answered.set()

    def learn(self, bucket: str, headers: Mapping[str, str]) -> None:
        """Keep what an answer says of its bucket."""
        try:
            limit, left = int(headers["X-RateLimit-Limit"]), int(headers["X-RateLimit-Remaining"])
            reset_after_s = float(headers["X-RateLimit-Reset-After"])
        except (KeyError, ValueError):
            return
        found = self._bucket(bucket)
        found.limit, found.left = max(1, limit), max(0, left)
        found.full_at = self._clock() + reset_after_s

    def close(self, bucket: str, seconds: float) -> None:
        """Let nothing through for so long that is limited together with this: Discord has refused it."""
        found = self._bucket(bucket)
        found.left = 0
        found.full_at = max(found.full_at, self._clock() + seconds)

    def close_all(self, seconds: float) -> None:
        """Let nothing through for so long: the limit on everything is reached."""
        self._all_open_at = max(self._all_open_at, self._clock() + seconds)

    async def _enter(self, name: str, bucket: _Bucket) -> None:
        while True:
            now = self._clock()
            if (wait_s := self._wait(bucket, now)) > _LONGEST_S:
                raise RateLimited(wait_s, name)
            if wait_s > 0:
                await self._sleep(wait_s)
            elif bucket.room(now) > 0:
                self._lately.append(now)
                return
            else:
                # Those under way will say how much room there is; each is bounded.
                bucket.answered.clear()
                await bucket.answered.wait()

    def _wait(self, bucket: _Bucket, now: float) -> float:
        is_full = len(self._lately) == _A_SECOND
        return max(
            bucket.full_at - now if bucket.left - bucket.under_way <= 0 and not bucket.under_way else 0.0,
            self._all_open_at - now,
            self._lately[0] + 1.0 - now if is_full else 0.0,
        )

    def _bucket(self, name: str) -> _Bucket:
        found = self._buckets.setdefault(name, _Bucket())
        self._buckets.move_to_end(name)
        if len(self._buckets) > _REMEMBERED:
            # One that calls are in, or that is closed yet, is of use.
            now = self._clock()
            idle = (key for key, one in self._buckets.items() if not one.under_way and one.full_at <= now)
            self._buckets.pop(next(idle, name), None)
        return found
