"""A worker, composed: chooses the implementations and yields a queue worker that is ready to run.

Everything is opened here and closed in the reverse order; nothing connects before. The SDKs are loaded in the
background once the worker is ready (`WarmUp`), so that the first chat does not wait for them.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from core.bus.budget import RedisEditBudget
from core.bus.connection import open_redis
from core.bus.control import open_control
from core.bus.counters import open_counters
from core.bus.events import RedisEventBus
from core.crypto import find_secret
from core.domain.chat import ChatId, Place, Platform
from core.errors import Misconfigured
from core.ports import EditBudget, FileSource, Stores, Surface, Traces
from core.queue import ArqWorkQueue
from core.settings import Settings
from core.store.console import PostgresConsoleThreads
from core.store.engine import open_engine
from core.store.stores import stores_on
from core.store.wishes import PostgresWishes
from core.surfaces.console.client import ConsoleSurface
from worker.gateway.tokens import mint_token
from worker.limits import Limits
from worker.queue_worker import QueueWorker
from worker.sandbox.bootstrap import bring_cli
from worker.sandbox.provider import E2BProvider, SandboxServer
from worker.sandbox.seating import Access, Seating
from worker.sweep import Sweeper
from worker.tools import Tools
from worker.tracing import traced

log = structlog.get_logger(__name__)
_WARM_AFTER_S: Final = 3.0


@asynccontextmanager
async def open_worker(
    settings: Settings, wrap: Callable[[Tools], Tools] = lambda tools: tools, *, traces: Traces | None = None
) -> AsyncIterator[QueueWorker]:
    """A worker on the database and Redis that the settings name. Raises `Misconfigured` for what is missing.

    `wrap` may lay something around a tool: tests of faults a moody surface, a measurement a bus with a clock.
    `traces`: where the legs of messages' ways are told, if anywhere.
    """
    if settings.database_url is None or settings.redis_url is None:
        missing = "DATABASE_URL" if settings.database_url is None else "REDIS_URL"
        raise Misconfigured(f"{missing} is not set. Set it, or run everything on this machine with: threadwork up")
    name = f"{socket.gethostname()}:{os.getpid()}"
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(settings.database_url))
        redis = await stack.enter_async_context(open_redis(settings.redis_url))
        control = await stack.enter_async_context(open_control(redis))
        queue = await stack.enter_async_context(ArqWorkQueue.open(settings.redis_url))
        stores = stores_on(engine)
        provider = E2BProvider(_server(settings))
        secret = find_secret(_secret_text(settings), settings.threadwork_data_dir)
        budget = RedisEditBudget(redis)
        surfaces, files = await _open_surfaces(settings, engine, budget, stack)
        access = Access(partial(mint_token, secret), settings.threadwork_public_url, _key_inside(settings))
        made = Tools(
            stores=stores,
            bus=RedisEventBus(redis),
            control=control,
            budget=budget,
            surfaces=surfaces,
            provider=provider,
            seating=Seating(provider, access, bring_cli),
            limits=limits_of(settings),
            worker=name,
            files=files,
            counters=await stack.enter_async_context(open_counters(redis, name)),
        )
        tools = wrap(made)
        sweeper = Sweeper(stores, PostgresWishes(engine), provider, queue, settings)
        warming = WarmUp()
        stack.callback(warming.later.cancel)

        async def work_on(chat_id: ChatId) -> None:
            run_chat = await warming.run_chat()
            async with traced(tools, traces) as its_tools:
                await run_chat(its_tools, chat_id)

        yield QueueWorker(
            settings.redis_url,
            work_on,
            recheck=partial(_has_work, stores),
            sweep=sweeper.sweep,
            tenant_of=partial(_tenants, stores),
            max_jobs=settings.threadwork_max_chats,
            lease_s=settings.threadwork_lease_s,
            name=name,
        )


def limits_of(settings: Settings) -> Limits:
    """The limits that the settings ask for."""
    return Limits(
        lease_s=settings.threadwork_lease_s,
        linger_s=settings.threadwork_linger_s,
        look_every_s=settings.threadwork_look_every_s,
        park_after_s=settings.threadwork_park_after_s,
        turn_s=settings.threadwork_turn_s,
        turn_bytes=settings.threadwork_turn_mb << 20,
    )


class WarmUp:
    """Loads what is slow, in a thread: the Claude SDK takes two seconds of a core, E2B's one.

    In the event loop that would hold up every lease. It begins with the first chat, or a little after the start, when
    the other programs of a stack have had the cores.
    """

    def __init__(self) -> None:
        self._loading: asyncio.Future[Callable[[Tools, ChatId], Awaitable[None]]] | None = None
        self.later = asyncio.get_running_loop().call_later(_WARM_AFTER_S, self._begin)

    def _begin(self) -> "asyncio.Future[Callable[[Tools, ChatId], Awaitable[None]]]":
        if self._loading is None:
            self._loading = asyncio.ensure_future(asyncio.to_thread(_load))
        return self._loading

    async def run_chat(self) -> Callable[[Tools, ChatId], Awaitable[None]]:
        """`worker.run_chat.run_chat`, loaded."""
        return await asyncio.shield(self._begin())


def _load() -> Callable[[Tools, ChatId], Awaitable[None]]:
    import e2b  # noqa: F401 - loaded for later

    from worker.run_chat import run_chat

    return run_chat


async def _open_surfaces(
    settings: Settings, engine: AsyncEngine, budget: EditBudget, stack: AsyncExitStack
) -> tuple[Mapping[Platform, Surface], Mapping[Platform, FileSource]]:
    """The surfaces of the platforms that are set up, and where their files are, closed with `stack`.

    An SDK is loaded only where it is used.
    """
    surfaces: dict[Platform, Surface] = {Platform.CONSOLE: ConsoleSurface(PostgresConsoleThreads(engine))}
    files: dict[Platform, FileSource] = {}
    if settings.slack_bot_token is not None or settings.slack_client_id is not None:
        from core.surfaces.slack.files import SlackFiles

        token_of = await _slack_tokens(settings, engine, stack)
        opened = _slack_surface(settings, token_of, partial(_starter_of, stores_on(engine)), budget)
        surfaces[Platform.SLACK] = await stack.enter_async_context(opened)
        files[Platform.SLACK] = await stack.enter_async_context(SlackFiles.open(token_of, settings.slack_api_url))
    if settings.discord_token is not None:
        from core.surfaces.discord.client import DiscordSurface
        from core.surfaces.discord.files import DiscordFiles

        token = settings.discord_token.get_secret_value()
        surfaces[Platform.DISCORD] = await stack.enter_async_context(
            DiscordSurface.open(token, settings.discord_api_url)
        )
        files[Platform.DISCORD] = await stack.enter_async_context(DiscordFiles.open(settings.discord_api_url))
    return surfaces, files


def _slack_surface(
    settings: Settings,
    token_of: Callable[[str], Awaitable[str]],
    recipient_of: Callable[[Place], Awaitable[str | None]],
    budget: EditBudget,
) -> AbstractAsyncContextManager[Surface]:
    """The surface that SLACK_STREAMING asks for."""
    from core.surfaces.slack.client import SlackSurface
    from core.surfaces.slack.streaming import SlackStreamingSurface

    if settings.slack_streaming == "edit":
        return SlackSurface.open(token_of, settings.slack_api_url)
    return SlackStreamingSurface.open(token_of, settings.slack_api_url, recipient_of=recipient_of, budget=budget)


async def _starter_of(stores: Stores, place: Place) -> str | None:
    """Who began the chat, by the platform's id."""
    chat = await stores.chats.by_key(place.key)
    return next(iter(chat.settings.may_decide), None) if chat is not None else None


