"""`threadwork up`: everything on one machine, in the foreground.

In order: embedded servers where no address was given, migrations, then side by side the sandbox host, the offline model
where no credential is set, the gateway, the workers and the bots whose tokens are set. The real credential goes into
the gateway's environment only. Next: `supervise.py`.
"""

import asyncio
import hashlib
import hmac
import os
import socket
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from core.crypto import encode_secret, find_secret
from core.errors import Misconfigured
from core.log import set_up
from core.settings import Settings
from threadwork.embedded.postgres import embedded_postgres
from threadwork.embedded.valkey import embedded_valkey
from threadwork.parts import stop_signal
from threadwork.stack import Stack, only_stack, remove_stack, until_unused, write_stack
from threadwork.supervise import Program, Supervisor, supervised

_CREDENTIALS: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_BASE_URL")


async def run_up(settings: Settings, *, use_embedded: bool, while_used: bool) -> int:
    """Run the stack until SIGTERM, SIGINT or, with `while_used`, until nobody uses it. Prints `ready` once it is."""
    set_up(settings.threadwork_log, settings.threadwork_log_format, name="up")
    data_dir = settings.threadwork_data_dir
    stopped = stop_signal()
    with only_stack(data_dir):
        async with AsyncExitStack() as opened:
            urls = await _servers(settings, opened, use_embedded=use_embedded)
            supervisor = await opened.enter_async_context(supervised())
            starting = asyncio.create_task(_start(settings, urls, supervisor))
            waiting = asyncio.create_task(stopped.wait())
            await asyncio.wait((starting, waiting), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                write_stack(data_dir, await starting)
                print("ready", flush=True)
                if while_used:
                    unused = asyncio.create_task(until_unused(data_dir))
                    await asyncio.wait((waiting, unused), return_when=asyncio.FIRST_COMPLETED)
                    unused.cancel()
                else:
                    await waiting
            waiting.cancel()
            starting.cancel()
            remove_stack(data_dir)
    return 0


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the servers are."""

    database: str
    redis: str


async def _servers(settings: Settings, opened: AsyncExitStack, *, use_embedded: bool) -> Urls:
    """Start the servers that are not given, both at once, and migrate the database."""
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
    if database is None:
        database = await opened.enter_async_context(embedded_postgres(data_dir))
    from migrations.run import upgrade

    await upgrade(database)
    return Urls(database, redis)


async def _start(settings: Settings, urls: Urls, supervisor: Supervisor) -> Stack:
    """Start the programs, and wait until each can do its work."""
    data_dir = settings.threadwork_data_dir
    secret = find_secret(
        settings.threadwork_secret_key.get_secret_value() if settings.threadwork_secret_key else None, data_dir
    )
    env = {
        **dict.fromkeys(_CREDENTIALS, ""),
        "DATABASE_URL": urls.database,
        "REDIS_URL": urls.redis,
        "THREADWORK_SECRET_KEY": encode_secret(secret),
        "THREADWORK_DATA_DIR": str(data_dir),
        "PYTHONUNBUFFERED": "1",
    }
    if settings.threadwork_allow_key_in_sandbox:
        env.update({name: os.environ.get(name, "") for name in _CREDENTIALS})
    started = []
    api_url, sandbox_url, api_key = _sandbox_server(settings)
    if settings.uses_own_sandboxes:
        port = free_port()
        api_key = hmac.new(secret, b"sandbox-host", hashlib.sha256).hexdigest()
        api_url = sandbox_url = f"http://127.0.0.1:{port}"
        host = [*_threadwork(), "sandbox-host", "--port", str(port), "--data-dir", str(data_dir)]
        started.append(supervisor.start(Program("sandbox-host", host, "sandbox-host", {**env, "E2B_API_KEY": api_key})))
    model = await _model(settings, supervisor)
    gateway_env = {**env, **model, "THREADWORK_SECRET_KEY": encode_secret(secret)}
    gateway = [sys.executable, "-m", "worker.gateway", "--socket", str(data_dir / "gateway" / "gateway.sock")]
    if settings.threadwork_gateway_port:
        gateway += ["--host", settings.threadwork_gateway_host, "--port", str(settings.threadwork_gateway_port)]
    started.append(supervisor.start(Program("gateway", gateway, "gateway ready", gateway_env)))
    sandboxes = {"E2B_API_URL": api_url or "", "E2B_SANDBOX_URL": sandbox_url or "", "E2B_API_KEY": api_key or ""}
    for number in range(settings.threadwork_workers):
        name = "worker" if settings.threadwork_workers == 1 else f"worker-{number + 1}"
        started.append(
            supervisor.start(Program(name, [*_threadwork(), "worker"], "worker ready", {**env, **sandboxes}))
        )
    for child in started:
        await supervisor.ready(child)
    return Stack(
        pid=os.getpid(),
        database_url=urls.database,
        redis_url=urls.redis,
        e2b_api_url=api_url,
        e2b_sandbox_url=sandbox_url,
        e2b_api_key=api_key,
        is_offline=not settings.has_credential,
        is_isolated=not settings.threadwork_unsafe_no_isolation,
    )


async def _model(settings: Settings, supervisor: Supervisor) -> dict[str, str]:
    """The gateway's way to the model: the real credential, or the scripted model of this program."""
    if settings.has_credential:
        return {name: os.environ.get(name, "") or _from_dotenv(settings, name) for name in _CREDENTIALS}
    port = free_port()
    argv = [sys.executable, "-m", "threadwork.offline_model", "--port", str(port)]
    child = supervisor.start(Program("offline-model", argv, "offline-model", dict.fromkeys(_CREDENTIALS, "")))
    await supervisor.ready(child)
    return {"ANTHROPIC_API_KEY": "scripted", "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}"}


def _from_dotenv(settings: Settings, name: str) -> str:
    value = getattr(settings, name.lower())
    return str(value.get_secret_value() if hasattr(value, "get_secret_value") else value or "")


def _sandbox_server(settings: Settings) -> tuple[str | None, str | None, str | None]:
    key = settings.e2b_api_key
    return settings.e2b_api_url, settings.e2b_sandbox_url, key.get_secret_value() if key else None


def _threadwork() -> list[str]:
    return [sys.executable, "-m", "threadwork"]


def free_port() -> int:
    """A port of 127.0.0.1 that was free just now; kept for the life of the stack, so a restarted part is found."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
