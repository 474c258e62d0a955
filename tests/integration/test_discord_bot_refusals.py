"""What Discord refuses the bot: each ends in words that somebody can act on, and in a state that is true."""

import pytest

from core.domain.approval import ApprovalKind
from core.domain.states import ApprovalState
from tests.integration.discord_bot import Scene

ACKNOWLEDGE = "POST /interactions/{interaction}/{token}/callback"
BEGIN_THREAD = "POST /channels/{channel}/messages/{message}/threads"


@pytest.fixture
def scene(discord_scene: Scene) -> Scene:
    return discord_scene


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, 50001, "Give it View Channel and Send Messages in Threads"),
        (403, 50013, "Give it Create Public Threads and Send Messages in Threads"),
        (404, 10003, "Start a new one"),
        (400, 50024, "Go on in a text channel"),
        (400, 50035, "Ask for it in other words"),
        (400, 160006, "Archive some of them, and ask again"),
    ],
)
async def test_where_no_thread_can_be_begun_the_person_reads_why_and_nothing_is_taken(
    scene: Scene, status: int, code: int, words: str
) -> None:
    scene.discord.faults.fail(BEGIN_THREAD, status=status, code=code, message="no")
    asked = await scene.ann.mentions_bot("general", "go")
    told = await scene.told(asked.channel, words)
    assert told.reply_to is asked
    assert not asked.reactions
    assert asked.thread is None

    again = await scene.ann.mentions_bot("general", "go")
    await scene.seen(again)


async def test_a_command_that_cannot_begin_a_thread_says_why_and_leaves_no_post(scene: Scene) -> None:
    scene.discord.faults.fail(BEGIN_THREAD, status=400, code=160006, message="no")
    seen = await scene.ann.slash("threadwork ask", channel="general", what="go")
    await scene.discord.until(lambda: "Archive some of them" in (seen.ephemeral or ""), within=60)
    assert not scene.posts(scene.guild.channel("general"))


@pytest.mark.parametrize(("status", "code"), [(404, 10062), (400, 40060)])
async def test_a_click_counts_though_discord_takes_no_acknowledgement(scene: Scene, status: int, code: int) -> None:
    thread = await scene.begun()
    question = await scene.asks(thread, ApprovalKind.TOOL, "Bash", command="ls")
    scene.discord.interactions.ack_seconds = 1.0
    scene.discord.faults.fail(ACKNOWLEDGE, status=status, code=code, message="no")
    await scene.ann.clicks(question.post, "Allow once")
    settled = await question.settled()
    assert (settled.state, settled.decided_by) == (ApprovalState.ALLOWED, "Ann")
    scene.discord.interactions.ack_seconds = 3.0
    # And the next one is acknowledged as ever.
    seen = await scene.ann.clicks(question.post, "Deny")
    await scene.discord.until(lambda: "Ann" in (seen.ephemeral or ""), within=60)
