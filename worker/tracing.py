"""Laying traces around a run's tools: the run knows nothing of it.

What tells the legs is at the edges already: the bus carries what happens in a turn, the seating finds sandbox and
agent, the surface makes the platform's calls. Next: `way.py`, which makes legs of it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final, TypeVar, cast

from core.domain.chat import AgentSeat, Chat, ChatId, Place
from core.domain.events import RunEvent
from core.domain.legs import LegName
from core.domain.turn import TurnId
from core.errors import ThreadworkError
from core.ports import Call, EventBus, Payload, Sandbox, Surface, Traces
from worker.legs import Facts
from worker.sandbox.seating import Seated, Seats
from worker.tools import Tools
from worker.way import FAILED, HANDED_OVER, LET_GO, Way

# A worker that is told to stop has little time for its last words.
_LAST_S: Final = 1.0
Answer = TypeVar("Answer")


@asynccontextmanager
async def traced(tools: Tools, traces: Traces | None) -> AsyncIterator[Tools]:
    """The tools for one run of a chat, telling its legs. Without `traces` they are what they were."""
    if traces is None:
        yield tools
        return
    way = Way(tools.stores, traces)
    telling = asyncio.create_task(way.tell_for_ever(), name="legs")
    surfaces = {name: cast("Surface", TracedSurface(inner, way)) for name, inner in tools.surfaces.items()}
    outcome = FAILED
    try:
        bus = cast("EventBus", TracedBus(tools.bus, way))
        yield replace(tools, bus=bus, seating=TracedSeats(tools.seating, way), surfaces=surfaces)
        outcome = LET_GO
    except asyncio.CancelledError:
        outcome = HANDED_OVER
        raise
    finally:
        way.leave(outcome, is_failed=outcome == FAILED)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await way.told()
        telling.cancel()
        await asyncio.wait((telling,), timeout=_LAST_S)


class TracedBus:
    """`core.ports.EventBus`, from which the way hears what happens in a turn; the rest is the bus itself."""

    def __init__(self, inner: EventBus, way: Way) -> None:
        self._inner = inner
        self._way = way

    async def publish(self, chat_id: ChatId, turn_id: TurnId, events: Sequence[tuple[int | None, RunEvent]]) -> None:
        self._way.heard([event for _seq, event in events])
        await self._inner.publish(chat_id, turn_id, events)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class TracedSeats:
    """`Seats`, with a leg for the sandbox and one for the agent's program."""

    def __init__(self, inner: Seats, way: Way) -> None:
        self._inner = inner
        self._way = way

    async def sandbox(self, chat: Chat, fence_epoch: int) -> tuple[Sandbox, AgentSeat]:
        def is_new(found: tuple[Sandbox, AgentSeat]) -> Facts:
            return {"is_new": found[1].sandbox_id != chat.seat.sandbox_id}

        self._way.take_up()
        return await _timed(self._way, LegName.SANDBOX, self._inner.sandbox(chat, fence_epoch), is_new)

    async def agent(self, chat: Chat, sandbox: Sandbox, seat: AgentSeat, *, may_start: bool) -> Seated | None:
        def is_new(seated: Seated | None) -> Facts:
            return {"is_new": seated is not None and seated.is_new}

        self._way.take_up()
        return await _timed(
            self._way, LegName.AGENT, self._inner.agent(chat, sandbox, seat, may_start=may_start), is_new
        )


class TracedSurface:
    """`core.ports.Surface`, with a leg for each post and edit; the rest is the surface itself."""

    def __init__(self, inner: Surface, way: Way) -> None:
        self._inner = inner
        self._way = way

    async def send(self, place: Place, payload: Payload, mark: str) -> str:
        return await _timed(
            self._way, LegName.POST, self._inner.send(place, payload, mark), lambda _: {"call": str(Call.SEND)}
        )

    async def edit(self, place: Place, external_id: str, payload: Payload) -> None:
        await _timed(
            self._way, LegName.POST, self._inner.edit(place, external_id, payload), lambda _: {"call": str(Call.EDIT)}
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def _timed(way: Way, name: LegName, call: Awaitable[Answer], facts_of: Callable[[Answer], Facts]) -> Answer:
    """Make the call, and note how long it took and what came of it."""
    began_at = time.time()
    try:
        answer = await call
    except (ThreadworkError, asyncio.CancelledError) as error:
        code = error.code if isinstance(error, ThreadworkError) else "cut_off"
        way.note(name, began_at, {"error": code}, is_failed=True)
        raise
    way.note(name, began_at, facts_of(answer))
    return answer
