"""`threadwork doctor discord`, which asks Discord: what is good, what is wrong, and the mend beside it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bots.discord.slash import COMMANDS
from tests.doubles.discord import DiscordDouble
from tests.doubles.discord.permissions import by_name
from tests.integration.discord_bot import settings_for
from threadwork.checks.discord_live import discord_live
from threadwork.checks.finding import Finding, Level


@pytest.fixture
async def discord() -> AsyncIterator[DiscordDouble]:
    async with DiscordDouble() as double:
        yield double


async def examine(discord: DiscordDouble, folder: Path, **more: Any) -> dict[str, Finding]:
    settings = settings_for(discord, "postgresql://nobody", "redis://nowhere", folder, **more)
    return {finding.what: finding async for finding in discord_live(settings)}


async def test_what_is_good_is_said(discord: DiscordDouble, tmp_path: Path) -> None:
    discord.guild("G1")
    discord.commands[None] = [{"name": one["name"], "type": one["type"]} for one in COMMANDS]
    found = await examine(discord, tmp_path)
    assert {what: one.level for what, one in found.items()} == {
        "Discord's token": Level.GOOD,
        "Discord's messages": Level.GOOD,
        "Discord's commands": Level.GOOD,
        "Discord's servers": Level.GOOD,
    }
    assert found["Discord's servers"].said == "G1"


async def test_what_is_missing_is_named_with_the_mend(tmp_path: Path) -> None:
    async with DiscordDouble(message_content=False) as discord:
        found = await examine(discord, tmp_path)
        assert "Message Content Intent" in found["Discord's messages"].mend
        assert "threadwork missing" in found["Discord's commands"].said
        assert "https://discord.com/oauth2/authorize?client_id=" in found["Discord's servers"].mend
        guild = discord.guild("G1")
        guild.state.roles[guild.id].permissions &= ~by_name("CREATE_PUBLIC_THREADS", "ATTACH_FILES")
        found = await examine(discord, tmp_path)
        assert found["Discord's servers"].said == "G1 does not let it attach files, create public threads"


async def test_a_token_that_discord_refuses_is_named(discord: DiscordDouble, tmp_path: Path) -> None:
    wrong = f"{discord.token[:-1]}x"
    found = await examine(discord, tmp_path, discord_token=wrong)
    assert found["Discord's token"].said == "Discord refuses it"
    assert "https://discord.com/developers/applications" in found["Discord's token"].mend
    assert wrong not in str(found)
    found = await examine(discord, tmp_path, discord_token=None)
    assert found["Discord's token"].level is Level.BAD


async def test_a_discord_that_does_not_answer_is_said(discord: DiscordDouble, tmp_path: Path) -> None:
    discord.faults.drop("GET /applications/@me", times=9)
    assert (await examine(discord, tmp_path))["Discord"].level is Level.BAD
