"""The Slack bot, composed: opens the store, the bus and Slack, and yields a bot that is connected.

Socket Mode unless SLACK_SIGNING_SECRET and SLACK_PORT ask for HTTP. At the end nothing new is taken, what runs comes to
its end, and everything is closed in the reverse order. Next: `listener.py`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import aiohttp
import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult

from bots.errands import Errands
from bots.intake import Intake
from bots.slack.answering import Answering
from bots.slack.commands import Commands
from bots.slack.handling import Handling, Parts
from bots.slack.http_mode import serving
from bots.slack.listener import Listener
from bots.slack.receipting import Receipting
from bots.slack.slash import Slash
from bots.slack.socket_mode import connected
from bots.slack.starting import Starting
from bots.slack.taking import Taking
from bots.slack.web import SlackWeb
from bots.slack.workspaces import OneWorkspace, Workspaces
from core.bus.budget import RedisEditBudget
from core.bus.connection import open_redis
from core.bus.control import open_control
from core.domain.chat import ChatSettings
from core.errors import Ambiguous, Misconfigured, RateLimited, SurfaceError
from core.ports import Stores
from core.queue import ArqWorkQueue
from core.settings import Settings
from core.store.stores import open_stores

log = structlog.get_logger(__name__)
SLACK_API: Final = "https://slack.com/api/"
_AGAIN_S: Final = 5.0
Door = Callable[[AsyncApp], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def open_slack(settings: Settings) -> AsyncIterator[None]:
    """The bot, connected to Slack until the block ends. Raises `Misconfigured` for what is missing or refused."""
    if settings.database_url is None or settings.redis_url is None:
        missing = "DATABASE_URL" if settings.database_url is None else "REDIS_URL"
        raise Misconfigured(f"{missing} is not set. Set it, or run everything on this machine with: threadwork up")
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        workspaces = await _workspaces(settings, session)
        door = await _door(settings, session)
        stores = await stack.enter_async_context(open_stores(settings.database_url))
        redis = await stack.enter_async_context(open_redis(settings.redis_url))
        control = await stack.enter_async_context(open_control(redis))
        queue = await stack.enter_async_context(ArqWorkQueue.open(settings.redis_url))
        errands = Errands()
        stack.push_async_callback(errands.close)
        receipting = Receipting(stores.messages, RedisEditBudget(redis))
        parts = _parts(settings, Intake(stores, control, queue), stores, errands, receipting)
        app = _bolt(settings, workspaces)
        Listener(Handling(workspaces, parts), errands).listen(app)
        await stack.enter_async_context(door(app))
        yield


def _parts(settings: Settings, intake: Intake, stores: Stores, errands: Errands, receipting: Receipting) -> Parts:
    defaults = _defaults(settings)
    is_open = settings.threadwork_deciders == "everyone"
    taking = Taking(intake, stores, errands, receipting, defaults)
    starting = Starting(taking)
    return Parts(
        intake=intake,
        stores=stores,
        taking=taking,
        starting=starting,
        commands=Commands(intake, stores, starting, is_open=is_open),
        answering=Answering(intake, stores, is_open=is_open),
        slash=Slash(stores, starting, defaults, settings.slack_command),
        defaults=defaults,
        command=settings.slack_command,
    )


def _defaults(settings: Settings) -> ChatSettings:
    """How a new chat is set."""
    return ChatSettings(mode=settings.threadwork_mode, model=settings.threadwork_model)


async def _workspaces(settings: Settings, session: aiohttp.ClientSession) -> Workspaces:
    if settings.slack_bot_token is None:
        raise Misconfigured("SLACK_BOT_TOKEN is not set. Example: SLACK_BOT_TOKEN=xoxb-…")
    token = settings.slack_bot_token.get_secret_value()
    while True:
        try:
            return await OneWorkspace.open(token, settings.slack_api_url or SLACK_API, session)
        except (Ambiguous, RateLimited) as error:
            log.warning("slack_not_reached", why=str(error), again_in_s=_AGAIN_S)
            await asyncio.sleep(_AGAIN_S)


def _bolt(settings: Settings, workspaces: Workspaces) -> AsyncApp:
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


async def _door(settings: Settings, session: aiohttp.ClientSession) -> Door:
    """The way in: HTTP where it was asked for, else a socket.

    The socket's first address is asked for here, so that a token Slack refuses ends the program and not its patience.
    """
    if settings.slack_signing_secret is not None and settings.slack_port is not None:
        return partial(serving, port=settings.slack_port)
    if settings.slack_app_token is None:
        raise Misconfigured("SLACK_APP_TOKEN is not set. Example: SLACK_APP_TOKEN=xapp-…")
    token = settings.slack_app_token.get_secret_value()
    web = SlackWeb(token, settings.slack_api_url or SLACK_API, session)
    while True:
        try:
            return partial(connected, app_token=token, web=web.client, address=await web.socket_address(token))
        except Misconfigured as error:
            raise Misconfigured("Slack refuses SLACK_APP_TOKEN. It must be an app-level token: xapp-…") from error
        except SurfaceError as error:
            log.warning("slack_not_reached", why=str(error), again_in_s=_AGAIN_S)
            await asyncio.sleep(_AGAIN_S)
