"""Showing a person that their message was taken: 👀, within a second, before any worker has it.

Reactions share Slack's limit on them with the worker's. A worker may be quicker than we are: what it has put then
stands, and ours is taken off. Next: `core/surfaces/slack/receipts.py`.
"""

import asyncio
from typing import Final

import structlog

from bots.slack.workspaces import Workspace
from core.domain.chat import Place
from core.domain.message import Message
from core.domain.states import MessageState
from core.errors import RateLimited, ThreadworkError
from core.ports import Accepted, Allowance, EditBudget, Messages, Priority, Receipt
from core.surfaces.slack.receipts import EMOJI

log = structlog.get_logger(__name__)
# Of the 50 a minute that Slack lets a workspace's app put on, the worker has its share.
PER_MINUTE: Final = 22
BURST: Final = 8
PATIENCE_S: Final = 60.0
TRIES: Final = 3
# A worker that has a message shows and notes its own receipt within this.
SETTLE_S: Final = 1.0


class Receipting:
    """Puts the first receipt on messages."""

    def __init__(self, messages: Messages, budget: EditBudget) -> None:
        self._messages = messages
        self._budget = budget

    async def show(self, workspace: Workspace, place: Place, accepted: Accepted) -> None:
        """Put it on, unless that is not to be had; and take it off again where another has come."""
        message = accepted.message
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._put(workspace, place, message)
                await self._give_way(workspace, place, message)
        except (TimeoutError, ThreadworkError) as error:
            log.warning("receipt_not_shown", chat=place.key, why=repr(error))

    async def _put(self, workspace: Workspace, place: Place, message: Message) -> None:
        for _ in range(TRIES):
            allowance = Allowance(f"slack:{workspace.team}:react", PER_MINUTE, BURST)
            await self._budget.spend(allowance, Priority.QUESTION)
            try:
                await workspace.web.react(place.channel, message.external_id, EMOJI[Receipt.QUEUED])
            except RateLimited as error:
                await self._budget.penalise(allowance, error.retry_after_s)
            else:
                return

    async def _give_way(self, workspace: Workspace, place: Place, message: Message) -> None:
        now = await self._now(message)
        if now is not None and now.state is not MessageState.QUEUED:
            await asyncio.sleep(SETTLE_S)
            now = await self._now(message)
        shown = Receipt(now.receipt) if now is not None and now.receipt else Receipt.QUEUED
        if EMOJI[shown] != EMOJI[Receipt.QUEUED]:
            await workspace.web.unreact(place.channel, message.external_id, EMOJI[Receipt.QUEUED])

    async def _now(self, message: Message) -> Message | None:
        recent = await self._messages.recent(message.chat_id, 20)
        return next((one for one in recent if one.id == message.id), None)
