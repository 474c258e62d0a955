"""The short form of the fault suite; `make faults` is the long one."""

import pytest

from tests.faults.__main__ import play_round
from tests.faults.drive import People
from tests.faults.stack import Stack


@pytest.mark.timeout(400)
async def test_the_invariants_hold_under_random_faults(stack: Stack, crowd: People) -> None:
    broken: list[str] = []
    for seed in (124, 132):
        broken += await play_round(stack, crowd, seed, size=5)

    assert broken == []
    assert stack.model.violations == []
    assert sum(stack.staged.values()) >= 3
