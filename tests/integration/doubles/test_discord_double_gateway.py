"""The double's gateway with the real discord.py: login, intents, resume, invalid sessions, refusals, nonsense."""

import asyncio

import discord
import pytest

from tests.doubles.discord import DiscordDouble
from tests.integration.doubles.discord_bot import Bot, connected


async def test_a_wrong_token_cannot_log_in() -> None:
    async with DiscordDouble() as double:
        with double.redirected():
            async with Bot() as bot:
                with pytest.raises(discord.LoginFailure):
                    await bot.start("wrong")


async def test_an_intent_that_was_not_granted_ends_the_session() -> None:
    async with DiscordDouble(message_content=False) as double:
        double.guild("G1")
        with double.redirected():
            async with Bot() as bot:
                with pytest.raises(discord.PrivilegedIntentsRequired):
                    await bot.start(double.token)


async def test_a_resumed_session_hears_everything_once() -> None:
    async with DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        async with connected(double) as bot:
            for abrupt in (False, True):
                await double.cut_gateway(abrupt=abrupt)
                await ann.says("general", f"meanwhile {abrupt}")
                await double.ready()
            await double.ask_to_reconnect()
            (session,) = double.gateway.sessions.values()
            await double.until(lambda: session.resumes == 3)
            await ann.says("general", "after")
            await double.until(lambda: "after" in bot.texts())
            assert bot.texts() == ["meanwhile False", "meanwhile True", "after"]


async def test_an_invalid_session_loses_what_was_said_and_history_still_has_it() -> None:
    async with DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        async with connected(double) as bot:
            await double.invalidate_sessions(silently=True)
            await ann.says("general", "lost")
            bot.is_ready_now.clear()
            await double.cut_gateway()
            await double.until(bot.is_ready_now.is_set)
            await ann.says("general", "heard")
            await double.until(lambda: bot.heard)
            assert bot.texts() == ["heard"]
            assert [one.content async for one in bot.text_channel().history()] == ["heard", "lost"]
            assert double.gateway.identifies == 2


async def test_an_event_may_come_twice() -> None:
    async with DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        async with connected(double) as bot:
            await ann.says("general", "hello")
            double.repeat()
            await double.until(lambda: len(bot.heard) == 2)
            assert bot.heard[0].id == bot.heard[1].id


async def test_a_refused_first_connection_ends_an_unsupervised_client() -> None:
    async with DiscordDouble() as double:
        double.guild("G1")
        double.refuse_connections()
        with double.redirected():
            async with Bot() as bot:
                with pytest.raises(AttributeError, match="sequence"):
                    await bot.start(double.token)
        async with connected(double):
            assert double.gateway.identifies == 1


async def test_a_malformed_event_ends_an_unsupervised_client() -> None:
    async def hears_nonsense() -> None:
        async with DiscordDouble() as double:
            double.guild("G1")
            async with connected(double):
                double.malform()
                await asyncio.Event().wait()  # the client's end cancels this

    with pytest.raises(ExceptionGroup) as ended:
        await hears_nonsense()
    assert isinstance(ended.value.exceptions[0], KeyError)


async def test_shards_see_their_own_servers() -> None:
    async with DiscordDouble() as double:
        guild = double.guild("G1")
        mine = (int(guild.id) >> 22) % 2
        ann = guild.person("ann")
        async with connected(double, shard_id=mine, shard_count=2) as bot:
            assert [one.name for one in bot.guilds] == ["G1"]
            await ann.says("general", "hello")
            await double.until(lambda: bot.heard)
        async with connected(double, shard_id=1 - mine, shard_count=2) as bot:
            assert list(bot.guilds) == []


async def test_a_large_bot_is_told_to_shard() -> None:
    async with DiscordDouble() as double:
        double.guild("G1")
        double.gateway.needs_shards = 2
        with double.redirected():
            async with Bot() as bot:
                with pytest.raises(discord.ConnectionClosed) as closed:
                    await bot.start(double.token)
        assert closed.value.code == 4011
        double.gateway.needs_shards = 1
        with double.redirected():
            async with discord.AutoShardedClient(
                intents=discord.Intents.default(), guild_ready_timeout=0.05
            ) as sharded:
                await sharded.login(double.token)
                async with asyncio.TaskGroup() as tasks:
                    run = tasks.create_task(sharded.connect())
                    async with asyncio.timeout(30):
                        await sharded.wait_until_ready()
                    assert sharded.shard_count == 1
                    await sharded.close()
                    await run
        assert double.calls("GET /gateway/bot")
