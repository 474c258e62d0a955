"""Socket Mode: tickets in, envelopes out, acknowledgements back. https://docs.slack.dev/apis/events-api/using-socket-mode

Several connections take turns. A test may refuse upgrades, swallow everything, or ask clients to go elsewhere.
`delivery.py` decides what is sent and how often.
"""

import asyncio
import contextlib
import itertools
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import WSMsgType, web

from tests.doubles.slack.payloads import APP_ID
from tests.doubles.slack.record import JSON, Record
from tests.doubles.slack.triggers import Triggers

MOST_CONNECTIONS = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a delivery went: acknowledged (perhaps with a payload), too late, or the connection went first."""

    kind: Literal["acked", "late", "lost"]
    payload: JSON | None = None


@dataclass(eq=False, slots=True)
class Connection:
    """One open socket."""

    number: int
    ws: web.WebSocketResponse
    is_leaving: bool = False  # told to disconnect: gets nothing new
    is_swallowing: bool = False
    sent: dict[str, asyncio.Future[Outcome]] = field(default_factory=dict)
    envelopes: list[JSON] = field(default_factory=list)


class Sockets:
    """All connections of the app."""

    def __init__(self, triggers: Triggers, record: Record) -> None:
        self.connections: list[Connection] = []
        self.ever: list[Connection] = []
        self.refusals = 0
        self.swallows_new = False
        self.acks_anywhere = True
        self._is_closing = False
        self._triggers = triggers
        self._record = record
        self._turn = 0
        self._count = itertools.count(1)
        self._changed = asyncio.Condition()

    @property
    def live(self) -> list[Connection]:
        return [one for one in self.connections if not one.is_leaving and not one.ws.closed]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The WebSocket endpoint."""
        if self._is_closing:
            return web.Response(status=503, text="this Slack is going away")
        is_good = self._triggers.take_ticket(request.query.get("ticket", ""))
        if self.refusals > 0:
            self.refusals -= 1
            return web.Response(status=503, text="refused, as ordered")
        if not is_good:
            self._record.broke("ticket_reused", "socket", "a socket URL opens one connection, once")
            return web.Response(status=408, text="this URL was used")
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        one = Connection(next(self._count), ws, is_swallowing=self.swallows_new)
        self.connections.append(one)
        self.ever.append(one)
        try:
            if len(self.connections) > MOST_CONNECTIONS:
                one.is_leaving = True
                await ws.send_json({"type": "disconnect", "reason": "too_many_websockets"})
                return ws
            await self._greet(one)
            async with self._changed:
                self._changed.notify_all()
            await self._listen(one)
        finally:
            self.connections.remove(one)
            for waiting in one.sent.values():
                if not waiting.done():
                    waiting.set_result(Outcome("lost"))
            await ws.close()
        return ws

    async def _greet(self, one: Connection) -> None:
        await one.ws.send_json(
            {
                "type": "hello",
                "num_connections": len(self.connections),
                "debug_info": {"host": "applink-double", "build_number": 1, "approximate_connection_time": 18060},
                "connection_info": {"app_id": APP_ID},
            }
        )

    async def _listen(self, one: Connection) -> None:
        async for frame in one.ws:
            if one.is_swallowing:
                continue
            if frame.type is WSMsgType.PING:
                await one.ws.pong(frame.data)
            elif frame.type is WSMsgType.TEXT:
                self._acknowledge(one, json.loads(frame.data))

    def _acknowledge(self, one: Connection, body: JSON) -> None:
        where = self.ever if self.acks_anywhere else [one]
        for connection in where:
            waiting = connection.sent.get(body.get("envelope_id", ""))
            if waiting is not None:
                if not waiting.done():
                    waiting.set_result(Outcome("acked", body.get("payload")))
                return
        self._record.broke("unknown_envelope", "socket", str(body)[:200])

    async def any_live(self) -> None:
        """Return when at least one connection takes envelopes."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.live)

    async def deliver(self, envelope: JSON, *, seconds: float) -> Outcome:
        """Send over the next connection and wait so long for the acknowledgement. Waits for a connection first."""
        while not (live := self.live):
            await self.any_live()
        one = live[self._turn % len(live)]
        self._turn += 1
        waiting: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        one.sent[envelope["envelope_id"]] = waiting
        one.envelopes.append(envelope)
        try:
            if not one.is_swallowing:
                await one.ws.send_json(envelope)
            async with asyncio.timeout(seconds):
                return await asyncio.shield(waiting)
        except TimeoutError:
            return Outcome("lost" if one.is_swallowing else "late")
        except ConnectionError:
            return Outcome("lost")

    # -- knobs -------------------------------------------------------------------------------------------------

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Tell every client to connect anew, as Slack does every few hours."""
        for one in self.live:
            one.is_leaving = True
            await one.ws.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-double"}})

    async def cut(self) -> None:
        """Close every connection at once, without a word."""
        for one in list(self.connections):
            one.is_leaving = True
            transport: Any = one.ws._req.transport if one.ws._req is not None else None
            if transport is not None:
                transport.abort()

    def swallow(self, *, new_ones: bool = False) -> None:
        """Make open connections black holes: no pongs, no envelopes, no acknowledgements; `new_ones` also."""
        self.swallows_new = new_ones
        for one in self.connections:
            one.is_swallowing = True

    async def close(self) -> None:
        """End every connection, and take no new one from a client that is still there."""
        self._is_closing = True
        for one in list(self.connections):
            one.is_leaving = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await one.ws.close()
        await self.cut()
