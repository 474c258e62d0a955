"""The Slack double as a program of its own: driven over HTTP, watched in a browser; and the payloads kept from it."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.web.async_client import AsyncWebClient

from tests.doubles.slack import SlackDouble
from tests.doubles.slack.page import Page
from tests.doubles.slack.page_text import markdown, mrkdwn
from tests.doubles.slack.recorded import FOLDER, record
from tests.integration.doubles.slack_app import client_of

_VOID = {"meta", "br", "hr", "img", "input"}
_WITHOUT_A_USER = {
    "app_uninstalled",
    "assistant_thread_context_changed",
    "assistant_thread_started",
    "message_bot_message",
    "tokens_revoked",
}
_CLICKABLE = [
    {
        "type": "actions",
        "elements": [{"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}],
    }
]


@contextlib.asynccontextmanager
async def _program() -> AsyncIterator[dict[str, str]]:
    """The environment it printed; the process ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.doubles.slack", "--port", "0", "--with-parent", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        env: dict[str, str] = {}
        async with asyncio.timeout(60):
            while (line := (await process.stdout.readline()).decode().strip()) != "ready":
                name, _, value = line.partition("=")
                env[name] = value
        yield env
    finally:
        process.terminate()
        async with asyncio.timeout(30):
            await process.wait()


