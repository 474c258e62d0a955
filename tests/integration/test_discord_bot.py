"""The Discord bot on the real discord.py, against a made-up Discord and real servers: what people say gets into chats.

Clicks and forms are in `test_discord_bot_answers.py`, commands in `test_discord_bot_commands.py`, what goes wrong in
`test_discord_bot_troubles.py`.
"""

import time
from pathlib import Path

import pytest

from core.domain.states import MessageState
from tests.doubles.discord import DiscordDouble
from tests.integration.discord_bot import Scene, open_scene, settings_for


@pytest.fixture
def scene(discord_scene: Scene) -> Scene:
    return discord_scene


async def test_a_mention_begins_a_thread_and_is_seen_within_a_second(scene: Scene) -> None:
    await scene.begun("warm up")
    began = time.monotonic()
    asked = await scene.ann.mentions_bot("general", "fix a < b & c\nin <#1> :)")
    await scene.seen(asked)
    assert time.monotonic() - began < 1.0

    thread = await scene.thread(asked)
    assert thread.name == "fix a < b & c in #1 :)"
    [message] = await scene.messages(thread)
    assert message.text == "fix a < b & c\nin #1 :)"
    assert (message.author_name, message.external_id) == ("Ann", asked.id)
    chat = await scene.chat(thread)
    assert chat.settings.may_decide == (scene.ann.id,)
    assert chat.title == message.text
    assert chat.place == scene.place(thread)


async def test_in_a_chats_thread_everybodys_messages_reach_the_agent(scene: Scene) -> None:
    thread = await scene.begun("fix the build")
    more = await scene.guild.person("bob").says(thread, "and the tests")
    await scene.seen(more)
    said = [(one.author_name, one.text) for one in await scene.messages(thread, 2)]
    assert said == [("Ann", "fix the build"), ("Bob", "and the tests")]


async def test_follow_ups_keep_the_order_in_which_they_were_written(scene: Scene) -> None:
    asked = await scene.ann.mentions_bot("general", "0")
    thread = await scene.thread(asked)
    for number in range(1, 6):
        await scene.ann.says(thread, str(number))
    assert [one.text for one in await scene.messages(thread, 6)] == list("012345")


async def test_what_is_not_for_the_agent_does_not_reach_it(scene: Scene) -> None:
    thread = await scene.begun("fix the build")
    bob = scene.guild.person("bob")
    await scene.ann.says(thread, f"<@{bob.id}> what do you think?")
    await scene.ann.says(thread, "!aside nobody tells the agent")
    await scene.ann.mentions_bot(thread, "!aside this neither")
    alone = await scene.ann.says("general", "good morning")
    elsewhere = await scene.ann.starts_thread(alone, "small talk")
    await scene.ann.says(elsewhere, "good evening")
    await scene.ann.says("general", f"<@{bob.id}> hello")
    last = await scene.ann.says(thread, "go on")
    await scene.seen(last)
    assert [one.text for one in await scene.messages(thread, 2)] == ["fix the build", "go on"]
    assert await scene.no_chat(elsewhere)
    assert alone.thread is elsewhere
    assert not scene.posts(scene.guild.channel("general"))


async def test_a_reply_to_the_bot_is_for_it_and_a_command_about_others_is_a_command(scene: Scene) -> None:
    thread = await scene.begun("fix the build")
    bob = scene.guild.person("bob")
    await scene.ann.says(thread, f"!invite <@{bob.id}>")
    told = await scene.told(thread, "may now answer the agent's questions")
    answer = await bob.says(thread, "thank you", reply_to=told)
    await scene.seen(answer)
    assert (await scene.chat(thread)).settings.may_decide == (scene.ann.id, bob.id)
    assert not scene.discord.pings


async def test_a_mention_in_a_thread_brings_what_people_said_before(scene: Scene) -> None:
    bob = scene.guild.person("bob")
    began = await bob.says("general", "the build is red & I know not why")
    thread = await bob.starts_thread(began, "red build")
    await scene.ann.says(thread, f"<@{bob.id}> look at line 3")
    asked = await scene.ann.mentions_bot(thread, "please mend it")
    await scene.seen(asked)
    [message] = await scene.messages(thread)
    request, _, before = message.text.partition("\n\n")
    assert request == "please mend it"
    assert before.splitlines()[1:] == ["Bob: the build is red & I know not why", "Ann: @Bob look at line 3"]
    assert (await scene.chat(thread)).title == "please mend it"
    assert len(scene.guild.threads) == 1


