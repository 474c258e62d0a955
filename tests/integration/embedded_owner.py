"""Owns embedded servers until its stdin closes: `python -m tests.integration.embedded_owner DIR`. Prints their addresses."""

import asyncio
import sys
from pathlib import Path

from threadwork.embedded.postgres import embedded_postgres
from threadwork.embedded.valkey import embedded_valkey


async def own(folder: Path) -> None:
    async with embedded_postgres(folder) as database, embedded_valkey(folder) as redis:
        print(database, redis, sep="\n", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(own(Path(sys.argv[1])))
