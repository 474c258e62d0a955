"""What people see on their own messages: queued, working, steered, answered, failed, stopped.

The wanted receipt follows from a message's state; the one on screen is kept in the database, so a receipt is changed
once, and a successor goes on where a dead run stopped. The bot puts the first one; everything after is ours.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

import structlog

from core.domain.chat import Place
from core.domain.message import FROM_PAGE, Message, MessageId
from core.domain.states import MessageState
from core.errors import RateLimited, SurfaceError
from core.ports import Call, Count, Counters, EditBudget, Messages, Priority, Receipt, Surface
from worker.hold import Hold

log = structlog.get_logger(__name__)
_CALL_S: Final = 15.0

_WANTED: Final = {
    MessageState.QUEUED: Receipt.QUEUED,
    MessageState.DELIVERED: Receipt.WORKING,
    MessageState.ANSWERED: Receipt.ANSWERED,
    MessageState.FAILED: Receipt.FAILED,
    MessageState.STOPPED: Receipt.STOPPED,
    MessageState.DROPPED: Receipt.DROPPED,
}


class Receipts:
    """Brings the receipts of one chat's messages up to date."""

    def __init__(
        self, surface: Surface, messages: Messages, budget: EditBudget, hold: Hold, place: Place, *, counters: Counters
    ) -> None:
        self._surface = surface
        self._messages = messages
        self._budget = budget
        self._hold = hold
        self._place = place
        self._counters = counters
        self.steered: set[MessageId] = set()
        self._doubtful: set[MessageId] = set()
        self._again: dict[MessageId, Message] = {}
        self.is_dirty = True

    def inherit(self, steered: Collection[MessageId]) -> None:
        """These joined a turn in a run before this one, which may have shown it and died before it was noted."""
        self.steered |= set(steered)
        self._doubtful |= set(steered)

    def put_again(self, messages: Sequence[Message]) -> None:
        """The last receipts of these were noted as shown when the place took none; now it does."""
        self._again |= {message.id: message for message in messages}
        self.is_dirty = True

    async def bring(self) -> float:
        """Change every receipt that is not what it should be and that the budget has room for.

        Returns the seconds until there is room for more, 0 when all are right: meanwhile answers can be shown.
        """
        self.is_dirty = False
        try:
            for message, shown in await self._stale():
                is_nowhere = message.external_id.startswith(FROM_PAGE)
                if is_nowhere or self._surface.looks_alike(self._wanted(message), shown):
                    self._again.pop(message.id, None)
                    await self._messages.marked(self._hold.fence, message.id, self._wanted(message).value)
                    continue
                allowance = self._surface.allowance(self._place, Call.MARK)
                if (wait_s := await self._budget.try_spend(allowance, Priority.FINAL)) > 0:
                    self.is_dirty = True
                    return wait_s
                try:
                    await self._change(message, shown)
                except RateLimited as error:
                    self._counters.add(Count.RATE_LIMITED, self._place.platform)
                    # The bot and other workers react there, too: they stay away for as long. Answers need not wait.
                    await self._budget.penalise(allowance, error.retry_after_s)
                    self.is_dirty = True
                    return error.retry_after_s
        except BaseException:
            self.is_dirty = True
            raise
        return 0.0

    async def _stale(self) -> list[tuple[Message, Receipt | None]]:
        found: list[tuple[Message, Receipt | None]] = [(message, Receipt.WORKING) for message in self._again.values()]
        for message in await self._messages.unmarked(self._hold.fence.chat_id):
            shown = Receipt(message.receipt) if message.receipt else None
            if shown is not self._wanted(message):
                found.append((message, shown))
        return found

    def _wanted(self, message: Message) -> Receipt:
        if message.state is MessageState.DELIVERED and message.id in self.steered:
            return Receipt.STEERED
        return _WANTED[message.state]

    async def _change(self, message: Message, shown: Receipt | None) -> None:
        wanted = self._wanted(message)
        if wanted is Receipt.STEERED:
            # Until it is noted: its answer may be lost, and the next receipt come before it is tried again.
            self._doubtful.add(message.id)
        await self._hold.confirm()
        try:
            async with asyncio.timeout(_CALL_S):
                await self._surface.receipt(self._place, message.external_id, wanted, shown)
                if message.id in self._doubtful and wanted is not Receipt.STEERED and shown is not Receipt.STEERED:
                    await self._surface.receipt(self._place, message.external_id, wanted, Receipt.STEERED)
        except SurfaceError as error:
            # A message that is gone, or a right we do not have: asking again and again would change nothing.
            if error.retryable:
                raise
            log.warning("receipt_not_shown", why=str(error))
        self._again.pop(message.id, None)
        await self._messages.marked(self._hold.fence, message.id, wanted.value)
