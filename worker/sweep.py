"""The sweeper: finds what nobody was told of, and puts sandboxes to sleep that nobody uses.

It reads the database only, so it finds every chat with work whatever Redis has forgotten. One worker at a time sweeps
(`queue_worker.py` sees to that). Idle sandboxes are paused after a `sync`; ones untouched for long are listed.
"""

import asyncio
import time
from dataclasses import replace
from typing import Final

import structlog

from core.domain.chat import Chat
from core.domain.states import Actor, SandboxState, step
from core.errors import Fenced, SandboxError, SandboxLost, Unavailable
from core.ports import SandboxProvider, Stores, WorkQueue
from core.settings import Settings

log = structlog.get_logger(__name__)
_PAUSE_LEASE_S: Final = 60.0
_LIST_EVERY_S: Final = 3600.0


class Sweeper:
    """What is done every few seconds by one of the workers."""

    def __init__(self, stores: Stores, provider: SandboxProvider, queue: WorkQueue, settings: Settings) -> None:
        self._stores = stores
        self._provider = provider
        self._queue = queue
        self._idle_s = settings.threadwork_idle_pause_after_s
        self._retain_days = settings.threadwork_retain_sandbox_days
        self._listed_at = float("-inf")

    async def sweep(self) -> None:
        """Put unattended chats to work and pause idle sandboxes. Raises `Unavailable` when the database is away."""
        for chat_id in await self._stores.chats.unattended():
            await self._queue.put(chat_id)
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
        taken = await self._stores.chats.take(chat.id, "sweeper", _PAUSE_LEASE_S)
        if taken is None or taken[0].seat.sandbox_id is None:
            return
        held, fence = taken
        seat = held.seat
        try:
            async with asyncio.timeout(_PAUSE_LEASE_S * 0.8):
                sandbox = await self._provider.connect(str(seat.sandbox_id), time_s=_PAUSE_LEASE_S * 2)
                await sandbox.run("sync", time_s=20)
                await self._provider.pause(sandbox.id)
            seat = replace(seat, sandbox_state=step(seat.sandbox_state, SandboxState.PAUSED, Actor.SWEEPER))
            log.info("sandbox_paused", chat=str(chat.id), sandbox=seat.sandbox_id)
        except SandboxLost:
            seat = replace(seat, sandbox_id=None, pid=None, run_dir=None, session_id=None, pending={}, offset=0)
            seat = replace(seat, sandbox_state=step(held.seat.sandbox_state, SandboxState.LOST, Actor.RUN))
        except (SandboxError, Unavailable, TimeoutError) as error:
            log.warning("sandbox_not_paused", chat=str(chat.id), why=str(error))
        try:
            await self._stores.chats.save_seat(fence, seat)
            await self._stores.chats.release(fence)
        except Fenced:
            log.info("sweeper_fenced", chat=str(chat.id))
