"""Signing in with Slack: what is Slack's own."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.crypto import encode_secret
from core.ports import Installation
from core.store.installations import PostgresInstallations
from tests.integration.town import Town, open_town

SECRET = b"s" * 32


@pytest.fixture
async def town(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with open_town(database_url, redis_url, tmp_path, threadwork_web_viewers=True) as opened:
        yield opened


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "9999.8888"},
        {"aud": ["1111.2222", "9999.8888"]},
        {"exp": time.time() - 3600},
        {"exp": "never"},
        {"nonce": "of another try"},
        {"sub": "U000"},
        {"sub": None},
    ],
)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(town: Town, claims: dict[str, Any]) -> None:
    town.slack.world.sign_ins.claims = claims
    async with town.page.stranger() as browser:
        answer = await town.signs_in(browser, "slack", town.person("slack", "ann"))
        assert answer.status == 403
        assert "Sign in again" in answer.words
        assert browser.cookie == ""


async def test_a_code_that_is_older_than_ten_minutes_is_refused(town: Town) -> None:
    town.person("slack", "ann").sits_at_the_browser()
    async with town.page.stranger() as browser:
        back = await town.begins(browser, "slack")
        town.slack.advance(601)
        answer = await town.returns(browser, back)
    assert (answer.status, "took too long" in answer.words) == (400, True)


async def test_a_guest_is_refused_even_where_all_may_look(town: Town) -> None:
    async with town.page.stranger() as browser:
        guest = town.slack.workspace("T1").person("gus", guest=True)
        answer = await town.signs_in(browser, "slack", guest)
    assert (answer.status, "Guests" in answer.words) == (403, True)


async def test_an_admin_of_a_workspace_the_token_is_not_for_is_refused(town: Town) -> None:
    # T2 has chats here, but nothing says who is who in it.
    async with town.page.stranger() as browser:
        answer = await town.signs_in(browser, "slack", town.slack.workspace("T2").person("ann", admin=True))
    assert (answer.status, "not installed" in answer.words) == (403, True)


async def test_workspaces_that_installed_the_app_vouch_for_their_own(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    more = {"slack_bot_token": None, "threadwork_secret_key": encode_secret(SECRET)}
    async with open_town(database_url, redis_url, tmp_path, **more) as town:
        installations = PostgresInstallations(town.page.engine, SECRET)
        await installations.save(Installation("T2", town.slack.workspace("T2").token, None, None))
        async with town.page.stranger() as browser:
            ann = town.slack.workspace("T2").person("ann", admin=True)
            assert (await town.signs_in(browser, "slack", ann)).status == 303
            home = (await browser.get("/")).words
            assert "a secret of another workspace" in home
            assert "a job in Slack" not in home
        async with town.page.stranger() as browser:
            answer = await town.signs_in(browser, "slack", town.person("slack", "ann"))
            assert (answer.status, "not installed" in answer.words) == (403, True)
        await installations.save(Installation("T3", town.slack.workspace("T3").token, None, None))
        async with town.page.stranger() as browser:
            # Installed, and no chat yet.
            zoe = town.slack.workspace("T3").person("zoe", admin=True)
            assert (await town.signs_in(browser, "slack", zoe)).status == 303


async def test_a_token_that_slack_took_back_is_told_apart_from_a_stranger(town: Town) -> None:
    town.slack.faults.fail("users.info", "token_revoked")
    async with town.page.stranger() as browser:
        answer = await town.signs_in(browser, "slack", town.person("slack", "ann"))
    assert (answer.status, "install the app again" in answer.words) == (503, True)
