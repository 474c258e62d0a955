"""The promises of `core.ports.EventBus`, over real Valkeys: shared ones, and one of our own to stop and to flush."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import cast
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from core.bus.connection import open_redis
from core.bus.events import RedisEventBus
from core.bus.shared import open_shared_bus
from core.domain.chat import ChatId
from core.domain.events import Noticed, TextStreamed, TextWritten
from core.domain.turn import TurnId
from core.errors import Unavailable
from core.ports import Cursor, Missed, Published
from tests.processes import until
from tests.valkey import OwnValkey, own_valkey

WAIT_S = 30
TURN = TurnId(uuid4())
OpenBus = Callable[[Redis], AbstractAsyncContextManager[RedisEventBus]]


class Reader:
    """A subscription, read in the background: what it got, in order."""

    def __init__(self) -> None:
        self.items: list[Published | Missed] = []
        self._got = asyncio.Condition()

    @property
    def words(self) -> list[str]:
        """The events' texts; `-` where something was missed."""
        return ["-" if isinstance(item, Missed) else _words(item) for item in self.items]

    @property
    def texts(self) -> list[str]:
        return [word for word in self.words if word != "-"]

    async def read(self, bus: RedisEventBus, chat: ChatId, after: Cursor | None) -> None:
        async for item in bus.subscribe(chat, after):
            async with self._got:
                self.items.append(item)
                self._got.notify_all()

    async def until(self, word: str) -> list[str]:
        """What it got, once `word` is among it."""
        async with asyncio.timeout(WAIT_S), self._got:
            await self._got.wait_for(lambda: word in self.words)
        return self.words


def _words(item: Published) -> str:
    assert isinstance(item.event, (TextWritten, TextStreamed, Noticed))
    return item.event.words if isinstance(item.event, Noticed) else item.event.text


@asynccontextmanager
async def reading(bus: RedisEventBus, chat: ChatId, after: Cursor | None) -> AsyncIterator[Reader]:
    reader = Reader()
    task = asyncio.create_task(reader.read(bus, chat, after))
    try:
        yield reader
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled(), "the subscription ended by itself"


async def say(bus: RedisEventBus, chat: ChatId, *words: str) -> None:
    await bus.publish(chat, TURN, [(number, TextWritten(text)) for number, text in enumerate(words, 1)])


async def read_once(bus: RedisEventBus, chat: ChatId, after: Cursor, last: str) -> list[str]:
    async with reading(bus, chat, after) as reader:
        return await reader.until(last)


@pytest.fixture
def chat() -> ChatId:
    return ChatId(uuid4())


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url) as client:
        yield client


@pytest.fixture(params=["own", "shared"])
def open_bus(request: pytest.FixtureRequest) -> OpenBus:
    """How a bus is made: each subscriber on a connection of its own, or all on one."""
    return open_shared_bus if request.param == "shared" else _own


@asynccontextmanager
async def _own(redis: Redis) -> AsyncIterator[RedisEventBus]:
    yield RedisEventBus(redis)


@pytest.fixture
async def bus(redis: Redis, open_bus: OpenBus) -> AsyncIterator[RedisEventBus]:
    async with open_bus(redis) as bus:
        yield bus


@pytest.fixture
async def valkey() -> AsyncIterator[OwnValkey]:
    async with own_valkey() as own:
        yield own


@pytest.fixture
async def lone_bus(valkey: OwnValkey, open_bus: OpenBus) -> AsyncIterator[RedisEventBus]:
    """A bus on the Valkey that the test stops and starts."""
    async with open_redis(valkey.url) as client, open_bus(client) as bus:
        yield bus


# ------------------------------------------------------------ every event after the cursor, in order, none twice


async def test_a_subscriber_sees_every_event_after_its_cursor_in_order_and_none_twice(
    bus: RedisEventBus, chat: ChatId
) -> None:
    await say(bus, chat, "before")
    cursor = await bus.cursor(chat)
    numbers = [f"word {number}" for number in range(1200)]
    async with reading(bus, chat, cursor) as reader:
        for start in range(0, 1200, 7):
            await say(bus, chat, *numbers[start : start + 7])
        assert await reader.until("word 1199") == numbers


async def test_a_reader_may_leave_at_any_event_and_come_back_with_its_cursor(bus: RedisEventBus, chat: ChatId) -> None:
    await say(bus, chat, *"abcdef")
    async with reading(bus, chat, Cursor("")) as reader:
        await reader.until("f")
        items = list(reader.items)

    for number, item in enumerate(items[:-1]):
        assert await read_once(bus, chat, item.cursor, "f") == list("abcdef")[number + 1 :]


async def test_without_a_cursor_only_what_comes_is_seen(bus: RedisEventBus, chat: ChatId) -> None:
    await say(bus, chat, "old")
    async with reading(bus, chat, None) as reader, asyncio.timeout(WAIT_S):
        while "new" not in reader.words:
            await say(bus, chat, "new")
    assert set(reader.words) == {"new"}


