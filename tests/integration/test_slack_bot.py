"""The Slack bot on the real bolt, against a made-up Slack and real servers: what people say gets into their chats.

Clicks and forms are in `test_slack_bot_answers.py`, commands in `test_slack_bot_commands.py`, what goes wrong in
`test_slack_bot_troubles.py`.
"""

import time

from core.domain.states import MessageState
from core.ports import Receipt
from tests.integration.slack_bot import Scene


async def test_a_mention_begins_a_chat_and_is_seen_within_a_second(scene: Scene) -> None:
    took_s = []
    for _ in range(4):
        began = time.monotonic()
        await scene.seen(await scene.ann.mentions("general", "quick"))
        took_s.append(time.monotonic() - began)
    # The quickest, since others may be using this machine's cores.
    assert min(took_s) < 1.0

    asked = await scene.ann.mentions("general", "fix a < b & c, see <https://example.com|this>")
    await scene.seen(asked)
    [message] = await scene.messages(asked)
    assert message.text == "fix a < b & c, see this (https://example.com)"
    assert (message.author_name, message.external_id) == ("ann", asked.ts)
    chat = await scene.chat(asked)
    assert chat.settings.may_decide == (scene.ann.id,)
    assert chat.title == message.text


async def test_in_a_chats_thread_everybodys_messages_reach_the_agent(scene: Scene) -> None:
    bob = scene.workspace.person("bob")
    asked = await scene.ann.mentions("general", "fix the build")
    more = await bob.says("general", "and the tests", thread_ts=asked.ts)
    await scene.seen(more)
    said = [(one.author_name, one.text) for one in await scene.messages(asked, 2)]
    assert said == [("ann", "fix the build"), ("bob", "and the tests")]


async def test_follow_ups_keep_the_order_in_which_they_were_written(scene: Scene) -> None:
    scene.slack.faults.delay("users.info", seconds=0.5)
    asked = await scene.ann.mentions("general", "0")
    for number in range(1, 6):
        await scene.ann.says("general", str(number), thread_ts=asked.ts)
    assert [one.text for one in await scene.messages(asked, 6)] == list("012345")


async def test_what_is_not_for_the_agent_does_not_reach_it(scene: Scene) -> None:
    bob = scene.workspace.person("bob")
    asked = await scene.ann.mentions("general", "fix the build")
    await scene.chat(asked)
    await scene.ann.says("general", f"{bob.mention} what do you think?", thread_ts=asked.ts)
    await scene.ann.says("general", "!aside nobody tells the agent", thread_ts=asked.ts)
    await scene.workspace.other_bot("ci").says("general", "build failed", thread_ts=asked.ts)
    await scene.ann.mentions("general", "!aside this neither", thread_ts=asked.ts)
    alone = await scene.ann.says("general", "good morning")
    await scene.ann.says("general", "good evening", thread_ts=alone.ts)
    await scene.ann.says("general", f"{bob.mention} hello")
    await scene.workspace.other_bot("ci").mentions("general", "fix the build")
    last = await scene.ann.says("general", "go on", thread_ts=asked.ts)
    await scene.seen(last)
    assert [one.text for one in await scene.messages(asked, 2)] == ["fix the build", "go on"]
    assert await scene.no_chat(alone)


async def test_a_mention_in_a_thread_brings_what_people_said_before(scene: Scene) -> None:
    bob = scene.workspace.person("bob")
    began = await bob.says("general", "the build is red & I know not why")
    await scene.workspace.other_bot("ci").says("general", "build 7 failed", thread_ts=began.ts)
    await scene.ann.says("general", f"{bob.mention} look at line 3", thread_ts=began.ts)
    asked = await scene.ann.mentions("general", "please mend it", thread_ts=began.ts)
    await scene.seen(asked)
    [message] = await scene.messages(began)
    request, _, before = message.text.partition("\n\n")
    assert request == "please mend it"
    assert before.splitlines()[1:] == ["bob: the build is red & I know not why", "ann: @bob look at line 3"]
    assert (await scene.chat(began)).title == "please mend it"


async def test_of_a_long_thread_the_newest_is_kept(scene: Scene) -> None:
    scene.slack.options.replies_limit = 15
    began = await scene.ann.says("general", "0 " + "x" * 400)
    for number in range(1, 50):
        await scene.ann.says("general", f"{number} " + "x" * 400, thread_ts=began.ts)
    await scene.seen(await scene.ann.mentions("general", "go", thread_ts=began.ts))
    [message] = await scene.messages(began)
    lines = message.text.splitlines()
    assert lines[-1].startswith("ann: 49 ")
    assert "earlier messages are left out" in lines[3]
    assert len(message.text) < 13_000


