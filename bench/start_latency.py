"""Put to work → started while 100 chats run already: ours beside stock arq, on one Valkey in one run."""

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from arq.connections import ArqRedis
from arq.worker import Worker, func
from redis.asyncio import Redis

from bench.report import Row, p
from core.bus.connection import open_redis
from core.domain.chat import ChatId
from core.queue import ArqWorkQueue
from threadwork.embedded.valkey import embedded_valkey
from worker.queue_worker import QueueWorker

RUNNING = 100
TIMES = 60
STOCK_TIMES = 30
NEVER_S = 8.0
QUIET_S = 5.0
READ_ALL = 5000


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


Put = Callable[[str], Awaitable[None]]


@asynccontextmanager
async def _ours(url: str, starts: Starts) -> AsyncIterator[Put]:
    """Two workers of ours: the crowd fills one, the other has room."""

    async def work(chat_id: ChatId) -> None:
        await starts.work(str(chat_id))

    async def nothing_more(_chat_id: ChatId) -> bool:
        return False

    async def nothing() -> None:
        return

    async def one_tenant(chat_ids: Sequence[ChatId]) -> Mapping[ChatId, str]:
        return dict.fromkeys(chat_ids, "T1")

    def worker(name: str, room: int) -> QueueWorker:
        return QueueWorker(
            url, work, recheck=nothing_more, sweep=nothing, tenant_of=one_tenant, max_jobs=room, name=name
        )

    async with ArqWorkQueue.open(url) as queue, asyncio.TaskGroup() as tasks:

        async def put(name: str) -> None:
            await queue.put(ChatId(UUID(name)))

        full = tasks.create_task(worker("full", RUNNING).run())
        await _fill(starts, put)
        idle = tasks.create_task(worker("idle", 24).run())
        try:
            yield put
        finally:
            full.cancel()
            idle.cancel()


@asynccontextmanager
async def _stock(url: str, starts: Starts, read_limit: int | None) -> AsyncIterator[Put]:
    """Two workers of arq as it comes, but for how much of the queue they read."""
    queue_name = f"stock:{uuid4().hex}"

    async def run(_ctx: dict[str, Any], name: str) -> None:
        await starts.work(name)

    async with open_redis(url) as redis, asyncio.TaskGroup() as tasks:
        pool = ArqRedis(pool_or_conn=redis.connection_pool, default_queue_name=queue_name)

        def worker(room: int) -> Worker:
            return Worker(
                [func(run, name="run")],  # type: ignore[arg-type]  # any coroutine function will do
                queue_name=queue_name,
                redis_pool=pool,
                handle_signals=False,
                max_jobs=room,
                keep_result=0,
                queue_read_limit=read_limit,
                log_results=False,
            )

        async def put(name: str) -> None:
            await pool.enqueue_job("run", name, _job_id=f"{queue_name}:{name}")

        workers = [worker(RUNNING)]
        loops = [tasks.create_task(workers[0].async_run())]
        try:
            await _fill(starts, put)
            workers.append(worker(24))
            loops.append(tasks.create_task(workers[1].async_run()))
            yield put
        finally:
            for loop in loops:
                loop.cancel()
            jobs = [job for one in workers for job in (*one.job_tasks.values(), *one.tasks.values())]
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)


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


async def measure() -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="twb"))
    try:
        async with embedded_valkey(folder) as url, open_redis(url) as redis:
            starts = Starts()
            async with _ours(url, starts) as put:
                await _latency(starts, put, 3)  # what is loaded once is loaded now
                ours = await _latency(starts, put, TIMES)
                our_commands = await _commands_a_second(redis)
            starts = Starts()
            async with _stock(url, starts, READ_ALL) as put:
                stock = await _latency(starts, put, STOCK_TIMES)
                stock_commands = await _commands_a_second(redis)
            starts = Starts()
            async with _stock(url, starts, None) as put:
                is_started = await _is_ever_started(starts, put)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    beside = f"{RUNNING} chats running; {TIMES} puts, {STOCK_TIMES} to stock arq"
    never = "started" if is_started else "not started: it reads the head of the queue only, which is at work"
    return [
        Row("put → start, median", p(ours, 50), "ms", 15, f"{beside}; the longest {max(ours):.0f} ms"),
        Row("put → start, p95", p(ours, 95), "ms", 50),
        Row("stock arq that reads the whole queue, median", p(stock, 50), "ms", None, f"p95 {p(stock, 95):.0f} ms"),
        Row("of stock arq's median", p(ours, 50) / p(stock, 50), "×", 0.25),
        Row(f"stock arq as it comes, started in {NEVER_S:.0f} s", float(is_started), "of 1", None, never),
        Row("commands a second meanwhile, nothing to do", our_commands, "/s", None, f"stock arq {stock_commands:.0f}"),
    ]