async def test_of_a_long_thread_the_newest_is_kept(scene: Scene) -> None:
    thread = await scene.ann.starts_thread("general", "long")
    for number in range(150):
        await scene.ann.says(thread, f"{number} " + "x" * 150)
    await scene.seen(await scene.ann.mentions_bot(thread, "go"))
    [message] = await scene.messages(thread)
    lines = message.text.splitlines()
    assert lines[-1].startswith("Ann: 149 ")
    assert "earlier messages are left out" in lines[3]
    assert len(message.text) < 13_000


async def test_a_mention_without_words_sends_the_agent_to_the_thread(scene: Scene) -> None:
    began = await scene.ann.says("general", "why is the sky blue?")
    thread = await scene.ann.starts_thread(began, "sky")
    await scene.seen(await scene.ann.mentions_bot(thread, ""))
    [message] = await scene.messages(thread)
    assert message.text.endswith("Ann: why is the sky blue?")


async def test_a_mention_without_words_alone_is_told_what_to_do(scene: Scene) -> None:
    asked = await scene.ann.mentions_bot("general", "")
    told = await scene.told(asked.channel, "Write what you want done")
    assert told.reply_to is asked
    assert asked.thread is None


async def test_when_only_mentions_count_they_bring_what_was_said_since(scene: Scene) -> None:
    thread = await scene.begun("begin")
    await scene.ann.says(thread, "!mentions on")
    await scene.told(thread, "I listen only when I am mentioned.")
    await scene.ann.says(thread, "among ourselves")
    again = await scene.ann.mentions_bot(thread, "now you")
    await scene.seen(again)
    [_, message] = await scene.messages(thread, 2)
    assert message.text.startswith("now you\n\n")
    assert message.text.endswith("\nAnn: among ourselves")
    assert "begin" not in message.text


async def test_direct_messages_are_one_chat(scene: Scene) -> None:
    direct = await scene.ann.dms("hello there")
    await scene.seen(direct)
    more = await scene.ann.dms("and more")
    await scene.seen(more)
    assert [one.text for one in await scene.messages(scene.ann.dm, 2)] == ["hello there", "and more"]


async def test_an_edit_of_what_waits_changes_it_and_keeps_its_context(scene: Scene) -> None:
    began = await scene.ann.says("general", "the build is red")
    thread = await scene.ann.starts_thread(began, "red")
    asked = await scene.ann.mentions_bot(thread, "mend it")
    await scene.seen(asked)
    await scene.ann.edits(asked, f"{scene.discord.mention} only look at it")

    async def changed() -> bool:
        [message] = await scene.messages(thread)
        return message.text.startswith("only look at it\n\n") and message.text.endswith("Ann: the build is red")

    await scene.eventually(changed)


async def test_an_edit_of_the_message_that_began_a_thread_changes_it(scene: Scene) -> None:
    asked = await scene.ann.mentions_bot("general", "mend it")
    await scene.seen(asked)
    thread = await scene.thread(asked)
    await scene.ann.edits(asked, f"{scene.discord.mention} only look at it")

    async def changed() -> bool:
        [message] = await scene.messages(thread)
        return message.text == "only look at it"

    await scene.eventually(changed)


async def test_an_edit_that_comes_too_late_is_told_so(scene: Scene) -> None:
    asked = await scene.ann.mentions_bot("general", "mend it")
    await scene.seen(asked)
    thread = await scene.thread(asked)
    await scene.turn(thread)
    await scene.ann.edits(asked, f"{scene.discord.mention} rather not")
    told = await scene.told(asked.channel, "The agent has that message already")
    assert told.reply_to is asked
    [message] = await scene.messages(thread)
    assert message.text == "mend it"


