"""The stage and a chat on it as fixtures; import them by name into a conftest."""

import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.hosts import Host, a_folder, start
from tests.stage.chat import ScriptedChat
from tests.stage.stage import Stage, open_stage


@pytest.fixture(scope="session")
def sandbox_host() -> Iterator[Host]:
    """One for all tests of a session: a sandbox is made in an instant, its host is not."""
    with a_folder() as folder:
        host = start(folder)
        try:
            yield host
        finally:
            host.end(signal.SIGTERM)


@pytest.fixture
async def stage(database_url: str, redis_url: str, sandbox_host: Host) -> AsyncIterator[Stage]:
    """Fails when anything broke the rules of the model's API."""
    async with open_stage(database_url, redis_url, sandbox_host) as stage:
        yield stage
    assert stage.model.violations == []


@pytest.fixture
def chat(stage: Stage) -> ScriptedChat:
    """A chat in which everything runs without asking."""
    from core.domain.chat import Mode

    return stage.chat(mode=Mode.BYPASS)
