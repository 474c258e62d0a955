"""The Slack bot, composed: opens the store, the bus and Slack, and yields a bot that is connected.

Socket Mode unless SLACK_SIGNING_SECRET and SLACK_PORT ask for HTTP. At the end nothing new is taken, what runs comes to
its end, and everything is closed in the reverse order. Next: `listener.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from bots.errands import Errands
from bots.intake import Intake
from bots.slack.answering import Answering
from bots.slack.commands import Commands
from bots.slack.container import Container
from bots.slack.doors import AGAIN_S, SLACK_API, bolt_for, find_door
from bots.slack.handling import Handling, Parts
from bots.slack.installing import Installing
from bots.slack.listener import Listener
from bots.slack.receipting import Receipting
from bots.slack.slash import Slash
from bots.slack.starting import Starting
from bots.slack.taking import Taking
from bots.slack.workspaces import ManyWorkspaces, OneWorkspace, Workspaces
from core.bus.budget import RedisEditBudget
from core.bus.connection import open_redis
from core.bus.control import open_control
from core.crypto import find_secret
from core.domain.chat import ChatSettings
from core.errors import Ambiguous, Misconfigured, RateLimited
from core.ports import Stores, Traces
from core.queue import ArqWorkQueue
from core.settings import Settings
from core.store.engine import open_engine
from core.store.installations import PostgresInstallations
from core.store.stores import stores_on
from core.surfaces.slack.tokens import SlackTokens

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_slack(settings: Settings, traces: Traces | None = None) -> AsyncIterator[None]:
    """The bot, connected to Slack until the block ends. Raises `Misconfigured` for what is missing or refused."""
    if settings.database_url is None or settings.redis_url is None:
        missing = "DATABASE_URL" if settings.database_url is None else "REDIS_URL"
        raise Misconfigured(f"{missing} is not set. Set it, or run everything on this machine with: threadwork up")
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        engine = await stack.enter_async_context(open_engine(settings.database_url))
        workspaces, pages = await _workspaces(settings, session, engine)
        door = await find_door(settings, session, pages)
        stores = stores_on(engine)
        redis = await stack.enter_async_context(open_redis(settings.redis_url))
        control = await stack.enter_async_context(open_control(redis))
        queue = await stack.enter_async_context(ArqWorkQueue.open(settings.redis_url))
        errands = Errands()
        stack.push_async_callback(errands.close)
        receipting = Receipting(stores.messages, RedisEditBudget(redis))
        parts = _parts(settings, Intake(stores, control, queue, traces), stores, errands, receipting)
        app = bolt_for(settings, workspaces)
        Listener(Handling(workspaces, parts), errands).listen(app)
        await stack.enter_async_context(door(app))
        yield


def _parts(settings: Settings, intake: Intake, stores: Stores, errands: Errands, receipting: Receipting) -> Parts:
    defaults = _defaults(settings)
    is_open = settings.threadwork_deciders == "everyone"
    container = Container(stores)
    taking = Taking(intake, stores, errands=errands, receipting=receipting, container=container, defaults=defaults)
    starting = Starting(taking)
    return Parts(
        intake=intake,
        stores=stores,
        taking=taking,
        starting=starting,
        commands=Commands(intake, stores, starting, is_open=is_open),
        answering=Answering(intake, stores, is_open=is_open),
        container=container,
        slash=Slash(stores, starting, defaults, settings.slack_command),
        defaults=defaults,
        command=settings.slack_command,
    )


def _defaults(settings: Settings) -> ChatSettings:
    """How a new chat is set."""
    return ChatSettings(mode=settings.threadwork_mode, model=settings.threadwork_model)


async def _workspaces(
    settings: Settings, session: aiohttp.ClientSession, engine: AsyncEngine
) -> tuple[Workspaces, Sequence[web.RouteDef]]:
    """The one workspace of SLACK_BOT_TOKEN, or those that install the app on the pages that come with it."""
    api_url = settings.slack_api_url or SLACK_API
    if settings.slack_bot_token is not None:
        return await _one(settings.slack_bot_token.get_secret_value(), api_url, session), ()
    if settings.slack_client_id is None or settings.slack_client_secret is None:
        raise Misconfigured("SLACK_BOT_TOKEN is not set. Example: SLACK_BOT_TOKEN=xoxb-…")
    given = settings.threadwork_secret_key
    secret = find_secret(given.get_secret_value() if given else None, settings.threadwork_data_dir)
    client = (settings.slack_client_id, settings.slack_client_secret.get_secret_value())
    tokens = SlackTokens(PostgresInstallations(engine, secret), client, session, api_url)
    return ManyWorkspaces(tokens, api_url, session), Installing(tokens, settings.slack_client_id, secret).routes


async def _one(token: str, api_url: str, session: aiohttp.ClientSession) -> OneWorkspace:
    while True:
        try:
            return await OneWorkspace.open(token, api_url, session)
        except (Ambiguous, RateLimited) as error:
            log.warning("slack_not_reached", why=str(error), again_in_s=AGAIN_S)
            await asyncio.sleep(AGAIN_S)
