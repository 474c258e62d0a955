"""The edit budget: a platform's call limits, shared by all workers, with room kept for what matters more.

A token bucket a key, in Redis, on Redis's clock. Progress may not take the last four fifths of a full bucket, and ends
not the last seventh: so a question or an end finds a token while progress is scarce. Where a bucket is too small for
that, and beyond it, whoever waits is noted, and lower priorities stand back until it has had its turn. While Redis is
away every worker keeps to a third of the allowance on its own, beginning with a third of what it saw last.
"""

import asyncio
import random
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Final

import structlog
from redis.asyncio import Redis

from core.bus.connection import CALL_S, vendor_errors_as_ours
from core.errors import Unavailable
from core.ports import Allowance, Priority

log = structlog.get_logger(__name__)
_SHARE_KEPT: Final = {Priority.QUESTION: 0.0, Priority.FINAL: 1 / 7, Priority.PROGRESS: 4 / 5}
# One that waits asks again within its wait and its jitter; for so much longer the lower ones stand back.
_JITTER: Final = 0.3
_LATE_S: Final = 0.5
_LONGEST_S: Final = 5.0
# How many keys a process remembers; a forgotten one begins full, once, if Redis goes away.
_REMEMBERED: Final = 10_000
_ALONE: Final = 3
_STAND_BACK: Final = (_JITTER, _LONGEST_S, _LATE_S)
# KEYS: bucket. ARGV: tokens a second, burst, tokens that must remain, seconds of penalty (0: none, spend), priority.
_SPEND: Final = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local rate, burst, kept, priority = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
local b = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'until', 'wanted0', 'wanted1')
local tokens, at, closed = tonumber(b[1]) or burst, tonumber(b[2]) or now, tonumber(b[3]) or 0
tokens = math.min(burst, tokens + math.max(0, now - at) * rate)
local above = 0
for p = 0, priority - 1 do above = math.max(above, tonumber(b[4 + p]) or 0) end
local wait = 0
if tonumber(ARGV[4]) > 0 then
  closed = math.max(closed, now + tonumber(ARGV[4]))
  tokens = 0
elseif now < closed then
  wait = closed - now
elseif now < above then
  wait = above - now
elseif tokens >= 1 + kept then
  tokens = tokens - 1
else
  wait = (1 + kept - tokens) / rate
end
if wait > 0 and priority < 2 then
  local back = math.min(wait * (1 + tonumber(ARGV[6])), tonumber(ARGV[7])) + tonumber(ARGV[8])
  redis.call('HSET', KEYS[1], 'wanted' .. priority, string.format('%.6f', now + back))
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now))
redis.call('HSET', KEYS[1], 'until', string.format('%.6f', closed))
redis.call('EXPIRE', KEYS[1], 3600 + math.ceil(math.max(0, closed - now)))
return string.format('%.6f %.6f', wait, tokens)
"""


@dataclass(slots=True)
class _Bucket:
    """What may be spent of one allowance; `wanted` says until when those of a priority are known to wait."""

    tokens: float
    at: float
    closed_until: float = 0.0
    wanted: dict[Priority, float] = field(default_factory=dict)


class LocalEditBudget:
    """`core.ports.EditBudget` in one process; also what a worker keeps to while Redis is away."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    async def spend(self, allowance: Allowance, priority: Priority) -> None:
        """Return once a call may be made."""
        while (wait := await self.try_spend(allowance, priority)) > 0:  # noqa: ASYNC110 - a clock, not an event
            await asyncio.sleep(min(wait, _LONGEST_S))

    async def try_spend(self, allowance: Allowance, priority: Priority) -> float:
        """Take a token and return 0, or return the seconds until one may be had."""
        bucket, now = self._filled(allowance)
        kept = kept_for(allowance, priority)
        above = max((until for other, until in bucket.wanted.items() if other < priority), default=0.0)
        if now < bucket.closed_until:
            wait = bucket.closed_until - now
        elif now < above:
            wait = above - now
        elif bucket.tokens >= 1 + kept:
            bucket.tokens -= 1
            return 0.0
        else:
            wait = (1 + kept - bucket.tokens) / allowance.per_minute * 60
        bucket.wanted[priority] = now + min(wait, _LONGEST_S) + _LATE_S
        return wait

    async def penalise(self, allowance: Allowance, seconds: float) -> None:
        """Hand out nothing under this key for so many seconds."""
        bucket, now = self._filled(allowance)
        bucket.tokens = 0.0
        bucket.closed_until = max(bucket.closed_until, now + seconds)

    def knows(self, allowance: Allowance, tokens: float) -> None:
        """Say how many tokens are left of an allowance."""
        bucket, _ = self._filled(allowance)
        bucket.tokens = min(float(allowance.burst), tokens)

    def closed_s(self, key: str) -> float:
        """For how many seconds more a penalty holds, as far as this process knows."""
        bucket = self._buckets.get(key)
        return max(0.0, bucket.closed_until - time.monotonic()) if bucket else 0.0

    def _filled(self, allowance: Allowance) -> tuple[_Bucket, float]:
        now = time.monotonic()
        bucket = self._buckets.setdefault(allowance.key, _Bucket(float(allowance.burst), now))
        filled = bucket.tokens + (now - bucket.at) * allowance.per_minute / 60
        bucket.tokens, bucket.at = min(float(allowance.burst), filled), now
        self._buckets.move_to_end(allowance.key)
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return bucket, now


