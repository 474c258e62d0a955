"""One stack for this folder's tests: bringing it up takes seconds."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.drive import People, people
from tests.faults.stack import Stack, running


@pytest.fixture
async def stack() -> AsyncIterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="twf"))
    try:
        async with running(folder, 1) as up:
            yield up
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def crowd(stack: Stack) -> AsyncIterator[People]:
    async with people(stack.postgres.url, stack.valkey.url) as connected:
        yield connected
