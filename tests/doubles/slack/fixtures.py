"""A fixture for tests that need a Slack; import it by name into a test module or a conftest."""

from collections.abc import AsyncIterator

import pytest

from tests.doubles.slack.double import SlackDouble


@pytest.fixture
async def slack() -> AsyncIterator[SlackDouble]:
    """A fresh double; the test fails if anything broke Slack's rules while it ran."""
    async with SlackDouble() as double:
        yield double
