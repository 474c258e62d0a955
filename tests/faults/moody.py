"""A surface that fails now and then, as platforms do: rate limits, errors, answers that never come.

It stands around a real surface. `python -m tests.faults.moody` is a worker whose surfaces are moody, and whose wall
clock may be off: its environment says by how much.
"""

import asyncio
import datetime as dt
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from core.domain.approval import Approval
from core.domain.chat import Place, Platform
from core.domain.view import View
from core.errors import Ambiguous, RateLimited, Unavailable
from core.ports import Allowance, Call, FileLimit, Payload, Receipt, Surface
from worker.tools import Tools


class MoodySurface:
    """`core.ports.Surface` around another one, failing at random; `seed` makes it fail the same way again."""

    platform: Platform

    def __init__(self, inner: Surface, seed: str, share: float = 0.15) -> None:
        self.platform = inner.platform
        self._inner = inner
        self._rng = random.Random(seed)
        self._share = float(os.environ.get("FAULTS_SHARE", share))

    def render(self, view: View) -> Sequence[Payload]:
        return self._inner.render(view)

    def render_approval(self, approval: Approval) -> Sequence[Payload]:
        return self._inner.render_approval(approval)

    async def file_limit(self, place: Place) -> FileLimit:
        return await self._inner.file_limit(place)

    def render_file(self, name: str, data: bytes) -> Payload:
        return self._inner.render_file(name, data)

    def allowance(self, place: Place, call: Call) -> Allowance:
        return self._inner.allowance(place, call)

    async def _maybe(self, call: Any) -> Any:
        """Make the call, fail before it, or lose its answer."""
        mood = self._rng.random()
        if mood > self._share:
            return await call
        if mood < self._share * 0.35:
            call.close()
            raise RateLimited(0.2)
        if mood < self._share * 0.6:
            call.close()
            raise Unavailable("the platform", "500: it has a bad day")
        result = await call
        if mood < self._share * 0.85:
            raise Ambiguous("the answer was lost")
        await asyncio.sleep(0.4)
        return result

    async def send(self, place: Place, payload: Payload, mark: str) -> str:
        answer: str = await self._maybe(self._inner.send(place, payload, mark))
        return answer

    async def find(self, place: Place, mark: str, since: dt.datetime) -> str | None:
        return await self._inner.find(place, mark, since)

    async def edit(self, place: Place, external_id: str, payload: Payload) -> None:
        await self._maybe(self._inner.edit(place, external_id, payload))

    async def delete(self, place: Place, external_id: str) -> None:
        await self._inner.delete(place, external_id)

    def looks_alike(self, receipt: Receipt, before: Receipt | None) -> bool:
        return self._inner.looks_alike(receipt, before)

    async def receipt(self, place: Place, message: str, receipt: Receipt, before: Receipt | None) -> None:
        await self._maybe(self._inner.receipt(place, message, receipt, before))


def skew_the_clock(seconds: float) -> None:
    """Let this process's wall clock be off; monotonic time goes on as it does on any machine."""
    real = time.time
    time.time = lambda: real() + seconds


def moody(tools: Tools) -> Tools:
    """A worker's tools with moody surfaces."""
    seed = f"{os.environ['FAULTS_SEED']} {os.environ['FAULTS_NAME']} {os.getpid()}"
    return replace(tools, surfaces={name: MoodySurface(inner, seed) for name, inner in tools.surfaces.items()})


async def run(wrap: Callable[[Tools], Tools] = moody) -> int:
    """A worker with wrapped tools, until it is told to stop."""
    from core.log import set_up
    from core.settings import load
    from threadwork.parts import stop_signal, work_until
    from worker.app import open_worker

    settings = load()
    set_up("info", "text", name=os.environ["FAULTS_NAME"])
    stopped = stop_signal()
    async with open_worker(settings, wrap) as worker:
        await work_until(stopped, worker.run())
    return 0


if __name__ == "__main__":
    skew_the_clock(float(os.environ.get("FAULTS_SKEW_S", "0")))
    raise SystemExit(asyncio.run(run()))
