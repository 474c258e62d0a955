"""Keeps one sleeping program until killed: `python -m tests.integration.supervised_stack`. Prints the program's pid."""

import asyncio
import sys

from threadwork.supervise import Program, supervised

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"


async def keep() -> None:
    async with supervised() as supervisor:
        child = supervisor.start(Program("sleeper", [sys.executable, "-c", SLEEP], "ready"))
        await supervisor.ready(child)
        print(child.pid, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(keep())
