"""The Discord bot when things go wrong: what comes twice or not at all, servers that are away, tokens that are refused."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from bots.discord.app import open_discord
from core.domain.approval import ApprovalKind
from core.domain.states import ApprovalState, MessageState
from core.errors import Misconfigured
from tests.doubles.discord import TOKEN, DiscordDouble
from tests.integration.discord_bot import Scene, open_scene, settings_for
from tests.integration.test_slack_bot_troubles import database_away

REACT = "PUT /channels/{channel}/messages/{message}/reactions/{emoji}/@me"
READ = "GET /channels/{channel}/messages"


@pytest.fixture
def scene(discord_scene: Scene) -> Scene:
    return discord_scene


async def test_what_discord_sends_twice_is_taken_and_done_once(scene: Scene) -> None:
    thread = await scene.begun()
    scene.discord.repeat()
    await scene.ann.says(thread, "!status")
    scene.discord.repeat()
    await scene.seen(await scene.ann.says(thread, "and on"))
    assert [one.text for one in await scene.messages(thread, 2)] == ["go", "and on"]
    assert len(scene.discord.calls(REACT)) == 2
    await scene.told(thread, "so far")
    # Not only does Discord take a second answer for the first: none is sent.
    assert len(scene.discord.calls("POST /channels/{channel}/messages")) == 1


async def test_events_that_nobody_can_read_end_nothing(scene: Scene) -> None:
    for event in ("MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE", "INTERACTION_CREATE", "THREAD_CREATE"):
        scene.discord.malform(event)
    scene.discord.send_event("GUILD_CREATE", {"id": "nonsense"})
    scene.discord.send_event("SOMETHING_NEW", [1])
    await scene.begun()
    assert scene.discord.gateway.identifies == 1


async def test_a_gateway_that_is_cut_is_resumed_and_misses_nothing(scene: Scene) -> None:
    thread = await scene.begun("0")
    for number, abrupt in ((1, False), (2, True)):
        await scene.discord.cut_gateway(abrupt=abrupt)
        await scene.ann.says(thread, str(number))
        await scene.discord.ready(within=60)
    await scene.discord.ask_to_reconnect()
    await scene.seen(await scene.ann.says(thread, "3"))
    assert [one.text for one in await scene.messages(thread, 4)] == list("0123")
    assert scene.discord.gateway.identifies == 1


async def test_what_was_said_while_no_session_listened_is_fetched(scene: Scene) -> None:
    thread = await scene.begun("0")
    await scene.seen(await scene.ann.dms("hello"))
    await scene.discord.invalidate_sessions(silently=True)
    await scene.ann.says(thread, "1")
    asked = await scene.ann.mentions_bot("general", "another")
    await scene.ann.says(thread, "!aside nothing")
    await scene.ann.says(thread, "!mode plan")
    direct = await scene.ann.dms("and more")
    await scene.discord.cut_gateway()
    await scene.discord.ready(within=60)
    await scene.seen(asked)
    await scene.seen(direct)
    await scene.told(thread, "set the mode to")
    assert [one.text for one in await scene.messages(thread, 2)] == ["0", "1"]
    [message] = await scene.messages(await scene.thread(asked))
    assert message.text == "another"
    # And those that are heard again are not taken again.
    await scene.seen(await scene.ann.says(thread, "2"))
    assert [one.text for one in await scene.messages(thread, 3)] == ["0", "1", "2"]


async def test_what_was_said_while_the_bot_was_away_is_fetched(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with DiscordDouble() as discord:
        settings = settings_for(discord, database_url, redis_url, tmp_path)
        async with open_scene(discord, settings) as scene:
            thread = await scene.begun("0")
        await scene.ann.says(thread, "1")
        await scene.ann.says(thread, "!mode plan")
        asked = await scene.ann.mentions_bot("general", "another")
        discord.faults.fail(READ, status=502, times=1)
        async with open_scene(discord, settings) as scene:
            await scene.seen(asked)
            await scene.seen(await scene.ann.says(thread, "2"))
            assert [one.text for one in await scene.messages(thread, 3)] == ["0", "1", "2"]
            # A command of then may be wrong by now.
            assert not scene.posts(thread)


async def test_a_gateway_that_refuses_at_first_is_tried_again(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with DiscordDouble() as discord:
        discord.refuse_connections(2)
        async with open_scene(discord, settings_for(discord, database_url, redis_url, tmp_path)) as scene:
            await scene.begun()
            discord.refuse_connections(1)
            await discord.cut_gateway(1000)
            await discord.until(lambda: not discord.gateway.live, within=60)
            asked = await scene.ann.mentions_bot("general", "still there?")
            await discord.ready(within=60)
            await scene.seen(asked)


async def test_without_the_message_content_intent_mentions_are_enough(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with (
        DiscordDouble(message_content=False) as discord,
        open_scene(discord, settings_for(discord, database_url, redis_url, tmp_path)) as scene,
    ):
        thread = await scene.begun("go")
        for _ in range(2):
            await scene.ann.says(thread, "unheard")
        told = await scene.told(thread, "Message Content Intent")
        assert "mention me in each" in told.text
        await scene.seen(await scene.ann.mentions_bot(thread, "heard"))
        assert [one.text for one in await scene.messages(thread, 2)] == ["go", "heard"]
        assert len(scene.posts(thread, "Message Content Intent")) == 1
        await scene.seen(await scene.ann.dms("private"))


async def test_while_the_database_is_away_people_are_told_that_nothing_was_taken(
    scene: Scene, database_url: str
) -> None:
    thread = await scene.begun()
    elsewhere = await scene.ann.starts_thread("general", "lunch")
    async with database_away(database_url):
        asked = await scene.ann.mentions_bot("general", "and go")
        more = await scene.ann.says(thread, "and on")
        await scene.ann.says(elsewhere, "at noon")
        for message in (asked, more):
            told = await scene.told(message.channel, "I could not take your message")
            assert told.reply_to is message
            assert "The database cannot be reached just now." in told.text
            assert told.text.endswith("Please send it again in a minute.")
            assert not message.reactions
        assert asked.thread is None
        assert not scene.posts(elsewhere)
    again = await scene.ann.mentions_bot("general", "and go")
    await scene.seen(again)


async def test_an_edit_and_a_deletion_outlive_a_database_that_is_away(scene: Scene, database_url: str) -> None:
    asked = await scene.ann.mentions_bot("general", "go")
    thread = await scene.thread(asked)
    more = await scene.ann.says(thread, "and on")
    await scene.seen(more)
    async with database_away(database_url):
        await scene.ann.edits(asked, f"{scene.discord.mention} stay")
        await scene.ann.deletes(more)
        await asyncio.sleep(0.7)

    async def changed() -> bool:
        first, second = await scene.messages(thread, 2)
        return (first.text, second.state) == ("stay", MessageState.DROPPED)

    await scene.eventually(changed)


async def test_a_click_while_the_database_is_away_is_told_so(scene: Scene, database_url: str) -> None:
    thread = await scene.begun()
    question = await scene.asks(thread, ApprovalKind.TOOL, "Bash", command="ls")
    async with database_away(database_url):
        seen = await scene.ann.clicks(question.post, "Allow once")
        await scene.discord.until(lambda: "That was not kept: The database cannot" in (seen.ephemeral or ""), within=60)
        asked = await scene.ann.slash("threadwork ask", channel="general", what="what now?")
        await scene.discord.until(lambda: "The database cannot be reached" in (asked.ephemeral or ""), within=60)
        assert not scene.posts(scene.guild.channel("general"))
    await scene.ann.clicks(question.post, "Allow once")
    assert (await question.settled()).state is ApprovalState.ALLOWED


async def test_reactions_that_discord_limits_come_later_and_what_it_refuses_costs_nothing(scene: Scene) -> None:
    scene.discord.allow("429")
    scene.discord.faults.throttle(REACT, retry_after=0.5)
    thread = await scene.begun()
    scene.discord.faults.fail(REACT, status=403, code=50013)
    await scene.ann.says(thread, "and on")
    assert len(await scene.messages(thread, 2)) == 2


async def test_a_thread_that_cannot_be_read_does_not_keep_the_request(scene: Scene) -> None:
    began = await scene.ann.says("general", "the build is red")
    thread = await scene.ann.starts_thread(began, "red")
    scene.discord.faults.hang(READ)
    await scene.seen(await scene.ann.mentions_bot(thread, "mend it"))
    assert [one.text for one in await scene.messages(thread)] == ["mend it"]


async def test_where_threads_cannot_be_begun_the_person_is_told(scene: Scene) -> None:
    scene.guild.deny("general", "CREATE_PUBLIC_THREADS")
    asked = await scene.ann.mentions_bot("general", "go")
    told = await scene.told(asked.channel, "Give it Create Public Threads")
    assert told.reply_to is asked


async def test_a_thread_that_somebody_else_began_meanwhile_is_used(scene: Scene) -> None:
    scene.discord.faults.delay("POST /channels/{channel}/messages/{message}/threads", seconds=0.5)
    asked = await scene.ann.mentions_bot("general", "go")
    thread = await scene.ann.starts_thread(asked, "mine")
    await scene.seen(asked)
    assert [one.text for one in await scene.messages(thread)] == ["go"]
    assert thread.name == "mine"


@pytest.mark.parametrize("token", ["wrong", None])
async def test_a_token_that_is_refused_ends_the_program_with_its_name(
    database_url: str, redis_url: str, tmp_path: Path, token: str | None
) -> None:
    async with DiscordDouble() as discord:
        settings = settings_for(discord, database_url, redis_url, tmp_path, discord_token=token)
        with pytest.raises(Misconfigured, match="DISCORD_TOKEN"):
            async with asyncio.timeout(60), open_discord(settings):
                pass


async def test_a_token_that_is_taken_back_ends_the_program_too(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with DiscordDouble() as discord:
        settings = settings_for(discord, database_url, redis_url, tmp_path)

        async def run() -> None:
            async with open_scene(discord, settings):
                discord.gateway.token = discord.server.token = f"another.{TOKEN}"
                await discord.cut_gateway()
                await asyncio.sleep(60)

        with pytest.raises(ExceptionGroup) as ended:
            async with asyncio.timeout(60):
                await run()
        assert ended.group_contains(Misconfigured, match="DISCORD_TOKEN")


async def test_the_program_says_ready_takes_messages_and_ends_when_told(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with DiscordDouble() as discord:
        ann = discord.guild("G1").person("ann")
        env = {**discord.env, "DATABASE_URL": database_url, "REDIS_URL": redis_url}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "threadwork", "discord", "--data-dir", str(tmp_path)),
            env={"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1", "THREADWORK_LOG_FORMAT": "json", **env},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(90):
                assert process.stdout is not None
                assert (await process.stdout.readline()).strip() == b"discord ready"
                asked = await ann.mentions_bot("general", "go")
                await discord.until(lambda: asked.reactions, within=60)
                process.send_signal(signal.SIGTERM)
                _, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0
        lines: list[dict[str, Any]] = [json.loads(line) for line in err.decode().splitlines()]
        assert not [one for one in lines if one.get("level") in {"error", "warning", "critical"}]
        assert discord.token not in err.decode()
