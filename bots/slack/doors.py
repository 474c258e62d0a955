"""The way in for what Slack sends: a socket, or HTTP; and bolt, which both lead to.

Next: `socket_mode.py`, `http_mode.py`, and `listener.py`, what bolt calls.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import aiohttp
import structlog
from aiohttp import web
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult

from bots.slack.http_mode import events_route, serving
from bots.slack.socket_mode import connected
from bots.slack.web import SlackWeb
from bots.slack.workspaces import Workspaces
from core.errors import Misconfigured, SurfaceError
from core.settings import Settings

log = structlog.get_logger(__name__)
SLACK_API: Final = "https://slack.com/api/"
AGAIN_S: Final = 5.0
Door = Callable[[AsyncApp], AbstractAsyncContextManager[None]]


def bolt_for(settings: Settings, workspaces: Workspaces) -> AsyncApp:
    """Bolt, which asks `workspaces` whose an event is."""

    async def authorize(team_id: str | None) -> AuthorizeResult | None:
        workspace = await workspaces.find(team_id or "")
        if workspace is None:
            return None
        return AuthorizeResult(
            enterprise_id=None,
            team_id=workspace.team,
            bot_user_id=workspace.user,
            bot_id=workspace.bot,
            bot_token=workspace.token,
        )

    signing = settings.slack_signing_secret
    return AsyncApp(
        name="threadwork",
        logger=_quiet(),
        authorize=authorize,  # type: ignore[arg-type]  # None is how it says that it is not installed
        signing_secret=signing.get_secret_value() if signing else "",
        attaching_conversation_kwargs_enabled=False,
    )


def _quiet() -> logging.Logger:
    """Bolt's logger, without what it says of tokens in the environment, which are ours to use."""
    logger = logging.getLogger("slack_bolt.threadwork")
    logger.setLevel(max(logging.WARNING, logging.getLogger().level))
    logger.addFilter(lambda record: "will be ignored" not in record.getMessage())
    return logger


async def find_door(settings: Settings, session: aiohttp.ClientSession, pages: Sequence[web.RouteDef]) -> Door:
    """HTTP where it was asked for, else a socket; `pages` are served in either case, if there is a port.

    The socket's first address is asked for here, so that a token Slack refuses ends the program and not its patience.
    """
    port = settings.slack_port
    if settings.slack_signing_secret is not None and port is not None:
        return partial(_by_http, port=port, pages=pages)
    if settings.slack_app_token is None:
        raise Misconfigured("SLACK_APP_TOKEN is not set. Example: SLACK_APP_TOKEN=xapp-…")
    token = settings.slack_app_token.get_secret_value()
    slack = SlackWeb(token, settings.slack_api_url or SLACK_API, session)
    while True:
        try:
            address = await slack.socket_address(token)
        except Misconfigured as error:
            raise Misconfigured("Slack refuses SLACK_APP_TOKEN. It must be an app-level token: xapp-…") from error
        except SurfaceError as error:
            log.warning("slack_not_reached", why=str(error), again_in_s=AGAIN_S)
            await asyncio.sleep(AGAIN_S)
        else:
            socket = partial(connected, app_token=token, web=slack.client, address=address)
            return partial(_by_socket, socket=socket, port=port, pages=pages)


@asynccontextmanager
async def _by_http(app: AsyncApp, port: int, pages: Sequence[web.RouteDef]) -> AsyncIterator[None]:
    async with serving(port, [events_route(app), *pages]):
        yield


@asynccontextmanager
async def _by_socket(
    app: AsyncApp, socket: Door, port: int | None, pages: Sequence[web.RouteDef]
) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        if pages and port is not None:
            await stack.enter_async_context(serving(port, pages))
        await stack.enter_async_context(socket(app))
        yield
