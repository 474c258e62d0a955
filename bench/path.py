"""A model's delta on its way: to an event on the bus, beside the same CLI on a plain pipe, in one run."""

import asyncio
import tempfile
from pathlib import Path

from bench.report import Row, p
from bench.stage import clock, heard, piped, stage
from core.bus.connection import open_redis
from core.bus.events import RedisEventBus
from core.domain.chat import ChatSettings, Mode, Place, Platform
from core.ports import Cursor
from tests.faults.drive import ANN, People


async def _chats(crowd: People, redis_url: str, count: int) -> list[float]:
    async with open_redis(redis_url) as redis:
        bus = RedisEventBus(redis)
        turns = []
        for number in range(count):
            place = Place(Platform.CONSOLE, "local", "", f"path-{count}-{number}")
            mode = ChatSettings(mode=Mode.BYPASS)
            accepted = await crowd.intake.accept(place, ANN, f"{count}-{number}", "What time is it?", settings=mode)
            turns.append(asyncio.create_task(heard(bus.subscribe(accepted.chat.id, Cursor("")))))
        async with asyncio.timeout(150):
            late = await asyncio.gather(*turns)
    return [one for turn in late for one in turn]


async def measure() -> list[Row]:
    rows = []
    async with clock() as model, stage(model.url) as (stack, crowd):
        await _chats(crowd, stack.valkey.url, 2)  # what is loaded once is loaded now
        for count in (1, 10):
            with tempfile.TemporaryDirectory() as folder:
                pipes = await asyncio.gather(*(piped(model.url, Path(folder) / str(n)) for n in range(count)))
            plain = [one for pipe in pipes for one in pipe]
            ours = await _chats(crowd, stack.valkey.url, count)
            note = (
                f"p50 {p(ours, 50):.1f} ms, p99 {p(ours, 99):.0f}; pipe {p(plain, 50):.1f} ms, p99 {p(plain, 99):.0f}"
            )
            rows.append(
                Row(f"delta → event, {count} chat(s), times a pipe's p50", p(ours, 50) / p(plain, 50), "×", 2, note)
            )
    return rows
