"""The servers Threadwork needs: named ones are spoken to, embedded ones are looked for. Next: `accounts.py`."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from core.bus.connection import open_redis, vendor_errors_as_ours
from core.errors import ThreadworkError
from core.settings import Settings
from core.store.engine import normalise_url
from migrations.run import current, head, open_connection
from threadwork.checks.finding import Finding, bad, good, note
from threadwork.embedded import postgres, valkey
from threadwork.embedded.child import Seat, run_to_end
from threadwork.stack import Stack
from worker.sandbox.provider import E2BProvider, SandboxServer

CALL_S: Final = 20.0


async def database(settings: Settings, stack: Stack | None) -> Finding:
    """The database: reachable and migrated, or Postgres can be started here."""
    url = settings.database_url or (stack.database_url if stack else None)
    try:
        if url is None:
            await asyncio.to_thread(_try_postgres)
            return good("Database", "embedded Postgres, started with the stack")
        parsed = make_url(normalise_url(url))
        async with asyncio.timeout(CALL_S), open_connection(url) as connection:
            revision = await current(connection)
    except ThreadworkError as error:
        return bad("Database", error.words, "Is DATABASE_URL right, and the server running?" if url else "")
    except TimeoutError:
        return bad("Database", "it does not answer", "Is DATABASE_URL right, and the server running?")
    where = f"{parsed.host}/{parsed.database}" if settings.database_url else "embedded Postgres, running"
    if revision is not None and revision > head():
        return note("Database", f"{where} was migrated by a newer program ({revision})", "Update Threadwork here, too.")
    if revision != head():
        has = f"is at revision {revision}" if revision else "has no tables of Threadwork's"
        return bad("Database", f"{where} {has}; this program needs {head()}", "Type: threadwork migrate")
    return good("Database", f"{where}, revision {revision}")


def _try_postgres() -> None:
    """Run Postgres's binary as the server will be run. Raises `Misconfigured`."""
    folder = postgres.binaries()
    with tempfile.TemporaryDirectory(prefix="tw") as place:
        lock = os.open(Path(place) / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            seat = Seat(Path(place) / "log", lock, reaches=(Path(place), folder.parents[2]))
            run_to_end([str(folder / "postgres"), "--version"], seat)
        finally:
            os.close(lock)


async def redis(settings: Settings, stack: Stack | None) -> Finding:
    """Redis: reachable and not told to forget, or Valkey can be started here."""
    url = settings.redis_url or (stack.redis_url if stack else None)
    try:
        if url is None:
            valkey.binary()
            return good("Redis", "embedded Valkey, started with the stack")
        async with asyncio.timeout(CALL_S), open_redis(url) as client:
            with vendor_errors_as_ours():
                info = await client.info()
    except ThreadworkError as error:
        return bad("Redis", error.words, "Is REDIS_URL right, and the server running?" if url else "")
    except TimeoutError:
        return bad("Redis", "it does not answer", "Is REDIS_URL right, and the server running?")
    is_valkey = "valkey_version" in info
    said = f"Valkey {info['valkey_version']}" if is_valkey else f"Redis {info.get('redis_version')}"
    if settings.redis_url and info.get("maxmemory_policy", "noeviction") != "noeviction":
        mend = "Nothing would be lost, but chats would wait for the sweeper: set maxmemory-policy noeviction."
        return note("Redis", f"{said} throws keys away when its memory is full", mend)
    return good("Redis", said if settings.redis_url else f"embedded {said}, running")


async def sandbox_server(settings: Settings) -> Finding:
    """A named E2B-compatible server: reachable, and it takes the key."""
    if settings.uses_own_sandboxes:
        return good("Sandbox server", "this machine's own")
    key = settings.e2b_api_key.get_secret_value() if settings.e2b_api_key else None
    where = settings.e2b_api_url or "E2B's cloud"
    server = SandboxServer(key, settings.e2b_api_url, settings.e2b_sandbox_url)
    try:
        async with asyncio.timeout(CALL_S):
            found = await E2BProvider(server).list()
    except ThreadworkError as error:
        return bad("Sandbox server", f"{where}: {error.words}", "Check E2B_API_KEY, E2B_API_URL and E2B_SANDBOX_URL.")
    except TimeoutError:
        return bad("Sandbox server", f"{where} does not answer", "Check E2B_API_URL, and that the server runs.")
    said = f"{where} answers; {len(found)} sandboxes"
    if settings.e2b_api_url is None and not settings.e2b_template:
        mend = "threadwork template build, then set E2B_TEMPLATE: without it the agent's program is uploaded each time."
        return note("Sandbox server", said, mend)
    return good("Sandbox server", said)
