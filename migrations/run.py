"""Bringing a database up to date, from the command line, from `threadwork up`, and from tests.

A database that is up to date is recognised by one query, without loading Alembic, which takes most of a second. Three
programs may start at once: the first migrates, the others wait for it (`env.py`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import NullPool, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from core.store.engine import normalise_url, session, vendor_errors_as_ours

if TYPE_CHECKING:
    from alembic.config import Config

LOCK: Final = 0x7477_6D69  # "twmi", in the space of advisory locks that all programs on a database share

_FOLDER: Final = Path(__file__).parent


def head() -> str:
    """The newest revision: the number that begins the last file's name in `versions`."""
    return max(path.name.split("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))


async def upgrade(url: str) -> None:
    """Make the tables that are missing in the database at `url`, and change those that are old.

    A database that a newer program has migrated already is left as it is. Raises `Unavailable`, `Misconfigured`.
    """
    async with open_connection(url) as connection:
        before = await current(connection)
        if before is None or before < head():
            await connection.run_sync(_upgrade)


async def current(connection: AsyncConnection) -> str | None:
    """The database's revision; None when nothing of ours is in it."""
    query = text("SELECT version_num FROM alembic_version")
    try:
        found: str | None = (await connection.execute(query)).scalar_one_or_none()
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != "42P01":
            raise
        found = None
    await connection.rollback()
    return found


@asynccontextmanager
async def open_connection(url: str) -> AsyncIterator[AsyncConnection]:
    """A connection of its own, without the time limits that everyday statements have."""
    engine = create_async_engine(normalise_url(url), poolclass=NullPool, connect_args=session())
    try:
        with vendor_errors_as_ours():
            async with engine.connect() as connection:
                yield connection
    finally:
        await engine.dispose()


def config() -> "Config":
    """Alembic's settings; there is no file of them."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(_FOLDER))
    made.set_main_option("path_separator", "os")
    return made


def _upgrade(connection: object) -> None:
    from alembic import command

    made = config()
    made.attributes["connection"] = connection
    command.upgrade(made, "head")
