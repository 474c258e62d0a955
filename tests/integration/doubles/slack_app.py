"""A small app on the real slack_bolt for the tests of the double: it keeps what it hears."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.doubles.slack import SlackDouble, Workspace

Heard = list[dict[str, Any]]


def client_of(double: SlackDouble, workspace: Workspace) -> AsyncWebClient:
    """The real client of one workspace."""
    return AsyncWebClient(token=workspace.token, base_url=double.api_url, retry_handlers=[])


def app_of(
    double: SlackDouble, workspace: Workspace, prepare: Callable[[AsyncApp], None] = lambda _: None
) -> tuple[AsyncApp, Heard]:
    """An app that acknowledges every event, and those it heard that `prepare` added no listener for."""
    heard: Heard = []
    app = AsyncApp(
        client=client_of(double, workspace),
        signing_secret=double.signing_secret,
        ignoring_self_events_enabled=False,
    )

    prepare(app)

    @app.event(re.compile(".*"))
    async def hear(event: dict[str, Any], request: Any) -> None:
        heard.append(event | {"retry": request.headers.get("x-slack-retry-num", ["0"])[0]})

    return app, heard


@contextlib.asynccontextmanager
async def connected(
    double: SlackDouble,
    workspace: Workspace,
    prepare: Callable[[AsyncApp], None] = lambda _: None,
    *,
    ping_interval: float = 10,
) -> AsyncIterator[Heard]:
    """An app connected over a socket; yields the events it hears."""
    app, heard = app_of(double, workspace, prepare)
    handler = AsyncSocketModeHandler(app, double.app_token, ping_interval=ping_interval)
    before = len(double.sockets.live)
    try:
        async with asyncio.timeout(30):
            await handler.connect_async()  # type: ignore[no-untyped-call]
        await double.connected(before + 1)
        yield heard
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]
