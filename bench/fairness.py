"""One tenant's 50 chats, then another's first: when does that start? Ours beside stock arq, on one Valkey."""

import asyncio
import random
import shutil
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from bench.queues import Put, a_queue, ours, stock
from bench.report import Row, p
from threadwork.embedded.valkey import embedded_valkey

CROWD = 50
ROOM = 5
EACH_S = 0.2
TIMES = 7


class Office:
    """Work that takes `EACH_S` a chat, more or less, so that rooms do not end together; and when each was started."""

    def __init__(self) -> None:
        self.started: dict[str, float] = {}
        self.late: set[str] = set()
        self.news = asyncio.Condition()

    async def work(self, name: str) -> None:
        async with self.news:
            self.started[name] = time.monotonic()
            self.news.notify_all()
        await asyncio.sleep(EACH_S * random.uniform(0.5, 1.5))

    def tenant_of(self, name: str) -> str:
        return "T2" if name in self.late else "T1"

    async def wait_s(self, put: Put) -> float:
        """Seconds until the second tenant's first chat starts, put when the crowd's first ones are at work."""
        crowd = [str(uuid4()) for _ in range(CROWD)]
        for name in crowd:
            await put(name)
        async with self.news:
            await self.news.wait_for(lambda: len(self.started.keys() & set(crowd)) >= ROOM)
        latecomer = str(uuid4())
        self.late.add(latecomer)
        at = time.monotonic()
        await put(latecomer)
        async with asyncio.timeout(60), self.news:
            await self.news.wait_for(lambda: latecomer in self.started)
            await self.news.wait_for(lambda: self.started.keys() >= set(crowd))
        return self.started[latecomer] - at


async def measure() -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="twb"))
    mine, theirs = [], []
    try:
        async with embedded_valkey(folder) as url:
            office = Office()
            async with ours(url, office.work, ROOM, office.tenant_of) as put:
                mine = [await office.wait_s(put) for _ in range(TIMES)]
            office = Office()
            async with stock(url, office.work, ROOM, a_queue()) as put:
                theirs = [await office.wait_s(put) for _ in range(TIMES)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    note = f"room for {ROOM}, {EACH_S:g} s a chat; stock arq {p(theirs, 50):.2f} s: behind all {CROWD}"
    return [
        Row(
            "another tenant's first chat waits, of the time a chat takes, median", p(mine, 50) / EACH_S, "×", 1.5, note
        ),
        Row("of stock arq's wait", p(mine, 50) / p(theirs, 50), "×", 0.25),
    ]
