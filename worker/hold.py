"""A run's hold on its chat: the lease, kept alive, and the question "may I still act?".

`keep` renews the lease until the run ends. `confirm` is asked before every effect outside the database (a post, an
edit, a line to the agent): it is free while the lease surely stands, and looks in the database when it may not, as
after a long stop of this process or an outage. Writes inside the database are fenced by the store itself.
"""

import asyncio
import time
from typing import Final

import structlog

from core.domain.chat import Chat, ChatId
from core.errors import Fenced, Unavailable
from core.ports import Chats, Fence

log = structlog.get_logger(__name__)
_CALL_S: Final = 5.0


class Hold:
    """The right of one run to act on its chat. `lease_s`: how long a silent run keeps it, in seconds."""

    def __init__(self, chats: Chats, fence: Fence, lease_s: float) -> None:
        self._chats = chats
        self.fence = fence
        self._lease_s = lease_s
        self._sure_until = time.monotonic() + lease_s * 0.6
        self._is_over = False

    async def keep(self) -> None:
        """Renew the lease for ever. Raises `Fenced` once another run has the chat.

        An outage of the database is waited out: nobody else can take the chat meanwhile either.
        """
        while True:
            await asyncio.sleep(self._lease_s / 3)
            try:
                await self._renew()
            except Unavailable as error:
                log.warning("lease_not_renewed", why=str(error))

    async def confirm(self) -> None:
        """Return if this run still has the chat, looking in the database if the lease may have run out."""
        if self._is_over:
            raise Fenced("This run is over.")
        while time.monotonic() >= self._sure_until:
            try:
                await self._renew()
            except Unavailable:
                await asyncio.sleep(0.5)

    async def _renew(self) -> None:
        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(_CALL_S):
                await self._chats.renew(self.fence, self._lease_s)
        except TimeoutError as error:
            raise Unavailable("the database", "no answer to a renewal") from error
        except Fenced:
            self._is_over = True
            log.warning("fenced", chat=str(self.fence.chat_id), epoch=self.fence.epoch)
            raise
        # The database counts from later than `asked_at`, so this side gives up first.
        self._sure_until = asked_at + self._lease_s * 0.6

    async def release(self) -> None:
        """Give the chat back, so that another run can have it at once. Never raises."""
        self._is_over = True
        try:
            async with asyncio.timeout(_CALL_S):
                await self._chats.release(self.fence)
        except (TimeoutError, Unavailable, Fenced) as error:
            log.warning("lease_not_released", why=str(error))


async def take(chats: Chats, chat_id: ChatId, worker: str, lease_s: float) -> tuple[Chat, Fence] | None:
    """Take a chat, waiting for a dead run's lease to end. None: a live run has it, and was told to look."""
    async with asyncio.timeout(lease_s + 5):
        waited = 0.0
        while True:
            taken = await chats.take(chat_id, worker, lease_s)
            if taken is not None:
                return taken
            if waited > lease_s:
                return None
            await asyncio.sleep(0.3)
            waited += 0.3
