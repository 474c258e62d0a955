"""`threadwork up`: everything on one machine, in the foreground.

In order: embedded servers where no address was given, migrations, then side by side the sandbox host, the offline model
where no credential is set, the gateway, the workers, the bots whose tokens are set and the admin page. The real
credential goes into the gateway's environment only. Next: `supervise.py`.
"""

import asyncio
import hashlib
import hmac
import os
import shlex
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from core.crypto import encode_secret, find_secret
from core.errors import Misconfigured, Unavailable
from core.settings import Settings, default_data_dir, example_of
from threadwork.embedded.postgres import embedded_postgres
from threadwork.embedded.valkey import embedded_valkey
from threadwork.parts import stop_signal, watched
from threadwork.stack import Stack, gateway_socket, only_stack, remove_stack, until_unused, write_stack
from threadwork.supervise import Child, Program, Supervisor, supervised

log = structlog.get_logger(__name__)
_CREDENTIALS: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_BASE_URL")


async def run_up(settings: Settings, *, use_embedded: bool, while_used: bool) -> int:
    """Run the stack until SIGTERM, SIGINT or, with `while_used`, until nobody uses it. Prints `ready` once it is."""
    with watched("up", settings, has_legs=False):
        return await _run(settings, use_embedded=use_embedded, while_used=while_used)


async def _run(settings: Settings, *, use_embedded: bool, while_used: bool) -> int:
    data_dir = settings.threadwork_data_dir
    gateway_socket(data_dir)
    stopped = stop_signal()
    starting = asyncio.current_task()
    # Told to stop before all is up: give the start up, and undo what is there.
    giving_up = asyncio.create_task(stopped.wait())
    giving_up.add_done_callback(lambda _: starting.cancel() if starting and not is_up.is_set() else None)
    is_up = asyncio.Event()
    with only_stack(data_dir):
        try:
            async with AsyncExitStack() as opened:
                # A stack that ends with its last user is one for a chat; its page would go as suddenly.
                stack = await _start(settings, opened, use_embedded=use_embedded, has_page=not while_used)
                is_up.set()
                write_stack(data_dir, stack)
                opened.callback(remove_stack, data_dir)
                print("ready", flush=True)
                await _until_over(stopped, data_dir, while_used=while_used)
        except asyncio.CancelledError:
            if not stopped.is_set():
                raise
        finally:
            giving_up.cancel()
    return 0


