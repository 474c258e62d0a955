"""Fetching what people attach in Discord, from a made-up Discord."""

from collections.abc import AsyncIterator

import pytest

from core.domain.chat import Place, Platform
from core.domain.message import FileIn
from core.errors import SurfaceError, TooLarge
from core.surfaces.discord.files import DiscordFiles
from tests.doubles.discord import DiscordDouble

PLACE = Place(Platform.DISCORD, "G1", "C1", "T1")


@pytest.fixture
async def discord() -> AsyncIterator[DiscordDouble]:
    async with DiscordDouble() as double:
        yield double


@pytest.fixture
async def files(discord: DiscordDouble) -> AsyncIterator[DiscordFiles]:
    async with DiscordFiles.open(discord.api_url) as source:
        yield source


async def attached(discord: DiscordDouble, content: bytes) -> FileIn:
    said = await discord.guild().person("ann").says("general", "", files=[("a.bin", content)])
    return FileIn("a.bin", said.attachments[0].url, len(content))


@pytest.mark.parametrize("content", [b"", b"all is lost\n", bytes(range(256)) * 1000])
async def test_a_file_comes_as_it_is(discord: DiscordDouble, files: DiscordFiles, content: bytes) -> None:
    assert await files.fetch(PLACE, await attached(discord, content), 1_000_000) == content


async def test_a_file_that_is_too_large_is_not_read_to_its_end(discord: DiscordDouble, files: DiscordFiles) -> None:
    file = await attached(discord, b"x" * 300_000)
    for size in (file.size, 0):
        with pytest.raises(TooLarge):
            await files.fetch(PLACE, FileIn(file.name, file.url, size), 100_000)


async def test_a_file_that_is_gone_is_an_error_with_a_reason(discord: DiscordDouble, files: DiscordFiles) -> None:
    file = await attached(discord, b"x")
    discord.world.attachments.clear()
    with pytest.raises(SurfaceError, match="it is deleted") as raised:
        await files.fetch(PLACE, file, 100)
    assert not raised.value.retryable


@pytest.mark.parametrize(
    "url",
    ["https://example.com/a", "http://cdn.discordapp.com/a", "https://cdn.discordapp.com.example.com/a", "file:///etc"],
)
async def test_only_what_is_kept_in_discord_is_fetched(files: DiscordFiles, url: str) -> None:
    with pytest.raises(SurfaceError, match="outside Discord"):
        await files.fetch(PLACE, FileIn("a", url, 1), 100)
