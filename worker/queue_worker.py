"""Our arq worker: starts a chat within milliseconds, notices a dead worker within seconds, and outlives Redis.

Stock arq polls the queue, looks at every running job on every poll, keeps a dead worker's job for its whole time-out,
and exits when Redis does. This one waits on a wake stream, filters what runs elsewhere in one round trip, keeps a short
lease on its jobs by renewing it, and goes on by itself through an outage. arq 0.28 is frozen upstream, so what is
overridden here does not move. A chat whose job failed is put again, never dropped. Next: `run_chat.py`.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import structlog
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix
from arq.worker import Retry, Worker, func

from core.bus.connection import BLOCK_MS, PASSING
from core.domain.chat import ChatId
from core.errors import ThreadworkError, Unavailable
from core.queue import FUNCTION, QUEUE, WAKES, deserialize, open_arq, put, serialize

log = structlog.get_logger(__name__)
POLL_S: Final = 1.0
SCAN: Final = 5000
STOP_S: Final = 2.5
_SWEEP_KEY: Final = "tw:sweeper"
_MANY_TRIES: Final = 1_000_000


class QueueWorker:
    """Works on chats from the queue until cancelled.

    `handler` works on a chat. `recheck` says whether a chat whose job just ended has work again. `sweep` is called
    every `sweep_every_s` by one of the workers. `tenant_of` is asked when more chats wait than fit, so that one tenant
    does not starve another. `lease_s`: how long a dead worker keeps its jobs.
    """

    def __init__(
        self,
        redis_url: str,
        handler: Callable[[ChatId], Awaitable[None]],
        *,
        recheck: Callable[[ChatId], Awaitable[bool]],
        sweep: Callable[[], Awaitable[None]],
        tenant_of: Callable[[Sequence[ChatId]], Awaitable[Mapping[ChatId, str]]],
        max_jobs: int = 24,
        lease_s: float = 8.0,
        sweep_every_s: float = 5.0,
        name: str = "",
    ) -> None:
        self._redis_url = redis_url
        self._handler = handler
        self._recheck = recheck
        self._sweep = sweep
        self._tenant_of = tenant_of
        self._max_jobs = max_jobs
        self._lease_s = lease_s
        self._sweep_every_s = sweep_every_s
        self._name = name
        self._wake = asyncio.Event()
        self._is_stopping = False

    async def run(self) -> None:
        """Work until cancelled; then let go of every chat, so that another worker has it at once."""
        async with open_arq(self._redis_url) as redis:
            worker = _Worker(
                redis,
                work=self._work,
                after=self._after,
                tenant_of=self._tenant_of,
                max_jobs=self._max_jobs,
                lease_s=self._lease_s,
            )
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._poll(worker), name="poll")
                    tasks.create_task(self._renew(worker), name="renew")
                    tasks.create_task(self._listen(redis), name="wakes")
                    tasks.create_task(self._sweep_now_and_then(redis), name="sweep")
            finally:
                self._is_stopping = True
                await self._hand_over(worker, redis)

    # ------------------------------------------------------------ one job

    async def _work(self, ctx: dict[str, Any], chat: str) -> None:
        chat_id = ChatId(UUID(chat))
        try:
            await self._handler(chat_id)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            delay = min(0.5 * 2 ** min(int(ctx["job_try"]), 7), 60.0)
            is_expected = isinstance(error, ThreadworkError)
            log.warning("run_failed", chat=chat, again_in_s=delay, why=str(error), exc_info=not is_expected)
            raise Retry(defer=delay) from error

    async def _after(self, ctx: dict[str, Any]) -> None:
        """Look once more after the job's keys are gone: what came in its last moment would be stranded otherwise."""
        if self._is_stopping:
            return
        chat_id = ChatId(UUID(str(ctx["job_id"]).removeprefix("chat:")))
        try:
            if await self._recheck(chat_id):
                await put(ctx["redis"], chat_id)
        except (*PASSING, Unavailable) as error:
            log.warning("not_looked_again", chat=str(chat_id), why=str(error))

    # ------------------------------------------------------------ loops

    async def _poll(self, worker: "_Worker") -> None:
        while True:
            self._wake.clear()
            try:
                await worker.poll_once()
            except PASSING as error:
                log.warning("queue_unreachable", why=str(error))
                await asyncio.sleep(0.5)
                continue
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _renew(self, worker: "_Worker") -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            try:
                await worker.renew()
            except PASSING as error:
                log.warning("jobs_not_renewed", why=str(error))

    async def _listen(self, redis: ArqRedis) -> None:
        position = "$"
        while True:
            try:
                rows = await redis.xread({WAKES: position}, count=100, block=BLOCK_MS)
            except PASSING:
                await asyncio.sleep(0.3)
                position = "$"
                self._wake.set()
                continue
            if rows:
                position = rows[0][1][-1][0].decode()
                self._wake.set()

    async def _sweep_now_and_then(self, redis: ArqRedis) -> None:
        while True:
            try:
                if await redis.set(_SWEEP_KEY, self._name, nx=True, px=int(self._sweep_every_s * 900)):
                    await self._sweep()
            except (*PASSING, Unavailable) as error:
                log.warning("not_swept", why=str(error))
            except ThreadworkError as error:
                log.warning("sweep_failed", code=error.code, why=str(error))
            await asyncio.sleep(self._sweep_every_s)

    async def _hand_over(self, worker: "_Worker", redis: ArqRedis) -> None:
        """End our jobs; their entries stay in the queue, and a wake has another worker take them at once."""
        worker.allow_pick_jobs = False
        jobs = list(worker.tasks.values())
        for task in list(worker.job_tasks.values()):
            task.cancel()
        if jobs:
            await asyncio.wait(jobs, timeout=STOP_S)
        try:
            async with asyncio.timeout(1):
                await redis.xadd(WAKES, {"c": "handed over"}, maxlen=1000, approximate=True)
        except PASSING:
            pass
        log.info("worker_stopped", handed_over=len(jobs))


