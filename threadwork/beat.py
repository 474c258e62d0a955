"""A file that a program touches as long as its event loop turns, and the command that looks at it.

Workers and bots listen nowhere, so that a container's healthcheck has no port to ask. `threadwork worker --beat FILE`
begins once the program is ready; `threadwork alive FILE` says whether the last beat is fresh.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from core.errors import Misconfigured

EVERY_S: Final = 3.0
# A loop that stood still for longer holds up leases and acknowledgements.
FRESH_S: Final = 15.0


@asynccontextmanager
async def beating(file: Path | None) -> AsyncIterator[None]:
    """Touch `file` every few seconds until the block ends, then take it away. None: do nothing.

    Raises `Misconfigured` where it cannot be written.
    """
    if file is None:
        yield
        return
    try:
        file.touch()
    except OSError as error:
        raise Misconfigured(
            f"--beat {file} cannot be written: {error.strerror}. Name a file in a folder of ours."
        ) from error
    task = asyncio.create_task(_beat(file))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,), timeout=1)
        file.unlink(missing_ok=True)


async def _beat(file: Path) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        file.touch()


def why_not_alive(file: Path, now: float | None = None) -> str:
    """What is wrong with the program that beats on `file`; empty when nothing is. `now`: seconds since the epoch."""
    try:
        age = (time.time() if now is None else now) - file.stat().st_mtime
    except OSError as error:
        return f"{file}: {error.strerror}. The program is not ready yet, or has ended."
    return "" if age < FRESH_S else f"{file}: the last beat is {age:.0f} s old. The program hangs."
