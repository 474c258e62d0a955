"""The promises of `core.ports.EditBudget`, over both implementations; the shared one with several workers."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from core.bus.budget import LocalEditBudget, RedisEditBudget
from core.bus.connection import open_redis
from core.ports import Allowance, EditBudget, Priority
from tests.valkey import OwnValkey, own_valkey

WAIT_S = 30
# So slow that nothing is refilled while a test looks, however slow the machine.
SLOW = Allowance("slack:T1:edit", per_minute=0.01, burst=7)
TINY = Allowance("slack:T1:tiny", per_minute=0.01, burst=1)
# One token every 0.1 s, and no burst to speak of.
QUICK = Allowance("discord:C1", per_minute=600, burst=1)


@pytest.fixture(params=["redis", "local"])
async def budget(request: pytest.FixtureRequest) -> AsyncIterator[EditBudget]:
    if request.param == "local":
        yield LocalEditBudget()
        return
    async with open_redis(request.getfixturevalue("redis_url")) as redis:
        yield RedisEditBudget(redis)


@pytest.fixture
async def two_workers(redis_url: str) -> AsyncIterator[list[EditBudget]]:
    async with open_redis(redis_url) as one, open_redis(redis_url) as two:
        yield [RedisEditBudget(one), RedisEditBudget(two)]


@pytest.fixture
async def valkey() -> AsyncIterator[OwnValkey]:
    async with own_valkey() as own:
        yield own


async def taken(budget: EditBudget, allowance: Allowance, priority: Priority, tries: int = 20) -> int:
    """How many calls are handed out at once."""
    return [await budget.try_spend(allowance, priority) for _ in range(tries)].count(0)


# ------------------------------------------------------------ spend returns once the call may be made


async def test_what_is_free_is_handed_out_at_once(budget: EditBudget) -> None:
    async with asyncio.timeout(WAIT_S):
        for _ in range(SLOW.burst):
            await budget.spend(SLOW, Priority.QUESTION)
    assert await budget.try_spend(SLOW, Priority.QUESTION) > 0


async def test_who_waits_gets_its_call_when_time_has_refilled_the_budget(budget: EditBudget) -> None:
    async with asyncio.timeout(WAIT_S):
        for _ in range(5):
            for priority in Priority:
                await budget.spend(QUICK, priority)


async def test_the_wait_that_is_named_is_enough(budget: EditBudget) -> None:
    await budget.spend(QUICK, Priority.PROGRESS)
    wait_s = await budget.try_spend(QUICK, Priority.PROGRESS)
    assert 0 < wait_s <= 0.1
    await asyncio.sleep(wait_s + 0.005)
    assert await budget.try_spend(QUICK, Priority.PROGRESS) == 0


async def test_keys_have_budgets_of_their_own(budget: EditBudget) -> None:
    await budget.spend(TINY, Priority.FINAL)
    assert await budget.try_spend(TINY, Priority.FINAL) > 0
    assert await budget.try_spend(Allowance("another", 0.01, 1), Priority.FINAL) == 0


# ------------------------------------------------------------ priorities


async def test_room_is_kept_for_what_matters_more(budget: EditBudget) -> None:
    assert await taken(budget, SLOW, Priority.PROGRESS) == 2
    assert await taken(budget, SLOW, Priority.FINAL) == 4
    assert await taken(budget, SLOW, Priority.QUESTION) == 1


@pytest.mark.parametrize(("burst", "per_minute"), [(1, 1200), (2, 1200), (5, 1200), (20, 600)])
async def test_while_calls_are_scarce_the_higher_priority_always_goes_first(
    budget: EditBudget, burst: int, per_minute: float
) -> None:
    allowance = Allowance("scarce", per_minute, burst)
    order: list[Priority] = []

    async def worker(priority: Priority) -> None:
        await budget.spend(allowance, priority)
        order.append(priority)

    # Until all have asked there is nothing for anybody, however slowly they come.
    await budget.penalise(allowance, 0.8)
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as tasks:
        # The lowest ask first.
        for priority in reversed(Priority):
            for _ in range(6):
                tasks.create_task(worker(priority))
            await asyncio.sleep(0)
    assert order[:6].count(Priority.QUESTION) >= 5
    assert order[-6:].count(Priority.PROGRESS) >= 5


@pytest.mark.parametrize("allowance", [TINY, SLOW])
async def test_a_lower_priority_stands_back_for_one_that_waits(budget: EditBudget, allowance: Allowance) -> None:
    quick = Allowance(allowance.key, per_minute=6000, burst=allowance.burst)
    assert await taken(budget, allowance, Priority.QUESTION) == allowance.burst
    assert await budget.try_spend(allowance, Priority.QUESTION) > 0
    # From now on there is a token in every hundredth of a second, and a question that waits for one.
    refused_s = await budget.try_spend(quick, Priority.PROGRESS)
    assert refused_s > 0.3
    assert await budget.try_spend(quick, Priority.FINAL) > 0.3
    async with asyncio.timeout(WAIT_S):
        await budget.spend(quick, Priority.QUESTION)
        await budget.spend(quick, Priority.PROGRESS)


async def test_priorities_hold_between_workers(two_workers: list[EditBudget]) -> None:
    one, two = two_workers
    assert await taken(one, SLOW, Priority.PROGRESS) == 2
    assert await taken(two, SLOW, Priority.PROGRESS) == 0
    assert await taken(two, SLOW, Priority.FINAL) == 4
    assert await taken(one, SLOW, Priority.FINAL) == 0
    assert await taken(one, SLOW, Priority.QUESTION) == 1
    assert await taken(two, SLOW, Priority.QUESTION) == 0


# ------------------------------------------------------------ never more than the allowance


async def test_two_workers_share_one_budget(two_workers: list[EditBudget]) -> None:
    tries = [worker.try_spend(SLOW, Priority.QUESTION) for _ in range(20) for worker in two_workers]
    assert (await asyncio.gather(*tries)).count(0) == SLOW.burst


async def test_over_time_no_more_is_handed_out_than_the_allowance_and_its_burst(budget: EditBudget) -> None:
    await _at_most(budget.spend, Allowance("rate", per_minute=1800, burst=10), calls=50)


async def test_two_workers_together_keep_to_the_rate(two_workers: list[EditBudget]) -> None:
    turns = itertools.cycle(two_workers)

    async def spend(allowance: Allowance, priority: Priority) -> None:
        await next(turns).spend(allowance, priority)

    await _at_most(spend, Allowance("rate", per_minute=1800, burst=10), calls=50)


async def _at_most(
    spend: Callable[[Allowance, Priority], Awaitable[None]], allowance: Allowance, *, calls: int
) -> None:
    """Nobody gets `calls` calls sooner than the rate gives them; a slow machine only makes it later."""
    started = time.monotonic()
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(*(spend(allowance, Priority.QUESTION) for _ in range(calls)))
    assert time.monotonic() - started >= (calls - allowance.burst) / allowance.per_minute * 60 - 0.01


# ------------------------------------------------------------ penalties


async def test_after_a_penalty_nothing_is_handed_out_for_so_long(budget: EditBudget) -> None:
    await budget.penalise(SLOW, 1000)
    for priority in Priority:
        assert 900 < await budget.try_spend(SLOW, priority) <= 1000
    await budget.penalise(SLOW, 1)
    assert await budget.try_spend(SLOW, Priority.QUESTION) > 900, "a shorter penalty must not shorten a longer one"


async def test_a_penalty_ends(budget: EditBudget) -> None:
    started = time.monotonic()
    await budget.penalise(QUICK, 0.5)
    async with asyncio.timeout(WAIT_S):
        await budget.spend(QUICK, Priority.PROGRESS)
    assert time.monotonic() - started >= 0.5


async def test_a_penalty_holds_for_every_worker(two_workers: list[EditBudget]) -> None:
    await two_workers[0].penalise(SLOW, 1000)
    assert await two_workers[1].try_spend(SLOW, Priority.QUESTION) > 900


async def test_a_penalty_longer_than_an_hour_is_kept(redis_url: str) -> None:
    async with open_redis(redis_url) as redis:
        await RedisEditBudget(redis).penalise(SLOW, 10_000)
        assert await redis.ttl(f"tw:budget:{SLOW.key}") > 9000


# ------------------------------------------------------------ while Redis is away


async def test_while_redis_is_away_each_worker_keeps_to_a_third(valkey: OwnValkey) -> None:
    async with open_redis(valkey.url) as one, open_redis(valkey.url) as two:
        await valkey.stop()
        for worker in (RedisEditBudget(one), RedisEditBudget(two)):
            async with asyncio.timeout(WAIT_S):
                assert await taken(worker, Allowance("edit", 0.01, 9), Priority.QUESTION, tries=6) == 3


async def test_what_was_spent_before_redis_went_away_is_not_had_again(valkey: OwnValkey) -> None:
    allowance = Allowance("edit", 0.01, 9)
    async with open_redis(valkey.url) as redis:
        budget = RedisEditBudget(redis)
        assert await taken(budget, allowance, Priority.QUESTION, tries=3) == 3
        await valkey.stop()
        assert await taken(budget, allowance, Priority.QUESTION, tries=6) == 2  # a third of the six left


async def test_a_penalty_given_while_redis_was_away_holds_when_it_is_back_and_after_a_flush(valkey: OwnValkey) -> None:
    async with open_redis(valkey.url) as redis:
        budget = RedisEditBudget(redis)
        await valkey.stop()
        await budget.penalise(SLOW, 1000)
        assert await budget.try_spend(SLOW, Priority.QUESTION) > 900
        await valkey.start()
        assert await budget.try_spend(SLOW, Priority.QUESTION) > 900
        await valkey.flush()
        assert await budget.try_spend(SLOW, Priority.QUESTION) > 900


async def test_when_redis_is_back_the_budget_is_shared_again(valkey: OwnValkey) -> None:
    async with open_redis(valkey.url) as one, open_redis(valkey.url) as two:
        workers = [RedisEditBudget(one), RedisEditBudget(two)]
        await valkey.stop()
        assert await taken(workers[0], SLOW, Priority.QUESTION, tries=3) == 2
        await valkey.start()
        tries = [worker.try_spend(SLOW, Priority.QUESTION) for _ in range(9) for worker in workers]
        assert (await asyncio.gather(*tries)).count(0) == SLOW.burst


async def test_a_hung_redis_holds_no_edit_up(valkey: OwnValkey) -> None:
    async with open_redis(valkey.url) as redis:
        budget = RedisEditBudget(redis)
        with valkey.frozen():
            async with asyncio.timeout(WAIT_S):
                await budget.spend(SLOW, Priority.FINAL)
                await budget.penalise(SLOW, 0.01)
