import asyncio
import sys

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import Misconfigured
from core.store.engine import open_engine
from core.store.stores import open_stores
from core.store.tables import metadata
from migrations import run
from tests.contracts.stage import ANN, place

CATALOGUE = (
    """SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || is_identity || ' ' ||
       coalesce(column_default, '-') || ' ' || coalesce(numeric_precision || ',' || numeric_scale, '-')
       FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'""",
    """SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
       WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'""",
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
)


async def catalogue(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return {row for query in CATALOGUE for row in (await connection.execute(text(query))).scalars()}


async def emptied(url: str) -> None:
    async with open_engine(url) as engine, engine.connect() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))


async def version(url: str) -> str | None:
    async with run.open_connection(url) as connection:
        return await run.current(connection)


async def test_the_migrations_make_what_the_tables_say(database_url: str) -> None:
    async with open_engine(database_url) as engine:
        migrated = await catalogue(engine)
        await emptied(database_url)
        async with engine.connect() as connection:
            await connection.run_sync(metadata.create_all)
        assert migrated == await catalogue(engine)
    assert len(migrated) > 150


async def test_alembic_finds_nothing_left_to_migrate(database_url: str) -> None:
    async with run.open_connection(database_url) as connection:
        await connection.run_sync(_check)


def _check(connection: Connection) -> None:
    config = run.config()
    config.attributes["connection"] = connection
    command.check(config)


async def test_an_empty_database_is_migrated_and_a_migrated_one_left_alone(database_url: str) -> None:
    await emptied(database_url)
    assert await version(database_url) is None

    await run.upgrade(database_url)
    assert await version(database_url) == run.head()

    async with open_stores(database_url) as stores:
        accepted = await stores.messages.accept(place(), ANN, "1.1", "hello")
        await run.upgrade(database_url)
        assert (await stores.chats.get(accepted.chat.id)).id == accepted.chat.id


WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = :key"


async def test_programs_that_start_at_once_migrate_once(database_url: str) -> None:
    await emptied(database_url)
    program = "import asyncio, sys; from migrations.run import upgrade; asyncio.run(upgrade(sys.argv[1]))"

    async with open_engine(database_url) as engine, engine.connect() as gate:
        await gate.execute(text("SELECT pg_advisory_lock(:key)"), {"key": run.LOCK})
        started = [await asyncio.create_subprocess_exec(sys.executable, "-c", program, database_url) for _ in range(3)]
        try:
            async with asyncio.timeout(90):
                while (await gate.execute(text(WAITING), {"key": run.LOCK})).scalar_one() < 3:
                    await asyncio.sleep(0.05)
                await gate.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": run.LOCK})
                codes = [await process.wait() for process in started]
        finally:
            for process in started:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    assert codes == [0, 0, 0]
    assert await version(database_url) == run.head()


async def test_an_up_to_date_database_needs_no_alembic(database_url: str) -> None:
    program = (
        "import asyncio, sys; from migrations.run import upgrade; asyncio.run(upgrade(sys.argv[1]));"
        "sys.exit('alembic' in sys.modules)"
    )

    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, database_url)
    async with asyncio.timeout(60):
        assert await process.wait() == 0


async def test_a_database_that_a_newer_program_migrated_is_left_alone(database_url: str) -> None:
    async with open_engine(database_url) as engine, engine.connect() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    await run.upgrade(database_url)

    assert await version(database_url) == "9999"


def test_the_newest_file_is_alembics_head() -> None:
    assert ScriptDirectory.from_config(run.config()).get_current_head() == run.head()


async def test_the_first_migration_can_be_taken_back(database_url: str) -> None:
    async with run.open_connection(database_url) as connection:
        await connection.run_sync(_downgrade)

    async with open_engine(database_url) as engine:
        assert await catalogue(engine) == set()
        async with engine.connect() as connection:
            functions = text("SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
            assert (await connection.execute(functions)).scalar_one() == 0


def _downgrade(connection: Connection) -> None:
    config = run.config()
    config.attributes["connection"] = connection
    command.downgrade(config, "base")


async def test_a_database_without_tables_says_what_to_do(database_url: str) -> None:
    await emptied(database_url)

    async with open_stores(database_url) as stores:
        with pytest.raises(Misconfigured, match="threadwork migrate"):
            await stores.chats.recent()
