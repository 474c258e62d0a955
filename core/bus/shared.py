"""An event bus for many subscribers in one process: one connection waits on the streams of all of them.

A connection for each subscriber would run out at some hundred. Here a subscriber reads by itself only until it has
caught up; then the one reader brings it what comes. Its wait must end when another chat is to be followed: so it also
waits on a bell, a stream of its own, which cannot ring too early. Used by the admin page. Next: `control.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from core.bus.connection import BLOCK_MS, PASSING, own_connection
from core.bus.events import At, RedisEventBus, Row, Source
from core.domain.chat import ChatId

# Rows that wait for a subscriber who is slow; past that it reads by itself again, at its own pace.
_WAITING: Final = 1000
# How many subscribers ask Redis something at the same moment.
_AT_ONCE: Final = 32
_COUNT: Final = 100
_BELL_S: Final = 60


def _number(entry: bytes | str) -> tuple[int, int]:
    milliseconds, _, number = (entry if isinstance(entry, str) else entry.decode()).partition("-")
    return int(milliseconds), int(number)


class _Seat:
    """`core.bus.events.Source` of one subscriber."""

    def __init__(self, reader: "_Reader", stream: str) -> None:
        self._reader = reader
        self._stream = stream
        self._rows: list[Row] = []
        self._news = asyncio.Event()
        self._breaks = reader.breaks
        self._is_live = False

    async def read(self, entry: str) -> list[Row]:
        """What comes behind an entry; nothing, when it stays quiet. Raises what `PASSING` names."""
        self._tell_of_a_break()
        if not self._is_live:
            rows = await self._reader.fetch(self._stream, entry)
            if rows:
                return rows
            self._rows, self._is_live = [], True
            self._reader.follow(self, self._stream, entry)
            await self._reader.ring()
            # The reader may have been past this place already, for another subscriber.
            rows = await self._reader.fetch(self._stream, entry)
            if rows:
                return rows
        with suppress(TimeoutError):
            async with asyncio.timeout(BLOCK_MS / 1000):
                await self._news.wait()
        self._news.clear()
        self._tell_of_a_break()
        rows, self._rows = self._rows, []
        behind = _number(entry)
        return [row for row in rows if _number(row[0]) > behind]

    def bring(self, rows: Iterable[Row]) -> None:
        """Rows for this subscriber, from the reader."""
        self._rows += rows
        if len(self._rows) > _WAITING:
            self.stop()
        self._news.set()

    def stop(self) -> None:
        """From here on the subscriber reads by itself."""
        self._rows, self._is_live = [], False
        self._reader.leave(self, self._stream)
        self._news.set()

    def _tell_of_a_break(self) -> None:
        # Also of one that came while this subscriber read by itself: the pool may have mended its own way in silence.
        if self._breaks != self._reader.breaks:
            self._breaks = self._reader.breaks
            raise RedisConnectionError("the connection was broken")


@dataclass(slots=True)
class _Followed:
    """A stream that is waited on: what was read last, and who is told."""

    entry: str
    seats: set[_Seat] = field(default_factory=set)


class _Reader:
    """Waits on all streams that are followed, on one connection."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._followed: dict[str, _Followed] = {}
        self._is_needed = asyncio.Event()
        self._bell = f"tw:bell:{uuid4().hex}"
        self.asking = asyncio.Semaphore(_AT_ONCE)
        self.breaks = 0

    async def fetch(self, stream: str, entry: str) -> list[Row]:
        async with self.asking:
            return _rows(await self._redis.xread({stream: entry}, count=500))

    def follow(self, seat: _Seat, stream: str, entry: str) -> None:
        self._followed.setdefault(stream, _Followed(entry)).seats.add(seat)
        self._is_needed.set()

    def leave(self, seat: _Seat, stream: str) -> None:
        followed = self._followed.get(stream)
        if followed is not None:
            followed.seats.discard(seat)
            if not followed.seats:
                del self._followed[stream]

    async def ring(self) -> None:
        """Have the reader look which streams it is to wait on."""
        async with self.asking, self._redis.pipeline(transaction=False) as pipe:
            pipe.xadd(self._bell, {"": ""}, maxlen=1)
            pipe.expire(self._bell, _BELL_S)
            await pipe.execute()

    async def run(self) -> None:
        """Read for ever."""
        rung = "0-0"
        async with own_connection(self._redis) as connection:
            while True:
                await self._is_needed.wait()
                if not self._followed:
                    self._is_needed.clear()
                    continue
                places: dict[Any, Any] = {stream: followed.entry for stream, followed in self._followed.items()}
                places[self._bell] = rung
                try:
                    found = await connection.xread(places, count=_COUNT)
                except PASSING:
                    self._break_off()
                    await asyncio.sleep(0.2)
                    continue
                for name, rows in found or ():
                    if name.decode() == self._bell:
                        rung = rows[-1][0].decode()
                    else:
                        self._pass_on(name.decode(), rows)

    def _break_off(self) -> None:
        self.breaks += 1
        for followed in list(self._followed.values()):
            for seat in list(followed.seats):
                seat.stop()

    def _pass_on(self, stream: str, rows: list[Row]) -> None:
        followed = self._followed.get(stream)
        if followed is None:
            return
        followed.entry = rows[-1][0].decode()
        for seat in list(followed.seats):
            seat.bring(rows)


class SharedEventBus(RedisEventBus):
    """`core.ports.EventBus` for many subscribers; made by `open_shared_bus`."""

    def __init__(self, redis: Redis, reader: _Reader) -> None:
        super().__init__(redis)
        self._reader = reader

    @asynccontextmanager
    async def _source(self, stream: str) -> AsyncIterator[Source]:
        seat = _Seat(self._reader, stream)
        try:
            yield seat
        finally:
            seat.stop()

    async def _stands(self, chat_id: ChatId) -> At:
        async with self._reader.asking:
            return await super()._stands(chat_id)

    async def _found_again(self, chat_id: ChatId, at: At) -> At:
        async with self._reader.asking:
            return await super()._found_again(chat_id, at)


def _rows(found: "list[tuple[bytes, list[Row]]]") -> list[Row]:
    return found[0][1] if found else []


@asynccontextmanager
async def open_shared_bus(redis: Redis) -> AsyncIterator[SharedEventBus]:
    """A bus with its reader running."""
    reader = _Reader(redis)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(reader.run(), name="events")
        try:
            yield SharedEventBus(redis, reader)
        finally:
            reading.cancel()
