"""The Discord bot, composed: opens the store, the bus and Discord, and yields a bot that is connected.

At the end nothing new is taken, what runs comes to its end, and everything is closed in the reverse order. One process
is enough, and more than one would answer commands twice. Next: `listener.py`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import structlog

from bots.discord.answering import Answering
from bots.discord.catching_up import CatchingUp
from bots.discord.commands import Commands
from bots.discord.connection import connected, redirected
from bots.discord.handling import Handling, Parts
from bots.discord.invite import token_of
from bots.discord.listener import Listener
from bots.discord.receipting import Receipting
from bots.discord.servers import Servers
from bots.discord.slash import COMMANDS, Slash
from bots.discord.starting import Starting
from bots.discord.taking import Taking
from bots.discord.web import DiscordWeb
from bots.errands import Errands
from bots.intake import Intake
from core.bus.budget import RedisEditBudget
from core.bus.connection import open_redis
from core.bus.control import open_control
from core.domain.chat import ChatSettings
from core.errors import Misconfigured, ThreadworkError
from core.ports import Stores, Traces
from core.queue import ArqWorkQueue
from core.settings import Settings
from core.store.stores import open_stores
from core.surfaces.discord.client import DiscordSurface
from core.surfaces.discord.rest import Rest

log = structlog.get_logger(__name__)
_AGAIN_S: Final = 5.0


@asynccontextmanager
async def open_discord(settings: Settings, traces: Traces | None = None) -> AsyncIterator[None]:
    """The bot, connected to Discord until the block ends. Raises `Misconfigured` for what is missing or refused."""
    if settings.database_url is None or settings.redis_url is None:
        missing = "DATABASE_URL" if settings.database_url is None else "REDIS_URL"
        raise Misconfigured(f"{missing} is not set. Set it, or run everything on this machine with: threadwork up")
    token = token_of(settings)
    async with AsyncExitStack() as stack:
        rest = await stack.enter_async_context(Rest.open(token, settings.discord_api_url))
        servers = await _servers(DiscordWeb(rest), settings)
        stores = await stack.enter_async_context(open_stores(settings.database_url))
        redis = await stack.enter_async_context(open_redis(settings.redis_url))
        control = await stack.enter_async_context(open_control(redis))
        queue = await stack.enter_async_context(ArqWorkQueue.open(settings.redis_url))
        errands = Errands()
        stack.push_async_callback(errands.close)
        receipting = Receipting(stores.messages, RedisEditBudget(redis), DiscordSurface(rest))
        intake = Intake(stores, control, queue, traces)
        parts = _parts(settings, servers, intake, stores, errands=errands, receipting=receipting)
        catching_up = CatchingUp(servers.web, stores)
        await catching_up.open()
        listener = Listener(Handling(parts), catching_up, errands, servers.me)
        stack.enter_context(redirected(settings.discord_api_url, settings.discord_gateway_url))
        await stack.enter_async_context(connected(token, servers, listener.hear))
        errands.start(_register(servers), "register the commands")
        yield


def _parts(
    settings: Settings, servers: Servers, intake: Intake, stores: Stores, *, errands: Errands, receipting: Receipting
) -> Parts:
    defaults = ChatSettings(mode=settings.threadwork_mode, model=settings.threadwork_model)
    is_open = settings.threadwork_deciders == "everyone"
    taking = Taking(servers, intake, stores, errands=errands, receipting=receipting, defaults=defaults)
    starting = Starting(taking)
    commands = Commands(servers, intake, stores, starting, is_open=is_open)
    return Parts(
        servers=servers,
        taking=taking,
        starting=starting,
        commands=commands,
        answering=Answering(servers, intake, stores, is_open=is_open),
        slash=Slash(servers, stores, starting, commands, defaults),
    )


async def _servers(web: DiscordWeb, settings: Settings) -> Servers:
    """Ask Discord whose token it is, for as long as Discord does not answer."""
    forums, deciders = map(_ids, (settings.discord_forums, settings.discord_deciders))
    while True:
        try:
            found = await web.whoami()
            me, app = str((found.get("bot") or found)["id"]), str(found["id"])
            return Servers(web, me, app, forums=forums, deciders=deciders)
        except Misconfigured:
            raise
        except ThreadworkError as error:
            log.warning("discord_not_reached", why=str(error), again_in_s=_AGAIN_S)
            await asyncio.sleep(_AGAIN_S)


def _ids(setting: str) -> frozenset[str]:
    return frozenset(setting.replace(",", " ").split())


async def _register(servers: Servers) -> None:
    """Tell Discord of the commands, until it has them."""
    while True:
        try:
            await servers.web.register(servers.app, COMMANDS)
        except ThreadworkError as error:
            log.warning("commands_not_registered", why=str(error))
            if not error.retryable:
                return
            await asyncio.sleep(_AGAIN_S)
        else:
            return
