"""The Discord bot on the real discord.py, against a made-up Discord and real servers: what people say gets into chats.

Clicks and forms are in `test_discord_bot_answers.py`, commands in `test_discord_bot_commands.py`, what goes wrong in
`test_discord_bot_troubles.py`.
"""

import time

from tests.integration.discord_bot import Scene


async def test_a_mention_begins_a_thread_and_is_seen_within_a_second(discord_scene: Scene) -> None:
    scene = discord_scene
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


async def test_in_a_chats_thread_everybodys_messages_reach_the_agent(discord_scene: Scene) -> None:
    scene = discord_scene
    thread = await scene.begun("fix the build")
    more = await scene.guild.person("bob").says(thread, "and the tests")
    await scene.seen(more)
    said = [(one.author_name, one.text) for one in await scene.messages(thread, 2)]
    assert said == [("Ann", "fix the build"), ("Bob", "and the tests")]
