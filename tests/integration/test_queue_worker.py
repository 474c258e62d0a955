"""Our arq worker, over real Valkeys: nothing is lost, doubled or starved, whoever dies or goes away meanwhile."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from core.bus.connection import open_redis
from core.domain.chat import ChatId
from core.errors import Unavailable
from core.ports import WorkQueue
from core.queue import QUEUE, WAKES, ArqWorkQueue
from tests.processes import until
from tests.valkey import OwnValkey, own_valkey
from tests.working import STARTED, Handler, at_work, worker_on

ROOT = Path(__file__).parents[2]


def a_chat() -> ChatId:
    return ChatId(uuid4())


@pytest.fixture
async def queue(redis_url: str) -> AsyncIterator[WorkQueue]:
    async with ArqWorkQueue.open(redis_url) as opened:
        yield opened


@pytest.fixture
async def valkey() -> AsyncIterator[OwnValkey]:
    async with own_valkey() as own:
        yield own


@asynccontextmanager
async def a_worker_program(redis_url: str, lease_s: float) -> AsyncIterator[asyncio.subprocess.Process]:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.working", redis_url, str(lease_s), cwd=ROOT
    )
    try:
        yield program
    finally:
        if program.returncode is None:
            program.kill()
        await program.wait()


# ------------------------------------------------------------ the look after the job


async def test_what_came_in_the_last_moment_of_a_job_is_worked_by_the_next(redis_url: str, queue: WorkQueue) -> None:
    chat, handler = a_chat(), Handler()
    has_more = [True]

    async def recheck(_: ChatId) -> bool:
        return bool(has_more) and has_more.pop()

    handler.gates[chat].set()
    async with at_work(redis_url, handler, recheck=recheck):
        await queue.put(chat)
        await until(lambda: handler.starts[chat] == 2)
        await until(lambda: not handler.at_work)
    assert handler.starts[chat] == 2


async def test_a_look_that_fails_ends_no_worker(redis_url: str, queue: WorkQueue) -> None:
    chat, other, handler = a_chat(), a_chat(), Handler()

    async def recheck(_: ChatId) -> bool:
        raise Unavailable("Postgres", "gone")

    for one in (chat, other):
        handler.gates[one].set()
    async with at_work(redis_url, handler, recheck=recheck):
        await queue.put(chat)
        await until(lambda: handler.starts[chat] == 1 and not handler.at_work)
        await queue.put(other)
        await until(lambda: handler.starts[other] == 1)


# ------------------------------------------------------------ runs that fail


async def test_a_run_that_fails_is_tried_again(redis_url: str, queue: WorkQueue) -> None:
    chat, handler = a_chat(), Handler()

    async def fail_twice(which: ChatId) -> None:
        if handler.starts[which] < 3:
            raise RuntimeError("no luck")

    handler.does = fail_twice
    async with at_work(redis_url, handler):
        await queue.put(chat)
        await until(lambda: handler.starts[chat] == 3)


async def test_a_run_that_cancels_itself_is_tried_again_and_takes_no_other_with_it(
    redis_url: str, queue: WorkQueue
) -> None:
    chat, other, handler = a_chat(), a_chat(), Handler()

    async def cancel_once(which: ChatId) -> None:
        if which == chat and handler.starts[which] == 1:
            raise asyncio.CancelledError
        if which == other:
            await handler.gates[other].wait()

    handler.does = cancel_once
    async with at_work(redis_url, handler):
        await queue.put(other)
        await until(lambda: other in handler.at_work)
        await queue.put(chat)
        await until(lambda: handler.starts[chat] == 2)
        assert handler.running[other] == 1
        handler.gates[other].set()


# ------------------------------------------------------------ workers that go


async def test_a_worker_told_to_stop_hands_its_chats_over_at_once(redis_url: str, queue: WorkQueue) -> None:
    chats, first, second = [a_chat() for _ in range(10)], Handler(), Handler()
    # The lease is long: only a hand-over brings the chats to the other worker in this test's time.
    old = asyncio.create_task(worker_on(redis_url, first, lease_s=600.0).run())
    for chat in chats:
        await queue.put(chat)
    await until(lambda: first.at_work == set(chats))
    async with at_work(redis_url, second, lease_s=600.0):
        old.cancel()
        await asyncio.wait([old])
        await until(lambda: second.at_work == set(chats))
    assert set(first.cancelled) == set(chats)
    assert first.starts == second.starts == Counter(chats)


async def test_a_hand_over_wakes_the_other_workers(redis_url: str, queue: WorkQueue) -> None:
    # They also look by themselves, so often that a wake that never came would not be missed.
    chat, handler = a_chat(), Handler()
    async with at_work(redis_url, handler):
        await queue.put(chat)
        await until(lambda: chat in handler.at_work)
    async with open_redis(redis_url) as redis:
        ((_, wake),) = await redis.xrevrange(WAKES, count=1)
    assert wake == {b"c": b"handed over"}


async def test_a_killed_workers_chats_are_taken_when_its_lease_ends(redis_url: str, queue: WorkQueue) -> None:
    chat, handler = a_chat(), Handler()
    async with a_worker_program(redis_url, 2.0) as program, open_redis(redis_url) as redis:
        await queue.put(chat)
        while not await redis.exists(STARTED):
            await asyncio.sleep(0.02)
        os.kill(program.pid, signal.SIGKILL)
        await program.wait()
        async with at_work(redis_url, handler, lease_s=2.0):
            await until(lambda: chat in handler.at_work)


async def test_a_living_worker_keeps_its_chat_for_longer_than_a_lease(redis_url: str, queue: WorkQueue) -> None:
    chat, other, first, second = a_chat(), a_chat(), Handler(), Handler()
    async with at_work(redis_url, first, lease_s=0.9):
        await queue.put(chat)
        await until(lambda: chat in first.at_work)
        async with at_work(redis_url, second, lease_s=0.9), open_redis(redis_url) as redis:
            # Three leases go by on Redis's own clock.
            begun = (await redis.time())[0]
            while (await redis.time())[0] < begun + 4:
                await asyncio.sleep(0.05)
            await queue.put(other)
            await until(lambda: first.starts[other] + second.starts[other] == 1)
            assert second.starts[chat] == 0


# ------------------------------------------------------------ Redis goes


async def test_a_restart_of_redis_ends_no_run_and_no_worker(valkey: OwnValkey) -> None:
    chat, other, handler = a_chat(), a_chat(), Handler()
    async with ArqWorkQueue.open(valkey.url) as queue, at_work(valkey.url, handler):
        await queue.put(chat)
        await until(lambda: chat in handler.at_work)
        await valkey.kill()
        await valkey.start()
        await queue.put(other)
        await until(lambda: other in handler.at_work)
        assert handler.starts == Counter([chat, other])
        for one in (chat, other):
            handler.gates[one].set()
        await until(lambda: not handler.at_work)
    assert handler.cancelled == []


async def test_a_flush_doubles_no_run_and_what_is_put_again_is_worked(valkey: OwnValkey) -> None:
    chat, handler = a_chat(), Handler()
    async with ArqWorkQueue.open(valkey.url) as queue, at_work(valkey.url, handler, lease_s=1.2):
        await queue.put(chat)
        await until(lambda: chat in handler.at_work)
        await valkey.flush()
        # As the sweeper does.
        await queue.put(chat)
        async with at_work(valkey.url, handler, lease_s=1.2):
            other = a_chat()
            await queue.put(other)
            await until(lambda: other in handler.at_work)
            handler.gates[other].set()
            handler.gates[chat].set()
            await until(lambda: not handler.at_work)
    assert handler.most_at_once <= 2


# ------------------------------------------------------------ how many, and whose


async def test_no_more_chats_run_than_fit(redis_url: str, queue: WorkQueue) -> None:
    chats, handler = [a_chat() for _ in range(12)], Handler()
    most = [0]

    async def work(chat: ChatId) -> None:
        most[0] = max(most[0], len(handler.at_work))
        await handler.gates[chat].wait()

    handler.does = work
    async with at_work(redis_url, handler, max_jobs=3):
        for chat in chats:
            await queue.put(chat)
        await until(lambda: len(handler.at_work) == 3)
        for chat in chats:
            handler.gates[chat].set()
        await until(lambda: len(handler.order) == len(chats) and not handler.at_work)
    assert most[0] == 3


async def test_one_tenants_crowd_does_not_keep_anothers_first_chat_waiting(redis_url: str, queue: WorkQueue) -> None:
    crowd, late, handler = [a_chat() for _ in range(50)], a_chat(), Handler()

    async def tenant_of(chats: Sequence[ChatId]) -> Mapping[ChatId, str]:
        return {chat: "small" if chat == late else "big" for chat in chats}

    for chat in crowd:
        await queue.put(chat)
    await queue.put(late)
    async with at_work(redis_url, handler, max_jobs=2, tenant_of=tenant_of):
        await until(lambda: late in handler.at_work)
        assert len(handler.order) == 2


async def test_whose_a_chat_is_being_unknown_starts_them_in_their_order(redis_url: str, queue: WorkQueue) -> None:
    chats, handler = [a_chat() for _ in range(5)], Handler()

    async def tenant_of(_: Sequence[ChatId]) -> Mapping[ChatId, str]:
        raise Unavailable("Postgres", "gone")

    for chat in chats:
        await queue.put(chat)
        handler.gates[chat].set()
    async with at_work(redis_url, handler, max_jobs=1, tenant_of=tenant_of):
        await until(lambda: len(handler.order) == len(chats) and not handler.at_work)
    assert set(handler.order) == set(chats)


# ------------------------------------------------------------ the sweeper


async def test_a_sweep_that_fails_is_made_again(redis_url: str) -> None:
    swept = [0]

    async def sweep() -> None:
        swept[0] += 1
        if swept[0] == 1:
            raise RuntimeError("no luck")

    async with at_work(redis_url, Handler(), sweep=sweep, sweep_every_s=0.1):
        await until(lambda: swept[0] >= 2)


async def test_of_several_workers_one_sweeps_at_a_time(redis_url: str) -> None:
    sweeping, most = [0], [0]
    swept: list[int] = []

    async def sweep() -> None:
        sweeping[0] += 1
        most[0] = max(most[0], sweeping[0])
        await asyncio.sleep(0)
        sweeping[0] -= 1
        swept.append(1)

    async with (
        at_work(redis_url, Handler(), sweep=sweep, sweep_every_s=0.5),
        at_work(redis_url, Handler(), sweep=sweep, sweep_every_s=0.5),
        at_work(redis_url, Handler(), sweep=sweep, sweep_every_s=0.5),
    ):
        await until(lambda: len(swept) >= 3)
    assert most[0] == 1


async def test_what_somebody_else_put_into_the_queue_ends_no_worker(redis_url: str, queue: WorkQueue) -> None:
    chat, handler = a_chat(), Handler()
    async with open_redis(redis_url) as redis:
        await redis.zadd(QUEUE, {"not a chat of ours": 1.0})
        async with at_work(redis_url, handler, max_jobs=1):
            await queue.put(chat)
            await until(lambda: chat in handler.at_work)
