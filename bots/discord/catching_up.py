"""Messages that were missed: what people wrote while no gateway session heard it, fetched and taken in.

A session that is resumed misses nothing. One that begins anew tells of each channel and open thread which message is
its last; where that is younger than what was heard before, the messages since are read. After a start, what was heard
before is what is stored. Next: `listener.py`.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from bots.discord.parse import DIRECT
from bots.discord.web import DiscordWeb
from core.domain.chat import Platform
from core.errors import ThreadworkError
from core.ports import Stores

log = structlog.get_logger(__name__)
JSON = Mapping[str, Any]
_EPOCH_MS: Final = 1_420_070_400_000
# What came at the same time as the last that was heard may have been lost all the same.
OVERLAP_S: Final = 60.0
LONGEST_S: Final = 24 * 3600.0
MOST_PAGES: Final = 10
RETRY_S: Final = (1.0, 3.0, 9.0, 27.0)
_LOOKED_AT: Final = 300
_WITHOUT_MESSAGES: Final = frozenset({4, 14, 15, 16})


class Take(Protocol):
    """Takes a missed message in. `is_old`: from before this program began."""

    def __call__(self, data: JSON, *, is_old: bool) -> None: ...


class CatchingUp:
    """Knows how far was heard, and reads on from there."""

    def __init__(self, web: DiscordWeb, stores: Stores) -> None:
        self._web = web
        self._stores = stores
        self._last = 0
        self._gap_from = 0
        self._born = _number_at(time.time())

    async def open(self) -> None:
        """Learn from the store how far was heard before this program began."""
        chats = await self._stores.chats.recent(Platform.DISCORD, 1)
        recent = await self._stores.messages.recent(chats[0].id, 1) if chats else ()
        stored = int(recent[0].external_id) if recent else self._born
        self._last = max(stored, _number_at(time.time() - LONGEST_S))

    def saw(self, message: str) -> None:
        """A message was heard."""
        self._last = max(self._last, int(message))

    def begin_session(self) -> None:
        """A session begins: what came since the last that was heard may be missing."""
        self._gap_from = max(0, self._last - (int(OVERLAP_S * 1000) << 22))

    async def server(self, data: JSON, take: Take) -> None:
        """Read what was missed in a server, by what `GUILD_CREATE` says of its channels and threads."""
        gap_from = self._gap_from
        for channel in [*(data.get("channels") or ()), *(data.get("threads") or ())]:
            last = channel.get("last_message_id")
            if last and int(last) > gap_from and channel.get("type") not in _WITHOUT_MESSAGES:
                await self._channel(str(channel["id"]), str(data["id"]), gap_from, take)

    async def direct(self, take: Take) -> None:
        """Read what was missed in the direct messages that are chats."""
        gap_from = self._gap_from
        for chat in await self._stores.chats.recent(Platform.DISCORD, _LOOKED_AT):
            if chat.place.tenant == DIRECT:
                await self._channel(chat.place.thread, None, gap_from, take)

    async def _channel(self, channel: str, guild: str | None, after: int, take: Take) -> None:
        for wait_s in (*RETRY_S, None):
            try:
                messages = await self._since(channel, after)
                break
            except ThreadworkError as error:
                if not error.retryable or wait_s is None:
                    log.warning("missed_not_read", channel=channel, why=str(error))
                    return
                await asyncio.sleep(wait_s)
        else:
            return
        for one in messages:
            take({**one, "guild_id": guild}, is_old=int(one["id"]) < self._born)

    async def _since(self, channel: str, after: int) -> Sequence[JSON]:
        """The messages after one, oldest first."""
        found: list[JSON] = []
        for _ in range(MOST_PAGES):
            page = await self._web.messages(channel, after=str(after))
            found += sorted(page, key=lambda one: int(one["id"]))
            if len(page) < 100:
                break
            after = int(found[-1]["id"])
        return found


def _number_at(seconds: float) -> int:
    """The least number that Discord gives out at a time."""
    return max(0, int(seconds * 1000) - _EPOCH_MS) << 22