async def _until_over(stopped: asyncio.Event, data_dir: Path, *, while_used: bool) -> None:
    waiting: list[asyncio.Task[Any]] = [asyncio.create_task(stopped.wait())]
    if while_used:
        waiting.append(asyncio.create_task(until_unused(data_dir)))
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the servers are."""

    database: str
    redis: str

    @property
    def env(self) -> dict[str, str]:
        """As the environment says it."""
        return {"DATABASE_URL": self.database, "REDIS_URL": self.redis}


async def _servers(settings: Settings, opened: AsyncExitStack, supervisor: Supervisor, *, use_embedded: bool) -> Urls:
    """Start the servers that are not given, and migrate the database."""
    missing = [
        name
        for name, given in (("DATABASE_URL", settings.database_url), ("REDIS_URL", settings.redis_url))
        if given is None
    ]
    if missing and not use_embedded:
        raise Misconfigured(f"{' and '.join(missing)} must be set with --no-embedded.")
    data_dir = settings.threadwork_data_dir
    database, redis = settings.database_url, settings.redis_url
    if redis is None:
        redis = await opened.enter_async_context(embedded_valkey(data_dir))
    else:
        with _named("REDIS_URL"):
            await _reach_redis(redis)
    if database is None:
        database = await opened.enter_async_context(embedded_postgres(data_dir))
    from migrations.run import upgrade

    with _named("DATABASE_URL") if settings.database_url else nullcontext():
        await upgrade(database)
    # What is entered last is left first: on the way down the programs end before the servers they use.
    opened.push_async_callback(supervisor.stop)
    return Urls(database, redis)


@contextmanager
def _named(setting: str) -> Iterator[None]:
    """Say which setting it is that leads to a server that does not answer."""
    try:
        yield
    except Unavailable as error:
        raise Misconfigured(f"{setting} leads nowhere: {error.words}. {example_of(setting)}") from error


async def _reach_redis(url: str) -> None:
    """Raises `Unavailable` when no Redis answers there."""
    from core.bus.connection import open_redis, vendor_errors_as_ours

    async with open_redis(url) as redis:
        with vendor_errors_as_ours():
            async with asyncio.timeout(10):
                await redis.ping()


async def _start(settings: Settings, opened: AsyncExitStack, *, use_embedded: bool, has_page: bool) -> Stack:
    """Start everything, what needs no database first, and wait until each part can do its work."""
    data_dir = settings.threadwork_data_dir
    given = settings.threadwork_secret_key
    secret = find_secret(given.get_secret_value() if given else None, data_dir)
    env = {
        # The real credential is for the gateway only.
        **dict.fromkeys(_CREDENTIALS, ""),
        # The gateway and the sandbox host read no `.env`.
        **{name: value for name, value in settings.observing.items() if name.startswith("SENTRY_")},
        "THREADWORK_LOG_FORMAT": settings.threadwork_log_format,
        "THREADWORK_SECRET_KEY": encode_secret(secret),
        "THREADWORK_DATA_DIR": str(data_dir),
        "PYTHONUNBUFFERED": "1",
    }
    supervisor = await opened.enter_async_context(supervised())
    server = _sandbox_server(settings, secret)
    started = []
    if settings.uses_own_sandboxes:
        started.append(supervisor.start(_sandbox_host(settings, server, env)))
    model, model_env = _model(settings, env)
    if model is not None:
        started.append(supervisor.start(model))
    started.append(supervisor.start(_gateway(settings, {**env, **model_env})))
    urls = await _servers(settings, opened, supervisor, use_embedded=use_embedded)
    started += [supervisor.start(program) for program in _workers(settings, {**env, **urls.env, **server.env})]
    bots = [supervisor.start(program) for program in _bots(settings, {**env, **urls.env})]
    # The page asks only whether the sandboxes' server answers, so it is given no key of it.
    where = {name: value for name, value in server.env.items() if name != "E2B_API_KEY"}
    page = supervisor.start(_web(settings, {**env, **urls.env, **where})) if has_page else None
    for child in started:
        await supervisor.ready(child)
    await _bots_ready(supervisor, bots)
    web_url = await _page_ready(supervisor, page, data_dir) if page else None
    return Stack(
        pid=os.getpid(),
        database_url=urls.database,
        redis_url=urls.redis,
        e2b_api_url=server.api_url,
        e2b_sandbox_url=server.sandbox_url,
        e2b_api_key=server.api_key,
        is_offline=not settings.has_credential,
        is_isolated=not settings.threadwork_unsafe_no_isolation,
        web_url=web_url,
    )


@dataclass(frozen=True, slots=True)
class Sandboxes:
    """Which E2B-compatible server the workers use."""

    api_url: str | None
    sandbox_url: str | None
    api_key: str | None

    @property
    def env(self) -> dict[str, str]:
        """As the environment says it."""
        return {
            "E2B_API_URL": self.api_url or "",
            "E2B_SANDBOX_URL": self.sandbox_url or "",
            "E2B_API_KEY": self.api_key or "",
        }


def _sandbox_server(settings: Settings, secret: bytes) -> Sandboxes:
    if settings.uses_own_sandboxes:
        url = f"http://127.0.0.1:{free_port()}"
        # Other users of this machine must not make sandboxes with our rights.
        return Sandboxes(url, url, hmac.new(secret, b"sandbox-host", hashlib.sha256).hexdigest())
    key = settings.e2b_api_key
    return Sandboxes(settings.e2b_api_url, settings.e2b_sandbox_url, key.get_secret_value() if key else None)


def _sandbox_host(settings: Settings, server: Sandboxes, env: Mapping[str, str]) -> Program:
    data_dir = settings.threadwork_data_dir
    argv = [sys.executable, "-m", "threadwork.sandbox_host", "--port", str(server.api_url).rpartition(":")[2]]
    argv += ["--data-dir", str(data_dir / "sandboxes"), "--gateway-dir", str(data_dir / "gateway")]
    if settings.threadwork_unsafe_no_isolation:
        argv.append("--unsafe-no-isolation")
    return Program("sandbox-host", argv, "sandbox-host", {**env, "E2B_API_KEY": server.api_key or ""})


def _model(settings: Settings, env: Mapping[str, str]) -> tuple[Program | None, dict[str, str]]:
    """The gateway's way to the model: the real credential, or the scripted model of this program."""
    if settings.has_credential:
        return None, {name: os.environ.get(name, "") or _from_dotenv(settings, name) for name in _CREDENTIALS}
    port = free_port()
    argv = [sys.executable, "-m", "threadwork.offline_model", "--port", str(port)]
    scripted = {"ANTHROPIC_API_KEY": "scripted", "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}"}
    return Program("offline-model", argv, "offline-model", env), scripted


