"""Ctrl-C where there is no screen: once stops the turn, twice leaves.

`lines.py` uses it for people at a pipe or a dumb terminal, `threadwork chat --prompt` for turns that are played.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from bots.console.app import ConsoleChat
from core.errors import ThreadworkError

_TWICE_S: Final = 2.0


@contextmanager
def ctrl_c_stops(chat: ConsoleChat, tell: Callable[[str], None]) -> Iterator[None]:
    """Let Ctrl-C stop the turn, and `tell` so; a second one within two seconds is the usual end of a program."""
    loop = asyncio.get_running_loop()
    last = float("-inf")
    stopping: set[asyncio.Task[None]] = set()

    async def stop() -> None:
        try:
            if not await chat.stop():
                tell("Nothing to stop.")
        except ThreadworkError as error:
            tell(error.words)

    def interrupted() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _TWICE_S:
            loop.remove_signal_handler(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            return
        last = now
        tell("Stopping… press Ctrl-C again to leave.")
        stopping.add(asyncio.ensure_future(stop()))

    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
