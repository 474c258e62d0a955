"""The promises of `core.ports.ControlChannel`, over real Valkeys."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.typing import EncodableT, FieldT

from core.bus.connection import open_redis
from core.bus.control import RedisControlChannel, open_control
from core.domain.chat import ChatId
from core.ports import ControlChannel, WakeKind
from tests.valkey import OwnValkey, own_valkey

WAIT_S = 30


@pytest.fixture
def chat() -> ChatId:
    return ChatId(uuid4())


@pytest.fixture
async def channel(redis_url: str) -> AsyncIterator[ControlChannel]:
    async with open_redis(redis_url) as redis, open_control(redis) as control:
        # On a machine this busy it may be open before it reads, and then says so with a wake of its own.
        await control.until_reading()
        yield control


@pytest.fixture
async def sender(redis_url: str) -> AsyncIterator[ControlChannel]:
    """Another process's side: it sends, and reads nothing."""
    async with open_redis(redis_url) as redis:
        yield RedisControlChannel(redis)


@pytest.fixture
async def valkey() -> AsyncIterator[OwnValkey]:
    async with own_valkey() as own:
        yield own


async def heard(wakes: AsyncIterator[WakeKind], count: int) -> list[WakeKind]:
    async with asyncio.timeout(WAIT_S):
        return [await anext(wakes) for _ in range(count)]


async def test_a_listener_gets_every_wake_sent_while_it_listens_in_order(
    channel: ControlChannel, sender: ControlChannel, chat: ChatId
) -> None:
    kinds = list(WakeKind) * 100
    async with channel.listen(chat) as wakes:
        for kind in kinds:
            await sender.wake(chat, kind)
        assert await heard(wakes, len(kinds)) == kinds


async def test_a_wake_is_heard_from_the_moment_the_channel_is_open(
    redis_url: str, sender: ControlChannel, chat: ChatId
) -> None:
    for _ in range(20):
        async with (
            open_redis(redis_url) as redis,
            open_control(redis) as control,
            control.listen(chat) as wakes,
        ):
            await sender.wake(chat, WakeKind.STOP)
            async with asyncio.timeout(WAIT_S):
                # Before it, there may be one for everybody: of a channel that was open before it could read.
                while await anext(wakes) is not WakeKind.STOP:
                    pass


async def test_every_listener_of_a_chat_hears_and_no_other_chat_does(
    channel: ControlChannel, sender: ControlChannel, chat: ChatId
) -> None:
    other = ChatId(uuid4())
    async with (
        channel.listen(chat) as first,
        channel.listen(chat) as second,
        channel.listen(other) as elsewhere,
    ):
        await sender.wake(chat, WakeKind.DECISION)
        await sender.wake(other, WakeKind.SETTINGS)
        assert await heard(first, 1) == await heard(second, 1) == [WakeKind.DECISION]
        assert await heard(elsewhere, 1) == [WakeKind.SETTINGS]


async def test_a_wake_from_before_is_not_heard_and_leaving_ends_it(
    channel: ControlChannel, sender: ControlChannel, chat: ChatId
) -> None:
    async with channel.listen(chat) as wakes:
        await sender.wake(chat, WakeKind.STOP)
        await heard(wakes, 1)
    async with channel.listen(chat) as wakes:
        await sender.wake(chat, WakeKind.MESSAGE)
        assert await heard(wakes, 1) == [WakeKind.MESSAGE]
    assert isinstance(channel, RedisControlChannel)
    assert not channel._listeners


async def test_rubbish_on_the_stream_silences_nobody(
    redis_url: str, channel: ControlChannel, sender: ControlChannel, chat: ChatId
) -> None:
    async with open_redis(redis_url) as redis, channel.listen(chat) as wakes:
        rubbish: tuple[dict[FieldT, EncodableT], ...] = (
            {"x": "y"},
            {"c": "nobody", "k": "stop"},
            {"c": str(chat), "k": "dance"},
            {"c": b"\xff", "k": ""},
        )
        for fields in rubbish:
            await redis.xadd("tw:control", fields)
        await sender.wake(chat, WakeKind.STOP)
        assert await heard(wakes, 1) == [WakeKind.STOP]


async def test_waking_while_redis_is_away_or_hung_or_full_does_not_raise(valkey: OwnValkey, chat: ChatId) -> None:
    async with open_redis(valkey.url) as redis:
        control = RedisControlChannel(redis)
        await control.wake(chat, WakeKind.STOP)
        with valkey.frozen():
            async with asyncio.timeout(WAIT_S):
                await control.wake(chat, WakeKind.STOP)
        await redis.config_set("maxmemory", 1)
        await control.wake(chat, WakeKind.STOP)
        await valkey.stop()
        async with asyncio.timeout(WAIT_S):
            await control.wake(chat, WakeKind.STOP)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_after_an_outage_every_listener_is_woken_and_hears_again(
    valkey: OwnValkey, chat: ChatId, how: str
) -> None:
    async with open_redis(valkey.url) as redis, open_control(redis) as control, control.listen(chat) as wakes:
        await control.wake(chat, WakeKind.SETTINGS)
        assert await heard(wakes, 1) == [WakeKind.SETTINGS]
        await getattr(valkey, how)()
        await control.wake(chat, WakeKind.STOP)  # lost
        await valkey.start()
        assert await heard(wakes, 1) == [WakeKind.MESSAGE]
        await control.wake(chat, WakeKind.DECISION)
        async with asyncio.timeout(WAIT_S):
            while await anext(wakes) is not WakeKind.DECISION:
                pass


async def test_a_flush_takes_no_listener_its_ears(valkey: OwnValkey, chat: ChatId) -> None:
    async with open_redis(valkey.url) as redis, open_control(redis) as control, control.listen(chat) as wakes:
        for _ in range(3):
            await control.wake(chat, WakeKind.STOP)
            assert await heard(wakes, 1) == [WakeKind.STOP]
            await valkey.flush()


async def test_a_channel_opens_while_redis_is_away_and_wakes_its_listeners_when_it_is_back(
    valkey: OwnValkey, chat: ChatId
) -> None:
    await valkey.stop()
    async with (
        open_redis(valkey.url) as redis,
        asyncio.timeout(WAIT_S),
        open_control(redis) as control,
        control.listen(chat) as wakes,
    ):
        await valkey.start()
        assert await heard(wakes, 1) == [WakeKind.MESSAGE]
        await control.wake(chat, WakeKind.STOP)
        while await anext(wakes) is not WakeKind.STOP:
            pass
