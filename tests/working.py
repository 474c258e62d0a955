"""Queue workers for tests: in this process, or as a program that can be killed.

`python -m tests.working REDIS_URL LEASE_S` works on every chat for ever, and writes `tw-test:started` entries.
"""

import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from core.bus.connection import open_redis
from core.domain.chat import ChatId
from worker.queue_worker import QueueWorker

WAIT_S = 60
STARTED = "tw-test:started"


class Handler:
    """Works on a chat until the test lets it go; remembers what happened."""

    def __init__(self) -> None:
        self.starts: Counter[ChatId] = Counter()
        self.order: list[ChatId] = []
        self.running: Counter[ChatId] = Counter()
        self.most_at_once = 0
        self.cancelled: list[ChatId] = []
        self.gates: defaultdict[ChatId, asyncio.Event] = defaultdict(asyncio.Event)
        self.does: Callable[[ChatId], Awaitable[None]] | None = None

    async def __call__(self, chat: ChatId) -> None:
        self.starts[chat] += 1
        self.order.append(chat)
        self.running[chat] += 1
        self.most_at_once = max(self.most_at_once, self.running[chat])
        try:
            await (self.does(chat) if self.does else self.gates[chat].wait())
        except asyncio.CancelledError:
            self.cancelled.append(chat)
            raise
        finally:
            self.running[chat] -= 1

    @property
    def at_work(self) -> set[ChatId]:
        return {chat for chat, count in self.running.items() if count}


async def nothing_more(_: ChatId) -> bool:
    return False


async def no_sweep() -> None:
    return


async def one_tenant(chats: Sequence[ChatId]) -> Mapping[ChatId, str]:
    return dict.fromkeys(chats, "T1")


def worker_on(redis_url: str, handler: Callable[[ChatId], Awaitable[None]], **how: Any) -> QueueWorker:
    return QueueWorker(
        redis_url,
        handler,
        **{"recheck": nothing_more, "sweep": no_sweep, "tenant_of": one_tenant, "lease_s": 4.0, "name": "w", **how},
    )


@asynccontextmanager
async def at_work(redis_url: str, handler: Callable[[ChatId], Awaitable[None]], **how: Any) -> AsyncIterator[None]:
    """A worker that runs meanwhile, and must still do so at the end."""
    task = asyncio.create_task(worker_on(redis_url, handler, **how).run())
    try:
        yield
        assert not task.done(), "the worker ended by itself"
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error


async def _main(redis_url: str, lease_s: float) -> None:
    async with open_redis(redis_url) as redis:

        async def work(chat: ChatId) -> None:
            await redis.rpush(STARTED, str(chat))  # type: ignore[misc]  # the stubs know the other client as well
            await asyncio.Event().wait()

        await worker_on(redis_url, work, max_jobs=200, lease_s=lease_s).run()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], float(sys.argv[2])))
