"""The edit budget: a platform's call limits, shared by all workers, with room kept for what matters more.

A token bucket a key, in Redis, on Redis's clock. Progress may not take the last two fifths of a full bucket, and ends
not the last seventh: so a question or an end finds a token while progress is scarce, and never waits behind it.
While Redis is away every worker keeps to a third of the allowance on its own.
"""

import asyncio
import random
import time
from dataclasses import replace
from typing import Final

import structlog
from redis.asyncio import Redis

from core.bus.connection import vendor_errors_as_ours
from core.errors import Unavailable
from core.ports import Allowance, Priority

log = structlog.get_logger(__name__)
_SHARE_KEPT: Final = {Priority.QUESTION: 0.0, Priority.FINAL: 1 / 7, Priority.PROGRESS: 2 / 5}
# KEYS: bucket. ARGV: tokens a second, burst, tokens that must remain, seconds of penalty (0: none, spend).
_SPEND: Final = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local rate, burst, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local b = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'until')
local tokens, at, closed = tonumber(b[1]) or burst, tonumber(b[2]) or now, tonumber(b[3]) or 0
tokens = math.min(burst, tokens + math.max(0, now - at) * rate)
local wait = 0
if tonumber(ARGV[4]) > 0 then
  closed = math.max(closed, now + tonumber(ARGV[4]))
  tokens = 0
elseif now < closed then
  wait = closed - now
elseif tokens >= 1 + kept then
  tokens = tokens - 1
else
  wait = (1 + kept - tokens) / rate
end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(now), 'until', tostring(closed))
redis.call('EXPIRE', KEYS[1], 3600)
return tostring(wait)
"""


class LocalEditBudget:
    """`core.ports.EditBudget` in one process; also what a worker keeps to while Redis is away."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float, float]] = {}

    async def spend(self, allowance: Allowance, priority: Priority) -> None:
        """Return once a call may be made."""
        while (wait := await self.try_spend(allowance, priority)) > 0:  # noqa: ASYNC110 - a clock, not an event
            await asyncio.sleep(wait)

    async def try_spend(self, allowance: Allowance, priority: Priority) -> float:
        """Take a token and return 0, or return the seconds until one may be had."""
        now = time.monotonic()
        rate = allowance.per_minute / 60
        tokens, at, closed = self._buckets.get(allowance.key, (float(allowance.burst), now, 0.0))
        tokens = min(float(allowance.burst), tokens + (now - at) * rate)
        kept = kept_for(allowance, priority)
        if now < closed:
            wait = closed - now
        elif tokens >= 1 + kept:
            tokens, wait = tokens - 1, 0.0
        else:
            wait = (1 + kept - tokens) / rate
        self._buckets[allowance.key] = (tokens, now, closed)
        return wait

    async def penalise(self, allowance: Allowance, seconds: float) -> None:
        """Hand out nothing under this key for so many seconds."""
        now = time.monotonic()
        _tokens, _at, closed = self._buckets.get(allowance.key, (0.0, now, 0.0))
        self._buckets[allowance.key] = (0.0, now, max(closed, now + seconds))


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
            jitter = 1.0 if priority is Priority.QUESTION else 1.0 + random.random() * 0.3  # noqa: S311 - no secret
            await asyncio.sleep(min(wait * jitter, 5.0))

    async def try_spend(self, allowance: Allowance, priority: Priority) -> float:
        """Take a token and return 0, or return the seconds until one may be had."""
        try:
            return await self._ask(allowance, kept_for(allowance, priority), 0.0)
        except Unavailable:
            cautious = replace(allowance, per_minute=allowance.per_minute / 3, burst=max(1, allowance.burst // 3))
            return await self._alone.try_spend(cautious, priority)

    async def penalise(self, allowance: Allowance, seconds: float) -> None:
        """Hand out nothing under this key for so many seconds, to any worker."""
        log.warning("rate_limited", key=allowance.key, seconds=seconds)
        await self._alone.penalise(allowance, seconds)
        try:
            await self._ask(allowance, 0.0, seconds)
        except Unavailable:
            return

    async def _ask(self, allowance: Allowance, kept: float, penalty: float) -> float:
        with vendor_errors_as_ours():
            async with asyncio.timeout(2):
                answer = await self._script(
                    keys=[f"tw:budget:{allowance.key}"],
                    args=[allowance.per_minute / 60, allowance.burst, kept, penalty],
                )
        return float(answer)