async def _slack_tokens(
    settings: Settings, engine: AsyncEngine, stack: AsyncExitStack
) -> Callable[[str], Awaitable[str]]:
    """Finds a Slack workspace's bot token: the one given, or that of its installation, renewed when it runs out."""
    if settings.slack_bot_token is not None:
        given = settings.slack_bot_token.get_secret_value()

        async def the_one(_tenant: str) -> str:
            return given

        return the_one
    if settings.slack_client_id is None or settings.slack_client_secret is None:
        raise Misconfigured("SLACK_CLIENT_ID and SLACK_CLIENT_SECRET go together: set both, or neither.")
    import aiohttp

    from core.store.installations import PostgresInstallations
    from core.surfaces.slack.client import API_URL
    from core.surfaces.slack.tokens import SlackTokens

    session = await stack.enter_async_context(aiohttp.ClientSession())
    secret = find_secret(_secret_text(settings), settings.threadwork_data_dir)
    client = (settings.slack_client_id, settings.slack_client_secret.get_secret_value())
    api_url = settings.slack_api_url or API_URL
    return SlackTokens(PostgresInstallations(engine, secret), client, session, api_url).token_of


def _server(settings: Settings) -> SandboxServer:
    key = settings.e2b_api_key
    return SandboxServer(
        api_key=key.get_secret_value() if key else None,
        api_url=settings.e2b_api_url,
        sandbox_url=settings.e2b_sandbox_url,
        template=settings.e2b_template,
    )


def _secret_text(settings: Settings) -> str | None:
    return settings.threadwork_secret_key.get_secret_value() if settings.threadwork_secret_key else None


def _key_inside(settings: Settings) -> Mapping[str, str] | None:
    """The credential for sandboxes that cannot reach the gateway; only where it was allowed by name."""
    if not settings.threadwork_allow_key_in_sandbox:
        return None
    secrets = {
        "ANTHROPIC_API_KEY": settings.anthropic_api_key,
        "ANTHROPIC_AUTH_TOKEN": settings.anthropic_auth_token,
        "CLAUDE_CODE_OAUTH_TOKEN": settings.claude_code_oauth_token,
    }
    given = {name: secret.get_secret_value() for name, secret in secrets.items() if secret}
    if settings.anthropic_base_url:
        given["ANTHROPIC_BASE_URL"] = settings.anthropic_base_url
    return given


async def _has_work(stores: Stores, chat_id: ChatId) -> bool:
    return chat_id in await stores.chats.unattended()


async def _tenants(stores: Stores, chat_ids: Sequence[ChatId]) -> Mapping[ChatId, str]:
    return {chat_id: str((await stores.chats.get(chat_id)).tenant_id) for chat_id in chat_ids}
