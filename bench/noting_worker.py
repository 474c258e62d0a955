"""A worker that notes how late each delta of the bench's model was folded: `python -m bench.noting_worker`.

It writes milliseconds, one a line, to the file that BENCH_NOTES names.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from bench.report import STAMP
from core.domain.chat import ChatId
from core.domain.events import RunEvent, TextStreamed
from core.domain.turn import TurnId
from core.ports import EventBus
from tests.faults.moody import run
from worker.tools import Tools


class NotingBus:
    """`core.ports.EventBus`: what comes here was folded just now. Everything else is the real one's."""

    def __init__(self, inner: EventBus, notes: TextIO) -> None:
        self._inner = inner
        self._notes = notes

    async def publish(self, chat_id: ChatId, turn_id: TurnId, events: Sequence[tuple[int | None, RunEvent]]) -> None:
        now = time.time()
        for _, event in events:
            if isinstance(event, TextStreamed):
                for stamp in STAMP.findall(event.text):
                    self._notes.write(f"{(now - float(stamp)) * 1000:.3f}\n")
        await self._inner.publish(chat_id, turn_id, events)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


if __name__ == "__main__":

    def noting(tools: Tools) -> Tools:
        notes = Path(os.environ["BENCH_NOTES"]).open("a", buffering=1)  # noqa: SIM115 - as long as the worker lives
        return replace(tools, bus=NotingBus(tools.bus, notes))

    raise SystemExit(asyncio.run(run(noting)))
