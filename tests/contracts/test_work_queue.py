"""The promises of `core.ports.WorkQueue`, over real Valkeys, with a worker at the other end."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from core.bus.connection import open_redis
from core.domain.chat import ChatId
from core.ports import WorkQueue
from core.queue import ArqWorkQueue
from tests.processes import until
from tests.valkey import OwnValkey, own_valkey
from tests.working import Handler, at_work

WAIT_S = 30


@pytest.fixture
def chat() -> ChatId:
    return ChatId(uuid4())


@pytest.fixture
async def queue(redis_url: str) -> AsyncIterator[WorkQueue]:
    async with ArqWorkQueue.open(redis_url) as opened:
        yield opened


@pytest.fixture
async def valkey() -> AsyncIterator[OwnValkey]:
    async with own_valkey() as own:
        yield own


async def test_a_chat_put_twice_before_a_worker_takes_it_is_worked_once(
    redis_url: str, queue: WorkQueue, chat: ChatId
) -> None:
    other = ChatId(uuid4())
    await asyncio.gather(*(queue.put(chat) for _ in range(20)))
    handler = Handler()
    handler.gates[chat].set()
    async with at_work(redis_url, handler, max_jobs=1):
        await until(lambda: handler.starts[chat] == 1 and not handler.at_work)
        await queue.put(other)  # worked after whatever else was in the queue
        await until(lambda: handler.starts[other] == 1)
    assert handler.starts[chat] == 1


async def test_a_chat_put_while_its_job_runs_is_not_worked_a_second_time_beside_it(
    redis_url: str, queue: WorkQueue, chat: ChatId
) -> None:
    other = ChatId(uuid4())
    handler = Handler()
    async with at_work(redis_url, handler), at_work(redis_url, handler):
        await queue.put(chat)
        await until(lambda: chat in handler.at_work)
        for _ in range(5):
            await queue.put(chat)
        await queue.put(other)
        await until(lambda: other in handler.at_work)
        assert handler.starts[chat] == 1


async def test_a_chat_put_while_its_job_ends_is_worked_again(redis_url: str, queue: WorkQueue, chat: ChatId) -> None:
    inbox = {1}

    async def read(_: ChatId) -> None:
        seen = set(inbox)
        if len(handler.order) == 1:
            # News after the last look: it finds its own job in the way.
            inbox.add(2)
            await queue.put(chat)
        inbox.difference_update(seen)

    async def has_news(_: ChatId) -> bool:
        return bool(inbox)

    handler = Handler()
    handler.does = read
    async with at_work(redis_url, handler, recheck=has_news):
        await queue.put(chat)
        await until(lambda: not inbox)
    assert handler.starts[chat] == 2


async def test_putting_while_redis_is_away_or_hung_or_full_does_not_raise(valkey: OwnValkey, chat: ChatId) -> None:
    async with ArqWorkQueue.open(valkey.url) as queue, open_redis(valkey.url) as redis:
        with valkey.frozen():
            async with asyncio.timeout(WAIT_S):
                await queue.put(chat)
        await redis.config_set("maxmemory", 1)
        await queue.put(chat)
        await redis.config_set("maxmemory", 0)
        await valkey.stop()
        async with asyncio.timeout(WAIT_S):
            await queue.put(chat)
        await valkey.start()

        handler = Handler()
        async with at_work(valkey.url, handler):
            await queue.put(chat)
            await until(lambda: chat in handler.at_work)
