"""Run events over Redis streams: one stream a chat, kept for a day, numbered so that a gap shows.

Every entry carries a count that grows by one. A reader knows which count comes next: another one, a count that began
anew (Redis was flushed), a mark left by a publisher whose Redis was away, or a reconnect mean that something may have
been missed, and are reported as `Missed`. Then the reader asks the database. Next: `control.py`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Final
from uuid import UUID

import structlog
from redis.asyncio import Redis

from core.bus.connection import BLOCK_MS, PASSING, vendor_errors_as_ours
from core.domain.chat import ChatId
from core.domain.events import RunEvent, from_json, to_json
from core.domain.turn import TurnId
from core.errors import Unavailable
from core.ports import Cursor, Missed, Published

log = structlog.get_logger(__name__)
KEPT: Final = 5000
KEPT_S: Final = 86_400
# Entries in one go: the counter, the stream, all or none, in one round trip.
_ADD: Final = """
local n
for i = 4, #ARGV, 2 do
  n = redis.call('INCR', KEYS[2])
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'n', n, 't', ARGV[3], 's', ARGV[i], 'b', ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return n
"""
_GAP: Final = "gap"


def _stream(chat_id: ChatId) -> str:
    return f"tw:events:{chat_id}"


def _counter(chat_id: ChatId) -> str:
    return f"tw:events:{chat_id}:n"


class RedisEventBus:
    """`core.ports.EventBus` on Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._add = redis.register_script(_ADD)
        self._gaps: set[ChatId] = set()

    async def publish(self, chat_id: ChatId, turn_id: TurnId, events: Sequence[tuple[int | None, RunEvent]]) -> None:
        """Publish events in order. While Redis is away they are dropped, and the next ones carry a mark of it."""
        entries: list[str] = [_GAP, "{}"] if chat_id in self._gaps else []
        for seq, event in events:
            entries += ["" if seq is None else str(seq), json.dumps(to_json(event), ensure_ascii=True)]
        if not entries:
            return
        try:
            with vendor_errors_as_ours():
                await self._add(keys=[_stream(chat_id), _counter(chat_id)], args=[KEPT, KEPT_S, str(turn_id), *entries])
        except Unavailable as error:
            self._gaps.add(chat_id)
            log.warning("not_published", chat=str(chat_id), why=str(error))
        except asyncio.CancelledError:
            self._gaps.add(chat_id)
            raise
        else:
            self._gaps.discard(chat_id)

    async def cursor(self, chat_id: ChatId) -> Cursor:
        """Where the stream stands now. Raises `Unavailable`."""
        with vendor_errors_as_ours():
            last = await self._redis.xrevrange(_stream(chat_id), count=1)
        if not last:
            return Cursor("0-0/")
        entry, fields = last[0]
        return Cursor(f"{entry.decode()}/{fields[b'n'].decode()}")

    async def subscribe(self, chat_id: ChatId, after: Cursor | None = None) -> AsyncGenerator[Published | Missed, None]:
        """Events after the cursor; None: from now on; an empty cursor: everything that is still there."""
        at = after if after is not None else await self._now(chat_id)
        position, _, count = (at or "0-0/0").partition("/")
        expected: int | None = int(count) if count else None
        was_away = False
        while True:
            try:
                rows = await self._redis.xread({_stream(chat_id): position}, count=500, block=BLOCK_MS)
                is_reset = (
                    not rows and expected is not None and expected > 0 and await self._is_reset(chat_id, expected)
                )
            except PASSING:
                was_away = True
                await asyncio.sleep(0.2)
                continue
            if was_away or is_reset:
                was_away, expected = False, None
                yield Missed(Cursor(f"{position}/"))
            for entry, fields in rows[0][1] if rows else ():
                number = int(fields[b"n"])
                if (expected is not None and number != expected + 1) or fields[b"s"] == _GAP.encode():
                    yield Missed(Cursor(f"{entry.decode()}/{number}"))
                position, expected = entry.decode(), number
                published = _published(position, number, fields)
                if published is not None:
                    yield published

    async def _now(self, chat_id: ChatId) -> Cursor:
        while True:
            try:
                return await self.cursor(chat_id)
            except Unavailable:
                await asyncio.sleep(0.2)

    async def _is_reset(self, chat_id: ChatId, expected: int) -> bool:
        """Whether the count began anew behind our back: Redis was flushed, or came back without its data."""
        value = await self._redis.get(_counter(chat_id))
        return value is None or int(value) < expected


def _published(position: str, number: int, fields: dict[bytes, bytes]) -> Published | None:
    if fields[b"s"] == _GAP.encode():
        return None
    try:
        event = from_json(json.loads(fields[b"b"]))
    except (KeyError, ValueError, TypeError):
        # A newer program published a kind of event that this one does not know.
        return None
    seq = int(fields[b"s"]) if fields[b"s"] else None
    return Published(Cursor(f"{position}/{number}"), TurnId(UUID(fields[b"t"].decode())), seq, event)
