"""`/healthz`: this process lives. `/readyz`: it can do its work; each thing it needs is named, with what is wrong.

Both are for programs, need no session and tell no addresses.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from core.errors import ThreadworkError

CHECK_S: Final = 5.0
Check = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Checked:
    """How a thing that we need does. `why` is empty when it is well."""

    name: str
    took_s: float
    why: str = ""

    @property
    def is_well(self) -> bool:
        """Whether it does its work."""
        return not self.why


class Checks:
    """The things that are needed, by name, each with a call that raises when it is not well, or takes `within_s`."""

    def __init__(self, needs: Mapping[str, Check], within_s: float = CHECK_S) -> None:
        self._needs = needs
        self._within_s = within_s

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where they are asked for."""
        return [web.get("/healthz", self.healthz), web.get("/readyz", self.readyz)]

    async def all(self) -> list[Checked]:
        """Check everything, side by side."""
        return list(
            await asyncio.gather(*(_checked(name, check, self._within_s) for name, check in self._needs.items()))
        )

    async def healthz(self, _request: web.Request) -> web.Response:
        """We live."""
        return web.json_response({"alive": True})

    async def readyz(self, _request: web.Request) -> web.Response:
        """Whether we can do our work."""
        found = await self.all()
        is_ready = all(one.is_well for one in found)
        needs = {one.name: {"ok": one.is_well, "ms": round(one.took_s * 1000, 1)} for one in found}
        return web.json_response({"ready": is_ready, "needs": needs}, status=200 if is_ready else 503)


async def _checked(name: str, check: Check, within_s: float) -> Checked:
    began = time.monotonic()
    why = ""
    try:
        async with asyncio.timeout(within_s):
            await check()
    except TimeoutError:
        why = "It does not answer."
    except ThreadworkError as error:
        why = error.words
    return Checked(name, time.monotonic() - began, why)