def kept_for(allowance: Allowance, priority: Priority) -> float:
    """How many tokens must remain when something of this priority takes one: those kept for higher ones."""
    return float(int(allowance.burst * _SHARE_KEPT[priority]))


class RedisEditBudget:
    """`core.ports.EditBudget` on Redis."""

    def __init__(self, redis: Redis) -> None:
        self._script = redis.register_script(_SPEND)
        self._alone = LocalEditBudget()

    async def spend(self, allowance: Allowance, priority: Priority) -> None:
        """Return once a call may be made; those who wait ask again in no fixed order."""
        while (wait := await self.try_spend(allowance, priority)) > 0:
            jitter = 1.0 if priority is Priority.QUESTION else 1.0 + random.random() * _JITTER  # noqa: S311 - no secret
            await asyncio.sleep(min(wait * jitter, _LONGEST_S))

    async def try_spend(self, allowance: Allowance, priority: Priority) -> float:
        """Take a token and return 0, or return the seconds until one may be had."""
        # A penalty that Redis was not told of, or has forgotten, holds here all the same.
        if (closed_s := self._alone.closed_s(allowance.key)) > 0:
            return closed_s
        mine = replace(allowance, per_minute=allowance.per_minute / _ALONE, burst=max(1, allowance.burst // _ALONE))
        try:
            wait, left = await self._ask(allowance, priority, 0.0)
        except Unavailable:
            return await self._alone.try_spend(mine, priority)
        self._alone.knows(mine, left / _ALONE)
        return wait

    async def penalise(self, allowance: Allowance, seconds: float) -> None:
        """Hand out nothing under this key for so many seconds, to any worker."""
        log.warning("rate_limited", key=allowance.key, seconds=seconds)
        await self._alone.penalise(allowance, seconds)
        try:
            await self._ask(allowance, Priority.QUESTION, seconds)
        except Unavailable:
            return

    async def _ask(self, allowance: Allowance, priority: Priority, penalty: float) -> tuple[float, float]:
        """The seconds to wait, and the tokens left."""
        with vendor_errors_as_ours():
            async with asyncio.timeout(CALL_S):
                kept = kept_for(allowance, priority)
                answer = await self._script(
                    keys=[f"tw:budget:{allowance.key}"],
                    args=[allowance.per_minute / 60, allowance.burst, kept, penalty, int(priority), *_STAND_BACK],
                )
        wait, left = answer.split()
        return float(wait), float(left)