def _gateway(settings: Settings, env: Mapping[str, str]) -> Program:
    argv = [sys.executable, "-m", "worker.gateway", "--socket", str(gateway_socket(settings.threadwork_data_dir))]
    if settings.threadwork_gateway_port:
        argv += ["--host", settings.threadwork_gateway_host, "--port", str(settings.threadwork_gateway_port)]
    return Program("gateway", argv, "gateway ready", env)


def _workers(settings: Settings, env: Mapping[str, str]) -> list[Program]:
    if settings.threadwork_allow_key_in_sandbox:
        env = {**env, **{name: os.environ.get(name, "") for name in _CREDENTIALS}}
    count = settings.threadwork_workers
    names = ["worker"] if count == 1 else [f"worker-{number + 1}" for number in range(count)]
    return [Program(name, [sys.executable, "-m", "threadwork", "worker"], "worker ready", env) for name in names]


def _bots(settings: Settings, env: Mapping[str, str]) -> list[Program]:
    """The bots whose tokens are set."""
    found = []
    is_slack_known = settings.slack_bot_token or (settings.slack_client_id and settings.slack_client_secret)
    if is_slack_known and (settings.slack_app_token or (settings.slack_signing_secret and settings.slack_port)):
        found.append(Program("slack", [sys.executable, "-m", "threadwork", "slack"], "slack ready", env))
    if settings.discord_token:
        found.append(Program("discord", [sys.executable, "-m", "threadwork", "discord"], "discord ready", env))
    return found


async def _bots_ready(supervisor: Supervisor, bots: Sequence[Child]) -> None:
    """Wait for the bots. A platform that does not answer now is no reason to stop: its bot goes on trying.

    Raises `Unavailable` for a bot that ended, as it does when its platform refuses the token.
    """
    for child in bots:
        try:
            await supervisor.ready(child)
        except Unavailable as error:
            if child.said.done():
                raise
            log.warning("bot_not_connected", bot=child.program.name, why=str(error))


def _web(settings: Settings, env: Mapping[str, str]) -> Program:
    """The admin page. Its port is kept for the life of the stack, so that an open page finds a restarted one."""
    port = str(settings.threadwork_web_port or free_port())
    env = {**env, "THREADWORK_WEB_HOST": settings.threadwork_web_host, "THREADWORK_WEB_PORT": port}
    return Program("web", [sys.executable, "-m", "threadwork", "web"], "web ", env)


async def _page_ready(supervisor: Supervisor, page: Child, data_dir: Path) -> str | None:
    """Wait for the page and say where it is. Chats run without it, so one that does not start is told and left."""
    try:
        url = (await supervisor.ready(page)).removesuffix(" ready")
    except Unavailable as error:
        log.warning("no_admin_page", why=str(error))
        return None
    sys.stderr.write(f"threadwork: the admin page is at {url}; to sign in: {login_command(data_dir)}\n")
    sys.stderr.flush()
    return url


def login_command(data_dir: Path) -> str:
    """What to type, or paste into a shell, to sign in to the admin page of the stack on this folder."""
    where = [] if data_dir == default_data_dir() else ["--data-dir", str(data_dir)]
    return shlex.join(["threadwork", "admin", "login", *where])


def _from_dotenv(settings: Settings, name: str) -> str:
    value = getattr(settings, name.lower())
    return str(value.get_secret_value() if hasattr(value, "get_secret_value") else value or "")


def free_port() -> int:
    """A port of 127.0.0.1 that was free just now; kept for the life of the stack, so a restarted part is found."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
