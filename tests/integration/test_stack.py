"""Who uses a stack learns of its end."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from core.errors import Unavailable
from threadwork import stack
from threadwork.stack import Stack, borrowed_stack, only_stack, write_stack

WAIT_S = 30
RUNS = Stack(1, "postgresql:///d?host=/x", "unix:///x", None, None, None, is_offline=True)


async def test_a_stack_that_ends_for_good_ends_what_was_done_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "GONE_S", 0.5)
    async with asyncio.timeout(WAIT_S):
        with ExitStack() as running:
            running.enter_context(only_stack(tmp_path))
            write_stack(tmp_path, RUNS)
            with pytest.raises(Unavailable, match="it has ended"):
                await _use_until_it_ends(tmp_path, running)


async def _use_until_it_ends(data_dir: Path, running: ExitStack) -> None:
    async with borrowed_stack(data_dir) as found:
        assert found == RUNS
        running.close()
        await asyncio.Event().wait()
