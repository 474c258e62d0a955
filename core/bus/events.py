"""Run events over Redis streams: one stream a chat, kept for a day, counted so that a gap shows.

A stream's life has a name (when it began) and its entries are counted from one. A reader knows which entry comes next:
a later one (trimmed), another life (flushed, expired) or a lower count (Redis came back without its last second) is a
gap. A publisher knows where it left the stream: if it finds it elsewhere, or could not publish, it leaves a mark, which
readers of any time see as a gap. So is a reconnect, since what was dropped meanwhile may have been the last for long.
A gap is reported as `Missed`; then the reader asks the database. Next: `shared.py`, for many subscribers at once.
"""

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast
from uuid import UUID

import structlog
from redis.asyncio import Redis

from core.bus.connection import CALL_S, PASSING, OwnConnection, own_connection, vendor_errors_as_ours
from core.domain.chat import ChatId
from core.domain.events import RunEvent, from_json, to_json
from core.domain.turn import TurnId
from core.errors import Unavailable
from core.ports import Cursor, Missed, Published

log = structlog.get_logger(__name__)
KEPT: Final = 5000
KEPT_S: Final = 86_400
_GAP: Final = "gap"
_ELSEWHERE: Final = "?"
# How many chats' streams a publisher remembers; a forgotten one costs its readers a look at the database.
_REMEMBERED: Final = 10_000
_BEGIN: Final = """
local s = redis.call('HMGET', KEYS[2], 'life', 'n')
local life, n = s[1], tonumber(s[2])
if not life then
  local t = redis.call('TIME')
  life, n = t[1] .. string.format('%06d', t[2]), 0
  redis.call('HSET', KEYS[2], 'life', life, 'n', n)
  redis.call('EXPIRE', KEYS[2], ARGV[1])
end
"""
# Where the stream stands: its life, its count, its last entry.
_STAND: Final = (
    _BEGIN
    + """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return {life, n, last[1] and last[1][1] or '0-0'}
"""
)
# Entries in one go, in one round trip: all or none. The client never sends a script twice by itself.
_ADD: Final = (
    _BEGIN
    + """
local function add(seq, body)
  n = n + 1
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'l', life, 'n', n, 't', ARGV[4], 's', seq, 'b', body)
end
local left = ARGV[3]
if (left == '' and n > 0) or (left ~= '' and left ~= life .. ':' .. n) then add('gap', '{}') end
for i = 5, #ARGV, 2 do add(ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[2], 'n', n)
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
return life .. ':' .. n
"""
)


def _stream(chat_id: ChatId) -> str:
    return f"tw:events:{chat_id}"


def _count(chat_id: ChatId) -> str:
    return f"tw:events:{chat_id}:stand"


Row = tuple[bytes, dict[bytes, Any]]


class Source(Protocol):
    """Where a subscriber reads a chat's stream."""

    async def read(self, entry: str) -> list[Row]:
        """What comes behind an entry, soon after it came; nothing when it stays quiet. Raises what `PASSING` names."""
        ...


@dataclass(frozen=True, slots=True)
class At:
    """A place in a stream: the last entry read, and how it was counted; without a life, before the first entry."""

    entry: str
    life: str
    n: int

    @property
    def cursor(self) -> Cursor:
        return Cursor(f"{self.entry}/{self.life}:{self.n}")

    def is_followed_by(self, other: "At") -> bool:
        return other.n == self.n + 1 and self.life in ("", other.life)


def _read_cursor(cursor: Cursor) -> At:
    if not cursor:
        return At("0-0", "", 0)
    parts = re.fullmatch(r"(\d{1,19}-\d{1,19})/(\d*):(\d{1,15})", cursor, re.ASCII)
    # What is no cursor of ours is a place that nothing follows, and so a gap.
    return At(parts[1], parts[2], int(parts[3])) if parts else At("0-0", _ELSEWHERE, 0)


class _Stream:
    """`Source` on a connection of its own."""

    def __init__(self, connection: OwnConnection, name: str) -> None:
        self._connection = connection
        self._name = name

    async def read(self, entry: str) -> list[Row]:
        rows = await self._connection.xread({self._name: entry}, count=500)
        return rows[0][1] if rows else []


