"""Discord's own word on its limits, kept to before it has to say no."""

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


def told(remaining: int, reset_after_s: float) -> dict[str, str]:
    return {"X-RateLimit-Remaining": str(remaining), "X-RateLimit-Reset-After": str(reset_after_s)}


async def test_a_bucket_that_is_empty_is_waited_for(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    gates.learn("edit 1", told(0, 1.5))
    await gates.enter("edit 2")
    await gates.enter("edit 1")
    assert clock.slept == [1.5]
    await gates.enter("edit 1")
    assert clock.slept == [1.5]


async def test_a_bucket_with_room_is_not(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    gates.learn("edit 1", told(1, 5))
    gates.learn("edit 1", {"X-RateLimit-Remaining": "0"})
    gates.learn("edit 1", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "soon"})
    await gates.enter("edit 1")
    assert clock.slept == []


async def test_a_long_wait_is_the_callers_own(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    gates.learn("rename 1", told(0, 500))
    with pytest.raises(RateLimited) as caught:
        await gates.enter("rename 1")
    assert caught.value.retry_after_s == 500
    assert clock.slept == []


async def test_a_limit_on_everything_holds_every_bucket(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    gates.close_all(2)
    await gates.enter("edit 1")
    assert clock.slept == [2]


async def test_all_calls_together_keep_under_fifty_a_second(clock: Clock) -> None:
    gates = Gates(clock, clock.sleep)
    times = list[float]()
    for number in range(200):
        await gates.enter(f"edit {number}")
        times.append(clock.now)
    assert max(sum(start <= at < start + 1 for at in times) for start in times) <= 40
    assert times[-1] - times[0] == pytest.approx(4)
