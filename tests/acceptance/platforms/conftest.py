"""One program for each module of tests, and for each test a room of its own on the platform it runs on.

Not one for all: its doubles live in the module's loop, and while other modules ran nobody would answer the program.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.acceptance.platforms.abilities import able
from tests.acceptance.platforms.console import Console
from tests.acceptance.platforms.discord import Discord
from tests.acceptance.platforms.house import House, open_house
from tests.acceptance.platforms.platform import Platform
from tests.acceptance.platforms.slack import Slack
from tests.acceptance.platforms.thread import Thread, asked
from tests.stage.lines import Block

OPEN: dict[str, Callable[[House, AsyncExitStack], Awaitable[Platform]]] = {
    "console": Console.open,
    "slack": Slack.open,
    "discord": Discord.open,
}
Begin = Callable[..., Awaitable[Thread]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test once for every platform that can do what it needs."""
    if "platform" in metafunc.fixturenames:
        metafunc.parametrize("platform", able(metafunc.function), indirect=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    async with open_house() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def platform(request: pytest.FixtureRequest, house: House) -> AsyncIterator[Platform]:
    """The platform of a test's name, with nobody else in it."""
    async with AsyncExitStack() as opened:
        yield await OPEN[request.param](house, opened)


@pytest.fixture
def begin(house: House, platform: Platform) -> Begin:
    """Begin a chat: `await begin("words", [replies of the model], …)`."""

    async def ask(words: str, *replies: list[Block], by: str = "ann") -> Thread:
        client, message = await platform.begin(asked(words, *replies), by)
        return Thread(house, client, message)

    return ask
