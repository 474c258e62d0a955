"""Workers to measure, ours and stock arq's, on one Valkey: each yields how a name is put to work."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from arq.connections import ArqRedis
from arq.worker import Worker, func

from core.bus.connection import open_redis
from core.domain.chat import ChatId
from core.queue import ArqWorkQueue
from worker.queue_worker import QueueWorker

Put = Callable[[str], Awaitable[None]]
Work = Callable[[str], Awaitable[None]]
READ_ALL = 5000


def one_tenant(_name: str) -> str:
    return "T1"


@asynccontextmanager
async def ours(url: str, work: Work, room: int, tenant_of: Callable[[str], str] = one_tenant) -> AsyncIterator[Put]:
    """A worker of ours with room for so many chats. Names are UUIDs."""

    async def work_on(chat_id: ChatId) -> None:
        await work(str(chat_id))

    async def nothing_more(_chat_id: ChatId) -> bool:
        return False

    async def nothing() -> None:
        return

    async def tenants(chat_ids: Sequence[ChatId]) -> Mapping[ChatId, str]:
        return {chat_id: tenant_of(str(chat_id)) for chat_id in chat_ids}

    worker = QueueWorker(
        url, work_on, recheck=nothing_more, sweep=nothing, tenant_of=tenants, max_jobs=room, name=f"room for {room}"
    )
    async with ArqWorkQueue.open(url) as queue, asyncio.TaskGroup() as tasks:

        async def put(name: str) -> None:
            await queue.put(ChatId(UUID(name)))

        running = tasks.create_task(worker.run())
        try:
            yield put
        finally:
            running.cancel()


def a_queue() -> str:
    """A name of its own for a queue of stock arq."""
    return f"stock:{uuid4().hex}"


@asynccontextmanager
async def stock(url: str, work: Work, room: int, queue: str, read_limit: int | None = READ_ALL) -> AsyncIterator[Put]:
    """A worker as arq makes it, but for how much of the queue it reads (None: as it comes)."""

    async def run(_ctx: dict[str, Any], name: str) -> None:
        await work(name)

    async with open_redis(url) as redis, asyncio.TaskGroup() as tasks:
        pool = ArqRedis(pool_or_conn=redis.connection_pool, default_queue_name=queue)
        worker = Worker(
            [func(run, name="run")],  # type: ignore[arg-type]  # any coroutine function will do
            queue_name=queue,
            redis_pool=pool,
            handle_signals=False,
            max_jobs=room,
            keep_result=0,
            queue_read_limit=read_limit,
            log_results=False,
        )

        async def put(name: str) -> None:
            await pool.enqueue_job("run", name, _job_id=f"{queue}:{name}")

        running = tasks.create_task(worker.async_run())
        try:
            yield put
        finally:
            running.cancel()
            jobs = [*worker.job_tasks.values(), *worker.tasks.values()]
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
