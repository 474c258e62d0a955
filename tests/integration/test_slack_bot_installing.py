"""Installing the app in several workspaces: the pages, the tokens, and what goes when it is taken out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from bots.slack.app import open_slack
from bots.slack.manifest import SCOPES
from core.crypto import encode_secret
from core.domain.chat import Place, Platform
from core.ports import Installation, Stores
from core.store.engine import open_engine
from core.store.installations import PostgresInstallations
from core.store.stores import stores_on
from tests.doubles.slack import Message, Person, SlackDouble
from tests.integration.slack_bot import free_port, settings_for
from worker.app import open_worker

SECRET = b"s" * 32


@dataclass(frozen=True, slots=True)
class Office:
    """The bot with no workspace yet, and its pages."""

    slack: SlackDouble
    stores: Stores
    installations: PostgresInstallations
    browser: aiohttp.ClientSession
    url: str

    async def authorize_url(self) -> str:
        """Where the button of the install page leads; the browser keeps the page's cookie."""
        async with self.browser.get(f"{self.url}/slack/install") as page:
            assert page.status == 200
            cookie = page.headers["Set-Cookie"]
            assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=Lax"))
            self.browser.headers["Cookie"] = cookie.partition(";")[0]
            return unescape((await page.text()).partition('href="')[2].partition('"')[0])

    async def comes_back(self, back: str) -> tuple[int, str]:
        async with self.browser.get(f"{self.url}/slack/oauth_redirect?{urlsplit(back).query}") as page:
            return page.status, await page.text()

    async def install(self, person: Person) -> None:
        status, text = await self.comes_back(await person.installs(await self.authorize_url()))
        assert (status, "Installed" in text) == (200, True), text

    async def texts(self, asked: Message, team: str) -> list[str]:
        chat = await self.stores.chats.by_key(Place(Platform.SLACK, team, asked.channel, asked.ts).key)
        return [one.text for one in await self.stores.messages.recent(chat.id)] if chat else []


@pytest.fixture
async def office(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    port = free_port()
    async with SlackDouble() as slack:
        for team in ("T1", "T2"):
            slack.workspace(team, is_installed=False)
        settings = settings_for(
            slack,
            database_url,
            redis_url,
            tmp_path,
            slack_bot_token=None,
            slack_client_id=slack.options.client_id,
            slack_client_secret=slack.options.client_secret,
            slack_port=port,
            threadwork_secret_key=encode_secret(SECRET),
        )
        async with (
            open_engine(database_url) as engine,
            open_slack(settings),
            open_worker(settings),
            aiohttp.ClientSession() as browser,
        ):
            await slack.connected(within=60)
            installations = PostgresInstallations(engine, SECRET)
            yield Office(slack, stores_on(engine), installations, browser, f"http://127.0.0.1:{port}")


async def test_two_workspaces_install_it_and_each_has_its_own_chats(office: Office) -> None:
    for team in ("T1", "T2"):
        await office.install(office.slack.workspace(team).person("ann"))
    for team in ("T1", "T2"):
        workspace = office.slack.workspace(team)
        asked = await workspace.person("ann").mentions(workspace.find("general"), f"hello from {team}")
        await office.slack.until(lambda asked=asked: "eyes" in asked.reactions, within=60)  # type: ignore[misc]
        assert await office.texts(asked, team) == [f"hello from {team}"]
        calls = [call for call in office.slack.calls("reactions.add") if call.team == team]
        assert len(calls) == 1
    await office.slack.settled(within=60)


async def test_the_button_asks_for_the_scopes_of_the_manifest(office: Office) -> None:
    url = await office.authorize_url()
    assert url.startswith("https://slack.com/oauth/v2/authorize?")
    assert parse_qs(urlsplit(url).query)["scope"] == [",".join(SCOPES)]


async def test_an_installation_that_another_browser_began_is_refused(office: Office) -> None:
    office.slack.allow("invalid_code")
    ann = office.slack.workspace("T1").person("ann")
    back = await ann.installs(await office.authorize_url())
    cookie = office.browser.headers.pop("Cookie")
    assert (await office.comes_back(back))[0] == 400
    office.browser.headers["Cookie"] = "threadwork-install=other"
    assert (await office.comes_back(back))[0] == 400
    office.browser.headers["Cookie"] = cookie
    assert (await office.comes_back(back.replace("state=1", "state=2")))[0] == 400
    assert (await office.comes_back(back.replace("code=", "error=access_denied&nocode=")))[0] == 400
    status, text = await office.comes_back(back.replace("code=", "code=x"))
    assert (status, "invalid_code" in text) == (400, True)
    assert await office.installations.find("T1") is None
    assert (await office.comes_back(back))[0] == 200
    assert (await office.comes_back(back))[0] == 400


async def test_a_workspace_that_takes_it_out_is_forgotten_and_may_install_it_again(office: Office) -> None:
    workspace = office.slack.workspace("T1")
    ann = workspace.person("ann")
    await office.install(ann)
    assert await office.installations.find("T1") is not None
    await workspace.uninstalls()
    await office.slack.settled(within=60)
    assert await office.installations.find("T1") is None
    await office.install(ann)
    asked = await ann.mentions("general", "back again")
    await office.slack.until(lambda: "eyes" in asked.reactions, within=60)


async def test_a_token_that_runs_out_is_renewed_before_it_is_used(office: Office) -> None:
    office.slack.options.rotates_tokens = True
    ann = office.slack.workspace("T1").person("ann")
    await office.install(ann)
    first = await office.installations.find("T1")
    assert first is not None
    assert first.expires_at is not None
    assert first.refresh_token
    soon = Installation("T1", "xoxe.xoxb-1-old", first.refresh_token, datetime.now(UTC) + timedelta(minutes=5))
    await office.installations.save(soon)
    asked = await ann.mentions("general", "hello")
    await office.slack.until(lambda: "eyes" in asked.reactions, within=60)
    renewed = await office.installations.find("T1")
    assert renewed is not None
    assert renewed.token not in {first.token, soon.token}
    assert renewed.refresh_token != first.refresh_token


async def test_events_of_a_workspace_that_never_installed_it_are_acknowledged(office: Office) -> None:
    workspace = office.slack.workspace("T2")
    asked = await workspace.person("bob").mentions(workspace.find("general"), "hello?")
    await office.slack.settled(within=60)
    assert not await office.texts(asked, "T2")
