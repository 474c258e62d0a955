"""Telling what happens in a turn: into the database, onto the bus, into the view, to the presenter.

Events are stored with the journal's offset in one transaction, so each is recorded exactly once; deltas are only
published and folded. While the database is away nothing is lost: the caller waits here, and the journal keeps what
comes meanwhile. Next: `worker/talk.py`, which decides what is told.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final
from uuid import UUID

import structlog

from core.domain.approval import Approval
from core.domain.chat import AgentSeat
from core.domain.events import (
    FLEETING,
    ApprovalAsked,
    ApprovalSettled,
    MessageSteered,
    RunEvent,
    TextStreamed,
    TextWritten,
    TurnFinished,
)
from core.domain.message import Message, MessageId
from core.domain.turn import Turn
from core.domain.view import View, fold
from core.errors import Fenced, NotFound, Unavailable
from core.ports import EventBus, Span, Stores
from worker.hold import Hold
from worker.present import Presenter

log = structlog.get_logger(__name__)
_PUBLISH_S: Final = 2.0


class Telling:
    """One turn, as far as it was told. `seq` is the number of its last stored event."""

    def __init__(self, turn: Turn, stores: Stores, bus: EventBus, hold: Hold, presenter: Presenter) -> None:
        self.turn = turn
        self.view = View(turn_number=turn.number, turn_id=turn.id)
        self.seq = 0
        self.asks: dict[str, Approval] = {}
        self._stores = stores
        self._bus = bus
        self._hold = hold
        self._presenter = presenter
        # Until there is text, and only in the run that began the turn.
        self._began_at: float | None = None

    async def catch_up(self) -> None:
        """Fold what is stored of this turn, and show it."""
        steered: list[MessageId] = []
        for recorded in await self._stores.turns.events(self.turn.id):
            self.view = fold(self.view, recorded.event)
            self.seq = recorded.seq
            if isinstance(recorded.event, MessageSteered):
                steered.append(MessageId(UUID(recorded.event.message_id)))
        self._presenter.receipts.inherit(steered)
        for approval in await self._stores.approvals.of_turn(self.turn.id):
            self.asks[str(approval.id)] = approval
        self._show()

    async def began(self, messages: Sequence[Message] = ()) -> None:
        """Publish and show a turn that was just begun with these messages: its first event was stored with it."""
        self._began_at = time.monotonic()
        if messages:
            # Both times are the database's. A wait for the turn before this one is part of it.
            self._presenter.took(Span.START, (self.turn.started_at - messages[0].created_at).total_seconds())
        first = await self._stores.turns.events(self.turn.id)
        await self._out([recorded.event for recorded in first])

    def _show(self) -> None:
        was_kept_back = self.turn.unshown_why is not None
        self._presenter.show(self.turn.id, self.view, self.asks, was_kept_back=was_kept_back)

    async def tell(self, events: Sequence[RunEvent], seat: AgentSeat) -> None:
        """Store what is to be stored, with `seat`; publish and show all of it, in order."""
        kept = [event for event in events if not isinstance(event, FLEETING)]
        first = self.seq + 1
        if kept:
            await self._insist(
                lambda: self._stores.turns.record(self._hold.fence, self.turn.id, first, kept, seat), first
            )
        await self._out(events)

    async def ended(self, end: TurnFinished, seat: AgentSeat, answered: Collection[MessageId] | None) -> None:
        """Store the end of the turn with everything that ends with it; publish and show it."""
        seq = self.seq + 1
        await self._insist(
            lambda: self._stores.turns.finish(self._hold.fence, self.turn.id, seq, end, seat, answered=answered), seq
        )
        for approval in await self._stores.approvals.of_turn(self.turn.id):
            self.asks[str(approval.id)] = approval
        # The store withdrew what was still asked, and numbered that before the end.
        stored = await self._stores.turns.events(self.turn.id, after=seq - 1)
        log.info("turn_ended", state=end.state, seconds=round(end.duration_s, 1))
        await self._out([recorded.event for recorded in stored])
        self._presenter.mark_messages()

    async def asked(self, approval: Approval) -> None:
        """Publish and show a question that was stored with its event."""
        self.asks[str(approval.id)] = approval
        await self._out([ApprovalAsked(str(approval.id), approval.kind, approval.line, approval.tool)])

    def settled(self, approval: Approval, words: str) -> ApprovalSettled:
        """Note a settled question; the event to tell."""
        self.asks[str(approval.id)] = approval
        return ApprovalSettled(str(approval.id), approval.state, approval.decided_by, words)

    async def _out(self, events: Sequence[RunEvent]) -> None:
        numbered: list[tuple[int | None, RunEvent]] = []
        for event in events:
            self.view = fold(self.view, event)
            if isinstance(event, FLEETING):
                numbered.append((None, event))
            else:
                self.seq += 1
                numbered.append((self.seq, event))
        if self._began_at is not None and any(isinstance(event, TextStreamed | TextWritten) for event in events):
            self._presenter.took(Span.FIRST_TEXT, time.monotonic() - self._began_at)
            self._began_at = None
        self._show()
        try:
            async with asyncio.timeout(_PUBLISH_S):
                await self._bus.publish(self.turn.chat_id, self.turn.id, numbered)
        except (TimeoutError, Unavailable):
            # Readers find the gap and ask the database.
            log.warning("not_published", turn=str(self.turn.id))

    async def _insist(self, write: Callable[[], Awaitable[None]], first: int) -> None:
        """Write, waiting out an outage; a write whose answer was lost is recognised by its first event's number."""
        was_unsure = False
        delay = 0.1
        while True:
            try:
                await write()
            except Unavailable as error:
                log.warning("waiting_for_the_database", why=str(error))
                was_unsure = True
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)
            except (Fenced, NotFound):
                if was_unsure and await self._is_stored(first):
                    return
                raise
            else:
                return

    async def _is_stored(self, seq: int) -> bool:
        await self._stores.chats.check(self._hold.fence)
        return bool(await self._stores.turns.events(self.turn.id, after=seq - 1))
