"""What Alembic runs: one transaction under one lock, on the connection it is given or on DATABASE_URL's."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, text

from core.store.tables import metadata
from migrations.run import LOCK, open_connection


def migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        # Whoever comes second waits here, and then finds nothing left to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        context.run_migrations()


async def migrate_by_url(url: str) -> None:
    async with open_connection(url) as connection:
        await connection.run_sync(migrate)


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    asyncio.run(migrate_by_url(os.environ["DATABASE_URL"]))
