"""A model's delta on its way: folded by the worker, read from the bus, and the same CLI on a plain pipe beside it.

Both are asked for a word first: ten CLIs that start are two busy cores for seconds, and what they do to each other's
first deltas says nothing about the way.
"""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.report import STAMP, Row, p
from bench.stage import Clock, clock, pipe, stage
from core.bus.connection import open_redis
from core.bus.events import RedisEventBus
from core.domain.chat import ChatSettings, Mode, Place, Platform
from core.domain.events import TextStreamed, TurnFinished
from core.ports import Cursor, Published
from tests.faults.drive import People
from tests.faults.platforms.console import ANN

# By turns, so that what else the machine does falls on both.
ROUNDS = 3
DELTAS = 100


async def measure() -> list[Row]:
    rows = []
    async with clock() as model, stage(model.url) as (stack, crowd), open_redis(stack.valkey.url) as redis:
        notes = stack.data_dir / "notes"
        chats = _Chats(crowd, RedisEventBus(redis))
        for count in (1, 10):
            plain: list[float] = []
            read: list[float] = []
            folded: list[float] = []
            for number in range(ROUNDS):
                plain += await _pipes(model, count)
                chats.name = f"{count}-{number}"
                model.deltas = 1
                await chats.ask(count)
                before = len(notes.read_text().split())
                model.deltas = DELTAS
                read += await chats.ask(count)
                folded += [float(word) for word in notes.read_text().split()[before:]]
            words = ("pipe", plain), ("folded", folded), ("read from the bus", read)
            note = "; ".join(f"{word} p50 {p(late, 50):.1f} ms, p99 {p(late, 99):.0f}" for word, late in words)
            rows.append(
                Row(f"delta → folded, {count} chat(s), times a pipe's p50", p(folded, 50) / p(plain, 50), "×", 2, note)
            )
    return rows


async def _pipes(model: Clock, count: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            asks = [await stack.enter_async_context(pipe(model.url, Path(folder) / str(n))) for n in range(count)]
            model.deltas = 1
            await asyncio.gather(*(ask() for ask in asks))
            model.deltas = DELTAS
            return [one for turn in await asyncio.gather(*(ask() for ask in asks)) for one in turn]


@dataclass(slots=True)
class _Chats:
    """Chats that are asked all at once. Those of one `name` are the same ones, and their agents still run."""

    crowd: People
    bus: RedisEventBus
    name: str = ""
    _asked: int = 0
    _read_to: dict[Place, Cursor] = field(default_factory=dict)

    async def ask(self, count: int) -> list[float]:
        """How late each delta was read from the bus, in ms, once all turns are over."""
        async with asyncio.timeout(150), asyncio.TaskGroup() as tasks:
            turns = [tasks.create_task(self._turn(number)) for number in range(count)]
        return [one for turn in turns for one in turn.result()]

    async def _turn(self, number: int) -> list[float]:
        place = Place(Platform.CONSOLE, "local", "", f"path-{self.name}-{number}")
        mode = ChatSettings(mode=Mode.BYPASS)
        self._asked += 1
        accepted = await self.crowd.intake.accept(place, ANN, f"m{self._asked}", "What time is it?", settings=mode)
        late: list[float] = []
        async for item in self.bus.subscribe(accepted.chat.id, self._read_to.get(place, Cursor(""))):
            now = time.time()
            assert isinstance(item, Published), "the bus forgot what it was just told"
            self._read_to[place] = item.cursor
            if isinstance(item.event, TextStreamed):
                late += [(now - float(stamp)) * 1000 for stamp in STAMP.findall(item.event.text)]
            if isinstance(item.event, TurnFinished):
                break
        return late
