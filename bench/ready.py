"""`threadwork up`: from the command to `ready`, the first time and after."""

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench.report import Row, p


async def _up(folder: Path) -> tuple[float, float]:
    """Seconds to ready, and from SIGTERM to the end."""
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "threadwork",
        "up",
        "--data-dir",
        str(folder),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while (await process.stdout.readline()).strip() != b"ready":
            pass
    took = time.monotonic() - started
    at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        await process.wait()
    return took, time.monotonic() - at


async def measure() -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="twb"))
    try:
        first, _ = await _up(folder)
        later = [await _up(folder) for _ in range(3)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return [
        Row("first start to ready", first, "s", None, "makes the database"),
        Row("later start to ready, median of 3", p([one for one, _ in later], 50), "s", 8),
        Row("SIGTERM to the end, the longest of 3", max(end for _, end in later), "s", 10),
    ]
