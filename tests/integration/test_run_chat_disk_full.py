"""A sandbox whose disk is full: the agent lives on, and all it writes is lost. People are told, and can mend it."""

import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from core.domain.chat import Mode
from core.domain.states import TurnState
from tests.integration.hosts import Host, a_folder, start
from tests.stage import ScriptedChat, Stage, bash, says
from tests.stage.stage import open_stage

FILL = "head -c 1G /dev/zero > big; true"
FULL = "The disk of this thread's sandbox is full, so I could not go on."


@pytest.fixture(scope="module")
def small_host() -> Iterator[Host]:
    """A host whose sandboxes have a real disk of 64 MB each."""
    with a_folder() as folder:
        host = start(folder, disk_mb=64)
        try:
            yield host
        finally:
            host.end(signal.SIGTERM)


@pytest.fixture
async def stage(database_url: str, redis_url: str, small_host: Host) -> AsyncIterator[Stage]:
    async with open_stage(database_url, redis_url, small_host) as stage:
        stage.limit(look_every_s=0.5, quiet_s=1.0, linger_s=0.0)
        yield stage


@pytest.fixture
def chat(stage: Stage) -> ScriptedChat:
    return stage.chat(mode=Mode.BYPASS)


async def _free_kb(chat: ScriptedChat) -> int:
    return int(await chat.runs("df -Pk /home/user | tail -n 1 | awk '{print $4}'"))


async def test_a_full_disk_ends_the_turn_with_what_to_do_and_the_agent_can_make_room(chat: ScriptedChat) -> None:
    message = await chat.say("Work.", [bash(FILL)], [says("Never heard of.")])
    end = await chat.finishes()
    await chat.run_ends()

    assert end.state is TurnState.FAILED
    assert end.error is not None
    assert end.error.startswith(FULL)
    assert "Ask me to delete what is not needed" in end.error
    assert [post.body["error"] for post in await chat.posts()] == [end.error]
    assert await chat.state_of(message) == "failed"
    assert await _free_kb(chat) < 64

    await chat.say("Then delete it.", [bash("rm big; ls")], [says("Deleted.")])
    await chat.is_done("Deleted.")
    await chat.run_ends()
    assert await _free_kb(chat) > 20_000


async def test_where_no_room_can_be_made_every_turn_says_so_at_once(stage: Stage, chat: ScriptedChat) -> None:
    await chat.say("Hello.", [says("Hello.")])
    await chat.is_done("Hello.")
    await chat.run_ends()
    await chat.kill_agent()
    await chat.runs("rm -f ~/.threadwork/reserve; cd work; head -c 1G /dev/zero > big; true")

    before = len(chat.requests)
    await chat.say("And now?", [says("Never heard of.")])
    end = await chat.finishes()
    assert end.state is TurnState.FAILED
    assert (end.error or "").startswith(FULL)
    assert len(chat.requests) == before
