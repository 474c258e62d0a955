"""The Discord double against the real discord.py: messages, threads, files, permissions, limits, faults.

Interactions are in `test_discord_double_interactions.py`, the gateway in `test_discord_double_gateway.py`.
"""

import asyncio
import contextlib
import io

import aiohttp
import discord
import pytest

from tests.doubles.discord import DiscordDouble
from tests.doubles.discord.errors import ApiError
from tests.integration.doubles.discord_bot import Card, connected

_SEND = "POST /channels/{channel}/messages"
_EDIT = "PATCH /channels/{channel}/messages/{message}"


async def test_a_mention_becomes_a_thread_with_an_answer_that_is_edited() -> None:
    async with DiscordDouble() as double, connected(double) as bot:
        ann = double.guild("G1").person("ann")
        asked = await ann.mentions_bot("general", "fix the build")
        await double.until(lambda: bot.heard)

        thread = await bot.heard[0].create_thread(name="fix the build")
        answer = await thread.send("working…", nonce="1")
        await answer.edit(content="done")
        await bot.heard[0].add_reaction("✅")

        shown = double.thread(thread.id)
        assert shown.id == asked.id
        assert shown.texts[1:] == ["done"]
        assert [one.content for one in double.message(answer.id).history] == ["working…", "done"]
        assert asked.reactions == {"✅": [double.world.bot.id]}
        assert [thread.name for thread in bot.threads_seen] == ["fix the build"]
        assert shown.messages[0].id != asked.id  # the thread's first row is a pointer of its own
        with pytest.raises(discord.HTTPException) as refused:
            await bot.heard[0].create_thread(name="again")
        assert refused.value.code == 160004


async def test_edits_and_deletions_by_people_reach_the_bot() -> None:
    async with DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        async with connected(double) as bot:
            message = await ann.says("general", "first")
            await ann.edits(message, "second")
            await ann.deletes(message)
            await double.until(lambda: bot.deleted == [int(message.id)])
            assert [event.message.content for event in bot.edited] == ["second"]
            assert message.deleted


async def test_the_same_nonce_returns_the_message_that_is_there() -> None:
    async with DiscordDouble() as double:
        double.guild("G1")
        async with connected(double) as bot:
            first = await bot.text_channel().send("once", nonce="n1")
            again = await bot.text_channel().send("once", nonce="n1")
            assert again.id == first.id
            assert double.channel(first.channel.id).texts == ["once"]
            await double.advance(600)
            assert (await bot.text_channel().send("once", nonce="n1")).id != first.id


async def test_files_go_both_ways_and_too_large_ones_are_refused() -> None:
    async with DiscordDouble() as double:
        double.allow("40005")
        ann = double.guild("G1").person("ann")
        async with connected(double) as bot:
            await ann.says("general", "look", files=[("a.txt", b"hello")])
            await double.until(lambda: bot.heard)
            (attachment,) = bot.heard[0].attachments
            assert await attachment.read() == b"hello"
            assert attachment.content_type == "text/plain"

            sent = await bot.text_channel().send("back", file=discord.File(io.BytesIO(b"log"), "run.log"), nonce="1")
            assert [one.content for one in double.message(sent.id).attachments] == [b"log"]
            large = discord.File(io.BytesIO(b"x" * (10 * 1024 * 1024 + 1)), "large")
            with pytest.raises(discord.HTTPException) as refused:
                await bot.text_channel().send(file=large, nonce="2")
            assert refused.value.code == 40005


async def test_archived_threads_open_when_spoken_in_and_locked_ones_refuse() -> None:
    async with DiscordDouble() as double:
        ann = double.guild("G1", bot_permissions=0).person("ann")
        async with connected(double) as bot:
            asked = await ann.says("general", "hi")
            thread = await ann.starts_thread(asked, "talk")
            speaker = bot.get_partial_messageable(int(thread.id))
            post = await speaker.send("one", nonce="1")
            await double.advance(4320 * 60)
            assert thread.archived
            with pytest.raises(discord.HTTPException) as refused:
                await post.edit(content="late")
            assert refused.value.code == 50083
            await speaker.send("two", nonce="2")
            assert "two" in thread.texts
            assert not ann.guild.threads[0].archived
            thread.locked = True
            with pytest.raises(discord.HTTPException) as refused:
                await speaker.send("three", nonce="3")
            assert refused.value.code == 160005


