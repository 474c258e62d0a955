"""Fixtures for every suite: a real Postgres and a real Valkey, fresh for each test."""

import asyncio
import itertools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
import redis as redis_sync

from migrations.run import upgrade

_ROOT = Path(__file__).parent.parent
_numbers = itertools.count(1)


class Servers(NamedTuple):
    database_url: str
    redis_url: str


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Postgres and Valkey, started once a session from the binaries that `threadwork up` uses."""
    folder = Path(tempfile.mkdtemp(prefix="tw"))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers", str(folder)],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    database, redis = process.stdout.readline().strip(), process.stdout.readline().strip()
    if not redis:
        process.kill()
        process.communicate()
        raise RuntimeError("the test servers did not start; their words are above")
    yield Servers(database, redis)
    process.communicate(timeout=20)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(servers: Servers) -> str:
    """The address of the server's own database, for a test that makes databases."""
    return servers.database_url


def _socket_folder(database_url: str) -> str:
    return database_url.partition("host=")[2]


async def _admin(database_url: str, *statements: str) -> None:
    connection = await asyncpg.connect(host=_socket_folder(database_url), user="postgres", database="postgres")
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _named(database_url: str, name: str) -> str:
    return database_url.replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="session")
def template_database(servers: Servers) -> str:
    """A migrated database that every test's is copied from."""
    asyncio.run(_admin(servers.database_url, "CREATE DATABASE template_threadwork"))
    asyncio.run(upgrade(_named(servers.database_url, "template_threadwork")))
    return "template_threadwork"


@pytest.fixture
def empty_database_url(servers: Servers) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"empty_{next(_numbers)}"
    asyncio.run(_admin(servers.database_url, f"CREATE DATABASE {name}"))
    yield _named(servers.database_url, name)
    asyncio.run(_admin(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def database_url(servers: Servers, template_database: str) -> Iterator[str]:
    """A migrated database of this test's own."""
    name = f"test_{next(_numbers)}"
    asyncio.run(_admin(servers.database_url, f"CREATE DATABASE {name} TEMPLATE {template_database}"))
    yield _named(servers.database_url, name)
    asyncio.run(_admin(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def redis_url(servers: Servers) -> Iterator[str]:
    """A Valkey database of this test's own, empty."""
    url = f"{servers.redis_url}?db={next(_numbers) % 15 + 1}"
    client = redis_sync.Redis.from_url(url)
    client.flushdb()
    yield url
    client.flushdb()
    client.close()
