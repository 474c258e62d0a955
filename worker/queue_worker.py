"""Our arq worker: starts a chat within milliseconds, notices a dead worker within seconds, and outlives Redis.

Stock arq polls the queue, looks at every running job on every poll, keeps a dead worker's job for its whole time-out,
and exits when Redis does. This one waits on a wake stream, filters what runs elsewhere in one round trip, keeps a short
lease on its jobs by renewing it, and goes on by itself through an outage. arq 0.28 is frozen upstream, so what is
overridden here does not move. A chat whose job failed is put again, never dropped. Next: `run_chat.py`.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import structlog
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix
from arq.utils import timestamp_ms
from arq.worker import Retry, RetryJob, Worker, func

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
_LATE_S: Final = 1.0
_CANCELLED_AGAIN_S: Final = 1.0
_TENANTS_KNOWN: Final = 10_000


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
                on_room=self._wake.set,
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
        if self._is_stopping:
            # It was taken in the moment of the stop.
            raise RetryJob
        try:
            await self._handler(chat_id)
        except asyncio.CancelledError as error:
            if self._is_stopping:
                raise
            # Not ours: something in the run cancelled it. To arq that would mean "again, at once".
            log.warning("run_cancelled_itself", chat=chat)
            raise Retry(defer=_CANCELLED_AGAIN_S) from error
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
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()

    async def _renew(self, worker: "_Worker") -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            try:
                await worker.renew()
            except PASSING as error:
                log.warning("jobs_not_renewed", why=str(error))

    async def _listen(self, redis: ArqRedis) -> None:
        position = ""
        while True:
            try:
                if not position:
                    last = await redis.xrevrange(WAKES, count=1)
                    position = last[0][0].decode() if last else "0-0"
                    self._wake.set()
                rows = await redis.xread({WAKES: position}, count=100, block=BLOCK_MS)
            except PASSING:
                await asyncio.sleep(0.3)
                position = ""
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
            except Exception:
                # The chats at work here must not pay for it.
                log.exception("sweep_failed")
            await asyncio.sleep(self._sweep_every_s)

    async def _hand_over(self, worker: "_Worker", redis: ArqRedis) -> None:
        """End our jobs; their entries stay in the queue, and a wake has another worker take them at once."""
        worker.allow_pick_jobs = False
        jobs = [task for task in worker.tasks.values() if not task.done()]
        for task in list(worker.job_tasks.values()):
            task.cancel()
        late = (await asyncio.wait(jobs, timeout=STOP_S))[1] if jobs else set()
        for task in late:
            # Its lease ends by itself.
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_LATE_S)
        worker.forget_ended()
        with suppress(*PASSING):
            async with asyncio.timeout(1):
                await redis.xadd(WAKES, {"c": "handed over"}, maxlen=1000, approximate=True)
        log.info("worker_stopped", handed_over=len(jobs) - len(late), late=len(late))


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
        on_room: Callable[[], None],
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
        self._on_room = on_room
        self._slots = 0
        self._tenants: OrderedDict[ChatId, str] = OrderedDict()

    async def poll_once(self) -> None:
        """Start what waits and fits, and forget what is done."""
        self.forget_ended()
        if self.job_counter >= self.max_jobs or not self.allow_pick_jobs:
            return
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
        chosen = await self._fairly(free, room) if len(free) > room else free
        starting = asyncio.ensure_future(self.start_jobs(chosen))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A job between its key and its task would look taken until its lease ends; here it is handed over.
            await asyncio.wait({starting}, timeout=_LATE_S)
            raise

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """arq's, which forgets to give its slot back when Redis goes away in the middle of a start."""
        for job_id in job_ids:
            before = self.tasks.get(job_id.decode())
            try:
                await super().start_jobs([job_id])
            finally:
                self._slots += self.tasks.get(job_id.decode()) is not before
                while self.job_counter > self._slots:
                    super()._release_sem_dec_counter_on_complete()

    def _release_sem_dec_counter_on_complete(self) -> None:
        super()._release_sem_dec_counter_on_complete()
        self._slots -= 1
        self._on_room()

    def forget_ended(self) -> None:
        """Drop the tasks of jobs that ended, and say why one did not end well."""
        for job, task in list(self.tasks.items()):
            if task.done():
                del self.tasks[job]
                if not task.cancelled() and (error := task.exception()) is not None:
                    # Redis went away under it. The job's entry is still there; the lease ends by itself.
                    log.warning("job_not_finished", job=job, why=str(error))

    async def _fairly(self, jobs: Sequence[bytes], room: int) -> list[bytes]:
        """The jobs to start now, when not all fit: always one more of the tenant that has the fewest."""
        queued = {job: chat_id for job in jobs[: 50 * room] if (chat_id := _chat_of(job.decode())) is not None}
        running = [chat_id for job in self.tasks if (chat_id := _chat_of(job)) is not None]
        try:
            tenants = await self._tenants_of([*queued.values(), *running])
        except (ThreadworkError, TimeoutError) as error:
            log.warning("tenants_unknown", why=str(error))
            return list(jobs[:room])
        busy = Counter(tenants.get(chat_id, "") for chat_id in running)
        queues: dict[str, deque[bytes]] = {}
        for job, chat_id in queued.items():
            queues.setdefault(tenants.get(chat_id, ""), deque()).append(job)
        chosen: list[bytes] = []
        while queues and len(chosen) < room:
            tenant = min(queues, key=lambda name: busy[name])
            chosen.append(queues[tenant].popleft())
            busy[tenant] += 1
            if not queues[tenant]:
                del queues[tenant]
        return chosen

    async def _tenants_of(self, chat_ids: Sequence[ChatId]) -> Mapping[ChatId, str]:
        """Whose the chats are; a chat stays its tenant's, so each is asked for once."""
        unknown = [chat_id for chat_id in chat_ids if chat_id not in self._tenants]
        if unknown:
            self._tenants.update(await self._tenant_of(unknown))
        found = {chat_id: self._tenants[chat_id] for chat_id in chat_ids if chat_id in self._tenants}
        while len(self._tenants) > _TENANTS_KNOWN:
            self._tenants.popitem(last=False)
        return found

    async def renew(self) -> None:
        """Keep our jobs ours; a key that a flush took away is made again.

        A job may end, and even start again, while this is under way: only a key that is there is renewed, and one
        that was made for a run that has ended is taken away.
        """
        running = {job: task for job, task in self.tasks.items() if not task.done() and job in self.job_tasks}
        for is_made, choice in ((False, {"xx": True}), (True, {"nx": True})):
            if not running:
                return
            async with self.pool.pipeline(transaction=False) as pipe:
                for job in running:
                    pipe.set(in_progress_key_prefix + job, b"1", px=int(self.in_progress_timeout_s * 1000), **choice)
                was_set = dict(zip(running, await pipe.execute(), strict=True))
            if is_made:
                ended = [job for job, task in running.items() if was_set[job] and not self._is_running(job, task)]
                if ended:
                    await self.pool.delete(*(in_progress_key_prefix + job for job in ended))
            running = {job: task for job, task in running.items() if not was_set[job] and self._is_running(job, task)}

    def _is_running(self, job: str, task: "asyncio.Task[Any]") -> bool:
        return self.tasks.get(job) is task and job in self.job_tasks


def _chat_of(job: str) -> ChatId | None:
    """The chat of a job; None for what somebody else put into our queue."""
    try:
        return ChatId(UUID(job.removeprefix("chat:")))
    except ValueError:
        return None
