"""Work that goes on after a platform got its acknowledgement: each errand a task of its own, in order where it matters.

An errand that fails is logged and harms no other. `InTurn` keeps what is said in one thread in the order in which it
came, so that a follow-up never overtakes the message that begins the chat.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog

log = structlog.get_logger(__name__)
CLOSE_S: Final = 8.0


class Errands:
    """Tasks that are waited for at the end, for so long."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], what: str) -> "asyncio.Task[None]":
        """Begin it. It is named `what` in the log, should it fail."""
        task = asyncio.create_task(_guarded(work, what), name=what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Let what runs come to its end; what takes longer than `CLOSE_S` is cancelled."""
        if self._tasks:
            _done, late = await asyncio.wait(self._tasks, timeout=CLOSE_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)


async def _guarded(work: Coroutine[Any, Any, None], what: str) -> None:
    try:
        await work
    except Exception:
        log.exception("errand_failed", errand=what)


class InTurn:
    """One at a time for each name, first come, first served."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, list[None]]] = {}

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait until everybody who came before under this name is done."""
        lock, waiting = self._locks.setdefault(name, (asyncio.Lock(), []))
        waiting.append(None)
        try:
            async with lock:
                yield
        finally:
            waiting.pop()
            if not waiting:
                del self._locks[name]