async def test_an_event_arrives_as_it_was_with_its_turn_and_number(bus: RedisEventBus, chat: ChatId) -> None:
    nasty = TextStreamed('\u0000 "q" \U0001f600 \udc80 \u2028')
    await bus.publish(chat, TURN, [(7, Noticed("stored")), (None, nasty)])
    async with reading(bus, chat, Cursor("")) as reader:
        await reader.until(nasty.text)
    seen = [(item.turn_id, item.seq, item.event) for item in reader.items if isinstance(item, Published)]
    assert seen == [(TURN, 7, Noticed("stored")), (TURN, None, nasty)]


async def test_chats_do_not_hear_each_other(bus: RedisEventBus, chat: ChatId) -> None:
    other = ChatId(uuid4())
    await say(bus, other, "theirs")
    await say(bus, chat, "ours")
    assert await read_once(bus, chat, Cursor(""), "ours") == ["ours"]


async def test_what_a_newer_program_publishes_is_passed_over_without_a_gap(
    bus: RedisEventBus, redis: Redis, chat: ChatId
) -> None:
    await say(bus, chat, "a", "b", "c")
    key = f"tw:events:{chat}"
    entries = await redis.xrange(key)
    await redis.delete(key)
    for entry, fields in entries:
        body = fields[b"b"].replace(b"text_written", b"mind_read") if fields[b"n"] == b"2" else fields[b"b"]
        await redis.xadd(key, {**fields, b"b": body}, id=entry)
    assert await read_once(bus, chat, Cursor(""), "c") == ["a", "c"]


# ------------------------------------------------------------ an old cursor; a gap is reported, never skipped


async def test_an_empty_cursor_gives_all_that_is_still_there_without_a_gap_in_a_new_chat(
    bus: RedisEventBus, chat: ChatId
) -> None:
    async with reading(bus, chat, Cursor("")) as reader:
        await say(bus, chat, "a", "b")
        assert await reader.until("b") == ["a", "b"]
    assert await read_once(bus, chat, Cursor(""), "b") == ["a", "b"]


async def test_a_cursor_of_a_chat_without_events_leads_to_the_first_one(bus: RedisEventBus, chat: ChatId) -> None:
    cursor = await bus.cursor(chat)
    await say(bus, chat, "a")
    assert await read_once(bus, chat, cursor, "a") == ["a"]


async def _looks(redis: Redis) -> int:
    """How often a quiet stream was looked at."""
    stats = await redis.info("commandstats")
    return int(stats.get("cmdstat_hmget", {"calls": 0})["calls"])


async def test_a_quiet_chat_reports_no_gap(bus: RedisEventBus, redis: Redis, chat: ChatId) -> None:
    await say(bus, chat, "a")
    cursor = await bus.cursor(chat)
    async with reading(bus, chat, cursor) as reader:
        looks = await _looks(redis)
        async with asyncio.timeout(WAIT_S):
            while await _looks(redis) < looks + 2:
                await asyncio.sleep(0.1)
        await say(bus, chat, "b")
        assert await reader.until("b") == ["b"]


async def test_a_cursor_whose_successors_were_trimmed_reports_the_gap_first(
    bus: RedisEventBus, redis: Redis, chat: ChatId
) -> None:
    await say(bus, chat, "a")
    cursor = await bus.cursor(chat)
    await say(bus, chat, "b", "c", "d")
    await redis.xtrim(f"tw:events:{chat}", maxlen=1, approximate=False)
    assert await read_once(bus, chat, cursor, "d") == ["-", "d"]
    assert await read_once(bus, chat, Cursor(""), "d") == ["-", "d"]


async def test_a_long_stream_is_trimmed_and_says_so(bus: RedisEventBus, chat: ChatId) -> None:
    await say(bus, chat, "first")
    for _ in range(14):
        await say(bus, chat, *["more"] * 499, "last")
    words = await read_once(bus, chat, Cursor(""), "last")
    assert words[0] == "-"
    assert "first" not in words


async def test_a_cursor_taken_at_a_gap_goes_on_from_it(bus: RedisEventBus, redis: Redis, chat: ChatId) -> None:
    await say(bus, chat, "a", "b", "c", "d")
    await redis.xtrim(f"tw:events:{chat}", maxlen=2, approximate=False)
    async with reading(bus, chat, Cursor("")) as reader:
        assert await reader.until("d") == ["-", "c", "d"]
    assert await read_once(bus, chat, reader.items[0].cursor, "d") == ["c", "d"]


