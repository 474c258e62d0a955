"""What only Slack has, with the whole program: shortcuts, the home tab, workspaces, files, and bots side by side.

What it shares with the other platforms is in `platforms/`.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.platforms.house import House, open_house, until
from tests.acceptance.platforms.platform import ANSWERED
from tests.acceptance.platforms.slack import Slack, SlackThread
from tests.acceptance.platforms.thread import Thread, asked
from tests.acceptance.program import PATIENCE_S, STOP_S, free_port
from tests.doubles.anthropic import text_reply
from tests.doubles.slack import Message, View
from tests.doubles.slack.record import Call
from tests.stage.lines import Block, at_gate, bash, says

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTS = 2


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    async with open_house() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def slack(house: House) -> AsyncIterator[Slack]:
    """A workspace of the test's own."""
    async with AsyncExitStack() as opened:
        yield await Slack.open(house, opened)


async def begun(house: House, slack: Slack, words: str, *replies: list[Block]) -> Thread:
    client, message = await slack.begin(asked(words, *replies), "ann")
    return Thread(house, client, message)


def chat_of(house: House, slack: Slack, message: Message) -> Thread:
    """The chat in the thread of a message."""
    channel = slack.workspace.find(message.channel)
    return Thread(house, SlackThread(house.slack, slack.workspace, channel, message.ts))


def calls_of(house: House, slack: Slack, *methods: str) -> list[Call]:
    """What the program asked of one workspace, in order."""
    return [one for one in house.slack.record.calls if one.team == slack.workspace.id and one.method in methods]


async def test_the_sign_that_it_is_seen_comes_before_any_post(house: House, slack: Slack) -> None:
    thread = await begun(house, slack, "Hello.", [says("Hello to you.")])
    await thread.is_over("Hello to you.")
    seen, *later = calls_of(house, slack, "reactions.add", "chat.postMessage")

    assert (seen.method, seen.args["name"], seen.args["timestamp"]) == ("reactions.add", "eyes", thread.first)
    assert [one.method for one in later if one.method != "reactions.add"] == ["chat.postMessage"]


async def test_a_file_that_is_attached_is_in_the_workspace(house: House, slack: Slack) -> None:
    word = f"otter-{house.number()}"
    ann = slack.workspace.person("ann")
    text = asked("What is in it?", [bash("cat $(find . -name notes.txt)")], [says("An otter.")])
    message = await ann.mentions("general", text, files=[("notes.txt", f"a secret {word}".encode())])
    thread = chat_of(house, slack, message)
    await thread.is_over("An otter.")
    assert thread.heard(word)


async def test_the_shortcut_of_a_message_begins_a_chat_about_it(house: House, slack: Slack) -> None:
    word = f"heron-{house.number()}"
    ann, bob = slack.workspace.person("ann"), slack.workspace.person("bob")
    message = await bob.says("general", f"The {word} is broken.")
    await ann.shortcut("ask_about_this", message)
    form: View = await house.slack.until(lambda: ann.modal, within=PATIENCE_S)
    house.model.queue.append(text_reply("It is whole."))
    assert await ann.submits(form, {"words": "Mend it."}) == {}
    thread = chat_of(house, slack, message)

    await thread.shows("It is whole.")
    assert thread.heard(word)


async def test_the_home_tab_lists_the_chats_of_who_looks(house: House, slack: Slack) -> None:
    word = f"Robin {house.number()}"
    thread = await begun(house, slack, word, [says("A bird.")])
    await thread.is_over("A bird.")
    ann, bob = slack.workspace.person("ann"), slack.workspace.person("bob")
    await ann.opens_home()
    await bob.opens_home()
    await until(lambda: ann.home and bob.home)
    assert ann.home is not None
    assert bob.home is not None
    assert word in str(ann.home.body["blocks"])
    assert word not in str(bob.home.body["blocks"])


async def test_a_thread_in_the_agents_container_is_a_chat(house: House, slack: Slack) -> None:
    ann = slack.workspace.person("ann")
    root = await ann.opens_agent("general")
    message = await ann.dms(asked("Between us.", [says("Just us.")]), thread_ts=root)
    thread = Thread(house, SlackThread(house.slack, slack.workspace, ann.dm, root), message.ts)
    await thread.is_over("Just us.")
    await thread.say("More.", [says("More of it.")])
    await thread.is_over("More of it.")
    assert await thread.posted() == 2


