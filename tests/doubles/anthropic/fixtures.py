"""A fixture for tests that need a scripted model; import it by name into a test module or a conftest."""

from collections.abc import AsyncIterator

import pytest

from tests.doubles.anthropic.server import AnthropicDouble


@pytest.fixture
async def anthropic() -> AsyncIterator[AnthropicDouble]:
    """A fresh double; the test fails if anything broke the API's rules while it ran."""
    async with AnthropicDouble() as double:
        yield double
    assert double.violations == [], "a request broke the rules of the Messages API"
