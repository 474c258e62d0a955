"""The limits the Discord double keeps, asked for directly over HTTP: each body below breaks one rule and is refused."""

from typing import Any

import aiohttp
import discord
import pytest

from tests.doubles.discord import CannotDo, DiscordDouble
from tests.integration.doubles.discord_bot import connected

_BUTTON = {"type": 2, "style": 1, "label": "x"}


def _row(*custom_ids: str) -> dict[str, Any]:
    return {"type": 1, "components": [{**_BUTTON, "custom_id": one} for one in custom_ids]}


_BAD_MESSAGES: dict[str, dict[str, Any]] = {
    "content of 2,001": {"content": "x" * 2001},
    "eleven embeds": {"embeds": [{"title": "t"}] * 11},
    "a description of 4,097": {"embeds": [{"description": "x" * 4097}]},
    "embeds of 6,001 together": {"embeds": [{"description": "x" * 3001}, {"description": "x" * 3000}]},
    "26 fields": {"embeds": [{"fields": [{"name": "n", "value": "v"}] * 26}]},
    "a field of 1,025": {"embeds": [{"fields": [{"name": "n", "value": "x" * 1025}]}]},
    "six rows": {"content": "x", "components": [_row(str(one)) for one in range(6)]},
    "six buttons": {"content": "x", "components": [_row(*"abcdef")]},
    "a container without the flag": {"components": [{"type": 17, "components": [{"type": 10, "content": "x"}]}]},
    "content beside components": {"flags": 1 << 15, "content": "x", "components": [{"type": 10, "content": "y"}]},
    "an ephemeral message in a channel": {"content": "x", "flags": 64},
    "a link with a custom_id": {
        "content": "x",
        "components": [{"type": 1, "components": [{**_BUTTON, "style": 5, "custom_id": "a"}]}],
    },
    "26 options": {
        "content": "x",
        "components": [
            {
                "type": 1,
                "components": [
                    {
                        "type": 3,
                        "custom_id": "s",
                        "options": [{"label": str(one), "value": str(one)} for one in range(26)],
                    }
                ],
            }
        ],
    },
    "the same option twice": {
        "content": "x",
        "components": [
            {"type": 1, "components": [{"type": 3, "custom_id": "s", "options": [{"label": "a", "value": "a"}] * 2}]}
        ],
    },
    "mentions parsed and listed": {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
    "an unknown reply": {"content": "x", "message_reference": {"message_id": "1"}},
    "a nonce of 26": {"content": "x", "nonce": "n" * 26},
    "an attachment that was not sent": {"content": "x", "attachments": [{"id": 0, "filename": "a"}]},
}


async def _post(double: DiscordDouble, path: str, body: Any, *, method: str = "POST") -> tuple[int, int]:
    headers = {"Authorization": f"Bot {double.token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, f"{double.api_url}{path}", json=body) as response,
    ):
        answer = await response.json()
    return response.status, answer.get("code", 0)


@pytest.mark.parametrize("name", _BAD_MESSAGES)
async def test_a_message_that_breaks_a_limit_is_refused_and_noted(name: str) -> None:
    async with DiscordDouble() as double:
        double.allow("50035")
        channel = double.guild("G1").text("general")
        body = {"nonce": "1", "enforce_nonce": True} | _BAD_MESSAGES[name]
        assert await _post(double, f"/channels/{channel.id}/messages", body) == (400, 50035)
        assert [one.code for one in double.violations] == ["50035"]
        assert channel.messages == []


async def test_what_stays_within_the_limits_is_taken() -> None:
    async with DiscordDouble() as double:
        channel = double.guild("G1").text("general")
        rows = [_row(*(f"{row}{button}" for button in range(5))) for row in range(5)]
        embeds = [{"description": "x" * 3000}, {"description": "x" * 3000}]
        body = {"content": "x" * 2000, "embeds": embeds, "components": rows, "nonce": "1", "enforce_nonce": True}
        assert await _post(double, f"/channels/{channel.id}/messages", body) == (200, 0)
        texts = [{"type": 10, "content": "x" * 100}] * 39
        body = {
            "flags": 1 << 15,
            "components": [{"type": 17, "components": texts}],
            "nonce": "2",
            "enforce_nonce": True,
        }
        assert await _post(double, f"/channels/{channel.id}/messages", body) == (200, 0)


async def test_an_empty_message_is_refused() -> None:
    async with DiscordDouble() as double:
        double.allow("50006")
        channel = double.guild("G1").text("general")
        body = {"content": "", "nonce": "1", "enforce_nonce": True}
        assert await _post(double, f"/channels/{channel.id}/messages", body) == (400, 50006)


async def test_a_send_without_a_nonce_is_noted() -> None:
    async with DiscordDouble() as double:
        double.allow("no-nonce", "no-allowed-mentions")
        channel = double.guild("G1").text("general")
        assert await _post(double, f"/channels/{channel.id}/messages", {"content": "hi @everyone"}) == (200, 0)
        assert [one.code for one in double.violations] == ["no-nonce", "no-allowed-mentions"]


async def test_thread_names_and_times_are_limited() -> None:
    async with DiscordDouble() as double:
        double.allow("50035")
        channel = double.guild("G1").text("general")
        path = f"/channels/{channel.id}/threads"
        assert await _post(double, path, {"name": "x" * 101, "type": 11}) == (400, 50035)
        assert await _post(double, path, {"name": "x", "type": 11, "auto_archive_duration": 61}) == (400, 50035)
        assert await _post(double, path, {"name": "x" * 100, "type": 11, "auto_archive_duration": 60}) == (200, 0)
        thread = double.guild("G1").threads[0]
        assert await _post(double, f"/channels/{thread.id}", {"archived": "yes"}, method="PATCH") == (400, 50035)


async def test_a_server_has_only_so_many_open_threads() -> None:
    async with DiscordDouble() as double:
        double.guild("G1")
        double.threads.most_active = 1
        async with connected(double) as bot:
            await bot.text_channel().create_thread(name="one", type=discord.ChannelType.public_thread)
            with pytest.raises(discord.HTTPException) as refused:
                await bot.text_channel().create_thread(name="two", type=discord.ChannelType.public_thread)
            assert refused.value.code == 160006
            await double.advance(10080 * 60)
            await bot.text_channel().create_thread(name="two", type=discord.ChannelType.public_thread)


async def test_others_do_not_see_what_is_ephemeral() -> None:
    async with DiscordDouble() as double:
        ann, bob = double.guild("G1").person("ann"), double.guild("G1").person("bob")
        button = {"components": [_row("a")], "content": "secret", "flags": 64}
        channel = ann.channel("general")
        hidden = double.posting.build(channel, double.world.bot, button, [], only_for=ann.user)
        double.interactions.ack_seconds = 0.05
        assert (await ann.clicks(hidden, "a")).ack == "failed"
        with pytest.raises(CannotDo, match="does not see"):
            await bob.clicks(hidden, "a")


async def test_an_unknown_route_is_noted() -> None:
    async with DiscordDouble() as double:
        double.allow("unknown-route")
        assert await _post(double, "/channels/1/nonsense", {}) == (404, 0)
        assert [one.code for one in double.violations] == ["unknown-route"]


async def test_too_many_requests_at_once_are_stopped_everywhere() -> None:
    async with DiscordDouble() as double:
        double.allow("429")
        double.limits.scale = 1000
        channels = [double.guild("G1").text(f"room-{number}") for number in range(51)]
        headers = {"Authorization": f"Bot {double.token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            answers: list[tuple[int, str | None]] = []
            for channel in channels:
                async with session.post(f"{double.api_url}/channels/{channel.id}/typing") as response:
                    answers.append((response.status, response.headers.get("X-RateLimit-Global")))
        assert answers == [(204, None)] * 50 + [(429, "true")]


@pytest.mark.parametrize(
    ("change", "status"),
    [({}, 200), ({"title": "x" * 46}, 400), ({"custom_id": "x" * 101}, 400), ({"components": []}, 400)],
)
async def test_forms_are_held_to_their_limits(change: dict[str, Any], status: int) -> None:
    async with DiscordDouble() as double:
        double.allow("50035")
        ann = double.guild("G1").person("ann")
        data = {"type": 2, "name": "x", "id": "1"}
        begun = double.interactions.begin(2, ann.user, ann.channel("general"), data)
        field = {"type": 4, "custom_id": "why", "style": 2}
        form = {"title": "Why", "custom_id": "form", "components": [{"type": 18, "label": "Why", "component": field}]}
        path = f"/interactions/{begun.id}/{begun.token}/callback?with_response=1"
        assert (await _post(double, path, {"type": 9, "data": form | change}))[0] == status
        assert (begun.seen.modal is not None) == (status == 200)
