"""Counters of what no row tells: posts and edits, platforms that made us wait, how long starts take.

To count is to add to a number in this process; once a second what came together goes to one hash in Redis, in one
round trip, which also says that this worker is alive. The names are enumerations, so neither side grows. What Redis
does not take is dropped: nothing is counted twice, and nobody waits. Next: `bots/web/metrics.py`, which tells it.
"""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import structlog
from redis.asyncio import Redis

from core.bus.connection import CALL_S, vendor_errors_as_ours
from core.domain.chat import Platform
from core.errors import Unavailable
from core.ports import Count, Counted, Span, Spread

log = structlog.get_logger(__name__)
COUNTS: Final = "tw:counts"
WORKERS: Final = "tw:workers"
FLUSH_S: Final = 1.0
ALIVE_S: Final = 15
BOUNDS: Final[Mapping[Span, tuple[float, ...]]] = {
    Span.START: (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    Span.FIRST_TEXT: (0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300),
}
# KEYS: the hash, the workers. ARGV: this worker or nothing, how long it counts as alive, then names and numbers.
_ADD: Final = """
for at = 3, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[at], ARGV[at + 1]) end
if ARGV[1] ~= '' then
  local now = tonumber(redis.call('TIME')[1])
  redis.call('ZADD', KEYS[2], now, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[2]))
end
return 1
"""
_READ: Final = """
local now = tonumber(redis.call('TIME')[1])
return {redis.call('HGETALL', KEYS[1]), redis.call('ZCOUNT', KEYS[2], now - tonumber(ARGV[1]), '+inf')}
"""


class LocalCounters:
    """`core.ports.Counters` in one process: for who has no Redis to tell, and what is on its way there."""

    def __init__(self) -> None:
        self._kept: Counter[str] = Counter()

    def add(self, count: Count, platform: Platform, by: int = 1) -> None:
        """Count something that happened."""
        self._kept[f"{count}|{platform}"] += by

    def took(self, span: Span, platform: Platform, seconds: float) -> None:
        """Count something that took so long."""
        seconds = max(0.0, seconds)
        self._kept[f"{span}|{platform}|{bisect_left(BOUNDS[span], seconds)}"] += 1
        self._kept[f"{span}|{platform}|us"] += round(seconds * 1_000_000)

    async def read(self) -> Counted:
        """What was counted here."""
        return counted(self._kept, workers=1)

    def taken(self) -> Mapping[str, int]:
        """What was counted since this was last asked."""
        kept, self._kept = self._kept, Counter()
        return kept


class RedisCounters:
    """`core.ports.Counters` on Redis; made by `open_counters`. `worker`: the name of a worker, empty for others."""

    def __init__(self, redis: Redis, worker: str = "") -> None:
        self._add = redis.register_script(_ADD)
        self._read = redis.register_script(_READ)
        self._worker = worker
        self._here = LocalCounters()

    def add(self, count: Count, platform: Platform, by: int = 1) -> None:
        """Count something that happened."""
        self._here.add(count, platform, by)

    def took(self, span: Span, platform: Platform, seconds: float) -> None:
        """Count something that took so long."""
        self._here.took(span, platform, seconds)

    async def read(self) -> Counted:
        """What all processes counted. Raises `Unavailable`."""
        with vendor_errors_as_ours():
            async with asyncio.timeout(CALL_S):
                kept, workers = await self._read(keys=[COUNTS, WORKERS], args=[ALIVE_S])
        fields = zip(kept[::2], kept[1::2], strict=True)
        return counted({name.decode(errors="replace"): _whole(value) for name, value in fields}, workers=int(workers))

    async def flush(self) -> None:
        """Add what came together to what Redis has. Raises `Unavailable`; then that is lost."""
        news = self._here.taken()
        if not news and not self._worker:
            return
        pairs = [part for name, value in news.items() for part in (name, value)]
        with vendor_errors_as_ours():
            async with asyncio.timeout(CALL_S):
                await self._add(keys=[COUNTS, WORKERS], args=[self._worker, ALIVE_S, *pairs])

    async def flush_for_ever(self) -> None:
        """Flush every second; run by `open_counters`."""
        is_away = False
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
                is_away = False
            except Unavailable as error:
                if not is_away:
                    log.info("not_counted", why=str(error))
                is_away = True


@asynccontextmanager
async def open_counters(redis: Redis, worker: str = "") -> AsyncIterator[RedisCounters]:
    """Counters that tell Redis every second, and once more at the end."""
    counters = RedisCounters(redis, worker)
    async with asyncio.TaskGroup() as tasks:
        flushing = tasks.create_task(counters.flush_for_ever())
        try:
            yield counters
        finally:
            flushing.cancel()
            try:
                await counters.flush()
            except Unavailable as error:
                log.info("not_counted", why=str(error))


def counted(kept: Mapping[str, int], *, workers: int) -> Counted:
    """What `kept` says. Names that another version counts are left out."""
    spans = {}
    for span, bounds in BOUNDS.items():
        for platform in Platform:
            of_it = f"{span}|{platform}|"
            counts = tuple(kept.get(f"{of_it}{number}", 0) for number in range(len(bounds) + 1))
            spans[span, platform] = Spread(bounds, counts, kept.get(f"{of_it}us", 0) / 1_000_000)
    counts_by = {(count, platform): kept.get(f"{count}|{platform}", 0) for count in Count for platform in Platform}
    return Counted(counts_by, spans, workers)


def _whole(value: bytes) -> int:
    try:
        return int(value)
    except ValueError:
        return 0