class RedisEventBus:
    """`core.ports.EventBus` on Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._add = redis.register_script(_ADD)
        self._stand = redis.register_script(_STAND)
        self._left: OrderedDict[ChatId, str] = OrderedDict()

    async def publish(self, chat_id: ChatId, turn_id: TurnId, events: Sequence[tuple[int | None, RunEvent]]) -> None:
        """Publish events in order. While Redis is away they are dropped, and the next ones carry a mark of it."""
        entries: list[str] = []
        for seq, event in events:
            entries += ["" if seq is None else str(seq), json.dumps(to_json(event), ensure_ascii=True)]
        if not entries:
            return
        left = self._left.pop(chat_id, "")
        self._left[chat_id] = _ELSEWHERE
        try:
            with vendor_errors_as_ours():
                async with asyncio.timeout(CALL_S):
                    stands = await self._add(
                        keys=[_stream(chat_id), _count(chat_id)],
                        args=[KEPT_S, KEPT, left, str(turn_id), *entries],
                    )
        except Unavailable as error:
            log.warning("not_published", chat=str(chat_id), why=str(error))
        else:
            self._left[chat_id] = stands.decode()
        while len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)

    async def cursor(self, chat_id: ChatId) -> Cursor:
        """Where the stream stands now. Raises `Unavailable`."""
        with vendor_errors_as_ours():
            async with asyncio.timeout(CALL_S):
                return (await self._stands(chat_id)).cursor

    async def subscribe(self, chat_id: ChatId, after: Cursor | None = None) -> AsyncGenerator[Published | Missed, None]:
        """Events after the cursor; None: from the first step of the iteration; an empty one: all that is still there.

        Waits for ever, through outages too; what is not a cursor of ours is reported as a gap.
        """
        at = None if after is None else _read_cursor(after)
        async with self._source(_stream(chat_id)) as source, aclosing(self._read_on(chat_id, source, at)) as items:
            async for item in items:
                yield item

    @asynccontextmanager
    async def _source(self, stream: str) -> AsyncIterator[Source]:
        async with own_connection(self._redis) as connection:
            yield _Stream(connection, stream)

    async def _read_on(
        self, chat_id: ChatId, source: Source, at: At | None
    ) -> AsyncGenerator[Published | Missed, None]:
        was_away, is_quiet = False, True
        while True:
            try:
                if at is None:
                    at = await self._stands(chat_id)
                if was_away or is_quiet:
                    found = await self._found_again(chat_id, at)
                    is_missed, was_away, at = was_away or found != at, False, found
                    if is_missed:
                        yield Missed(at.cursor)
                rows = await source.read(at.entry)
            except PASSING:
                was_away = True
                await asyncio.sleep(0.2)
                continue
            is_quiet = not rows
            for entry, fields in rows:
                read = At(entry.decode(), fields[b"l"].decode(), int(fields[b"n"]))
                if fields[b"s"] == _GAP.encode() or not at.is_followed_by(read):
                    yield Missed(read.cursor if fields[b"s"] == _GAP.encode() else _before(read).cursor)
                at = read
                published = _published(read, fields)
                if published is not None:
                    yield published

    async def _stands(self, chat_id: ChatId) -> At:
        life, n, entry = await self._stand(keys=[_stream(chat_id), _count(chat_id)], args=[KEPT_S])
        return At(entry.decode(), life.decode(), int(n))

    async def _found_again(self, chat_id: ChatId, at: At) -> At:
        """Where to read on: `at`, unless the stream began anew behind our back, or came back without its end."""
        life, n = await cast("Awaitable[list[bytes | None]]", self._redis.hmget(_count(chat_id), ["life", "n"]))
        if life is None or n is None:
            return at if at.life == "" else At("0-0", "", 0)
        if at.life not in ("", life.decode()):
            return At("0-0", life.decode(), 0)
        return At(at.entry, at.life, min(at.n, int(n)))


def _before(read: At) -> At:
    """The place that `read` follows."""
    milliseconds, _, number = read.entry.partition("-")
    entry = f"{milliseconds}-{int(number) - 1}" if int(number) else f"{int(milliseconds) - 1}-{2**63 - 1}"
    return At(entry, read.life, read.n - 1)


def _published(read: At, fields: dict[bytes, Any]) -> Published | None:
    if fields[b"s"] == _GAP.encode():
        return None
    try:
        event = from_json(json.loads(fields[b"b"]))
    except (KeyError, ValueError, TypeError):
        # A newer program published a kind of event that this one does not know.
        return None
    seq = int(fields[b"s"]) if fields[b"s"] else None
    return Published(read.cursor, TurnId(UUID(fields[b"t"].decode())), seq, event)
