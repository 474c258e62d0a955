"""Socket Mode: bolt's handler, on a client that asks for a new address whenever it must connect again.

The address that `apps.connections.open` gives opens one connection, once. The SDK's client keeps one whose upgrade
failed, and tries it for ever: https://github.com/slackapi/python-slack-sdk/issues/1922. Next: `doors.py`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.web.async_client import AsyncWebClient

PING_S: Final = 5.0


class _OnceEach:
    """An HTTP session that makes its client forget an address it has used."""

    def __init__(self, client: "FreshSocket", session: aiohttp.ClientSession) -> None:
        self._client = client
        self._session = session

    async def ws_connect(self, url: str, **options: Any) -> Any:
        self._client.wss_uri = None
        return await self._session.ws_connect(url, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class FreshSocket(SocketModeClient):
    """The SDK's client, with an address of its own for each try."""

    _session: Any = None

    # The SDK sets this attribute whenever its session was closed, so the wrapping must be done here.
    @property
    def aiohttp_client_session(self) -> Any:
        """The session that connects."""
        return self._session

    @aiohttp_client_session.setter
    def aiohttp_client_session(self, session: aiohttp.ClientSession) -> None:
        self._session = _OnceEach(self, session)


class SocketHandler(AsyncSocketModeHandler):
    """Bolt's handler on such a client. `web` is any client; it is used with the app's token only."""

    def __init__(self, app: AsyncApp, app_token: str, web: AsyncWebClient) -> None:
        self.app = app
        self.app_token = app_token
        self.client = FreshSocket(app_token=app_token, logger=app.logger, web_client=web, ping_interval=PING_S)
        self.client.socket_mode_request_listeners.append(self.handle)  # type: ignore[arg-type]  # as bolt itself does


@asynccontextmanager
async def connected(app: AsyncApp, app_token: str, web: AsyncWebClient, address: str) -> AsyncIterator[None]:
    """The app, connected first at `address`, until the block ends."""
    handler = SocketHandler(app, app_token, web)
    try:
        handler.client.wss_uri = address
        await handler.connect_async()  # type: ignore[no-untyped-call]
        yield
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]
