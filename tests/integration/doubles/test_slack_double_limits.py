"""The Slack double's rate limits, ordered failures, and events by signed HTTP."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler

from tests.doubles.slack import CannotDo, NotAnswered, SlackDouble
from tests.integration.doubles.slack_app import app_of, client_of, connected


async def test_a_channel_takes_a_burst_and_then_a_post_a_second() -> None:
    async with SlackDouble() as double:
        double.allow("ratelimited")
        client = client_of(double, double.workspace())

        async def post_many() -> None:
            for number in range(50):
                await client.chat_postMessage(channel="#general", text=str(number))

        with pytest.raises(SlackApiError) as caught:
            await post_many()
        assert caught.value.response.headers["Retry-After"] == "1"
        assert len(double.channel("general").messages) >= 5
        double.advance(1)
        await client.chat_postMessage(channel="#general", text="later")


async def test_edits_are_counted_for_each_workspace_and_recover() -> None:
    async with SlackDouble() as double:
        double.allow("ratelimited")
        clients = [client_of(double, double.workspace(name)) for name in ("T1", "T2")]
        posted = [await client.chat_postMessage(channel="#general", text="x") for client in clients]

        async def edit(which: int) -> None:
            await clients[which].chat_update(channel=posted[which]["channel"], ts=posted[which]["ts"], text="y")

        for _ in range(50):
            await edit(0)
        with pytest.raises(SlackApiError) as caught:
            await edit(0)
        wait = int(caught.value.response.headers["Retry-After"])
        assert 1 <= wait <= 60
        await edit(1)
        double.advance(wait)
        await edit(0)
        double.rates.enabled = False
        for _ in range(60):
            await edit(0)


async def test_limits_are_scaled_and_set_by_method() -> None:
    async with SlackDouble(rates_scale=0.1) as double:
        double.allow("ratelimited")
        client = client_of(double, double.workspace())
        double.rates.per_minute["users.info"] = 20
        for _ in range(2):
            await client.users_info(user=double.workspace().bot.id)
        with pytest.raises(SlackApiError, match="ratelimited"):
            await client.users_info(user=double.workspace().bot.id)


async def test_each_ordered_failure_happens_once() -> None:
    async with SlackDouble() as double:
        workspace = double.workspace()
        client = client_of(double, workspace)
        client.timeout = 1
        faults = double.faults

        async def post(text: str) -> Any:
            return await client.chat_postMessage(channel="#general", text=text)

        faults.fail("chat.postMessage", "fatal_error")
        with pytest.raises(SlackApiError, match="fatal_error"):
            await post("1")
        faults.http("chat.*", 500)
        with pytest.raises(SlackApiError):
            await post("2")
        faults.drop("chat.postMessage")
        with pytest.raises(aiohttp.ClientError):
            await post("3")
        faults.hang("chat.postMessage")
        with pytest.raises(asyncio.TimeoutError):
            await post("4")
        client.timeout = 30
        faults.throttle("chat.postMessage", retry_after=1)
        client.retry_handlers.append(AsyncRateLimitErrorRetryHandler())
        await post("5")
        faults.ambiguous("chat.postMessage")
        with pytest.raises(aiohttp.ClientError):
            await post("6")
        faults.delay("chat.postMessage", seconds=0.05)
        await post("7")
        faults.fail("chat.postMessage", times=None)
        faults.clear()
        await post("8")
        assert [one.text for one in double.channel("general").messages.values()] == ["5", "6", "7", "8"]
        assert [one.is_lost for one in double.calls("chat.postMessage")].count(True) == 1


async def test_a_failure_can_be_meant_for_one_message() -> None:
    async with SlackDouble() as double:
        client = client_of(double, double.workspace())
        double.faults.fail("chat.postMessage", when=lambda call: call.args["text"] == "unlucky")
        await client.chat_postMessage(channel="#general", text="lucky")
        with pytest.raises(SlackApiError, match="internal_error"):
            await client.chat_postMessage(channel="#general", text="unlucky")


async def test_bytes_and_response_urls_can_fail_too() -> None:
    async with SlackDouble() as double:
        workspace = double.workspace()
        ann = workspace.person("ann")
        client = client_of(double, workspace)
        for name in ("upload", "download", "response_url"):
            double.faults.http(name, 503)
        with pytest.raises(SlackRequestError, match="503"):
            await client.files_upload_v2(filename="a.txt", content="x")
        asked = await ann.says("general", "look", files=[("a.txt", b"x")])
        link = double.triggers.response_url(workspace.team, double.channel("general"), ann.user, asked)
        async with aiohttp.ClientSession() as session:
            async with session.get(asked.files[0].url) as answer:
                assert answer.status == 503
            async with session.post(link, json={"text": "x"}) as answer:
                assert answer.status == 503
        assert [one.status for one in double.requests if one.method in {"upload", "download", "response_url"}] == [
            503,
            503,
            503,
        ]
        assert ann.only_hers == []


async def test_an_app_gets_what_its_manifest_declares_and_no_more() -> None:
    manifest = {
        "features": {"slash_commands": [{"command": "/threadwork"}]},
        "oauth_config": {"scopes": {"bot": ["app_mentions:read", "commands"]}},
        "settings": {"event_subscriptions": {"bot_events": ["app_mention"]}},
    }
    async with SlackDouble() as double:
        workspace = double.workspace()
        ann = workspace.person("ann")
        double.apply_manifest(manifest)
        async with connected(double, workspace) as heard:
            await ann.says("general", "not for the app")
            asked = await ann.mentions("general", "for the app")
            await double.until(lambda: heard)
            await double.settled()
        assert [one["type"] for one in heard] == ["app_mention"]
        with pytest.raises(SlackApiError, match="missing_scope"):
            await client_of(double, workspace).chat_postMessage(channel=asked.channel, text="x")
        with pytest.raises(CannotDo, match="not a valid command"):
            await ann.slash("/other")
        with pytest.raises(CannotDo, match="not configured"):
            await ann.shortcut("ask", asked)
        settings = {"event_subscriptions": {"bot_events": ["message.im"]}}
        with pytest.raises(AssertionError, match="im:history"):
            double.apply_manifest(manifest | {"settings": settings})


async def test_events_and_clicks_come_by_signed_http() -> None:
    async with SlackDouble(retry_delays=(0.05, 0.05)) as double:
        workspace = double.workspace()
        ann = workspace.person("ann")
        commands: list[str] = []

        def prepare(app: Any) -> None:
            @app.command("/threadwork")  # type: ignore[untyped-decorator]
            async def command(ack: Any, body: dict[str, Any]) -> None:
                commands.append(body["text"])
                await ack(text="done")

            @app.shortcut("ask")  # type: ignore[untyped-decorator]
            async def shortcut(ack: Any, body: dict[str, Any]) -> None:
                commands.append(body["callback_id"])
                await ack()

        app, heard = app_of(double, workspace, prepare)

        async def serve(request: web.Request) -> web.Response:
            answer = await app.async_dispatch(await to_bolt_request(request))
            response: web.Response = await to_aiohttp_response(answer)
            return response

        site = web.Application()
        site.router.add_post("/slack/events", serve)
        runner = web.AppRunner(site)
        await runner.setup()
        listener = web.TCPSite(runner, "127.0.0.1", 0)
        await listener.start()
        port = runner.addresses[0][1]
        double.send_events_to(f"http://127.0.0.1:{port}/slack/events")

        assert await double.delivery.verify_url()
        await ann.says("general", "by post")
        await double.until(lambda: [one["text"] for one in heard] == ["by post"])
        assert (await ann.slash("/threadwork", "status"))["text"] == "done"
        assert await ann.shortcut("ask") == {}
        assert commands == ["status", "ask"]
        double.delivery.signing_secret = "another"
        double.allow("not_acked")
        with pytest.raises(NotAnswered):
            await ann.slash("/threadwork", "forged")
        await double.settled()
        await runner.cleanup()
        await ann.says("general", "nobody there")
        await double.until(lambda: double.delivery.given_up)
    assert commands == ["status", "ask"]
