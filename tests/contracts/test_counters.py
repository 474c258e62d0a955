"""The promises of `core.ports.Counters`, over both implementations; the shared one with several processes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest

from core.bus.connection import open_redis
from core.bus.counters import BOUNDS, COUNTS, WORKERS, LocalCounters, RedisCounters, open_counters
from core.domain.chat import Platform
from core.errors import Unavailable
from core.ports import Count, Counted, Counters, Span
from tests.valkey import own_valkey

WAIT_S = 60
SLACK, DISCORD = Platform.SLACK, Platform.DISCORD


@pytest.fixture(params=["redis", "local"])
async def counters(request: pytest.FixtureRequest) -> AsyncIterator[Counters]:
    if request.param == "local":
        yield LocalCounters()
        return
    async with open_redis(request.getfixturevalue("redis_url")) as redis, open_counters(redis, "w1") as made:
        yield made


async def read(counters: Counters, is_there: Callable[[Counted], bool]) -> Counted:
    """What is read, once it holds what is waited for."""
    async with asyncio.timeout(WAIT_S):
        while not is_there(found := await counters.read()):
            await asyncio.sleep(0.05)
    return found


async def test_nothing_counted_reads_as_nothing(counters: Counters) -> None:
    found = await counters.read()
    assert set(found.counts) == {(count, platform) for count in Count for platform in Platform}
    assert not any(found.counts.values())
    assert not any(sum(spread.counts) for spread in found.spans.values())


async def test_what_is_counted_is_read_soon_by_its_name_and_platform(counters: Counters) -> None:
    for _ in range(3):
        counters.add(Count.EDITS_SENT, SLACK)
    counters.add(Count.EDITS_SAVED, SLACK, 40)
    counters.add(Count.EDITS_SENT, DISCORD)
    found = await read(counters, lambda it: it.counts[Count.EDITS_SENT, DISCORD] > 0)
    assert found.counts[Count.EDITS_SENT, SLACK] == 3
    assert found.counts[Count.EDITS_SAVED, SLACK] == 40
    assert found.counts[Count.RATE_LIMITED, SLACK] == 0


async def test_what_took_time_falls_below_its_bound_or_past_all_of_them(counters: Counters) -> None:
    for seconds in (0.0, -3.0, 0.01, 0.011, 299.0, 1e9):
        counters.took(Span.START, SLACK, seconds)
    spread = (await read(counters, lambda it: sum(it.spans[Span.START, SLACK].counts) == 6)).spans[Span.START, SLACK]
    assert spread.bounds == BOUNDS[Span.START]
    assert (spread.counts[0], spread.counts[1], spread.counts[-2], spread.counts[-1]) == (3, 1, 1, 1)
    assert spread.total_s == pytest.approx(1e9 + 299.021)


async def test_all_processes_are_summed_and_what_was_counted_last_is_told_at_the_end(redis_url: str) -> None:
    async with open_redis(redis_url) as redis:
        async with open_counters(redis, "w1") as one, open_counters(redis, "w2") as two, open_counters(redis) as bot:
            for each in (one, two, bot):
                each.add(Count.POSTS_SENT, SLACK)
        found = await RedisCounters(redis).read()
    assert found.counts[Count.POSTS_SENT, SLACK] == 3
    assert found.workers == 2


async def test_a_worker_that_ended_is_not_alive_for_long(redis_url: str) -> None:
    async with open_redis(redis_url) as redis:
        async with open_counters(redis, "w1"):
            pass
        # As it is half a minute later.
        await redis.zincrby(WORKERS, -30, "w1")
        assert (await RedisCounters(redis).read()).workers == 0
        async with open_counters(redis, "w2"):
            pass
        assert await redis.zrange(WORKERS, 0, -1) == [b"w2"]


async def test_however_much_is_counted_what_is_kept_does_not_grow(redis_url: str) -> None:
    async with open_redis(redis_url) as redis, open_counters(redis, "w1") as counters:
        for _ in range(2):
            for number in range(2000):
                for platform in Platform:
                    for count in Count:
                        counters.add(count, platform)
                    for span in Span:
                        counters.took(span, platform, number / 5)
            await counters.flush()
            most = len(Platform) * (len(Count) + sum(len(bounds) + 2 for bounds in BOUNDS.values()))
            assert await cast("Awaitable[int]", redis.hlen(COUNTS)) <= most


async def test_counting_goes_on_when_redis_was_away_and_nothing_is_counted_twice() -> None:
    async with own_valkey() as valkey, open_redis(valkey.url) as redis, open_counters(redis, "w1") as counters:
        counters.add(Count.EDITS_SENT, SLACK)
        await read(counters, lambda it: it.counts[Count.EDITS_SENT, SLACK] == 1)
        await valkey.stop()
        counters.add(Count.EDITS_SENT, SLACK)
        counters.took(Span.START, SLACK, 1.0)
        with pytest.raises(Unavailable):
            await counters.flush()
        with pytest.raises(Unavailable):
            await counters.read()
        await valkey.start()
        counters.add(Count.EDITS_SAVED, SLACK)
        found = await read(RedisCounters(redis), lambda it: it.counts[Count.EDITS_SAVED, SLACK] == 1)
    assert found.counts[Count.EDITS_SENT, SLACK] in {1, 2}


async def test_what_another_version_or_somebody_else_left_there_harms_nobody(redis_url: str) -> None:
    async with open_redis(redis_url) as redis:
        left: dict[str | bytes, str | int] = {"edits_sent|slack": "many", "dances|slack": 3, b"\xff": 1}
        left |= {"start|slack|99": 4, "start|myspace|1": 2}
        await cast("Awaitable[int]", redis.hset(COUNTS, mapping=cast("dict[Any, Any]", left)))
        found = await RedisCounters(redis).read()
    assert not any(found.counts.values())
    assert not any(sum(spread.counts) for spread in found.spans.values())
