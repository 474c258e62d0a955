"""The stage with the admin page on it, and a browser in front."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bots.web.app import open_web
from core.domain.access import Access, Rights
from core.store.sessions import PostgresSessions
from tests.browser.chromium import Window, window
from tests.integration.web_page import settings_for
from tests.stage import Stage
from tests.stage.fixtures import chat, sandbox_host, stage

__all__ = ["chat", "sandbox_host", "stage"]


@dataclass(slots=True)
class Desk:
    """Somebody at the page: a browser, the page's address, and who they are."""

    window: Window
    url: str
    sessions: PostgresSessions

    async def sign_in(self, access: Access = Access.ADMIN) -> None:
        """Follow a sign-in link, as it is printed."""
        word = await self.sessions.offer("Root", Rights(everywhere=access))
        await self.window.open(f"{self.url}/sign-in/{word}")
        await self.window.click("main button")
        await self.window.reads("Chats")


@pytest.fixture
async def desk(stage: Stage, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """A browser before the page of this stage. The test fails if the browser complained of anything."""
    settings = settings_for(database_url, redis_url, tmp_path)
    async with open_web(settings) as url, window() as opened:
        yield Desk(opened, url, PostgresSessions(stage.engine))
        assert await opened.complaints() == []
