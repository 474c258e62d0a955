import asyncio
import socket
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.domain.chat import ChatId
from core.errors import Misconfigured, Unavailable
from core.ports import Fence
from core.store.engine import normalise_url, open_engine, transaction
from core.store.stores import open_stores, stores_on
from migrations.run import upgrade
from tests.contracts.stage import ANN, LONG_S, SEAT, Stage, place


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("postgres://u:p%40@h/db", "postgresql+asyncpg://u:p%40@h/db"),
        ("postgresql://u@h:5433/db", "postgresql+asyncpg://u@h:5433/db"),
        ("postgresql+asyncpg://u@/db?host=/run/pg", "postgresql+asyncpg://u@/db?host=%2Frun%2Fpg"),
        ("postgresql://h/db?sslmode=require&channel_binding=require", "postgresql+asyncpg://h/db?ssl=require"),
    ],
)
def test_postgres_urls_are_written_for_our_driver(given: str, wanted: str) -> None:
    assert normalise_url(given) == wanted
    assert normalise_url(wanted) == wanted


@pytest.mark.parametrize(
    "given",
    [
        "",
        "nonsense",
        "mysql://u:secret@h/db",
        "sqlite:///x.db",
        "postgresql+psycopg://h/db",
        "postgresql://u:secret@h:port/db",
        "postgresql://u:secret@/db?host=/run/pg&port=x",
        "postgresql://u:secret@h/db?pgbouncer=true",
        "postgresql://u:secret@h/db?sslmode=always",
    ],
)
def test_other_urls_are_refused_in_words_without_the_password(given: str) -> None:
    with pytest.raises(Misconfigured, match="DATABASE_URL") as refused:
        normalise_url(given)
    assert "secret" not in refused.value.words


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
    return port


async def test_every_kind_of_call_reports_a_database_that_is_away(closed_port: int) -> None:
    url = f"postgresql://u@127.0.0.1:{closed_port}/db"
    nowhere = ChatId(uuid4())
    async with open_stores(url) as stores:
        for asked in (
            stores.chats.recent(),
            stores.chats.save_seat(Fence(nowhere, 1), SEAT),
            stores.messages.accept(place(), ANN, "1", "hello"),
            stores.turns.unfinished(nowhere),
        ):
            with pytest.raises(Unavailable, match="the database") as away:
                await asked
            assert away.value.retryable
    with pytest.raises(Unavailable):
        await upgrade(url)


async def test_a_socket_that_is_not_there_is_reported_too() -> None:
    async with open_stores("postgresql://u@/db?host=/nowhere/at/all") as stores:
        with pytest.raises(Unavailable):
            await stores.chats.recent()


async def test_a_database_that_does_not_exist_is_a_wrong_setting(database_url: str) -> None:
    name = database_url.split("?", maxsplit=1)[0].rsplit("/", 1)[1]
    async with open_stores(database_url.replace(f"/{name}", "/not_there")) as stores:
        with pytest.raises(Misconfigured, match="not_there"):
            await stores.chats.recent()


CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def test_connections_cut_while_idle_are_replaced_unseen(stage: Stage, database_url: str) -> None:
    chat = (await stage.says("hello")).chat
    async with open_engine(database_url) as other, other.connect() as connection:
        await connection.execute(text(CUT))

    assert await stage.stores.chats.get(chat.id) == chat
    assert (await stage.says("again")).is_new


async def test_a_connection_cut_in_a_transaction_is_reported_and_nothing_is_stored(stage: Stage) -> None:
    await stage.says("hello")

    async def cut_off() -> None:
        async with transaction(stage.engine) as connection:
            await connection.execute(text("UPDATE chats SET title = 'lost'"))
            async with stage.engine.connect() as knife:
                await knife.execute(text(CUT))
            await connection.execute(text("UPDATE chats SET title = 'lost too'"))

    with pytest.raises(Unavailable):
        await cut_off()

    assert await stage.one("SELECT title FROM chats") == "hello"


async def test_a_pool_that_is_used_up_is_reported(database_url: str) -> None:
    async with (
        open_engine(database_url, pool_size=1, wait_s=0.2) as engine,
        engine.connect() as one,
        engine.connect() as two,
    ):
        await one.execute(text("SELECT 1"))
        await two.execute(text("SELECT 1"))
        with pytest.raises(Unavailable, match="in use"):
            await stores_on(engine).chats.recent()


async def test_a_statement_that_takes_too_long_is_stopped_and_reported(stage: Stage) -> None:
    async def dawdle() -> None:
        async with transaction(stage.engine) as connection:
            await connection.execute(text("SET LOCAL statement_timeout = '50ms'"))
            await connection.execute(text("SELECT pg_sleep(30)"))

    with pytest.raises(Unavailable, match="timeout"):
        await dawdle()


async def test_a_run_that_hangs_in_a_transaction_loses_its_hold_on_the_chat(stage: Stage) -> None:
    accepted = await stage.says("hello")

    async def hang() -> None:
        async with transaction(stage.engine) as connection:
            await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '100ms'"))
            await connection.execute(text("UPDATE chats SET title = 'held'"))
            assert await stage.stores.chats.take(accepted.chat.id, "w2", LONG_S) is not None
            await connection.execute(text("UPDATE chats SET title = 'held'"))

    async with asyncio.timeout(60):
        with pytest.raises(Unavailable):
            await hang()

    assert await stage.one("SELECT title FROM chats") == "hello"


async def test_every_connection_bounds_statements_locks_and_idle_transactions(stage: Stage) -> None:
    shown = [await stage.one(f"SHOW {name}") for name in ("statement_timeout", "lock_timeout", "timezone")]

    assert shown == ["15s", "10s", "UTC"]
    assert await stage.one("SHOW idle_in_transaction_session_timeout") == "15s"


async def test_mistakes_of_ours_are_not_called_an_outage(stage: Stage) -> None:
    async def mistake() -> None:
        async with transaction(stage.engine) as connection:
            await connection.execute(text("SELECT nonsense"))

    with pytest.raises(DBAPIError):
        await mistake()


async def test_an_error_undoes_the_transaction(stage: Stage) -> None:
    await stage.says("hello")

    async def fail() -> None:
        async with transaction(stage.engine) as connection:
            await connection.execute(text("UPDATE chats SET title = 'undone'"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert await stage.one("SELECT title FROM chats") == "hello"


async def test_a_cancelled_call_leaves_the_store_usable(stage: Stage) -> None:
    chat = (await stage.says("hello")).chat
    async with stage.holding() as holder:
        await holder.execute(text("SELECT 1 FROM chats FOR UPDATE"))
        taking = asyncio.create_task(stage.stores.chats.take(chat.id, "w1", LONG_S))
        await stage.someone_waits_for_a_lock()
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking

    assert (await stage.stores.chats.get(chat.id)).epoch == 0
    assert await stage.stores.chats.take(chat.id, "w2", LONG_S) is not None
