"""What programs load: nothing of Sentry or OpenTelemetry, unless they are told to use it."""

import os
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from core.settings import Settings
from tests.doubles.observing import Observer
from tests.processes import ready_program
from threadwork.up import free_port

ROOT = Path(__file__).parents[2]
# mcp, which the Claude SDK brings, loads OpenTelemetry's interfaces by itself; they do nothing without the SDK.
SDKS = ("sentry_sdk", "opentelemetry.sdk", "opentelemetry.exporter")


async def loaded(folder: Path, *arguments: str, ready: str, **settings: str) -> set[str]:
    """What a program has loaded of the SDKs, from its start to its end after it said that it was ready."""
    kept = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    secret = b64encode(b"s" * 32).decode()
    with (folder / "err").open("w+") as err:
        async with ready_program(
            *(sys.executable, "-X", "importtime", "-m", *arguments),
            ready=ready,
            env={**kept, "THREADWORK_DATA_DIR": str(folder), "THREADWORK_SECRET_KEY": secret, **settings},
            stderr=err,
        ):
            pass
        err.seek(0)
        names = {line.rpartition("|")[2].strip() for line in err if line.startswith("import time:")}
    assert "core.observing.program" in names
    return {sdk for sdk in SDKS if any(name == sdk or name.startswith(f"{sdk}.") for name in names)}


@pytest.mark.parametrize("program", ["worker", "web"])
async def test_a_program_that_nobody_watches_loads_neither(
    program: str, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    servers = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "THREADWORK_WEB_PORT": str(free_port())}
    assert await loaded(tmp_path, "threadwork", program, ready=program, **servers) == set()


async def test_a_program_loads_what_it_is_told_to_use(database_url: str, redis_url: str, tmp_path: Path) -> None:
    servers = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "THREADWORK_WEB_PORT": str(free_port())}
    with Observer() as observer:
        watched = {"SENTRY_DSN": observer.dsn, "OTEL_EXPORTER_OTLP_ENDPOINT": observer.endpoint}
        assert await loaded(tmp_path, "threadwork", "web", ready="web", **servers, **watched) == set(SDKS)
        # Nothing went wrong, and nobody said anything.
        assert observer.bodies == []


async def test_the_gateway_takes_what_it_is_told_from_the_environment(tmp_path: Path) -> None:
    where, key = ("worker.gateway", "--socket", str(tmp_path / "s")), {"ANTHROPIC_API_KEY": "k"}
    assert await loaded(tmp_path, *where, ready="gateway", **key) == set()
    with Observer() as observer:
        watched = {"SENTRY_DSN": observer.dsn, "OTEL_EXPORTER_OTLP_ENDPOINT": observer.endpoint}
        # No message comes through it, so it has nothing to trace.
        assert await loaded(tmp_path, *where, ready="gateway", **key, **watched) == {"sentry_sdk"}
