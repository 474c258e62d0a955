"""The Slack bot on the real bolt, against a made-up Slack and real servers: what people say gets into their chats."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.doubles.slack import SlackDouble
from tests.integration.slack_bot import Scene, open_scene, settings_for


@pytest.fixture
async def scene(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with (
        SlackDouble() as slack,
        open_scene(slack, settings_for(slack, database_url, redis_url, tmp_path)) as opened,
    ):
        yield opened
        await slack.settled(within=60)


async def test_a_mention_begins_a_chat_and_is_seen_within_a_second(scene: Scene) -> None:
    await scene.ann.mentions("general", "warm up")
    began = time.monotonic()
    asked = await scene.ann.mentions("general", "fix the &lt;build>, see <https://example.com|this>")
    await scene.seen(asked)
    assert time.monotonic() - began < 1.0

    [message] = await scene.messages(asked)
    assert message.text == "fix the &lt;build>, see this (https://example.com)"
    assert (message.author_name, message.external_id) == ("ann", asked.ts)
    chat = await scene.chat(asked)
    assert chat.settings.may_decide == (scene.ann.id,)
    assert chat.title == message.text
