"""Many readers of the admin page's streams at once, who come back when they are cut off, and what each of them got."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from core.bus.events import RedisEventBus
from core.domain.events import TextWritten
from tests.integration.web_page import Page, Scene

# A browser waits this long before it comes again, as the stream tells it to.
AGAIN_S = 1.0


@dataclass(slots=True)
class Reader:
    """One open page. `got`: the numbers of the stored events that came, in order; `late_ms`: how late each was."""

    url: str
    mark: str = ""
    got: list[int] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    missed: int = 0
    cuts: int = 0

    async def read(self, session: aiohttp.ClientSession) -> None:
        """Read for ever, coming back with the last id as browsers do."""
        while True:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.mark} if self.mark else {})
            with suppress(aiohttp.ClientError, ConnectionError):
                async with session.get(self.url, headers=headers) as answer:
                    if answer.status == 200:
                        await self._take(answer.content)
            self.cuts += 1
            await asyncio.sleep(AGAIN_S)

    async def _take(self, content: aiohttp.StreamReader) -> None:
        kind = ""
        async for raw in content:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            if name == "id":
                self.mark = value
            elif name == "event":
                kind = value
            elif name == "data" and kind == "missed":
                self.missed += 1
            elif name == "data" and kind == "text_written":
                told = json.loads(value)
                self.got.append(told["seq"])
                self.late_ms.append((time.time() - float(told["event"]["text"])) * 1000)


@dataclass(slots=True)
class Crowd:
    """Readers, by the chat they read, and what was told in each chat."""

    readers: Mapping[str, Sequence[Reader]]
    scenes: Mapping[str, Scene]
    told: dict[str, int]

    @property
    def all(self) -> list[Reader]:
        return [reader for readers in self.readers.values() for reader in readers]

    async def tell(self, page: Page, bus: RedisEventBus) -> None:
        """One more event in every chat, stored and published, as a worker does."""
        for chat, scene in self.scenes.items():
            self.told[chat] += 1
            event = TextWritten(f"{time.time():.6f}")
            await page.does(scene, self.told[chat], event)
            await bus.publish(scene.chat.id, scene.turn.id, [(self.told[chat], event)])

    async def until_reading(self) -> None:
        """Wait until every reader knows where it stands."""
        async with asyncio.timeout(120):
            while not all(reader.mark for reader in self.all):
                await asyncio.sleep(0.05)

    async def until_told(self) -> None:
        """Wait until every reader has got the last event of its chat."""
        async with asyncio.timeout(120):
            while not all(
                reader.got[-1:] == [self.told[chat]] for chat, readers in self.readers.items() for reader in readers
            ):
                await asyncio.sleep(0.05)

    def wrong(self) -> list[Reader]:
        """Readers who did not get every event once and in order."""
        return [
            reader
            for chat, readers in self.readers.items()
            for reader in readers
            if reader.got != list(range(2, self.told[chat] + 1))
        ]


@asynccontextmanager
async def crowd(page: Page, chats: int, readers: int) -> AsyncIterator[Crowd]:
    """`readers` open pages, spread over so many chats whose turns run."""
    scenes = {}
    for number in range(chats):
        scene = await page.runs(thread=f"{number}.1")
        scenes[str(scene.chat.id)] = scene
    open_: dict[str, list[Reader]] = {chat: [] for chat in scenes}
    for number in range(readers):
        chat = list(scenes)[number % chats]
        open_[chat].append(Reader(f"{page.url}/chats/{chat}/events"))
    # Their first event was stored when the turn began.
    found = Crowd(open_, scenes, dict.fromkeys(scenes, 1))
    async with page.visitor() as admin:
        jar = aiohttp.CookieJar(unsafe=True)
        jar.update_cookies({"threadwork": admin.cookie}, URL(page.url))
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            cookie_jar=jar, connector=aiohttp.TCPConnector(limit=0), timeout=timeout
        ) as session:
            tasks = [asyncio.create_task(reader.read(session)) for reader in found.all]
            try:
                await found.until_reading()
                yield found
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