async def test_each_of_two_workspaces_has_its_own_token_and_chats(house: House, slack: Slack) -> None:
    async with AsyncExitStack() as opened:
        other = await Slack.open(house, opened)
        here = await begun(house, slack, "Who is here?", [says("The first.")])
        there = await begun(house, other, "Who is there?", [says("The second.")])
        await here.is_over("The first.")
        await there.is_over("The second.")

    # The double tells a workspace by the token of the call: another's finds no such channel.
    for place, thread in ((slack, here), (other, there)):
        (post,) = calls_of(house, place, "chat.postMessage")
        assert (post.error, post.args["thread_ts"]) == (None, thread.first)
        assert await thread.posted() == 1


async def test_a_post_that_is_deleted_while_it_works_is_made_anew(house: House, slack: Slack) -> None:
    gate = f"deleted-{house.number()}"
    thread = await begun(house, slack, "Work.", [says("At work."), at_gate(gate)])
    live = await thread.shows("At work.")
    channel = slack.workspace.find("general")
    await slack.workspace.person("boss", admin=True).deletes(channel.messages[live.id])
    house.model.open(gate)
    (post,) = await thread.is_over("At work.")
    assert post.id != live.id


@pytest.mark.parametrize("ending", ["archived", "removed", "parent deleted"])
async def test_a_turn_whose_thread_goes_is_over_and_the_home_tab_says_so(
    house: House, slack: Slack, ending: str
) -> None:
    gate = f"gone-{house.number()}"
    thread = await begun(house, slack, "Work.", [says("At work."), at_gate(gate)])
    await thread.shows("At work.")
    ann, channel = slack.workspace.person("ann"), slack.workspace.find("general")
    match ending:
        case "archived":
            await slack.workspace.archives(channel, by=ann)
        case "removed":
            await slack.workspace.removes_app(channel, by=ann)
        case _:
            await ann.deletes(channel.messages[thread.first])
    house.model.open(gate)

    async def told() -> bool:
        await ann.opens_home()
        await house.slack.settled(within=PATIENCE_S)
        return ann.home is not None and "\nidle · " in ann.home.body["blocks"][1]["text"]["text"]

    house.slack.allow("is_archived", "not_in_channel", "channel_not_found", "thread_not_found", "message_not_found")
    await thread.until("the home tab says that nothing works any more", told)


async def test_what_two_bots_hear_or_hear_again_is_answered_once(house: House, slack: Slack) -> None:
    async with another_bot(house):
        thread = await begun(house, slack, "Hello.", [says("Hello to you.")])
        await thread.is_over("Hello to you.")
        heard = [one for one in house.slack.events if one["team_id"] == slack.workspace.id]
        # More often than there are bots, so that they come to the other one, too.
        for event in heard * BOTS * 2:
            house.slack.delivery.repeat(event)
        await house.slack.settled(within=PATIENCE_S)
        again = await thread.say("And again?", [says("Hello again.")])
        await thread.is_over("Hello again.")
        await thread.is_marked(again, ANSWERED)

    assert await thread.posted() == 2


@asynccontextmanager
async def another_bot(house: House) -> AsyncIterator[None]:
    """A second `threadwork slack` beside that of the stack, connected."""
    first = house.pid("slack")
    assert first is not None
    # The stack's own servers are known to its programs only.
    told = Path(f"/proc/{first}/environ").read_text().split("\0")
    servers = dict(line.split("=", 1) for line in told if line.startswith(("DATABASE_URL=", "REDIS_URL=")))
    settings = {**house.installed.settings, **servers, "SLACK_PORT": str(free_port())}
    err = house.installed.folder / "another.err"
    with err.open("w") as stderr:
        process = replace(house.installed, settings=settings).start("slack", stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        await until(lambda: len(house.slack.sockets.live) == BOTS or process.poll() is not None)
        assert process.poll() is None, err.read_text()
        yield
    finally:
        process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await asyncio.to_thread(process.wait)
        except TimeoutError:
            process.kill()