class _Balanced(HTMLParser):
    """Reads a page and notices tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs).get("class") or ""))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _read(page: str) -> _Balanced:
    reader = _Balanced()
    reader.feed(page)
    assert reader.open == []
    return reader


async def test_the_program_is_driven_and_watched_from_outside() -> None:
    async with _program() as env, aiohttp.ClientSession() as session, contextlib.AsyncExitStack() as ends:
        origin = env["SLACK_API_URL"].removesuffix("/api/")

        async def drive(verb: str, **body: Any) -> Any:
            async with session.post(f"{origin}/_control/{verb}", json=body) as response:
                assert response.status == 200, await response.text()
                return await response.json()

        async def read(path: str) -> Any:
            async with session.get(f"{origin}/_control/{path}") as response:
                return await response.json()

        app = AsyncApp(
            client=AsyncWebClient(token=env["SLACK_BOT_TOKEN"], base_url=env["SLACK_API_URL"]), signing_secret="x"
        )

        @app.event("app_mention")
        async def mentioned(event: dict[str, Any], say: Any) -> None:
            await say(text="Go?", blocks=_CLICKABLE, thread_ts=event["ts"])

        @app.event("message")
        async def talked() -> None:
            pass

        @app.action("go")
        async def clicked(ack: Any, respond: Any) -> None:
            await ack()
            await respond(text="gone", replace_original=True)

        handler = AsyncSocketModeHandler(app, env["SLACK_APP_TOKEN"])
        ends.push_async_callback(handler.close_async)
        async with asyncio.timeout(30):
            await handler.connect_async()  # type: ignore[no-untyped-call]
        asked = await drive("say", person="ann", text="@bot fix *it*")
        place = f"thread?channel={asked['channel']}&ts={asked['ts']}"

        async def replies(text: str) -> list[dict[str, Any]]:
            async with asyncio.timeout(30):
                while [one["text"] for one in (await read(place))["messages"][1:]] != [text]:
                    await asyncio.sleep(0.01)
            rows: list[dict[str, Any]] = (await read(place))["messages"]
            return rows[1:]

        (question,) = await replies("Go?")
        page = f"{origin}/?channel={asked['channel']}&thread={asked['ts']}"
        async with session.get(page) as response:
            assert {("button", "button plain"), ("span", "mention")} <= set(_read(await response.text()).seen)
        assert await drive("click", channel=asked["channel"], ts=question["ts"], action="go") == {}
        await replies("gone")
        await drive("socket", do="disconnect")
        async with asyncio.timeout(30):
            while [one["method"] for one in await read("calls")].count("apps.connections.open") < 2:
                await asyncio.sleep(0.01)
        assert await read("violations") == []
        async with session.post(f"{origin}/_control/click", json={"ts": "1", "action": "x"}) as response:
            assert response.status == 400


async def test_the_page_draws_every_kind_of_block() -> None:
    def text(words: str) -> dict[str, Any]:
        return {"type": "plain_text", "text": words}

    picture = {"type": "image", "image_url": "http://127.0.0.1/p.png", "alt_text": "p"}
    option = {"text": text("A"), "value": "a"}
    rich = [{"type": "rich_text_section", "elements": [{"type": "text", "text": "r", "style": {"bold": True}}]}]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": text("Title")},
        {"type": "section", "text": {"type": "mrkdwn", "text": "*b*"}, "fields": [text("f")], "accessory": picture},
        {"type": "divider"},
        {"type": "context", "elements": [picture, {"type": "mrkdwn", "text": "c"}]},
        {"type": "markdown", "text": "# H\n\n| a | b |\n|---|---|\n| 1 | 2 |"},
        {
            "type": "actions",
            "elements": [
                {"type": "button", "action_id": "b", "text": text("B"), "style": "danger"},
                {"type": "overflow", "action_id": "o", "options": [option]},
            ],
        },
        {"type": "rich_text", "elements": [*rich, {"type": "rich_text_list", "style": "bullet", "elements": rich}]},
        {"type": "table", "rows": [[{"type": "raw_text", "text": "th"}], [{"type": "rich_text", "elements": rich}]]},
        picture,
        {"type": "task_card", "task_id": "1", "title": "T", "status": "complete"},
    ]
    async with SlackDouble() as double:
        client = client_of(double, double.workspace())
        await client.chat_postMessage(channel="#general", text="x", blocks=blocks)
        page = Page(double.store).whole(double.channel("general"), None, person='"</script>', bare=True)
    seen = set(_read(page).seen)
    assert {("div", "title"), ("div", "fields"), ("hr", ""), ("img", "tiny"), ("h1", ""), ("td", "")} <= seen
    assert {("button", "button danger"), ("select", "menu"), ("li", ""), ("strong", ""), ("img", "picture")} <= seen
    assert ("div", "task complete") in seen
    assert ("div", "unknown") not in seen


def test_marked_up_text_is_shown_and_html_is_not() -> None:
    team = SlackDouble().workspace("T1").team
    shown = mrkdwn("*b* `a*b*` <b>x</b> &lt;i&gt; <https://x.y|l> <!here> :eyes:\n&gt; q\n```-old\n+new```", team)
    _read(shown)
    assert "<strong>b</strong> <code>a*b*</code> &lt;b&gt;x&lt;/b&gt; &lt;i&gt;" in shown
    assert '<a href="https://x.y">l</a> <span class="mention loud">@here</span> 👀' in shown
    assert '<span class="removed">-old</span>\n<span class="added">+new</span>' in shown
    assert "<blockquote>q</blockquote>" in shown
    assert "<b>" not in markdown("<b>x</b>", team)
    assert f'<span class="mention">@{team.bot.name}</span>' in markdown(f"**x** <@{team.bot.id}>", team)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(one) for key, one in sorted(value.items())}
    if isinstance(value, list):
        return [_shape(one) for one in value]
    return type(value).__name__


async def test_the_payloads_kept_for_parsers_are_those_the_double_sends() -> None:
    made = await record()
    kept = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
    assert {name: _shape(one) for name, one in made.items()} == {name: _shape(one) for name, one in kept.items()}


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.json")))
async def test_the_real_bolt_understands_a_kept_payload(name: str) -> None:
    payload = json.loads((FOLDER / f"{name}.json").read_text())
    context = AsyncBoltRequest(mode="socket_mode", body=payload).context
    assert context.team_id == "T1"
    assert bool(context.user_id) is (name not in _WITHOUT_A_USER)
