"""The short form of the fault suite on Slack and Discord; `make faults SURFACE=slack` is the long one."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.__main__ import play_round
from tests.faults.drive import people
from tests.faults.platforms import OPEN
from tests.faults.stack import running

# Answers to posts are lost, the bot is killed, and each worker; four chats talk meanwhile.
SEED = 963


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="twf"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("surface", ["slack", "discord"])
async def test_no_post_is_missing_or_made_twice(surface: str, folder: Path) -> None:
    async with (
        OPEN[surface](SEED) as platform,
        running(folder, SEED, platform=platform) as stack,
        people(stack.postgres.url, stack.valkey.url, platform) as crowd,
    ):
        broken = await play_round(stack, crowd, SEED, size=4, within_s=240.0)

        assert broken == []
        assert stack.model.violations == []
        assert {"lose answers", "kill bot", "kill worker"} <= stack.staged.keys()
        lost = {name: times for name, times in platform.staged.items() if name.startswith("ambiguous")}
        assert sum(lost.values()) >= 3
