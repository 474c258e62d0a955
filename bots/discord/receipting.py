"""Showing a person that their message was taken: 👀, within a second, before any worker has it.

Reactions share the thread's limit on them with the worker's. A worker may be quicker than we are: what it has put then
stands, and ours is taken off. Next: `core/surfaces/discord/receipts.py`.
"""

import asyncio
from typing import Final

import structlog

from bots.errands import InTurn
from core.domain.chat import Place
from core.domain.message import Message
from core.domain.states import MessageState
from core.errors import RateLimited, ThreadworkError
from core.ports import Accepted, Call, EditBudget, Messages, Priority, Receipt, Surface
from core.surfaces.discord.receipts import EMOJI

log = structlog.get_logger(__name__)
PATIENCE_S: Final = 60.0
TRIES: Final = 3
# A worker that has a message shows and notes its own receipt within this.
SETTLE_S: Final = 1.0


class Receipting:
    """Puts the first receipt on messages."""

    def __init__(self, messages: Messages, budget: EditBudget, surface: Surface) -> None:
        self._messages = messages
        self._budget = budget
        self._surface = surface
        self._in_turn = InTurn()

    async def show(self, place: Place, accepted: Accepted) -> None:
        """Put it on, unless that is not to be had; and take it off again where another has come."""
        message = accepted.message
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._put(place, message, Receipt.QUEUED, None)
                await self._give_way(place, message)
        except (TimeoutError, ThreadworkError) as error:
            log.warning("receipt_not_shown", chat=place.key, why=repr(error))

    async def _put(self, place: Place, message: Message, receipt: Receipt, before: Receipt | None) -> None:
        allowance = self._surface.allowance(place, Call.MARK)
        for _ in range(TRIES):
            await self._budget.spend(allowance, Priority.QUESTION)
            try:
                # A channel takes one in a quarter of a second, and tells so with each.
                async with self._in_turn.turn(place.channel):
                    await self._surface.receipt(place, message.external_id, receipt, before)
            except RateLimited as error:
                await self._budget.penalise(allowance, error.retry_after_s)
            else:
                return

    async def _give_way(self, place: Place, message: Message) -> None:
        now = await self._now(message)
        if now is not None and now.state is not MessageState.QUEUED:
            await asyncio.sleep(SETTLE_S)
            now = await self._now(message)
        shown = Receipt(now.receipt) if now is not None and now.receipt else Receipt.QUEUED
        if EMOJI[shown] != EMOJI[Receipt.QUEUED]:
            # Putting the worker's once more changes nothing, and ours goes.
            await self._put(place, message, shown, Receipt.QUEUED)

    async def _now(self, message: Message) -> Message | None:
        recent = await self._messages.recent(message.chat_id, 20)
        return next((one for one in recent if one.id == message.id), None)
