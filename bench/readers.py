"""500 open pages on one web process: how late they see an event, what they cost, and that none misses one."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from bench.report import Row, p
from core.bus.connection import open_redis
from core.bus.events import RedisEventBus
from core.crypto import encode_secret
from core.store.engine import open_engine
from core.store.stores import stores_on
from migrations.run import upgrade
from tests.integration.crowd import crowd
from tests.integration.web_page import Page, settings_for
from tests.valkey import own_valkey
from threadwork.embedded.postgres import embedded_postgres
from threadwork.supervise import Child, Program, supervised

CHATS, READERS = 20, 500
TOLD = 25
QUIET_S = 10.0


def _memory(pid: int) -> int:
    """Bytes that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _worked_s(pid: int) -> float:
    """Seconds of a core that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pid(web: Child) -> int:
    assert web.pid is not None
    return web.pid


async def measure() -> list[Row]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="twb")))
        database_url = await stack.enter_async_context(embedded_postgres(folder))
        valkey = await stack.enter_async_context(own_valkey())
        await upgrade(database_url)
        engine = await stack.enter_async_context(open_engine(database_url))
        bus = RedisEventBus(await stack.enter_async_context(open_redis(valkey.url)))
        settings = settings_for(database_url, valkey.url, folder)
        port = settings.threadwork_web_port
        env = {
            "DATABASE_URL": database_url,
            "REDIS_URL": valkey.url,
            "THREADWORK_DATA_DIR": str(folder),
            "THREADWORK_SECRET_KEY": encode_secret(b"b" * 32),
            "THREADWORK_WEB_PORT": str(port),
        }
        supervisor = await stack.enter_async_context(supervised())
        web = supervisor.start(Program("web", [sys.executable, "-m", "threadwork", "web"], "web", env))
        await supervisor.ready(web)
        before = _memory(_pid(web))
        page = Page(f"http://127.0.0.1:{port}", engine, stores_on(engine), settings)
        async with crowd(page, CHATS, READERS) as readers:
            await readers.tell(page, bus)
            await readers.until_told()
            each = (_memory(_pid(web)) - before) / READERS
            worked, at = _worked_s(_pid(web)), time.monotonic()
            await asyncio.sleep(QUIET_S)
            idle = (_worked_s(_pid(web)) - worked) / (time.monotonic() - at)
            for reader in readers.all:
                reader.late_ms.clear()
            for _ in range(TOLD):
                await readers.tell(page, bus)
                await asyncio.sleep(0.2)
            await readers.until_told()
            late = [one for reader in readers.all for one in reader.late_ms]

            os.kill(_pid(web), signal.SIGKILL)
            restarted = time.monotonic()
            await readers.tell(page, bus)
            await readers.until_told()
            back_s = time.monotonic() - restarted
            await valkey.kill()
            await readers.tell(page, bus)
            await valkey.start()
            await readers.tell(page, bus)
            await readers.until_told()
            wrong = len(readers.wrong())
            told = sum(readers.told.values()) - CHATS
    note = f"{told} events in {CHATS} chats; web killed, Redis killed, events told meanwhile"
    return [
        Row(f"of {READERS} readers, those that missed an event or saw one twice", wrong, "", 0, note),
        Row("event → an open page, p50", p(late, 50), "ms", None, f"p95 {p(late, 95):.0f} ms, to all in one go"),
        Row("another open page", each / 1000, "kB", None, "memory of the web process"),
        Row("nothing happens", idle * 100, "% of a core"),
        Row("web killed → every page is whole again", back_s, "s", None, "restart, 500 readers, what they missed"),
    ]
