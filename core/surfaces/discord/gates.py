"""What Discord's answers say about its own limits, kept so that no call is made that would be refused.

Each answer tells how many calls its bucket has left, and when it is full again. A call for which there is no room waits
if that is short, and is refused with `RateLimited` if it is long; one refused call too many, and Discord bans the
address. All calls together keep under Discord's limit on a bot. Next: `client.py`.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from core.errors import RateLimited

_LONGEST_S: Final = 6.0
_A_SECOND: Final = 40  # of 50, since there may be other workers and the bot itself
_REMEMBERED: Final = 5_000


class Gates:
    """One bot's limits, as this process knows them. `clock` gives seconds that only grow; `sleep` lets them pass."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._open_at: OrderedDict[str, float] = OrderedDict()
        self._all_open_at = 0.0
        self._lately: deque[float] = deque(maxlen=_A_SECOND)

    async def enter(self, bucket: str) -> None:
        """Return once there is room for a call. Raises `RateLimited` where that would take long."""
        while (wait_s := self._wait(bucket)) > 0:
            if wait_s > _LONGEST_S:
                raise RateLimited(wait_s, bucket)
            await self._sleep(wait_s)
        self._lately.append(self._clock())

    def learn(self, bucket: str, headers: Mapping[str, str]) -> None:
        """Keep what an answer says of its bucket."""
        if headers.get("X-RateLimit-Remaining") != "0":
            return
        try:
            reset_after_s = float(headers["X-RateLimit-Reset-After"])
        except (KeyError, ValueError):
            return
        self._open_at[bucket] = self._clock() + reset_after_s
        self._open_at.move_to_end(bucket)
        while len(self._open_at) > _REMEMBERED:
            self._open_at.popitem(last=False)

    def close_all(self, seconds: float) -> None:
        """Let nothing through for so long: the limit on everything is reached."""
        self._all_open_at = max(self._all_open_at, self._clock() + seconds)

    def _wait(self, bucket: str) -> float:
        now = self._clock()
        is_full = len(self._lately) == _A_SECOND
        return max(
            self._open_at.get(bucket, 0.0) - now,
            self._all_open_at - now,
            self._lately[0] + 1.0 - now if is_full else 0.0,
        )