async def test_a_third_rename_in_ten_minutes_is_refused_without_a_warning_in_the_headers() -> None:
    async with DiscordDouble() as double:
        double.allow("429")
        ann = double.guild("G1").person("ann")
        async with connected(double, max_ratelimit_timeout=30.0) as bot:
            thread = await bot.text_channel().create_thread(name="a", type=discord.ChannelType.public_thread)
            await thread.edit(name="b")
            await thread.edit(name="c")
            with pytest.raises(discord.RateLimited) as refused:
                await thread.edit(name="d")
            assert refused.value.retry_after > 500
            assert double.thread(thread.id).names == ["a", "b", "c"]
            await double.advance(600)
            await thread.edit(name="e")
            assert ann.guild.threads[0].name == "e"


async def test_messages_older_than_an_hour_take_few_edits() -> None:
    async with DiscordDouble() as double:
        double.allow("30046")
        double.guild("G1")
        async with connected(double, max_ratelimit_timeout=30.0) as bot:
            double.limits.old_edits_seconds = 3600
            post = await bot.text_channel().send("live", nonce="1")
            await double.advance(3601)
            for turn in range(3):
                await post.edit(content=f"{turn}")
            with pytest.raises(discord.RateLimited):
                await post.edit(content="too much")
            assert double.requests[-1].code == 30046


@pytest.mark.parametrize(
    ("denied", "code"),
    [("VIEW_CHANNEL", 50001), ("SEND_MESSAGES", 50013), ("ATTACH_FILES", 50013), ("EMBED_LINKS", 50013)],
)
async def test_missing_permissions_are_refused(denied: str, code: int) -> None:
    async with DiscordDouble() as double:
        guild = double.guild("G1")
        async with connected(double) as bot:
            guild.deny("general", denied)
            speaker = bot.get_partial_messageable(int(guild.text("general").id))
            with pytest.raises(discord.Forbidden) as refused:
                await speaker.send(
                    "hi", nonce="1", file=discord.File(io.BytesIO(b"x"), "x"), embed=discord.Embed(title="t")
                )
            assert refused.value.code == code


async def test_what_is_gone_is_unknown() -> None:
    async with DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        async with connected(double) as bot:
            message = await ann.says("general", "hi")
            await double.until(lambda: bot.heard)
            await ann.deletes(message)
            with pytest.raises(discord.NotFound) as refused:
                await bot.heard[0].fetch()
            assert refused.value.code == 10008
            with pytest.raises(discord.NotFound) as refused:
                await bot.get_partial_messageable(1).send("hi", nonce="2")
            assert refused.value.code == 10003


async def test_history_pages_both_ways() -> None:
    async with DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        sent = [await ann.says("general", str(number)) for number in range(7)]
        async with connected(double) as bot:
            channel = bot.text_channel()
            middle = discord.Object(int(sent[3].id))
            newest = [one.content async for one in channel.history(limit=2)]
            later = [one.content async for one in channel.history(after=middle)]
            earlier = [one.content async for one in channel.history(before=middle)]
        assert (newest, later, earlier) == (["6", "5"], ["4", "5", "6"], ["2", "1", "0"])


async def test_sends_and_edits_queue_on_the_bucket_and_never_overrun_it() -> None:
    async with DiscordDouble() as double:
        double.guild("G1")
        double.limits.scale = 0.02
        async with connected(double) as bot:
            post = await bot.text_channel().send("0", nonce="0")
            async with asyncio.TaskGroup() as tasks:
                for number in range(1, 13):
                    tasks.create_task(post.edit(content=str(number)))
            assert len(double.calls(_EDIT)) == 12
            assert {call.status for call in double.calls(_EDIT)} == {200}
            assert double.message(post.id).edits == 12


