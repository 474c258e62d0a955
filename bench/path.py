"""A model's delta on its way: folded by the worker, read from the bus, and the same CLI on a plain pipe beside it."""

import asyncio
import tempfile
from pathlib import Path

from bench.report import Row, p
from bench.stage import clock, heard, piped, stage
from core.bus.connection import open_redis
from core.bus.events import RedisEventBus
from core.domain.chat import ChatSettings, Mode, Place, Platform
from core.ports import Cursor
from tests.faults.drive import People
from tests.faults.platforms.console import ANN

# By turns, so that what else the machine does falls on both.
ROUNDS = 3


async def _chats(crowd: People, redis_url: str, name: str, count: int) -> list[float]:
    async with open_redis(redis_url) as redis:
        bus = RedisEventBus(redis)
        turns = []
        for number in range(count):
            place = Place(Platform.CONSOLE, "local", "", f"path-{name}-{number}")
            mode = ChatSettings(mode=Mode.BYPASS)
            accepted = await crowd.intake.accept(place, ANN, f"{name}-{number}", "What time is it?", settings=mode)
            turns.append(asyncio.create_task(heard(bus.subscribe(accepted.chat.id, Cursor("")))))
        async with asyncio.timeout(150):
            late = await asyncio.gather(*turns)
    return [one for turn in late for one in turn]


async def measure() -> list[Row]:
    rows = []
    async with clock() as model, stage(model.url) as (stack, crowd):
        notes = stack.data_dir / "notes"
        await _chats(crowd, stack.valkey.url, "warm-up", 2)  # what is loaded once is loaded now
        for count in (1, 10):
            plain: list[float] = []
            read: list[float] = []
            folded: list[float] = []
            for number in range(ROUNDS):
                with tempfile.TemporaryDirectory() as folder:
                    for pipe in await asyncio.gather(*(piped(model.url, Path(folder) / str(n)) for n in range(count))):
                        plain += pipe
                before = len(notes.read_text().split())
                read += await _chats(crowd, stack.valkey.url, f"{count}-{number}", count)
                folded += [float(word) for word in notes.read_text().split()[before:]]
            words = ("pipe", plain), ("folded", folded), ("read from the bus", read)
            note = "; ".join(f"{word} p50 {p(late, 50):.1f} ms, p99 {p(late, 99):.0f}" for word, late in words)
            rows.append(
                Row(f"delta → folded, {count} chat(s), times a pipe's p50", p(folded, 50) / p(plain, 50), "×", 2, note)
            )
    return rows
