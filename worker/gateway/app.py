"""Composes the gateway and listens: on a unix socket bound into local sandboxes, on a port for those elsewhere.

The socket lies in a folder others may pass through but not list (0711) and takes anyone's connection (0666), since
sandboxes run as another user; the per-chat token is what lets a request through. Next: `proxy.py`.
"""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

from core.errors import Misconfigured, Unavailable
from worker.gateway.credential import Credential
from worker.gateway.meter import Metered
from worker.gateway.proxy import Allow, OnMetered, Proxy

DEFAULT_UPSTREAM = "https://api.anthropic.com"
LARGEST_REQUEST = 64 << 20
LONGEST_SOCKET_PATH = 107  # bytes in sockaddr_un on Linux, without the closing zero


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where the gateway listens, and where it sends to.

    `secret` signs the per-chat tokens. `socket_path` and `port` may each be None (0 takes a free port). The model
    API has `connect_s` seconds to be reached and may be silent for `idle_s`.
    """

    credential: Credential
    secret: bytes = field(repr=False)
    upstream: str = DEFAULT_UPSTREAM
    socket_path: Path | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    connect_s: float = 10.0
    idle_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that listens; `port` is the one it got, when it was asked for one."""

    socket_path: Path | None
    port: int | None


async def allow_everything(chat_id: str, model: str) -> str | None:  # noqa: ARG001 - the shape of an Allow
    return None


def meter_nothing(metered: Metered) -> None:
    """Drops what was metered: for a gateway without a database."""


@contextlib.asynccontextmanager
async def serve_gateway(
    settings: GatewaySettings, *, allow: Allow = allow_everything, on_metered: OnMetered = meter_nothing
) -> AsyncIterator[Gateway]:
    """A gateway that takes requests while the context is open.

    Raises Misconfigured for an address it cannot use, Unavailable when another has the socket or the port.
    """
    upstream = _upstream_url(settings.upstream)
    timeout = aiohttp.ClientTimeout(
        total=None, connect=settings.connect_s, sock_connect=settings.connect_s, sock_read=settings.idle_s
    )
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=20),
                timeout=timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                # Longer lines than a proxy's headers have are no reason to fail a turn.
                max_line_size=1 << 16,
                max_field_size=1 << 16,
            )
        )
        proxy = Proxy(
            session=session,
            upstream=upstream,
            credential=settings.credential,
            secret=settings.secret,
            allow=allow,
            on_metered=on_metered,
            outbound_proxy=outbound_proxy(upstream),
        )
        app = web.Application(client_max_size=LARGEST_REQUEST)
        app.router.add_route("*", r"/{path:[\s\S]*}", proxy.handle)
        # Cancelling the handler of a client that left is what ends the request upstream.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=2.0)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        if settings.socket_path is not None:
            await _listen_on_socket(runner, settings.socket_path, stack)
        port = None if settings.port is None else await _listen_on_port(runner, settings.host, settings.port)
        yield Gateway(settings.socket_path, port)


def _upstream_url(text: str) -> URL:
    try:
        url = URL(text)
        is_usable = url.scheme in {"http", "https"} and bool(url.host) and not url.query_string
    except ValueError:
        is_usable = False
    if not is_usable:
        raise Misconfigured(f"ANTHROPIC_BASE_URL must be an http or https address such as {DEFAULT_UPSTREAM}")
    return URL(text)


def outbound_proxy(upstream: URL) -> str | None:
    """The proxy the environment asks for, as curl and the CLI read it; .netrc is left out on purpose."""
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    if not upstream.host or proxy_bypass(upstream.host):
        return None
    return proxies.get(upstream.scheme)


async def _listen_on_socket(runner: web.AppRunner, path: Path, stack: contextlib.AsyncExitStack) -> None:
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise Misconfigured(f"the gateway's socket path is longer than {LONGEST_SOCKET_PATH} bytes: {path}")
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o711)
    await _remove_stale(path)
    await web.UnixSite(runner, str(path)).start()
    path.chmod(0o666)
    stack.callback(_remove_own, path, path.stat().st_ino)


async def _remove_stale(path: Path) -> None:
    """Takes away a socket nobody listens on any more."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Misconfigured(f"the gateway's socket path is taken by something else: {path}")
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_unix_connection(str(path))
    except (ConnectionRefusedError, FileNotFoundError):
        path.unlink(missing_ok=True)
        return
    except OSError as failure:
        raise Unavailable("the gateway's socket", str(failure)) from failure
    writer.close()
    raise Unavailable("the gateway's socket", f"another gateway listens on {path}")


def _remove_own(path: Path, inode: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_ino == inode:
            path.unlink()


async def _listen_on_port(runner: web.AppRunner, host: str, port: int) -> int:
    try:
        listening = socket.create_server((host, port))
    except OSError as failure:
        raise Unavailable(f"the gateway's address {host}:{port}", failure.strerror or str(failure)) from failure
    await web.SockSite(runner, listening).start()
    return int(listening.getsockname()[1])