async def test_a_deleted_message_that_waits_is_dropped(scene: Scene) -> None:
    asked = await scene.ann.mentions_bot("general", "mend it")
    await scene.seen(asked)
    thread = await scene.thread(asked)
    more = await scene.ann.says(thread, "never mind the tests")
    await scene.seen(more)
    await scene.ann.deletes(more)
    await scene.ann.deletes(asked)

    async def dropped() -> bool:
        return [one.state for one in await scene.messages(thread, 2)] == [MessageState.DROPPED] * 2

    await scene.eventually(dropped)


async def test_files_come_with_their_message(scene: Scene) -> None:
    asked = await scene.ann.mentions_bot("general", "read this", files=[("log.txt", b"all is lost")])
    await scene.seen(asked)
    thread = await scene.thread(asked)
    alone = await scene.ann.says(thread, "", files=[("more.txt", b"and more")])
    await scene.seen(alone)
    first, second = await scene.messages(thread, 2)
    assert [(one.name, one.size, one.media_type) for one in first.files] == [("log.txt", 11, "text/plain")]
    assert first.files[0].url.startswith(scene.discord.posting.origin)
    assert (second.text, [one.name for one in second.files]) == ("", ["more.txt"])


async def test_a_mention_in_a_forums_post_makes_it_a_chat(scene: Scene) -> None:
    scene.guild.forum("help")
    post = await scene.ann.posts_in_forum("help", "It crashes", f"{scene.discord.mention} why does it crash?")
    first = next(iter(post.posts.values()))
    await scene.seen(first)
    [message] = await scene.messages(post)
    assert message.text == "why does it crash?"


async def test_a_post_in_an_open_forum_is_a_chat_and_others_are_not(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with DiscordDouble() as discord:
        guild = discord.guild("G1")
        settings = settings_for(
            discord, database_url, redis_url, tmp_path, discord_forums=f"{guild.forum('help').id}, 17"
        )
        guild.forum("other")
        async with open_scene(discord, settings) as scene:
            other = await scene.ann.posts_in_forum("other", "It crashes", "why?")
            post = await scene.ann.posts_in_forum("help", "It crashes", "why?")
            await scene.seen(next(iter(post.posts.values())))
            [message] = await scene.messages(post)
            assert message.text == "It crashes\n\nwhy?"
            await scene.seen(await scene.guild.person("bob").says(post, "for me, too"))
            assert await scene.no_chat(other)


async def test_a_mention_in_answer_to_a_message_brings_that_message(scene: Scene) -> None:
    general = scene.guild.channel("general")
    said = await scene.guild.person("bob").says(general, "the build is red")
    asked = await scene.ann.says(general, scene.discord.mention, reply_to=said)
    await scene.seen(asked)
    thread = await scene.thread(asked)
    assert thread.name == "the build is red"
    [message] = await scene.messages(thread)
    assert message.text.endswith("Bob: the build is red")


async def test_who_picks_the_bots_role_means_the_bot(scene: Scene) -> None:
    role = scene.guild.role("threadwork")
    asked = await scene.ann.says("general", f"<@&{role.id}> fix the build")
    await scene.seen(asked)
    [message] = await scene.messages(await scene.thread(asked))
    assert message.text == "fix the build"


async def test_an_archived_thread_goes_on_when_somebody_writes_in_it(scene: Scene) -> None:
    thread = await scene.begun("go")
    await scene.discord.advance(8 * 24 * 3600)
    assert thread.archived
    await scene.seen(await scene.ann.says(thread, "and on"))
    assert len(await scene.messages(thread, 2)) == 2


async def test_a_receipt_that_a_worker_was_quicker_than_is_taken_back(scene: Scene) -> None:
    route = "PUT /channels/{channel}/messages/{message}/reactions/{emoji}/@me"
    thread = await scene.begun("warm up")
    scene.discord.faults.delay(route, seconds=1.0)
    more = await scene.ann.says(thread, "quick")
    await scene.messages(thread, 2)
    fence, turn = await scene.turn(thread)
    for message in await scene.stores.messages.of_turn(turn.id):
        await scene.stores.messages.marked(fence, message.id, "answered")
    await scene.discord.until(lambda: list(more.reactions) == ["✅"], within=60)
