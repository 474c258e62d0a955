"""The parts of a stack as programs of their own: worker, migrations, sandbox host.

Each says it is ready with one line on stdout, which `threadwork up` waits for, and stops on SIGTERM.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

from core.errors import Misconfigured
from core.observing.program import observed
from core.ports import Traces
from core.settings import Settings
from threadwork.beat import beating


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


def say_ready(what: str) -> None:
    """Print the line that says this program can do its work."""
    print(f"{what} ready", flush=True)


async def serve(what: str, *servers: AbstractAsyncContextManager[object]) -> None:
    """Be the servers and say so, until told to stop; told while they still wait for somebody, they wait no longer."""
    stopped, is_ready = stop_signal(), asyncio.Event()

    async def begin_and_stay() -> None:
        async with AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server)
            is_ready.set()
            say_ready(what)
            await stopped.wait()

    running, waiting = asyncio.create_task(begin_and_stay()), asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not is_ready.is_set() and not running.done():
            running.cancel()
        await asyncio.wait((running,))
    finally:
        running.cancel()
        waiting.cancel()
    if not running.cancelled():
        running.result()


async def work_until(stopped: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Be ready as a worker, until it is stopped or its work ends by itself; an error of that is raised."""
    running = asyncio.create_task(work)
    say_ready("worker")
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done():
        await running
    running.cancel()
    await asyncio.wait((running,), timeout=10)


def watched(name: str, settings: Settings, *, has_legs: bool = True) -> AbstractContextManager[Traces | None]:
    """Be the program `name`, logging and watched as the settings say: `core/observing/program.py`."""
    level, style = settings.threadwork_log, settings.threadwork_log_format
    return observed(name, settings.observing, level=level, style=style, has_legs=has_legs)


async def run_worker(settings: Settings, beat: Path | None = None) -> None:
    """Work until told to stop; chats are then handed over, and their agents work on."""
    from worker.app import open_worker

    with watched("worker", settings) as traces:
        stopped = stop_signal()
        async with open_worker(settings, traces=traces) as worker, beating(beat):
            await work_until(stopped, worker.run())
    # Everything is closed. The SDKs may still be loading in a thread, which an ordinary end would wait for, and the
    # HTTP core of e2b aborts now and then when the interpreter is taken down around it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


async def run_migrate(settings: Settings) -> int:
    """Make and change tables until the database is up to date."""
    from migrations.run import upgrade

    if settings.database_url is None:
        raise Misconfigured("DATABASE_URL is not set. Example: DATABASE_URL=postgresql://user:password@host/threadwork")
    await upgrade(settings.database_url)
    print("the database is up to date")
    return 0


async def run_sandbox_host(settings: Settings, *, port: int) -> int:
    """Serve sandboxes on 127.0.0.1 until told to stop."""
    from threadwork.sandbox_host.app import HostSettings, run_host
    from threadwork.stack import unusable

    key = settings.e2b_api_key
    host = HostSettings(
        data_dir=settings.threadwork_data_dir / "sandboxes",
        gateway_dir=settings.threadwork_data_dir / "gateway",
        port=port,
        api_key=key.get_secret_value() if key else None,
        is_isolated=not settings.threadwork_unsafe_no_isolation,
    )
    try:
        host.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(settings.threadwork_data_dir, error) from error
    with watched("sandbox-host", settings, has_legs=False):
        stopped = stop_signal()
        async with run_host(host) as address:
            print(f"sandbox-host {address.url}", flush=True)
            await stopped.wait()
    return 0
