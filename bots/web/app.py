"""The admin page, composed: opens the store and the bus, and serves until the block ends.

Server-rendered: templates escape everything, and no script or style stands in a page or comes from elsewhere
(`gate.py` has the policy). Next: `gate.py`.
"""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bots.intake import Intake
from bots.web.afar import open_afar
from bots.web.chats import Chats
from bots.web.checks import Checks
from bots.web.deliveries import DeliveriesPage
from bots.web.doing import Doing
from bots.web.doors import find_doors
from bots.web.gate import Address, Cookies, middlewares, put_headers
from bots.web.health import HealthPage
from bots.web.metrics import Metrics
from bots.web.sandboxes import SandboxForms
from bots.web.signing_in import SigningIn
from bots.web.streams import Streams
from bots.web.templating import set_up_templates
from bots.web.tries import Tries
from bots.web.usage import UsagePage
from bots.web.vouched import Vouched
from bots.web.waiting import Waiting
from core.bus.connection import open_redis, vendor_errors_as_ours
from core.bus.control import open_control
from core.bus.counters import RedisCounters
from core.bus.shared import open_shared_bus
from core.crypto import find_secret
from core.errors import Misconfigured
from core.ports import Traces
from core.queue import ArqWorkQueue
from core.settings import Settings
from core.store.audit import PostgresAudit
from core.store.deliveries import PostgresDeliveries
from core.store.engine import open_engine, single
from core.store.health import PostgresLeases
from core.store.looks import PostgresLooks
from core.store.overview import PostgresOverview
from core.store.sessions import PostgresSessions
from core.store.stores import stores_on
from core.store.tenants import known_tenants
from core.store.usage import PostgresSpending
from core.store.wishes import PostgresWishes

PORT: Final = 8030
STATIC: Final = Path(__file__).parent / "static"
# A message is at most some thousand characters; what is larger is cut off before it is read.
MOST_BYTES: Final = 256 * 1024
_SHUTDOWN_S: Final = 2.0


@asynccontextmanager
async def open_web(settings: Settings, traces: Traces | None = None) -> AsyncIterator[str]:
    """The page, served until the block ends; yields its address. Raises `Misconfigured`."""
    if settings.database_url is None or settings.redis_url is None:
        missing = "DATABASE_URL" if settings.database_url is None else "REDIS_URL"
        raise Misconfigured(f"{missing} is not set. Set it, or run everything on this machine with: threadwork up")
    given = settings.threadwork_secret_key
    secret = find_secret(given.get_secret_value() if given else None, settings.threadwork_data_dir)
    address = Address(settings.threadwork_web_host, settings.threadwork_web_url)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(settings.database_url))
        redis = await stack.enter_async_context(open_redis(settings.redis_url))

        async def ask_redis() -> None:
            with vendor_errors_as_ours():
                await redis.ping()

        async def ask_database() -> None:
            await _ask(engine)

        sessions, cookies = PostgresSessions(engine), Cookies(address, secret)
        checks = Checks({"database": ask_database, "redis": ask_redis})
        # Nobody's cookies are kept: what a platform sets for one person must not go along with another's.
        http = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        doors, tries = find_doors(settings, http, engine, secret), Tries(time.monotonic)
        signing_in = SigningIn(sessions, cookies, tries)
        vouched = Vouched(
            doors,
            sessions,
            cookies,
            tries,
            address=address,
            url=_url_of(settings),
            secret=secret,
            known=partial(known_tenants, engine),
            viewers=settings.threadwork_web_viewers,
        )
        site = web.Application(middlewares=middlewares(address, sessions, secret), client_max_size=MOST_BYTES)
        site.on_response_prepare.append(put_headers)
        set_up_templates(site, doors=tuple(doors))
        looks, stores, audit = PostgresLooks(engine), stores_on(engine), PostgresAudit(engine)
        control = await stack.enter_async_context(open_control(redis))
        queue = await stack.enter_async_context(ArqWorkQueue.open(settings.redis_url))
        bus = await stack.enter_async_context(open_shared_bus(redis))
        streams = Streams(looks, stores.turns, bus)
        waiting = Waiting(looks)
        site.on_shutdown.extend([streams.close, waiting.close])
        doing = Doing(looks, stores, Intake(stores, control, queue, traces), audit)
        site.add_routes(vouched.routes)
        site.add_routes([*checks.routes, *signing_in.routes, *Chats(looks, stores, streams.mark_now).routes])
        deliveries = DeliveriesPage(looks, PostgresDeliveries(engine), queue, audit)
        leases, counters = PostgresLeases(engine), RedisCounters(redis)
        afar = await stack.enter_async_context(open_afar(settings, http))
        health = HealthPage(checks, afar, leases, counters, queue.length)
        asked_with = settings.threadwork_metrics_token
        metrics = Metrics(
            PostgresOverview(engine),
            leases,
            counters,
            queue.length,
            address=address,
            token=asked_with.get_secret_value() if asked_with else None,
        )
        site.add_routes([*metrics.routes, *SandboxForms(looks, PostgresWishes(engine)).routes])
        site.add_routes(
            [*health.routes, *deliveries.routes, *waiting.routes, *UsagePage(PostgresSpending(engine)).routes]
        )
        site.add_routes([*streams.routes, *doing.routes, web.static("/static", STATIC)])
        yield await _serving(stack, site, settings)


async def _ask(engine: AsyncEngine) -> None:
    async with single(engine) as connection:
        # A table of ours: a database that was not migrated is of no use.
        await connection.execute(text("SELECT 1 FROM web_sessions LIMIT 1"))


async def _serving(stack: AsyncExitStack, site: web.Application, settings: Settings) -> str:
    runner = web.AppRunner(site, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    host, port = settings.threadwork_web_host, settings.threadwork_web_port or PORT
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise Misconfigured(
            f"The admin page cannot listen on {host}:{port}: {error.strerror}. Set THREADWORK_WEB_PORT to a free one."
        ) from error
    return _url_of(settings)


def _url_of(settings: Settings) -> str:
    host, port = settings.threadwork_web_host, settings.threadwork_web_port or PORT
    return settings.threadwork_web_url or f"http://{f'[{host}]' if ':' in host else host}:{port}"
