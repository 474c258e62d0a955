"""Tasks that outlive the request that started them, with an owner that ends them. Next: `sandboxes.py`."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Background:
    """Runs tasks until they end or the context does; one that fails is logged and takes nothing else along."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that this owns; should it fail, that is logged."""
        task = self._start(work)
        task.add_done_callback(_report)
        return task

    async def to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do what must not stop half-way when the client who asked for it leaves. Raises what it raises."""
        task = self._start(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_report)
            raise

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Background"]:
        """Cancel what still runs at the end, and wait for it."""
        try:
            yield self
        finally:
            while tasks := list(self._tasks):
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)


def _report(task: asyncio.Task[Any]) -> None:
    # No traceback: the locals of these frames hold tokens.
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("background_task_failed", task=str(task.get_coro()), why=repr(error))
