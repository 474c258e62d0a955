"""`GET /chats/{id}/events`: a chat's events as they come, as server-sent events; a reader that was cut off goes on.

Each event is `event: <its kind>`, `data: {"turn", "seq", "event"}` and `id: <where one is>`, which a browser sends
back as Last-Event-ID: https://html.spec.whatwg.org/multipage/server-sent-events.html. An id holds the place on the bus
and the last stored event seen. What the bus has forgotten is read from the database behind an event `missed`: what was
streamed meanwhile is gone, and what was stored follows. Next: `static/live.js`, which reads it.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from aiohttp import web

from bots.web.chats import ID, find_chat
from core.domain.chat import ChatId
from core.domain.events import RunEvent, kind_of, to_json
from core.domain.turn import TurnId
from core.errors import Unavailable
from core.ports import Cursor, EventBus, Looks, Missed, Published, Recorded, Turns

# Proxies cut what is silent; and a reader that is gone is noticed by writing to it.
BEAT_S: Final = 15.0
# An open page is a socket and some 40 kB of this process (bench/readers.py); more than this is no team looking on.
MOST: Final = 1000
# How many turns back a reader's place is looked for.
_TURNS: Final = 50
_MARK: Final = re.compile(r"([0-9a-f]{32})?\.(\d{1,9})\.(.{0,80})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a reader is: on the bus, and which stored event it saw last."""

    cursor: Cursor
    turn_id: TurnId | None = None
    seq: int = 0

    def encode(self) -> str:
        """As an event's id."""
        return f"{self.turn_id.hex if self.turn_id else ''}.{self.seq}.{self.cursor}"


def read_mark(text: str) -> Mark | None:
    """A mark out of a Last-Event-ID; None for what is none of ours."""
    parts = _MARK.fullmatch(text)
    if parts is None:
        return None
    return Mark(Cursor(parts[3]), TurnId(UUID(hex=parts[1])) if parts[1] else None, int(parts[2]))


@dataclass(frozen=True, slots=True)
class Item:
    """One event for a reader. `event` None: something was missed."""

    mark: Mark
    event: RunEvent | None = None
    turn_id: TurnId | None = None
    seq: int | None = None

    def encode(self) -> bytes:
        """As it goes over the line. JSON has no line ends in it, so nothing in a text can begin another event."""
        if self.event is None:
            kind, data = "missed", "{}"
        else:
            body = {"turn": str(self.turn_id), "seq": self.seq, "event": to_json(self.event)}
            kind, data = kind_of(self.event), json.dumps(body, ensure_ascii=True, default=str)
        return f"id: {self.mark.encode()}\nevent: {kind}\ndata: {data}\n\n".encode()


class Following:
    """Follows one chat for one reader: each stored event once and in order, whatever the bus loses."""

    def __init__(self, chat_id: ChatId, turns: Turns, bus: EventBus) -> None:
        self._chat_id = chat_id
        self._turns = turns
        self._bus = bus

    async def items(self, mark: Mark) -> AsyncGenerator[Item, None]:
        """What comes after the mark."""
        async for item in self._bus.subscribe(self._chat_id, mark.cursor):
            mark = Mark(item.cursor, mark.turn_id, mark.seq)
            if isinstance(item, Missed):
                yield Item(mark)
            elif item.seq is None:
                yield Item(mark, item.event, item.turn_id)
                continue
            async for stored in self._stored(mark, item):
                mark = stored.mark
                yield stored

    async def _stored(self, mark: Mark, item: Published | Missed) -> AsyncIterator[Item]:
        """The stored events that `item` brings: itself, where it is the next one; else all after the mark."""
        if isinstance(item, Published) and item.seq is not None:
            at = mark.seq if item.turn_id == mark.turn_id else 0
            if item.turn_id == mark.turn_id and item.seq <= at:
                return
            if item.seq == at + 1 and not await self._is_past(mark, item.turn_id):
                yield Item(Mark(mark.cursor, item.turn_id, item.seq), item.event, item.turn_id, item.seq)
                return
        for one in await self._after(mark):
            yield Item(Mark(mark.cursor, one.turn_id, one.seq), one.event, one.turn_id, one.seq)

    async def _is_past(self, mark: Mark, turn_id: TurnId) -> bool:
        """Whether a turn is one that came before the mark's: the bus tells it again after a gap."""
        if mark.turn_id in (None, turn_id):
            return False
        return await self._number(turn_id) < await self._number(mark.turn_id)

    async def _number(self, turn_id: TurnId | None) -> int:
        return (await self._turns.get(turn_id)).number if turn_id else 0

    async def _after(self, mark: Mark) -> Sequence[Recorded]:
        """What the database has of the mark's turn and of those after it; without a mark, of the last turn."""
        found: list[Recorded] = []
        for turn in await self._turns.recent(self._chat_id, _TURNS):
            is_known = turn.id == mark.turn_id
            found[:0] = await self._turns.events(turn.id, after=mark.seq if is_known else 0)
            if is_known or mark.turn_id is None:
                break
        return found


class Streams:
    """The streams of this process; all end when it does."""

    def __init__(self, looks: Looks, turns: Turns, bus: EventBus, beat_s: float = BEAT_S) -> None:
        self._looks = looks
        self._turns = turns
        self._bus = bus
        self._beat_s = beat_s
        self._open: set[asyncio.Task[None]] = set()

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [web.get(f"/chats/{{chat:{ID}}}/events", self.follow)]

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Stream a chat's events: after Last-Event-ID, or from now on."""
        chat_id = (await find_chat(request, self._looks)).chat.id
        mark = read_mark(request.headers.get("Last-Event-ID") or request.query.get("after", ""))
        if mark is None:
            mark = await self._now(chat_id)
        if len(self._open) >= MOST:
            raise Unavailable("the stream", "too many are read at once")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        await response.prepare(request)
        # So that a reader that hears nothing yet knows where it stands, should it be cut off.
        await response.write(f"id: {mark.encode()}\nretry: 1000\nevent: here\ndata: {{}}\n\n".encode())
        streaming = asyncio.create_task(self._stream(response, chat_id, mark))
        self._open.add(streaming)
        try:
            with suppress(asyncio.CancelledError, ConnectionError):
                await asyncio.wait({streaming})
                await streaming
        finally:
            streaming.cancel()
            self._open.discard(streaming)
        return response

    async def close(self, _site: web.Application) -> None:
        """End all streams; their readers come again, to whoever serves the page then."""
        for task in self._open:
            task.cancel()

    async def mark_now(self, chat_id: ChatId) -> str:
        """Where a page that is made now begins to follow; empty while the bus is away: then it begins when it can."""
        try:
            return (await self._now(chat_id)).encode()
        except Unavailable:
            return ""

    async def _now(self, chat_id: ChatId) -> Mark:
        """The present: what is stored up to here is on the page already."""
        cursor = await self._bus.cursor(chat_id)
        turns = await self._turns.recent(chat_id, 1)
        if not turns:
            return Mark(cursor)
        stored = await self._turns.events(turns[0].id)
        return Mark(cursor, turns[0].id, stored[-1].seq if stored else 0)

    async def _stream(self, response: web.StreamResponse, chat_id: ChatId, mark: Mark) -> None:
        items = Following(chat_id, self._turns, self._bus).items(mark)
        beating = asyncio.create_task(self._beat(response))
        try:
            async for item in items:
                await response.write(item.encode())
        finally:
            beating.cancel()
            await items.aclose()

    async def _beat(self, response: web.StreamResponse) -> None:
        with suppress(ConnectionError):
            while True:
                await asyncio.sleep(self._beat_s)
                await response.write(b": still here\n\n")
