"""The admin page with a made-up Slack and Discord beside it, through which people sign in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core.domain.chat import Author, Chat, Place, Platform
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord import Person as DiscordPerson
from tests.doubles.slack import Person as SlackPerson
from tests.doubles.slack import SlackDouble
from tests.integration.web_page import Browser, Page, Seen, open_page, settings_for

# What a browser says when somebody follows a link from another site, or is sent on by it.
SENT_ON = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@dataclass(slots=True)
class Town:
    """Workspace T1 and server G1 have chats here, with an admin `ann` and a `bob` who is none."""

    slack: SlackDouble
    discord: DiscordDouble
    page: Page

    def person(self, platform: str, name: str) -> SlackPerson | DiscordPerson:
        """Somebody of T1 or G1; ann runs it."""
        if platform == "slack":
            return self.slack.workspace("T1").person(name, admin=name == "ann")
        roles = [self.discord.guild("G1").role("boss", "MANAGE_GUILD").name] if name == "ann" else []
        return self.discord.guild("G1").person(name, roles=roles)

    def stranger(self, platform: str) -> SlackPerson | DiscordPerson:
        """Somebody of a place that has no chats here."""
        if platform == "slack":
            return self.slack.workspace("T9").person("eve", admin=True)
        return self.discord.guild("G9").person("eve", roles=[self.discord.guild("G9").role("b", "ADMINISTRATOR").name])

    async def chat(self, platform: Platform, tenant: str, text: str) -> Chat:
        place = Place(platform, tenant, "C1", f"{tenant}.1")
        accepted = await self.page.stores.messages.accept(place, Author("U1", "Zoe"), f"{tenant}.10", text)
        return accepted.chat

    async def begins(self, browser: Browser, platform: str) -> str:
        """Press the button, and say what the platform's page is asked; returns where that sends the browser back to."""
        gone = await browser.get(f"/sign-in/with/{platform}")
        assert gone.status == 303, gone.text
        async with browser.session.get(gone.headers["Location"], allow_redirects=False) as asked:
            assert asked.status == 302, await asked.text()
            return asked.headers["Location"]

    async def returns(self, browser: Browser, back: str) -> Seen:
        """Come back as the platform said."""
        parts = urlsplit(back)
        assert f"{parts.scheme}://{parts.netloc}" == self.page.url
        return await browser.get(f"{parts.path}?{parts.query}", **SENT_ON)

    async def signs_in(self, browser: Browser, platform: str, person: SlackPerson | DiscordPerson) -> Seen:
        person.sits_at_the_browser()
        return await self.returns(browser, await self.begins(browser, platform))

    async def down(self, platform: str) -> None:
        """The platform answers nobody."""
        await (self.slack.server.stop() if platform == "slack" else self.discord.server.stop())

    def denies(self, platform: str) -> None:
        """Whoever is asked says no."""
        (self.slack.world.sign_ins if platform == "slack" else self.discord.server.sign_ins).denies = True


@asynccontextmanager
async def open_town(database_url: str, redis_url: str, data_dir: Path, **more: Any) -> AsyncIterator[Town]:
    async with SlackDouble() as slack, DiscordDouble() as discord:
        given = {
            "slack_bot_token": slack.workspace("T1").token,
            "slack_client_id": slack.options.client_id,
            "slack_client_secret": slack.options.client_secret,
            "slack_api_url": slack.api_url,
            "slack_web_url": slack.origin,
            "discord_client_id": discord.world.app_id,
            "discord_client_secret": discord.server.sign_ins.client_secret,
            "discord_api_url": discord.api_url,
            "discord_web_url": discord.api_url.removesuffix("/api/v10"),
        }
        settings = settings_for(database_url, redis_url, data_dir, **{**given, **more})
        url = f"http://127.0.0.1:{settings.threadwork_web_port}"
        slack.world.sign_ins.redirect_uris.append(f"{url}/sign-in/with/slack/back")
        discord.server.sign_ins.redirect_uris.append(f"{url}/sign-in/with/discord/back")
        async with open_page(settings) as page:
            town = Town(slack, discord, page)
            await town.chat(Platform.SLACK, "T1", "a job in Slack")
            await town.chat(Platform.SLACK, "T2", "a secret of another workspace")
            await town.chat(Platform.DISCORD, discord.guild("G1").id, "a job in Discord")
            await town.chat(Platform.DISCORD, discord.guild("G2").id, "a secret of another server")
            yield town
