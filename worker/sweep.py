"""The sweeper: finds what nobody was told of, and puts sandboxes to sleep that nobody uses.

It reads the database only, so it finds every chat with work whatever Redis has forgotten. One worker at a time sweeps
(`queue_worker.py` sees to that). Idle sandboxes are paused after a `sync`; ones untouched for long are listed. What
admins want done to a sandbox is done here as well, under a lease, so that no run loses its sandbox under it.
"""

import asyncio
import time
from dataclasses import replace
from typing import Final

import structlog

from core.domain.chat import Chat, ChatId
from core.domain.states import Actor, SandboxState, step
from core.errors import Fenced, SandboxError, SandboxLost, Unavailable
from core.ports import Fence, SandboxProvider, Stores, Wish, Wishes, WorkQueue
from core.settings import Settings
from worker.sandbox.seating import lost

log = structlog.get_logger(__name__)
_LEASE_S: Final = 60.0
_LIST_EVERY_S: Final = 3600.0
_FROM: Final = {
    Wish.PAUSE: (SandboxState.RUNNING,),
    Wish.END: (SandboxState.RUNNING, SandboxState.PAUSED),
}


class Sweeper:
    """What is done every few seconds by one of the workers."""

    def __init__(
        self, stores: Stores, wishes: Wishes, provider: SandboxProvider, queue: WorkQueue, settings: Settings
    ) -> None:
        self._stores = stores
        self._wishes = wishes
        self._provider = provider
        self._queue = queue
        self._idle_s = settings.threadwork_idle_pause_after_s
        self._retain_days = settings.threadwork_retain_sandbox_days
        self._listed_at = float("-inf")

    async def sweep(self) -> None:
        """Put unattended chats to work, do what admins want of sandboxes, and pause the idle ones.

        Raises `Unavailable` when the database is away.
        """
        for chat_id in await self._stores.chats.unattended():
            await self._queue.put(chat_id)
        for chat_id, wish in await self._wishes.given():
            await self._grant(chat_id, wish)
        for chat in await self._stores.chats.idle(self._idle_s, limit=10):
            await self._pause(chat)
        if time.monotonic() - self._listed_at > _LIST_EVERY_S:
            self._listed_at = time.monotonic()
            for chat in await self._stores.chats.untouched(self._retain_days):
                log.info(
                    "sandbox_untouched", chat=str(chat.id), sandbox=chat.seat.sandbox_id, since=str(chat.active_at)
                )

    async def _pause(self, chat: Chat) -> None:
        """Pause an idle chat's sandbox, holding the chat so that no run begins meanwhile."""
        taken = await self._stores.chats.take(chat.id, "sweeper", _LEASE_S)
        if taken is not None:
            await self._do(*taken, Wish.PAUSE)

    async def _grant(self, chat_id: ChatId, wish: Wish) -> None:
        """Do what an admin wants, unless the chat has come to work since: its run needs the sandbox."""
        taken = await self._stores.chats.take(chat_id, "sweeper", _LEASE_S)
        if taken is None:
            log.info("sandbox_left", chat=str(chat_id), wish=wish, why="a worker has the chat")
            return
        if await self._stores.turns.unfinished(chat_id) or await self._stores.messages.queued(chat_id):
            log.info("sandbox_left", chat=str(chat_id), wish=wish, why="the chat has work")
            await self._stores.chats.release(taken[1])
            return
        await self._do(*taken, wish)

    async def _do(self, held: Chat, fence: Fence, wish: Wish) -> None:
        """Pause or end the sandbox of a chat that we hold, note what became of it, and let go of the chat."""
        chat, seat, sandbox_id = str(held.id), held.seat, held.seat.sandbox_id
        try:
            async with asyncio.timeout(_LEASE_S * 0.8):
                if sandbox_id is None or seat.sandbox_state not in _FROM[wish]:
                    log.info("sandbox_left", chat=chat, wish=wish, why=seat.sandbox_state)
                elif wish is Wish.PAUSE:
                    sandbox = await self._provider.connect(sandbox_id, time_s=_LEASE_S * 2)
                    await sandbox.run("sync", time_s=20)
                    await self._provider.pause(sandbox.id)
                    seat = replace(seat, sandbox_state=step(seat.sandbox_state, SandboxState.PAUSED, Actor.SWEEPER))
                    log.info("sandbox_paused", chat=chat, sandbox=sandbox_id)
                else:
                    await self._provider.kill(sandbox_id)
                    log.info("sandbox_ended", chat=chat, sandbox=sandbox_id)
                    seat = lost(seat)
        except SandboxLost:
            seat = lost(seat)
        except (SandboxError, Unavailable, TimeoutError) as error:
            log.warning("sandbox_left", chat=chat, wish=wish, why=str(error))
        try:
            await self._stores.chats.save_seat(fence, seat)
            await self._stores.chats.release(fence)
        except Fenced:
            log.info("sweeper_fenced", chat=chat)
