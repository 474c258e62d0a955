"""Events by HTTP: an address that Slack posts to, for those who do not want Socket Mode.

Bolt checks each signature; what it would stumble over before that is refused here. TLS is the proxy's in front.
Next: `doors.py`.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.async_app import AsyncApp

PATH: Final = "/slack/events"
# Slack's own payloads stay far below.
MOST_BYTES: Final = 4 * 1024 * 1024
Serve = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def serving(port: int, routes: Sequence[web.RouteDef]) -> AsyncIterator[None]:
    """Serve until the block ends; what is being answered then is answered."""
    site = web.Application(client_max_size=MOST_BYTES)
    site.add_routes(routes)
    runner = web.AppRunner(site, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    try:
        # Slack comes through a proxy that may be on another machine; what it sends is signed.
        await web.TCPSite(runner, "0.0.0.0", port).start()  # noqa: S104
        yield
    finally:
        await runner.cleanup()


def events_route(app: AsyncApp) -> web.RouteDef:
    """Where Slack posts everything to."""
    return web.post(PATH, _events(app))


def _events(app: AsyncApp) -> Serve:
    async def serve(request: web.Request) -> web.Response:
        if not _may_be_signed(request):
            return web.Response(status=401, text="not signed by Slack")
        if request.content_type == "application/json" and not _is_json(await request.text()):
            return web.Response(status=400, text="not JSON")
        return await to_aiohttp_response(await app.async_dispatch(await to_bolt_request(request)))

    return serve


def _may_be_signed(request: web.Request) -> bool:
    """Whether the headers are such that bolt can check them: on others it fails with an error of its own."""
    at, signature = (request.headers.get(f"X-Slack-{name}", "") for name in ("Request-Timestamp", "Signature"))
    return at.isascii() and at.isdigit() and signature.isascii()


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