async def test_a_cursor_from_yesterday_reports_that_the_stream_has_gone(
    bus: RedisEventBus, redis: Redis, chat: ChatId
) -> None:
    await say(bus, chat, "a", "b")
    cursor = await bus.cursor(chat)
    await redis.delete(*await redis.keys(f"tw:events:{chat}*"))  # as expiry does
    async with reading(bus, chat, cursor) as reader:
        assert await reader.until("-") == ["-"]
        await say(bus, chat, "c")
        assert await reader.until("c") in (["-", "c"], ["-", "-", "c"])


async def test_a_stream_that_began_anew_is_no_continuation_though_its_count_fits(
    bus: RedisEventBus, redis: Redis, chat: ChatId
) -> None:
    cursors = [await bus.cursor(chat)]
    for word in "abc":
        await say(bus, chat, word)
        cursors.append(await bus.cursor(chat))
    await redis.flushdb()
    other = RedisEventBus(redis)  # another worker, which knows of nothing before
    await say(other, chat, *"vwxyz")

    for cursor in cursors:
        words = await read_once(bus, chat, cursor, "z")
        assert words[0] == "-"
        assert words[-5:] == list("vwxyz")


async def test_a_stream_and_its_count_expire_together(bus: RedisEventBus, redis: Redis, chat: ChatId) -> None:
    await say(bus, chat, "a")
    await bus.cursor(chat)
    keys = await redis.keys(f"tw:events:{chat}*")
    assert len(keys) == 2
    ends = [await cast("Awaitable[int]", redis.expiretime(key)) for key in keys]
    assert len(set(ends)) == 1


@pytest.mark.parametrize("cursor", ["yesterday", "1-1/", "0-0/x:0", "99999999999999999999-0/1:1", "1-1/1:-1"])
async def test_what_is_no_cursor_is_a_gap_and_not_an_error(bus: RedisEventBus, chat: ChatId, cursor: str) -> None:
    await say(bus, chat, "a")
    assert await read_once(bus, chat, Cursor(cursor), "a") == ["-", "a"]


# ------------------------------------------------------------ no subscriber; Redis away


async def test_publishing_to_nobody_is_no_error(bus: RedisEventBus, chat: ChatId) -> None:
    await say(bus, chat, "a")
    await bus.publish(chat, TURN, [])


async def test_what_was_dropped_while_redis_was_away_is_a_gap_for_readers_of_any_time(
    valkey: OwnValkey, lone_bus: RedisEventBus, chat: ChatId
) -> None:
    await say(lone_bus, chat, "a")
    cursor = await lone_bus.cursor(chat)
    async with reading(lone_bus, chat, cursor) as reader:
        await valkey.stop()
        async with asyncio.timeout(WAIT_S):
            await say(lone_bus, chat, "dropped")
        await valkey.start()
        await say(lone_bus, chat, "b")
        words = await reader.until("b")

    assert "-" in words
    assert reader.texts == ["b"]
    # One that was not connected meanwhile is told as well.
    assert await read_once(lone_bus, chat, cursor, "b") == ["-", "b"]


async def test_a_publisher_that_died_with_its_dropped_events_leaves_a_gap_too(
    valkey: OwnValkey, lone_bus: RedisEventBus, chat: ChatId
) -> None:
    await say(lone_bus, chat, "a")
    cursor = await lone_bus.cursor(chat)
    await valkey.stop()
    await say(lone_bus, chat, "dropped")
    await valkey.start()

    async with open_redis(valkey.url) as client:
        await say(RedisEventBus(client), chat, "b")
        assert await read_once(lone_bus, chat, cursor, "b") == ["-", "b"]


async def test_what_redis_lost_of_its_last_second_is_a_gap(bus: RedisEventBus, redis: Redis, chat: ChatId) -> None:
    await say(bus, chat, "a")
    cursor = await bus.cursor(chat)
    keys = await redis.keys(f"tw:events:{chat}*")
    saved = {key: await redis.dump(key) for key in keys}
    await say(bus, chat, "lost")
    after_loss = await bus.cursor(chat)
    for key, value in saved.items():
        await redis.restore(key, 60_000, value, replace=True)
    async with reading(bus, chat, after_loss) as reader:
        await reader.until("-")
        await say(bus, chat, "b")
        assert (await reader.until("b"))[-1] == "b"
    assert reader.texts == ["b"]

    assert await read_once(bus, chat, cursor, "b") == ["-", "b"]


async def test_a_publish_that_was_cancelled_leaves_a_gap(
    valkey: OwnValkey, lone_bus: RedisEventBus, chat: ChatId
) -> None:
    await say(lone_bus, chat, "a")
    cursor = await lone_bus.cursor(chat)
    with valkey.frozen():
        task = asyncio.create_task(say(lone_bus, chat, "cancelled"))
        await until(lambda: chat in lone_bus._left and lone_bus._left[chat] == "?")
        task.cancel()
        await asyncio.wait([task], timeout=WAIT_S)
    await say(lone_bus, chat, "b")
    words = await read_once(lone_bus, chat, cursor, "b")
    assert "-" in words


