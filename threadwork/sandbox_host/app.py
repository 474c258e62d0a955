"""The sandbox host, composed: an E2B-compatible server on 127.0.0.1 whose sandboxes are bubblewrap namespaces.

Start reading at `sandboxes.py`. `python -m threadwork.sandbox_host` runs it alone.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from core.errors import Misconfigured
from threadwork.sandbox_host.background import Background
from threadwork.sandbox_host.control import ControlPlane
from threadwork.sandbox_host.data import DataPlane
from threadwork.sandbox_host.sandboxes import Sandboxes
from threadwork.sandbox_host.settings import HostAddress, HostSettings, Limits
from threadwork.sandbox_host.walls import find_walls

__all__ = ["HostAddress", "HostSettings", "Limits", "run_host"]
_RED: Final = "\x1b[1;31m{}\x1b[0m\n"
_LARGEST_BODY: Final = 128 << 20


@asynccontextmanager
async def run_host(settings: HostSettings) -> AsyncIterator[HostAddress]:
    """A host that serves while the context is open.

    Raises `Misconfigured` where no sandbox can be made, and for a port that cannot be had.
    """
    walls = find_walls(settings)
    if walls.bwrap is None:
        sys.stderr.write(_RED.format("NO ISOLATION: agents run as plain processes of this user, with all its rights."))
    async with Background().running() as background, Sandboxes(walls, background).opened() as sandboxes:
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.add_routes(ControlPlane(sandboxes, settings).routes())
        app.add_routes(DataPlane(sandboxes, background).routes())
        # A handler ends with its client: a stream nobody reads any more must not hold a process up.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await _listen(runner, settings.port)
            yield HostAddress(f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OverflowError as error:
        raise Misconfigured(
            f"--port {port} is wrong: a port is a number from 0 to 65535. Example: --port 3010"
        ) from error
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        mend = "Stop what listens there, or choose another; 0 takes a free one. Example: --port 0"
        raise Misconfigured(f"--port {port} cannot be had on 127.0.0.1: {why}. {mend}") from error