class _Worker(Worker):
    """arq's worker with a filtered scan, a short lease and no loop of its own."""

    def __init__(
        self,
        redis: ArqRedis,
        *,
        work: Callable[..., Awaitable[None]],
        after: Callable[[dict[str, Any]], Awaitable[None]],
        tenant_of: Callable[[Sequence[ChatId]], Awaitable[Mapping[ChatId, str]]],
        max_jobs: int,
        lease_s: float,
    ) -> None:
        super().__init__(
            [func(work, name=FUNCTION, keep_result=0, max_tries=_MANY_TRIES)],  # type: ignore[arg-type]  # a method
            queue_name=QUEUE,
            redis_pool=redis,
            handle_signals=False,
            max_jobs=max_jobs,
            job_timeout=30 * 86_400,
            keep_result=0,
            queue_read_limit=SCAN,
            after_job_end=after,  # type: ignore[arg-type]  # any awaitable will do
            job_serializer=serialize,
            job_deserializer=deserialize,
            log_results=False,
        )
        self.in_progress_timeout_s = lease_s
        self.ctx["redis"] = redis
        self._tenant_of = tenant_of
        self._tenants: dict[str, str] = {}

    async def poll_once(self) -> None:
        """Start what waits and fits, and forget what is done."""
        for job, task in list(self.tasks.items()):
            if task.done():
                del self.tasks[job]
                self._tenants.pop(job, None)
                if not task.cancelled() and (error := task.exception()) is not None:
                    # Redis went away under it. The job's entry is still there; the lease ends by itself.
                    log.warning("job_not_finished", job=job, why=str(error))
        if self.job_counter >= self.max_jobs or not self.allow_pick_jobs:
            return
        from arq.utils import timestamp_ms

        waiting = await self.pool.zrangebyscore(QUEUE, min=float("-inf"), max=timestamp_ms(), start=0, num=SCAN)
        waiting = [job for job in waiting if job.decode() not in self.tasks]
        if not waiting:
            return
        async with self.pool.pipeline(transaction=False) as pipe:
            for job in waiting:
                pipe.exists(in_progress_key_prefix + job.decode())
            taken = await pipe.execute()
        free = [job for job, is_taken in zip(waiting, taken, strict=True) if not is_taken]
        room = self.max_jobs - self.job_counter
        await self.start_jobs(await self._fairly(free, room) if len(free) > room else free)

    async def _fairly(self, jobs: Sequence[bytes], room: int) -> list[bytes]:
        """The jobs to start now, when not all fit: always one more of the tenant that has the fewest."""
        ids = {job: ChatId(UUID(job.decode().removeprefix("chat:"))) for job in jobs[: 50 * room]}
        try:
            tenants = await self._tenant_of(list(ids.values()))
        except (ThreadworkError, TimeoutError):
            return list(jobs[:room])
        running = Counter(self._tenants[job] for job in self.tasks if job in self._tenants)
        queues: dict[str, list[bytes]] = {}
        for job, chat_id in ids.items():
            queues.setdefault(tenants.get(chat_id, ""), []).append(job)
        chosen: list[bytes] = []
        while queues and len(chosen) < room:
            tenant = min(queues, key=lambda name: running[name])
            job = queues[tenant].pop(0)
            if not queues[tenant]:
                del queues[tenant]
            running[tenant] += 1
            self._tenants[job.decode()] = tenant
            chosen.append(job)
        return chosen

    async def renew(self) -> None:
        """Keep our jobs ours; a key that a flush took away is made again."""
        running = [job for job, task in self.tasks.items() if not task.done() and job in self.job_tasks]
        if not running:
            return
        async with self.pool.pipeline(transaction=False) as pipe:
            for job in running:
                pipe.psetex(in_progress_key_prefix + job, int(self.in_progress_timeout_s * 1000), b"1")
            await pipe.execute()
        ended = [in_progress_key_prefix + job for job in running if job not in self.job_tasks]
        if ended:
            # They ended while we renewed them: left behind, the keys would hold up the next start.
            await self.pool.delete(*ended)
