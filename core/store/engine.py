"""The way to Postgres: one bounded pool, bounded waits, and vendor errors turned into ours.

`single` runs one statement, which is atomic by itself and costs one round trip; `transaction` groups several.
Both raise `Unavailable` for what a retry may mend. Next: `fence.py`.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from sqlalchemy import exc, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from core.errors import Misconfigured, Unavailable
from core.store.columns import dump_json

CONNECT_S: Final = 5.0
STATEMENT_S: Final = 15.0
LOCK_S: Final = 10.0
# A worker that hangs in the middle of a transaction must not keep a chat's row from its successor.
IDLE_IN_TRANSACTION_S: Final = 15.0
POOL_SIZE: Final = 10

_DRIVERS: Final = frozenset({"postgres", "postgresql", "postgresql+asyncpg"})
# What may stand behind the `?`: of what asyncpg takes, that which can be written as text.
_PARAMETERS: Final = frozenset({"host", "port", "ssl", "target_session_attrs", "passfile", "krbsrvname", "gsslib"})
# https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# Class 08 is a broken connection, 53 no resources, 57 an operator's step, 58 the system; 40 asks for another try,
# 55 is a lock not had in time: https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING: Final = ("08", "40", "53", "55", "57", "58")
_SETTINGS_WRONG: Final = ("28", "3D", "3F")


def normalise_url(url: str) -> str:
    """`url` for our driver: `postgres://` and `postgresql://` become `postgresql+asyncpg://`.

    libpq's `sslmode` becomes the driver's `ssl`, and `channel_binding`, which it does not know, is left out.
    Raises `Misconfigured` for anything but a Postgres URL with parameters that the driver takes; its words do not show
    the URL, which may hold a password.
    """
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise Misconfigured("DATABASE_URL is not a URL. Write postgresql://user:password@host/database.") from None
    if parsed.drivername not in _DRIVERS:
        raise Misconfigured(f"DATABASE_URL names {parsed.drivername}; only postgresql:// works.")
    query = {name: value for name, value in parsed.query.items() if name not in {"sslmode", "channel_binding"}}
    if "sslmode" in parsed.query:
        query["ssl"] = parsed.query["sslmode"]
    if unknown := sorted(query.keys() - _PARAMETERS):
        known = ", ".join(sorted(_PARAMETERS | {"sslmode"}))
        raise Misconfigured(f"DATABASE_URL has the parameter {unknown[0]}; leave it out. It may have: {known}.")
    if query.get("ssl", "require") not in _SSL_MODES:
        raise Misconfigured(f"DATABASE_URL has an sslmode that there is not. It may be: {', '.join(_SSL_MODES)}.")
    if not str(query.get("port", "5432")).isdecimal():
        raise Misconfigured(
            "DATABASE_URL has a port that is no number. Write postgresql://user:password@host/database."
        )
    return parsed.set(drivername="postgresql+asyncpg", query=query).render_as_string(hide_password=False)


@asynccontextmanager
async def open_engine(url: str, *, pool_size: int = POOL_SIZE, wait_s: float = CONNECT_S) -> AsyncIterator[AsyncEngine]:
    """A pool of at most twice `pool_size` connections, closed at the end. Connects when first used.

    A call waits `wait_s` seconds for a connection when all are in use.

    Raises `Misconfigured` for a `url` that is not Postgres's.
    """
    engine = create_async_engine(
        normalise_url(url),
        # Single statements need no BEGIN and COMMIT; `transaction` asks for its own.
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=wait_s,
        pool_pre_ping=True,
        pool_use_lifo=True,
        json_serializer=dump_json,
        hide_parameters=True,
        connect_args=session(
            statement_timeout=f"{STATEMENT_S:.0f}s",
            lock_timeout=f"{LOCK_S:.0f}s",
            idle_in_transaction_session_timeout=f"{IDLE_IN_TRANSACTION_S:.0f}s",
        )
        # The server stops a statement first; this is for a server that no longer answers.
        | {"command_timeout": STATEMENT_S + 5},
    )
    try:
        yield engine
    finally:
        await engine.dispose()


def session(**settings: str) -> dict[str, Any]:
    """What the driver is told at connect; `settings` are the server's, for this session."""
    return {
        "timeout": CONNECT_S,
        "server_settings": {"application_name": "threadwork", "timezone": "UTC", "jit": "off", **settings},
    }


@asynccontextmanager
async def single(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection on which each statement is a transaction of its own."""
    with vendor_errors_as_ours():
        async with engine.connect() as connection:
            yield connection


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction: committed at the end of the block, undone by any error in it."""
    with vendor_errors_as_ours():
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="READ COMMITTED")
            async with connection.begin():
                yield connection


@contextmanager
def vendor_errors_as_ours() -> Iterator[None]:
    """Raise `Unavailable` or `Misconfigured` for what is wrong with the connection or the server.

    What is wrong with a statement goes through unchanged: it is a mistake of ours, or a constraint that its caller
    knows the meaning of.
    """
    try:
        yield
    except exc.TimeoutError as error:
        raise Unavailable("the database", "every connection is in use") from error
    except (OSError, TimeoutError) as error:
        raise Unavailable("the database", str(error) or "it does not answer") from error
    except exc.DBAPIError as error:
        ours = _translated(error)
        if ours is None:
            raise
        raise ours from error


def _translated(error: exc.DBAPIError) -> Unavailable | Misconfigured | None:
    code = str(getattr(error.orig, "sqlstate", None) or "")
    words = str(error.orig).removeprefix(f"{type(error.orig)}: ")
    if code == "42P01":
        return Misconfigured("The database has no tables of ours yet. Run `threadwork migrate`.")
    if code.startswith(_SETTINGS_WRONG):
        return Misconfigured(f"The database refuses DATABASE_URL: {words}")
    # Without a code it was the driver that gave up, not the server.
    is_broken = error.connection_invalidated or (not code and not isinstance(error, exc.DataError))
    return Unavailable("the database", words) if is_broken or code.startswith(_PASSING) else None
