"""Put to work → started while 100 chats run already: ours beside stock arq, on one Valkey in one run."""

import asyncio
import random
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from redis.asyncio import Redis

from bench.queues import READ_ALL, Put, a_queue, ours, stock
from bench.report import Row, p
from core.bus.connection import open_redis
from threadwork.embedded.valkey import embedded_valkey

RUNNING = 100
ROOM = 24
TIMES = 60
STOCK_TIMES = 30
NEVER_S = 8.0
QUIET_S = 5.0


@dataclass(slots=True)
class Starts:
    """Who was started when; those of the crowd stay at work for good, a latecomer is done at once."""

    at: dict[str, asyncio.Future[float]] = field(default_factory=dict)
    crowd: set[str] = field(default_factory=set)

    def expect(self, name: str, *, stays: bool = False) -> "asyncio.Future[float]":
        if stays:
            self.crowd.add(name)
        self.at[name] = asyncio.get_running_loop().create_future()
        return self.at[name]

    async def work(self, name: str) -> None:
        if not self.at[name].done():
            self.at[name].set_result(time.monotonic())
        if name in self.crowd:
            await asyncio.Event().wait()


async def _fill(starts: Starts, put: Put) -> None:
    crowd = {name: starts.expect(name, stays=True) for name in (str(uuid4()) for _ in range(RUNNING))}
    for name in crowd:
        await put(name)
    async with asyncio.timeout(120):
        await asyncio.gather(*crowd.values())


async def _latency(starts: Starts, put: Put, times: int) -> list[float]:
    """Milliseconds from put to start, at moments that have nothing to do with anybody's poll."""
    taken = []
    for _ in range(times):
        await asyncio.sleep(random.uniform(0.05, 0.55))
        name = str(uuid4())
        started = starts.expect(name)
        at = time.monotonic()
        await put(name)
        async with asyncio.timeout(60):
            taken.append((await started - at) * 1000)
    return taken


async def _is_ever_started(starts: Starts, put: Put) -> bool:
    name = str(uuid4())
    started = starts.expect(name)
    await put(name)
    await asyncio.wait([started], timeout=NEVER_S)
    return started.done()


async def _commands_a_second(redis: Redis) -> float:
    before, at = (await redis.info("stats"))["total_commands_processed"], time.monotonic()
    await asyncio.sleep(QUIET_S)
    after = (await redis.info("stats"))["total_commands_processed"]
    return float(after - before) / (time.monotonic() - at)


async def _of_ours(url: str, redis: Redis) -> tuple[list[float], float]:
    """Two workers of ours: the crowd fills one, the other has room."""
    starts = Starts()
    async with ours(url, starts.work, RUNNING) as put:
        await _fill(starts, put)
        async with ours(url, starts.work, ROOM):
            await _latency(starts, put, 3)  # what is loaded once is loaded now
            return await _latency(starts, put, TIMES), await _commands_a_second(redis)


async def _of_stock(url: str, redis: Redis) -> tuple[list[float], float]:
    starts, queue = Starts(), a_queue()
    async with stock(url, starts.work, RUNNING, queue) as put:
        await _fill(starts, put)
        async with stock(url, starts.work, ROOM, queue):
            return await _latency(starts, put, STOCK_TIMES), await _commands_a_second(redis)


async def _of_stock_as_it_comes(url: str) -> bool:
    starts, queue = Starts(), a_queue()
    async with stock(url, starts.work, RUNNING, queue, READ_ALL) as put:
        await _fill(starts, put)
        async with stock(url, starts.work, ROOM, queue, None):
            return await _is_ever_started(starts, put)


async def measure() -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="twb"))
    try:
        async with embedded_valkey(folder) as url, open_redis(url) as redis:
            mine, my_commands = await _of_ours(url, redis)
            theirs, their_commands = await _of_stock(url, redis)
            is_started = await _of_stock_as_it_comes(url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    beside = f"{RUNNING} chats running; {TIMES} puts, {STOCK_TIMES} to stock arq"
    never = "started" if is_started else "not started: it reads the head of the queue only, which is at work"
    return [
        Row("put → start, median", p(mine, 50), "ms", 15, f"{beside}; the longest {max(mine):.0f} ms"),
        Row("put → start, p95", p(mine, 95), "ms", 50),
        Row("stock arq that reads the whole queue, median", p(theirs, 50), "ms", None, f"p95 {p(theirs, 95):.0f} ms"),
        Row("of stock arq's median", p(mine, 50) / p(theirs, 50), "×", 0.25),
        Row(f"stock arq as it comes, started in {NEVER_S:.0f} s", float(is_started), "of 1", None, never),
        Row("commands a second meanwhile, nothing to do", my_commands, "/s", None, f"stock arq {their_commands:.0f}"),
    ]
