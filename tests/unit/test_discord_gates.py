"""Discord's own word on its limits, kept to before it has to say no."""

import asyncio
import itertools
from dataclasses import dataclass, field

import pytest

from core.errors import RateLimited
from core.surfaces.discord.gates import Gates


@dataclass(slots=True)
class Clock:
    """A clock that moves when somebody sleeps."""

    now: float = 1_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def told(left: int, reset_after_s: float, limit: int = 5) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(left),
        "X-RateLimit-Reset-After": str(reset_after_s),
    }


async def enter(gates: Gates, bucket: str) -> None:
    async with gates.through(bucket):
        pass


async def test_a_bucket_that_is_empty_is_waited_for(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    gates.learn("edit 1", told(0, 1.5))
    await enter(gates, "edit 2")
    await enter(gates, "edit 1")
    assert clock.slept == [1.5]
    await enter(gates, "edit 1")
    assert clock.slept == [1.5]


async def test_a_bucket_with_room_is_not(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    gates.learn("edit 1", told(1, 5))
    gates.learn("edit 1", {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0"})
    gates.learn("edit 1", {**told(0, 5), "X-RateLimit-Reset-After": "soon"})
    await enter(gates, "edit 1")
    assert clock.slept == []


async def test_those_that_wait_for_one_bucket_leave_it_one_by_one(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    times = list[float]()

    async def react() -> None:
        async with gates.through("react 1"):
            times.append(clock.now)
            await asyncio.sleep(0)
            gates.learn("react 1", told(0, 0.25, limit=1))

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for _ in range(9):
            group.create_task(react())
    apart = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert apart == pytest.approx([0.25] * 8)


async def test_as_many_calls_are_under_way_as_the_bucket_has_room_for(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    gates.learn("edit 1", told(2, 5))
    async with gates.through("edit 1"), gates.through("edit 1"):
        third = asyncio.ensure_future(enter(gates, "edit 1"))
        await asyncio.sleep(0)
        assert not third.done()
        gates.learn("edit 1", told(4, 5))
    async with asyncio.timeout(60):
        await third
    assert clock.slept == []


async def test_a_call_that_fails_makes_room_for_the_next(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    with pytest.raises(OSError, match="cut"):
        async with gates.through("edit 1"):
            raise OSError("cut")
    async with asyncio.timeout(60):
        await enter(gates, "edit 1")


async def test_a_refusal_holds_its_bucket_alone(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    gates.close("react 1", 0.3)
    await enter(gates, "react 2")
    assert clock.slept == []
    await enter(gates, "react 1")
    assert clock.slept == pytest.approx([0.3])


async def test_a_long_wait_is_the_callers_own(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    gates.learn("rename 1", told(0, 500))
    with pytest.raises(RateLimited) as caught:
        await enter(gates, "rename 1")
    assert caught.value.retry_after_s == 500
    assert clock.slept == []


async def test_a_limit_on_everything_holds_every_bucket(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    gates.close_all(2)
    await enter(gates, "edit 1")
    assert clock.slept == [2]


async def test_all_calls_together_keep_under_fifty_a_second(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    times = list[float]()
    for number in range(200):
        await enter(gates, f"edit {number}")
        times.append(clock.now)
    assert max(sum(start <= at < start + 1 for at in times) for start in times) <= 40
    assert times[-1] - times[0] == pytest.approx(4)
