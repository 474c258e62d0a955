from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.doubles.observing.fixtures import logged, observer
from tests.stage.fixtures import chat, sandbox_host, stage

if TYPE_CHECKING:
    from tests.integration.discord_bot import Scene as DiscordScene
    from tests.integration.slack_bot import Scene
    from tests.integration.web_page import Page

__all__ = ["chat", "logged", "observer", "sandbox_host", "stage"]


@pytest.fixture
async def scene(database_url: str, redis_url: str, tmp_path: Path) -> "AsyncIterator[Scene]":
    """The Slack bot in a workspace; the test fails if it left something unacknowledged or broke Slack's rules."""
    from tests.doubles.slack import SlackDouble
    from tests.integration.slack_bot import open_scene, settings_for

    async with (
        SlackDouble() as slack,
        open_scene(slack, settings_for(slack, database_url, redis_url, tmp_path)) as opened,
    ):
        yield opened
        await slack.settled(within=60)


@pytest.fixture
async def discord_scene(database_url: str, redis_url: str, tmp_path: Path) -> "AsyncIterator[DiscordScene]":
    """The Discord bot in a server; the test fails if it broke Discord's rules."""
    from tests.doubles.discord import DiscordDouble
    from tests.integration.discord_bot import open_scene, settings_for

    async with (
        DiscordDouble() as discord,
        open_scene(discord, settings_for(discord, database_url, redis_url, tmp_path)) as opened,
    ):
        yield opened


@pytest.fixture
async def page(database_url: str, redis_url: str, tmp_path: Path) -> "AsyncIterator[Page]":
    """The admin page."""
    from tests.integration.web_page import open_page, settings_for

    async with open_page(settings_for(database_url, redis_url, tmp_path)) as opened:
        yield opened
