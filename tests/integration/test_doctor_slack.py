"""`threadwork doctor slack`, which asks Slack: what is good, what is wrong, and the mend beside it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bots.slack.manifest import SCOPES, manifest
from core.errors import Misconfigured
from tests.doubles.slack import SlackDouble
from tests.integration.slack_bot import settings_for
from threadwork.checks.finding import Finding, Level
from threadwork.checks.slack_live import slack_live
from threadwork.doctor import ask


@pytest.fixture
async def slack() -> AsyncIterator[SlackDouble]:
    async with SlackDouble() as double:
        double.workspace("T1")
        double.apply_manifest(manifest())
        yield double


async def examine(slack: SlackDouble, folder: Path, **more: Any) -> dict[str, Finding]:
    settings = settings_for(slack, "postgresql://nobody", "redis://nowhere", folder, **more)
    return {finding.what: finding async for finding in slack_live(settings)}


async def test_what_is_good_is_said(slack: SlackDouble, tmp_path: Path) -> None:
    found = await examine(slack, tmp_path)
    assert {what: one.level for what, one in found.items()} == {
        "Slack": Level.GOOD,
        "Slack's bot token": Level.GOOD,
        "Slack's scopes": Level.GOOD,
        "Slack's socket": Level.GOOD,
        "Slack's events": Level.NOTE,
    }
    assert found["Slack's bot token"].said == "threadwork in T1"
    assert found["Slack's socket"].said == "opens"


async def test_scopes_that_are_missing_or_spare_are_named(slack: SlackDouble, tmp_path: Path) -> None:
    scopes = slack.workspace("T1").team.scopes
    scopes.add("team:read")
    found = (await examine(slack, tmp_path))["Slack's scopes"]
    assert (found.level, "team:read for nothing" in found.said) == (Level.NOTE, True)
    scopes -= {"users:read", "files:read"}
    found = (await examine(slack, tmp_path))["Slack's scopes"]
    assert (found.level, found.said) == (Level.BAD, "files:read, users:read missing")
    assert set(SCOPES) >= {"users:read", "files:read"}


async def test_tokens_that_slack_refuses_are_named_and_the_rest_is_asked(slack: SlackDouble, tmp_path: Path) -> None:
    slack.allow("invalid_auth", "not_allowed_token_type")
    found = await examine(slack, tmp_path, slack_bot_token="xoxb-wrong", slack_app_token="xapp-wrong")
    assert found["Slack's bot token"].level is Level.BAD
    assert "SLACK_BOT_TOKEN" in found["Slack's bot token"].mend
    assert found["Slack's socket"].level is Level.BAD
    assert "SLACK_APP_TOKEN" in found["Slack's socket"].said
    assert "xoxb-wrong" not in str(found)


async def test_a_slack_that_does_not_answer_is_said(slack: SlackDouble, tmp_path: Path) -> None:
    slack.faults.drop("auth.test", times=None)
    slack.refuse_sockets(1)
    found = await examine(slack, tmp_path)
    assert "did not answer" in found["Slack's bot token"].said
    assert "does not open" in found["Slack's socket"].said


async def test_tokens_that_do_not_go_together_are_not_asked_about(slack: SlackDouble, tmp_path: Path) -> None:
    found = await examine(slack, tmp_path, slack_bot_token="xapp-other")
    assert list(found) == ["Slack"]
    assert not slack.requests


async def test_only_slack_can_be_asked() -> None:
    with pytest.raises(Misconfigured, match="doctor slack"):
        await ask("teams")
