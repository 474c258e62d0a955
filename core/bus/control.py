"""The control channel: one stream for all chats, one reader a process, fanned out to whoever listens for a chat.

A wake says only "look": what happened is in the database. So after a reconnect every listener is woken, since some
wake may have been missed. Next: `budget.py`.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from uuid import UUID

import structlog
from redis.asyncio import Redis

from core.bus.connection import CALL_S, PASSING, own_connection, vendor_errors_as_ours
from core.domain.chat import ChatId
from core.errors import Unavailable
from core.ports import WakeKind

log = structlog.get_logger(__name__)
STREAM: Final = "tw:control"
KEPT: Final = 10_000


class RedisControlChannel:
    """`core.ports.ControlChannel` on Redis; made by `open_control`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._listeners: defaultdict[ChatId, set[asyncio.Queue[WakeKind]]] = defaultdict(set)
        self._is_reading = asyncio.Event()

    async def wake(self, chat_id: ChatId, kind: WakeKind) -> None:
        """Wake the chat's run, if there is one. While Redis is away nothing is sent: the run looks by itself."""
        try:
            with vendor_errors_as_ours():
                async with asyncio.timeout(CALL_S):
                    await self._redis.xadd(STREAM, {"c": str(chat_id), "k": kind.value}, maxlen=KEPT, approximate=True)
        except Unavailable as error:
            log.warning("not_woken", chat=str(chat_id), why=str(error))

    @asynccontextmanager
    async def listen(self, chat_id: ChatId) -> AsyncIterator[AsyncIterator[WakeKind]]:
        """Every wake of this chat from now on."""
        queue: asyncio.Queue[WakeKind] = asyncio.Queue()
        self._listeners[chat_id].add(queue)
        try:
            yield _wakes(queue)
        finally:
            self._listeners[chat_id].discard(queue)
            if not self._listeners[chat_id]:
                del self._listeners[chat_id]

    async def read(self) -> None:
        """Read the stream for ever; run by `open_control`."""
        position = await self._position()
        self._is_reading.set()
        # Who listened before this had no ear on the stream yet.
        self._wake_all()
        async with own_connection(self._redis) as connection:
            while True:
                try:
                    rows = await connection.xread({STREAM: position}, count=500)
                except PASSING:
                    await asyncio.sleep(0.2)
                    position = await self._position()
                    self._wake_all()
                    continue
                for entry, fields in rows[0][1] if rows else ():
                    position = entry.decode()
                    self._pass_on(fields)

    async def _position(self) -> str:
        while True:
            try:
                last = await self._redis.xrevrange(STREAM, count=1)
            except PASSING:
                await asyncio.sleep(0.2)
            else:
                return last[0][0].decode() if last else "0-0"

    async def until_reading(self) -> None:
        """Return once every wake from now on is heard."""
        await self._is_reading.wait()

    def _pass_on(self, fields: dict[bytes, bytes]) -> None:
        try:
            chat_id, kind = ChatId(UUID(fields[b"c"].decode())), WakeKind(fields[b"k"].decode())
        except (KeyError, ValueError):
            return
        for queue in self._listeners.get(chat_id, ()):
            queue.put_nowait(kind)

    def _wake_all(self) -> None:
        for queues in self._listeners.values():
            for queue in queues:
                queue.put_nowait(WakeKind.MESSAGE)


async def _wakes(queue: "asyncio.Queue[WakeKind]") -> AsyncIterator[WakeKind]:
    while True:
        yield await queue.get()


@asynccontextmanager
async def open_control(redis: Redis) -> AsyncIterator[RedisControlChannel]:
    """A control channel with its reader running; it waits a moment for Redis, and goes on without it."""
    channel = RedisControlChannel(redis)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(channel.read())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CALL_S):
                    await channel.until_reading()
            yield channel
        finally:
            reading.cancel()
