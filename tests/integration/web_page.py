"""The admin page on real servers, and a browser without a screen to visit it with."""

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from yarl import URL

from bots.web.app import open_web
from core.domain.access import Access, Rights
from core.domain.approval import Approval, ApprovalKind
from core.domain.chat import AgentSeat, Author, Chat, Place, Platform
from core.domain.events import RunEvent
from core.domain.turn import Turn
from core.ports import Asked, Fence, Stores
from core.settings import Settings
from core.store.engine import open_engine
from core.store.sessions import PostgresSessions
from core.store.stores import stores_on


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def words(self) -> str:
        """What it says, as its reader sees it, roughly."""
        return unescape(self.text)


class Browser:
    """Somebody's browser: it keeps cookies, and says where its requests come from, as browsers do."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def get(self, path: str, **headers: str) -> Seen:
        sent = {"Accept": "text/html,*/*;q=0.8", **headers}
        async with self.session.get(self.url + path, headers=sent, allow_redirects=False) as answer:
            return Seen(answer.status, answer.headers, await answer.text())

    async def post(self, path: str, form: Mapping[str, Any] | None = None, **headers: str) -> Seen:
        """Send a form of our page; `headers` say otherwise."""
        sent = {"Origin": self.url, "Sec-Fetch-Site": "same-origin", **headers}
        async with self.session.post(self.url + path, data=form or {}, headers=sent, allow_redirects=False) as answer:
            return Seen(answer.status, answer.headers, await answer.text())

    @property
    def cookie(self) -> str:
        """The session's cookie that it carries now."""
        found = self.session.cookie_jar.filter_cookies(URL(self.url)).get("threadwork")
        return found.value if found else ""

    def carry(self, cookie: str) -> None:
        self.session.cookie_jar.update_cookies({"threadwork": cookie}, URL(self.url))


@dataclass(frozen=True, slots=True)
class Scene:
    """A chat with a turn that runs."""

    chat: Chat
    fence: Fence
    turn: Turn


@dataclass(slots=True)
class Page:
    """The page, with what is behind it."""

    url: str
    engine: AsyncEngine
    stores: Stores
    settings: Settings

    @property
    def sessions(self) -> PostgresSessions:
        return PostgresSessions(self.engine)

    async def runs(self, said: str = "do it", *, tenant: str = "T1", thread: str = "1.1", name: str = "Ann") -> Scene:
        """A chat in Slack whose turn runs."""
        place, author = Place(Platform.SLACK, tenant, "C1", thread), Author("U1", name)
        accepted = await self.stores.messages.accept(place, author, f"{thread}0", said)
        took = await self.stores.chats.take(accepted.chat.id, "w1", 300)
        assert took is not None
        turn = await self.stores.turns.begin(took[1], [accepted.message.id])
        return Scene(accepted.chat, took[1], turn)

    async def does(self, scene: Scene, first_seq: int, *events: RunEvent) -> None:
        await self.stores.turns.record(scene.fence, scene.turn.id, first_seq, events, AgentSeat())

    async def asks(self, scene: Scene, seq: int = 2, **more: Any) -> Approval:
        given = {"command": "rm -rf build", **more.pop("input", {})}
        fields = {"kind": ApprovalKind.TOOL, "tool": "Bash", "input": given, "line": "Runs `rm -rf build`", **more}
        asked = Asked(scene.turn.id, f"tu{seq}", **fields)
        return (await self.stores.approvals.ask(scene.fence, asked, seq))[0]

    async def audit(self) -> list[tuple[str, str]]:
        async with self.engine.connect() as connection:
            rows = await connection.execute(text("SELECT actor, action FROM audit ORDER BY id"))
            return [(row.actor, row.action) for row in rows]

    async def link(self, rights: Rights | None = None, name: str = "Root") -> str:
        word = await self.sessions.offer(name, rights or Rights(everywhere=Access.ADMIN))
        return f"/sign-in/{word}"

    @asynccontextmanager
    async def stranger(self) -> AsyncIterator[Browser]:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(60)) as session:
            yield Browser(self.url, session)

    @asynccontextmanager
    async def visitor(self, rights: Rights | None = None, name: str = "Root") -> AsyncIterator[Browser]:
        """Somebody who signed in; as an admin of everything, if nothing else is said."""
        async with self.stranger() as browser:
            answer = await browser.post(await self.link(rights, name))
            assert answer.status == 303, answer.text
            yield browser


def settings_for(database_url: str, redis_url: str, data_dir: Path, **more: Any) -> Settings:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return Settings(
        **{
            "_env_file": None,
            "database_url": database_url,
            "redis_url": redis_url,
            "threadwork_data_dir": data_dir,
            "threadwork_web_port": port,
            **more,
        }
    )


@asynccontextmanager
async def open_page(settings: Settings) -> AsyncIterator[Page]:
    assert settings.database_url is not None
    async with open_web(settings) as url, open_engine(settings.database_url) as engine:
        yield Page(url, engine, stores_on(engine), settings)
