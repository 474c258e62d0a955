"""Doing something again while the database is away, as a person would."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.errors import Unavailable

Answer = TypeVar("Answer")


async def insist(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """What comes of a call, once it comes to anything."""
    while True:
        try:
            async with asyncio.timeout(20):
                return await call()
        except (Unavailable, TimeoutError):
            await asyncio.sleep(0.3)