async def test_whoever_ignores_the_headers_is_throttled() -> None:
    async with DiscordDouble() as double:
        double.allow("429")
        double.limits.scale = 10
        channel = double.guild("G1").text("general")
        headers = {"Authorization": f"Bot {double.token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            answers, via = [], []
            for number in range(6):
                body = {"content": "hi", "nonce": number, "enforce_nonce": True}
                async with session.post(f"{double.api_url}/channels/{channel.id}/messages", json=body) as response:
                    answers.append((response.status, response.headers["X-RateLimit-Remaining"]))
                    assert response.headers["Content-Type"] == "application/json"
                    via.append(response.headers.get("Via"))
            assert answers == [(200, "4"), (200, "3"), (200, "2"), (200, "1"), (200, "0"), (429, "0")]
            assert all(via)  # a 429 without it is taken for a ban
            assert [one.code for one in double.violations] == ["429"]


async def test_faults_come_as_ordered() -> None:
    async with DiscordDouble() as double:
        double.guild("G1")
        async with connected(double) as bot:
            channel = bot.text_channel()
            double.faults.fail(_SEND, status=503)
            with pytest.raises(discord.DiscordServerError):
                await channel.send("a", nonce="a")
            double.faults.throttle(_SEND, retry_after=0.01)
            await channel.send("b", nonce="b")
            double.faults.drop(_SEND)
            with pytest.raises(aiohttp.ClientError):
                await channel.send("c", nonce="c")
            double.faults.ambiguous(_SEND)
            with pytest.raises(aiohttp.ClientError):
                await channel.send("d", nonce="d")
            assert double.channel(channel.id).texts == ["b", "d"]
            await channel.send("d", nonce="d")
            assert double.channel(channel.id).texts == ["b", "d"]
            double.faults.hang(_SEND)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await channel.send("e", nonce="e")
            assert double.channel(channel.id).texts == ["b", "d"]


async def test_forum_posts_and_direct_messages() -> None:
    async with DiscordDouble() as double:
        guild = double.guild("G1")
        guild.forum("help", tags=["bug"])
        ann = guild.person("ann")
        async with connected(double) as bot:
            post = await ann.posts_in_forum("help", "It breaks", "see above", tags=["bug"])
            await double.until(lambda: "see above" in bot.texts())
            heard = bot.heard[-1]
            assert heard.id == int(post.id)
            assert isinstance(heard.channel, discord.Thread)
            assert [tag.name for tag in heard.channel.applied_tags] == ["bug"]
            forum = heard.channel.parent
            assert isinstance(forum, discord.ForumChannel)
            made = await forum.create_thread(name="Mine", content="from the bot")
            assert double.thread(made.thread.id).texts == ["from the bot"]

            await ann.dms("psst")
            await double.until(lambda: "psst" in bot.texts())
            assert isinstance(bot.heard[-1].channel, discord.DMChannel)
            await bot.heard[-1].channel.send("yes?", nonce="1")
            assert ann.dm.texts == ["psst", "yes?"]


async def test_content_is_withheld_without_the_intent() -> None:
    async with DiscordDouble(message_content=False) as double:
        ann = double.guild("G1").person("ann")
        async with connected(double, message_content=False) as bot:
            await ann.says("general", "unmentioned", files=[("a.txt", b"x")])
            await ann.mentions_bot("general", "mentioned")
            await ann.dms("direct")
            await double.until(lambda: len(bot.heard) == 3)
            assert bot.texts() == ["", f"{double.mention} mentioned", "direct"]
            assert bot.heard[0].attachments == []


async def test_what_pings_is_noted() -> None:
    async with DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        double.allow("no-allowed-mentions")
        async with connected(double) as bot:
            await bot.text_channel().send(f"@everyone <@{ann.id}> `@here`", nonce="1")
            assert double.pings == []
            everybody = discord.AllowedMentions.all()
            await bot.text_channel().send(f"@everyone <@{ann.id}> `@here`", nonce="2", allowed_mentions=everybody)
            assert [ping for _, ping in double.pings] == ["@everyone", f"user:{ann.id}"]
            assert double.violations == []


async def test_a_broken_rule_fails_the_test_that_broke_it() -> None:
    async def too_long() -> None:
        async with DiscordDouble() as double:
            double.guild("G1")
            async with connected(double) as bot:
                with contextlib.suppress(discord.HTTPException):
                    await bot.text_channel().send("x" * 2001)

    with pytest.raises(AssertionError, match=r"50035.*2000 in length"):
        await too_long()


async def test_people_are_held_to_the_rules_too() -> None:
    async with DiscordDouble() as double:
        guild = double.guild("G1")
        ann = guild.person("ann")
        guild.deny("general", "SEND_MESSAGES", who=ann.id)
        with pytest.raises(ApiError, match="50013"):
            await ann.says("general", "hi")


async def test_a_card_of_components_cannot_go_back_to_plain_text() -> None:
    async with DiscordDouble() as double:
        double.allow("50035")
        double.guild("G1")
        async with connected(double) as bot:
            post = await bot.text_channel().send(view=Card("**hello**", "yes"), nonce="1")
            assert double.message(post.id).text == "**hello**"
            assert double.message(post.id).buttons == {"Yes": "decide:yes"}
            with pytest.raises(discord.HTTPException) as refused:
                await post.edit(content="plain")
            assert refused.value.code == 50035
            await post.edit(view=Card("decided"))
            assert double.message(post.id).text == "decided"
