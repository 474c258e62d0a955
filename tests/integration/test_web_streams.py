"""Many readers at once, on one connection to Redis: none misses a stored event, whoever is restarted meanwhile."""

from contextlib import AsyncExitStack
from pathlib import Path

from bots.web.app import open_web
from core.bus.connection import open_redis
from core.bus.events import RedisEventBus
from core.store.engine import open_engine
from core.store.stores import stores_on
from tests.integration.crowd import crowd
from tests.integration.web_page import Page, settings_for
from tests.valkey import own_valkey

CHATS, READERS = 5, 60


async def test_readers_miss_no_event_while_the_page_and_redis_are_restarted(database_url: str, tmp_path: Path) -> None:
    async with (
        own_valkey() as valkey,
        open_engine(database_url) as engine,
        open_redis(valkey.url) as redis,
        AsyncExitStack() as serving,
    ):
        settings = settings_for(database_url, valkey.url, tmp_path)
        url = await serving.enter_async_context(open_web(settings))
        page, bus = Page(url, engine, stores_on(engine), settings), RedisEventBus(redis)
        async with crowd(page, CHATS, READERS) as readers:
            for _ in range(5):
                await readers.tell(page, bus)
            await readers.until_told()
            connections = len(await redis.client_list())

            await serving.aclose()
            await readers.tell(page, bus)
            await serving.enter_async_context(open_web(settings))
            await readers.tell(page, bus)
            await readers.until_told()
            assert all(reader.cuts for reader in readers.all)

            await valkey.kill()
            await readers.tell(page, bus)
            await valkey.start()
            await readers.tell(page, bus)
            await readers.until_told()

            assert not readers.wrong()
            assert connections < READERS / 2
            assert {len(reader.got) for reader in readers.all} == {9}
