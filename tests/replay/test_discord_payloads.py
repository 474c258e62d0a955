"""The recorded Discord frames hold together: the real library takes every one of them, and they cover what people do."""

import json
from pathlib import Path
from typing import Any

import discord
import pytest

from tests.doubles.discord import DiscordDouble
from tests.integration.doubles.discord_bot import connected

_FRAMES = sorted((Path(__file__).parent / "discord").glob("*.json"))


@pytest.mark.parametrize("path", _FRAMES, ids=lambda path: path.stem)
def test_a_frame_is_a_dispatch_of_the_event_it_is_named_for(path: Path) -> None:
    frame: dict[str, Any] = json.loads(path.read_text())
    assert frame["op"] == 0
    assert path.stem.startswith(frame["t"].lower())
    assert "127.0.0.1" not in path.read_text()


async def test_the_library_reads_every_frame() -> None:
    async with DiscordDouble() as double:
        ann = double.guild("G1").person("ann")
        async with connected(double) as bot:
            interactions: list[discord.Interaction[Any]] = []

            async def on_interaction(interaction: discord.Interaction[Any]) -> None:
                interactions.append(interaction)

            bot.on_interaction = on_interaction  # type: ignore[attr-defined]
            for path in _FRAMES:
                frame = json.loads(path.read_text())
                double.send_event(frame["t"], frame["d"])
            await ann.says("general", "and still listening")
            await double.until(lambda: "and still listening" in bot.texts())
            kinds = [interaction.type.name for interaction in interactions]
            assert sorted(set(kinds)) == ["application_command", "autocomplete", "component", "modal_submit"]
            assert len(bot.heard) > 10


def test_the_frames_cover_every_way_in() -> None:
    kinds = {json.loads(path.read_text())["t"] for path in _FRAMES}
    assert {
        "MESSAGE_CREATE",
        "MESSAGE_UPDATE",
        "MESSAGE_DELETE",
        "MESSAGE_DELETE_BULK",
        "MESSAGE_REACTION_ADD",
        "THREAD_CREATE",
        "THREAD_UPDATE",
        "THREAD_DELETE",
        "INTERACTION_CREATE",
    } <= kinds
