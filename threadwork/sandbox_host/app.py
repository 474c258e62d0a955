"""The sandbox host, composed: an E2B-compatible server on 127.0.0.1 whose sandboxes are bubblewrap namespaces.

Start reading at `sandboxes.py`. `python -m threadwork.sandbox_host` runs it alone.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from threadwork.sandbox_host.bwrap import HOME, find_bwrap
from threadwork.sandbox_host.control import ControlPlane
from threadwork.sandbox_host.data import DataPlane
from threadwork.sandbox_host.sandboxes import Sandboxes


@dataclass(frozen=True, slots=True)
class HostSettings:
    """`port` 0 takes a free one. `gateway_dir` is bound into every sandbox at /run/threadwork."""

    data_dir: Path
    gateway_dir: Path | None = None
    port: int = 0
    api_key: str | None = field(default=None, repr=False)
    is_isolated: bool = True


@dataclass(frozen=True, slots=True)
class HostAddress:
    """Where a host listens."""

    url: str


@asynccontextmanager
async def run_host(settings: HostSettings) -> AsyncIterator[HostAddress]:
    """A host that serves while the context is open. Raises `Misconfigured` where no sandbox can be made."""
    bwrap = find_bwrap() if settings.is_isolated else None
    if bwrap is None:
        sys.stderr.write(
            "\x1b[1;31mNO ISOLATION: agents run as plain processes of this user, with all its rights.\x1b[0m\n"
        )
    async with Sandboxes(settings.data_dir, settings.gateway_dir, bwrap).opened() as sandboxes:
        app = web.Application(client_max_size=64 << 20)
        app.add_routes(ControlPlane(sandboxes, settings.api_key).routes())
        app.add_routes(DataPlane(sandboxes, HOME if bwrap else None).routes())
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", settings.port)
            await site.start()
            port = runner.addresses[0][1]
            yield HostAddress(f"http://127.0.0.1:{port}")
        finally:
            await runner.cleanup()
