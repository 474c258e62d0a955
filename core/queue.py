"""Putting a chat to work: one arq job a chat, and a wake so that a worker starts it at once.

The job's id is the chat's, so a chat is never worked twice at a time; no result is kept, so it can be put again as soon
as it ends. Jobs are JSON: arq's default, pickle, would run code from Redis. Next: `worker/queue_worker.py`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from arq.connections import ArqRedis

from core.bus.connection import CALL_S, pool_for, vendor_errors_as_ours
from core.domain.chat import ChatId
from core.errors import Unavailable

log = structlog.get_logger(__name__)
QUEUE: Final = "tw:queue"
WAKES: Final = "tw:wake"
FUNCTION: Final = "run_chat"
# A job's payload outlives any outage of all workers; the sweeper would put the chat again even so.
EXPIRES_MS: Final = 30 * 86_400_000


def job_id(chat_id: ChatId) -> str:
    """The chat's job."""
    return f"chat:{chat_id}"


def serialize(job: dict[str, Any]) -> bytes:
    """A job as JSON; an exception among its values becomes its name and words."""
    return json.dumps(job, default=_plain).encode()


def deserialize(data: bytes) -> dict[str, Any]:
    """Read what `serialize` wrote."""
    job: dict[str, Any] = json.loads(data)
    return job


def _plain(value: object) -> object:
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "words": str(value)[:500]}
    return repr(value)


class ArqWorkQueue:
    """`core.ports.WorkQueue` on arq."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    @classmethod
    @asynccontextmanager
    async def open(cls, redis_url: str) -> AsyncIterator["ArqWorkQueue"]:
        """A queue with connections of its own."""
        async with open_arq(redis_url) as redis:
            yield cls(redis)

    async def put(self, chat_id: ChatId) -> None:
        """Put a chat to work; nothing if it waits already. While Redis is away, the sweeper will find it."""
        try:
            with vendor_errors_as_ours():
                async with asyncio.timeout(CALL_S):
                    await put(self._redis, chat_id)
        except Unavailable as error:
            log.warning("not_queued", chat=str(chat_id), why=str(error))

    async def length(self) -> int:
        """How many chats are in it, those being worked included. Raises `Unavailable`."""
        with vendor_errors_as_ours():
            async with asyncio.timeout(CALL_S):
                return int(await self._redis.zcard(QUEUE))


async def put(redis: ArqRedis, chat_id: ChatId) -> None:
    """Enqueue the chat's job and wake the workers."""
    await redis.enqueue_job(FUNCTION, str(chat_id), _job_id=job_id(chat_id))
    await redis.xadd(WAKES, {"c": str(chat_id)}, maxlen=1000, approximate=True)


@asynccontextmanager
async def open_arq(redis_url: str) -> AsyncIterator[ArqRedis]:
    """Arq's client, with our serialisation, on a pool of its own."""
    pool = pool_for(redis_url)
    redis = ArqRedis(
        pool_or_conn=pool,
        job_serializer=serialize,
        job_deserializer=deserialize,
        default_queue_name=QUEUE,
        expires_extra_ms=EXPIRES_MS,
    )
    try:
        yield redis
    finally:
        await redis.aclose()
        await pool.disconnect()