async def test_a_hung_redis_holds_a_publisher_up_for_moments_only(
    valkey: OwnValkey, lone_bus: RedisEventBus, chat: ChatId
) -> None:
    await say(lone_bus, chat, "a")
    cursor = await lone_bus.cursor(chat)
    with valkey.frozen():
        async with asyncio.timeout(WAIT_S):
            await say(lone_bus, chat, "dropped")
        with pytest.raises(Unavailable):
            await lone_bus.cursor(chat)
    await say(lone_bus, chat, "b")
    assert "-" in await read_once(lone_bus, chat, cursor, "b")


async def test_publishing_into_a_full_redis_is_no_error_and_leaves_a_gap(
    valkey: OwnValkey, lone_bus: RedisEventBus, chat: ChatId
) -> None:
    await say(lone_bus, chat, "a")
    cursor = await lone_bus.cursor(chat)
    async with open_redis(valkey.url) as client:
        await client.config_set("maxmemory", 1)
        await say(lone_bus, chat, "dropped")
        await client.config_set("maxmemory", 0)
    await say(lone_bus, chat, "b")
    assert await read_once(lone_bus, chat, cursor, "b") == ["-", "b"]


# ------------------------------------------------------------ a subscription outlives Redis


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_subscription_outlives_a_restart(
    valkey: OwnValkey, lone_bus: RedisEventBus, chat: ChatId, how: str
) -> None:
    async with reading(lone_bus, chat, Cursor("")) as reader:
        await say(lone_bus, chat, "a")
        await reader.until("a")
        await getattr(valkey, how)()
        await valkey.start()
        await say(lone_bus, chat, "b")
        await reader.until("b")
        await say(lone_bus, chat, "c")
        await reader.until("c")
    assert reader.texts == ["a", "b", "c"]
    assert "-" in reader.words


async def test_a_subscriber_learns_of_a_break_that_was_mended_at_once(
    valkey: OwnValkey, lone_bus: RedisEventBus, chat: ChatId
) -> None:
    async with reading(lone_bus, chat, Cursor("")) as reader:
        await say(lone_bus, chat, "a")
        await reader.until("a")
        await valkey.break_connections()
        await reader.until("-")
    assert reader.texts == ["a"]


async def test_a_subscriber_who_is_slow_learns_of_a_break_that_came_meanwhile(
    valkey: OwnValkey, lone_bus: RedisEventBus, chat: ChatId
) -> None:
    async with reading(lone_bus, ChatId(uuid4()), None) as other, asyncio.timeout(WAIT_S):
        await say(lone_bus, chat, "a")
        async with aclosing(lone_bus.subscribe(chat, Cursor(""))) as items:
            first = await anext(items)
            await valkey.break_connections()
            await other.until("-")
            assert isinstance(first, Published)
            assert isinstance(await anext(items), Missed)


async def test_a_subscriber_learns_of_an_outage_though_nothing_comes_after_it(
    valkey: OwnValkey, lone_bus: RedisEventBus, chat: ChatId
) -> None:
    async with reading(lone_bus, chat, Cursor("")) as reader:
        await say(lone_bus, chat, "a")
        await reader.until("a")
        await valkey.stop()
        await say(lone_bus, chat, "the end, dropped")
        await valkey.start()
        assert await reader.until("-") == ["a", "-"]


async def test_a_subscription_may_begin_while_redis_is_away(
    valkey: OwnValkey, lone_bus: RedisEventBus, chat: ChatId
) -> None:
    await valkey.stop()
    async with reading(lone_bus, chat, None) as reader:
        await valkey.start()
        async with asyncio.timeout(WAIT_S):
            while "a" not in reader.words:
                await say(lone_bus, chat, "a")


async def test_a_flush_is_a_gap_and_the_subscription_goes_on(
    valkey: OwnValkey, lone_bus: RedisEventBus, chat: ChatId
) -> None:
    async with reading(lone_bus, chat, Cursor("")) as reader:
        await say(lone_bus, chat, "a", "b")
        await reader.until("b")
        await valkey.flush()
        await reader.until("-")
        await say(lone_bus, chat, "c")
        await reader.until("c")
    assert reader.texts == ["a", "b", "c"]


async def test_a_flush_is_a_gap_also_when_events_follow_at_once(
    valkey: OwnValkey, lone_bus: RedisEventBus, chat: ChatId
) -> None:
    async with reading(lone_bus, chat, Cursor("")) as reader:
        await say(lone_bus, chat, "a")
        await reader.until("a")
        await valkey.flush()
        await say(lone_bus, chat, "b")
        words = await reader.until("b")
    assert words[1] == "-"
    assert reader.texts == ["a", "b"]
