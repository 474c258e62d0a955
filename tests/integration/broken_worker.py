"""`python -m tests.integration.broken_worker WORDS SECRET`: a worker in whose runs something breaks that nobody expects.

The words and the secret are where they are when such things happen: in locals, in the error's own words, in the words
of what it came from, in what a library logs of it.
"""

import asyncio
import logging
import sys
from dataclasses import replace
from typing import Any

from core.settings import load
from threadwork.parts import say_ready, stop_signal, watched
from worker.app import open_worker
from worker.tools import Tools

WORDS, SECRET = sys.argv[1:3]


class BrokenBus:
    """An event bus that breaks when a turn's first event is published."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def publish(self, *_: Any) -> None:
        said, token = WORDS, SECRET
        try:
            raise ValueError(f"parameters: {said}, {token}")
        except ValueError as error:
            logging.getLogger("a_library").exception("cannot send %s with %s", said, token)
            raise RuntimeError(f"it broke at {said}") from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def broken(tools: Tools) -> Tools:
    return replace(tools, bus=BrokenBus(tools.bus))


async def main() -> None:
    settings = load()
    with watched("worker", settings) as traces:
        stopped = stop_signal()
        async with open_worker(settings, broken, traces=traces) as worker:
            running = asyncio.create_task(worker.run())
            say_ready("worker")
            await stopped.wait()
            running.cancel()
            await asyncio.wait((running,))


if __name__ == "__main__":
    asyncio.run(main())
