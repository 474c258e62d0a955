"""How large a file a server takes: that hangs on its boosts, which people give it and take away.

A worker has no gateway that would tell it, so the server is asked for, once in a while, and only for a file. What
cannot be learned is taken for a server without boosts, whose limit holds everywhere. Next: `client.py`.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from core.errors import ThreadworkError
from core.ports import FileLimit
from core.surfaces.discord.rest import Request, Rest

log = structlog.get_logger(__name__)

# By `premium_tier`: https://docs.discord.com/developers/reference#uploading-files has the first, discord.py's
# `Guild.filesize_limit` all of them. Bots have them like people:
# https://github.com/discord/discord-api-docs/issues/2037.
_MIB: Final = 1024 * 1024
MOST_BYTES: Final[Mapping[int, int]] = {0: 10 * _MIB, 1: 10 * _MIB, 2: 50 * _MIB, 3: 100 * _MIB}
_ASK_S: Final = 5.0
_GOOD_S: Final = 3600.0
# What could not be learned is asked for sooner.
_UNKNOWN_S: Final = 60.0
_REMEMBERED: Final = 5_000
_MEND: Final = "a server with boost level 2 or 3 takes larger ones"


class Boosts:
    """The limits of the servers that one bot is in. `clock` gives seconds that only grow."""

    def __init__(self, rest: Rest, clock: Callable[[], float] = time.monotonic) -> None:
        self._rest = rest
        self._clock = clock
        # By server: its tier, and until when that is good.
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def file_limit(self, guild: str) -> FileLimit:
        """What this server takes now, or what all take where it is none or does not tell. Raises nothing."""
        tier = await self._tier(guild)
        most = MOST_BYTES.get(tier, MOST_BYTES[3] if tier > 3 else MOST_BYTES[0])
        return FileLimit(most, _MEND if most == MOST_BYTES[0] else "")

    def forget(self, guild: str) -> None:
        """Ask anew the next time: a file was refused that was thought to fit."""
        self._known.pop(guild, None)

    async def _tier(self, guild: str) -> int:
        if not guild.isdigit():
            # Direct messages are in no server.
            return 0
        tier, good_until = self._known.get(guild, (0, float("-inf")))
        if self._clock() < good_until:
            return tier
        tier, good_s = await self._asked(guild)
        self._known[guild] = tier, self._clock() + good_s
        self._known.move_to_end(guild)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return tier

    async def _asked(self, guild: str) -> tuple[int, float]:
        """The tier, and for how long it is good."""
        try:
            async with asyncio.timeout(_ASK_S):
                answer = await self._rest.call(Request("look", "GET", f"/guilds/{guild}", f"look {guild}"))
            return int(answer.told["premium_tier"]), _GOOD_S
        except (ThreadworkError, TimeoutError, KeyError, TypeError, ValueError) as error:
            log.warning("boosts_unknown", guild=guild, why=repr(error)[:300])
            return 0, _UNKNOWN_S
