"""The way to Redis: one pool, bounded waits, and vendor errors turned into ours.

A refused connection is an `OSError` to redis-py, which it retries only when told so. Ordinary calls give up within
seconds (`CALL_S`), since nothing here may hold up a turn; readers loop by themselves (`events.py`, `control.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, cast

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from core.errors import Misconfigured, Unavailable

# A blocking read waits less than this, or the socket would time out under it.
SOCKET_S: Final = 8.0
BLOCK_MS: Final = 3000
# An ordinary call takes a millisecond; one that takes this long is given up, as nothing may wait for a hung Redis.
CALL_S: Final = 2.0
# What an outage looks like. A full or read-only Redis answers with an error of its own, and passes as well.
PASSING: Final = (RedisError, OSError, asyncio.TimeoutError)


class _Connection(AbstractConnection):
    """redis-py's connection, which keeps cancellations and counts how often it was made.

    redis-py writes under `asyncio.wait_for`, which in Python 3.11 loses a cancellation that comes as it ends.
    """

    made = 0

    async def on_connect(self) -> None:
        await super().on_connect()
        self.made += 1

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        await super().send_packed_command(command, check_health)
        if task and task.cancelling() > before:
            await self.disconnect(nowait=True)
            raise asyncio.CancelledError


def pool_for(url: str, *, size: int = 200) -> ConnectionPool:
    """A connection pool for `url`. Raises `Misconfigured` for an address that is not Redis's."""
    try:
        pool = ConnectionPool.from_url(
            url,
            max_connections=size,
            socket_timeout=SOCKET_S,
            socket_connect_timeout=3,
            health_check_interval=30,
            retry=Retry(ExponentialBackoff(cap=0.4, base=0.05), 2, supported_errors=(RedisConnectionError, OSError)),  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise Misconfigured(f"REDIS_URL is wrong: {error}. Example: REDIS_URL=redis://localhost:6379/0") from error
    pool.connection_class = type("Connection", (_Connection, pool.connection_class), {})
    return pool


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[Redis]:
    """A client on a pool of its own. Connects when first used; closes its connections at the end."""
    pool = pool_for(url)
    client: Redis = Redis(connection_pool=pool)
    try:
        yield client
    finally:
        await client.aclose()
        await pool.disconnect()


class OwnConnection:
    """One reader's connection to streams, which says when it was broken; made by `own_connection`.

    A pool and its retries mend a connection in silence, also between two reads. A reader has to know, since while it
    was broken a publisher may have dropped what nothing will follow for long.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._made: int | None = None

    async def xread(self, places: dict[Any, Any], *, count: int) -> Any:
        """What comes behind the places, within `BLOCK_MS`.

        Raises what `PASSING` names once for each break, as soon as the connection is made again: a reader that looks
        about then has missed nothing before its next read.
        """
        try:
            await self._client.initialize()
            before = self._times_made() if self._made is None else self._made
            found = await self._client.xread(places, count=count, block=BLOCK_MS)
        except PASSING:
            await self._make_again()
            raise
        self._made = self._times_made()
        if self._made != before:
            raise RedisConnectionError("the connection was broken, and is made again")
        return found

    async def _make_again(self) -> None:
        while True:
            try:
                await self._client.initialize()
                await cast("_Connection", self._client.connection).connect()  # type: ignore[no-untyped-call]
            except PASSING:
                await asyncio.sleep(0.2)
            else:
                self._made = self._times_made()
                return

    def _times_made(self) -> int:
        return cast("_Connection", self._client.connection).made


@asynccontextmanager
async def own_connection(redis: Redis) -> AsyncIterator[OwnConnection]:
    """A connection of a client's pool for one reader. Connects when first used."""
    client = redis.client()
    try:
        yield OwnConnection(client)
    finally:
        await client.aclose()


@contextmanager
def vendor_errors_as_ours() -> Iterator[None]:
    """Raise `Unavailable` for anything that Redis or the way to it does wrong."""
    try:
        yield
    except PASSING as error:
        raise Unavailable("Redis", str(error)[:200] or type(error).__name__) from error
