"""The Discord double as a program of its own: driven over HTTP, watched in a browser, used by a bot elsewhere."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import aiohttp
import discord

from tests.doubles.discord import DiscordDouble
from tests.doubles.discord.page import Page
from tests.doubles.discord.page_markdown import to_html
from tests.integration.doubles.discord_bot import Card, Decide, connected

_VOID = {"meta", "br", "hr", "img", "input"}


class _Elsewhere(DiscordDouble):
    """Where the program listens: only the addresses and the token are of use."""

    def __init__(self, env: dict[str, str]) -> None:
        super().__init__(token=env["DISCORD_TOKEN"])
        self.api_url, self.gateway_url = env["DISCORD_API_URL"], env["DISCORD_GATEWAY_URL"]


@contextlib.asynccontextmanager
async def _program() -> AsyncIterator[dict[str, str]]:
    """The environment it printed; the process ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.doubles.discord", "--port", "0", "--with-parent", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        env: dict[str, str] = {}
        async with asyncio.timeout(30):
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
    async with _program() as env, aiohttp.ClientSession() as session:
        origin = env["DISCORD_API_URL"].removesuffix("/api/v10")

        async def drive(verb: str, **body: Any) -> Any:
            async with session.post(f"{origin}/_control/{verb}", json=body) as response:
                assert response.status == 200, await response.text()
                return await response.json()

        elsewhere = _Elsewhere(env)
        async with connected(elsewhere, prepare=lambda bot: bot.add_dynamic_items(Decide)) as bot:
            asked = await drive("say", person="ann", text="@bot fix **it**")
            async with asyncio.timeout(30):
                while not bot.heard:
                    await asyncio.sleep(0.01)
            thread = await bot.heard[0].create_thread(name="fix it")
            post = await thread.send(view=Card("Run it?", "allow"), nonce="1")
            seen = await drive("click", message=str(post.id), custom_id="decide:allow")
            assert seen["ephemeral"] == "you chose allow"
            await drive("gateway", do="cut")
            await drive("say", person="bob", text="later", channel=str(thread.id))
            async with asyncio.timeout(30):
                while len(bot.heard) < 2:
                    await asyncio.sleep(0.01)
        async with session.get(f"{origin}/?channel={asked['id']}") as response:
            page = await response.text()
        assert {("button", "button secondary"), ("div", "container"), ("span", "mention")} <= set(_read(page).seen)
        async with session.get(f"{origin}/_control/violations") as response:
            assert await response.json() == []
        async with session.post(f"{origin}/_control/click", json={"message": "1", "custom_id": "x"}) as response:
            assert response.status == 400


async def test_the_page_draws_all_that_a_message_may_hold() -> None:
    async with DiscordDouble() as double:
        guild = double.guild("G1")
        guild.person("ann")
        picture = "http://127.0.0.1/p.png"
        card = [
            {
                "type": 17,
                "accent_color": 0x5865F2,
                "components": [
                    {
                        "type": 9,
                        "components": [{"type": 10, "content": "# Title"}],
                        "accessory": {"type": 11, "media": {"url": picture}},
                    },
                    {"type": 14, "spacing": 2},
                    {"type": 12, "items": [{"media": {"url": picture}}]},
                    {
                        "type": 1,
                        "components": [{"type": 3, "custom_id": "s", "options": [{"label": "A", "value": "a"}]}],
                    },
                    {"type": 1, "components": [{"type": 2, "style": 5, "label": "Open", "url": picture}]},
                ],
            }
        ]
        bot = double.world.bot
        double.posting.create(guild.text("general"), bot, {"components": card, "flags": 1 << 15}, [])
        embed = {"title": "E", "description": "d", "fields": [{"name": "n", "value": "v"}], "footer": {"text": "f"}}
        double.posting.create(guild.text("general"), bot, {"content": "x", "embeds": [embed]}, [])
        page = Page(double.world).whole(guild.text("general"), person='"</script>', bare=True)
        seen = set(_read(page).seen)
    assert {
        ("h1", ""),
        ("img", "thumbnail"),
        ("div", "gallery"),
        ("hr", "wide "),
        ("select", ""),
        ("div", "embed"),
    } <= seen
    assert {("a", "button link"), ("div", "fields")} <= seen


async def test_markdown_is_shown_and_html_is_not() -> None:
    double = DiscordDouble()
    shown = to_html("**b** `a*b*` <b>x</b>\n- one\n> q\n```diff\n-old\n+new\n```\n\\*plain\\*", double.world)
    _read(shown)
    assert "<strong>b</strong> <code>a*b*</code> &lt;b&gt;x&lt;/b&gt;" in shown
    assert '<span class="removed">-old</span>\n<span class="added">+new</span>' in shown
    assert "*plain*" in shown
    assert discord.utils.escape_markdown("*") == "\\*"  # what the library escapes is what the page reads