async def test_a_mention_without_words_sends_the_agent_to_the_thread(scene: Scene) -> None:
    began = await scene.ann.says("general", "why is the sky blue?")
    await scene.seen(await scene.ann.mentions("general", "", thread_ts=began.ts))
    [message] = await scene.messages(began)
    assert message.text.endswith("ann: why is the sky blue?")


async def test_a_mention_without_words_alone_is_told_what_to_do(scene: Scene) -> None:
    await scene.ann.mentions("general", "")
    told = await scene.slack.until(lambda: scene.ann.only_hers)
    assert "Write what you want done" in told[0].shown


async def test_when_only_mentions_count_they_bring_what_was_said_since(scene: Scene) -> None:
    asked = await scene.ann.mentions("general", "begin")
    await scene.seen(asked)
    await scene.ann.says("general", "!mentions on", thread_ts=asked.ts)
    await scene.slack.until(lambda: "I listen only when I am mentioned." in scene.slack.thread("general", asked).texts)
    await scene.ann.says("general", "among ourselves", thread_ts=asked.ts)
    again = await scene.ann.mentions("general", "now you", thread_ts=asked.ts)
    await scene.seen(again)
    [_, message] = await scene.messages(asked, 2)
    assert message.text.startswith("now you\n\n")
    assert message.text.endswith("\nann: among ourselves")
    assert "begin" not in message.text


async def test_a_direct_message_is_a_chat_and_so_is_the_agents_container(scene: Scene) -> None:
    direct = await scene.ann.dms("hello there")
    await scene.seen(direct)
    more = await scene.ann.dms("and more", thread_ts=direct.ts)
    await scene.seen(more)
    assert [one.text for one in await scene.messages(direct, 2)] == ["hello there", "and more"]

    thread_ts = await scene.ann.opens_agent("general")
    inside = await scene.ann.dms("what is here?", thread_ts=thread_ts)
    await scene.seen(inside)
    assert [one.text for one in await scene.messages(inside)] == ["what is here?"]


async def test_an_edit_of_what_waits_changes_it_and_keeps_its_context(scene: Scene) -> None:
    began = await scene.ann.says("general", "the build is red")
    asked = await scene.ann.mentions("general", "mend it", thread_ts=began.ts)
    await scene.seen(asked)
    await scene.ann.edits(asked, f"{scene.workspace.mention} only look at it")

    async def changed() -> bool:
        [message] = await scene.messages(began)
        return message.text.startswith("only look at it\n\n") and message.text.endswith("ann: the build is red")

    await scene.eventually(changed)


async def test_an_edit_that_comes_too_late_is_told_so(scene: Scene) -> None:
    asked = await scene.ann.mentions("general", "mend it")
    await scene.seen(asked)
    await scene.turn(asked)
    await scene.ann.edits(asked, f"{scene.workspace.mention} rather not")
    told = await scene.slack.until(lambda: scene.ann.only_hers)
    assert "The agent has that message already" in told[0].shown
    [message] = await scene.messages(asked)
    assert message.text == "mend it"


async def test_a_deleted_message_that_waits_is_dropped(scene: Scene) -> None:
    asked = await scene.ann.mentions("general", "mend it")
    await scene.seen(asked)
    more = await scene.ann.says("general", "never mind the tests", thread_ts=asked.ts)
    await scene.seen(more)
    await scene.ann.deletes(more)
    await scene.ann.deletes(asked)

    async def dropped() -> bool:
        return [one.state for one in await scene.messages(asked, 2)] == [MessageState.DROPPED] * 2

    await scene.eventually(dropped)


async def test_files_come_with_their_message(scene: Scene) -> None:
    asked = await scene.ann.mentions("general", "read this", files=[("log.txt", b"all is lost")])
    await scene.seen(asked)
    alone = await scene.ann.says("general", "", thread_ts=asked.ts, files=[("more.txt", b"and more")])
    await scene.seen(alone)
    first, second = await scene.messages(asked, 2)
    assert [(one.name, one.size, one.media_type) for one in first.files] == [("log.txt", 11, "text/plain")]
    assert first.files[0].url.startswith(scene.slack.origin)
    assert (second.text, [one.name for one in second.files]) == ("", ["more.txt"])


async def test_a_receipt_that_a_worker_was_quicker_than_is_taken_back(scene: Scene) -> None:
    scene.slack.faults.delay("reactions.add", seconds=1.0)
    asked = await scene.ann.mentions("general", "quick")
    fence, _ = await scene.turn(asked)
    [message] = await scene.messages(asked)
    await scene.stores.messages.marked(fence, message.id, Receipt.STEERED.value)
    await scene.slack.until(lambda: bool(scene.slack.calls("reactions.remove")))
    await scene.slack.until(lambda: not asked.reactions)
