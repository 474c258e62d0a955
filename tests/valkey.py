"""A Valkey of a test's own, to stop, kill, and start again on its data."""

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from core.bus.connection import open_redis
from tests.processes import alive, until
from threadwork.embedded.valkey import embedded_valkey


class OwnValkey:
    """Runs on a folder; its address stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        self.url = ""
        self.pid = 0
        self._folder = folder
        self._running = AsyncExitStack()

    async def start(self) -> None:
        self.url = await self._running.enter_async_context(embedded_valkey(self._folder))
        async with open_redis(self.url) as redis:
            self.pid = (await redis.info("server"))["process_id"]

    async def stop(self) -> None:
        """Stop it as a deploy does: what it has is on disk."""
        await self._running.aclose()

    async def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        await until(lambda: not alive(self.pid))
        await self._running.aclose()

    async def flush(self) -> None:
        async with open_redis(self.url) as redis:
            await redis.flushall()

    async def break_connections(self) -> None:
        """Break every connection that there is; a new one is taken at once."""
        async with open_redis(self.url) as redis:
            await redis.client_kill_filter(_type="normal", skipme=True)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Meanwhile it takes connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


@asynccontextmanager
async def own_valkey() -> AsyncIterator[OwnValkey]:
    folder = Path(tempfile.mkdtemp(prefix="tw"))
    valkey = OwnValkey(folder)
    try:
        await valkey.start()
        yield valkey
    finally:
        await valkey.stop()
        shutil.rmtree(folder, ignore_errors=True)
