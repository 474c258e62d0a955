"""The way to Redis: one pool, bounded waits, and vendor errors turned into ours.

A refused connection is an `OSError` to redis-py, which it retries only when told so. Ordinary calls give up within a
second or so, since nothing here may hold up a turn; readers loop by themselves (`events.py`, `control.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from core.errors import Misconfigured, Unavailable

# A blocking read waits less than this, or the socket would time out under it.
SOCKET_S: Final = 8.0
BLOCK_MS: Final = 3000
PASSING: Final = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError, asyncio.TimeoutError)


def pool_for(url: str, *, size: int = 200) -> ConnectionPool:
    """A connection pool for `url`. Raises `Misconfigured` for an address that is not Redis's."""
    try:
        return ConnectionPool.from_url(
            url,
            max_connections=size,
            socket_timeout=SOCKET_S,
            socket_connect_timeout=3,
            health_check_interval=30,
            retry=Retry(ExponentialBackoff(cap=0.4, base=0.05), 2, supported_errors=(RedisConnectionError, OSError)),  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise Misconfigured(f"REDIS_URL is wrong: {error}. Example: REDIS_URL=redis://localhost:6379/0") from error


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


@contextmanager
def vendor_errors_as_ours() -> Iterator[None]:
    """Raise `Unavailable` for anything that Redis or the way to it does wrong."""
    try:
        yield
    except PASSING as error:
        raise Unavailable("Redis", str(error)[:200] or type(error).__name__) from error
    except RedisError as error:
        raise Unavailable("Redis", str(error)[:200]) from error
