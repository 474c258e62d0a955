"""Real Postgres and Valkey for a whole test session, in a process of their own: `python -m tests.servers DIR`.

They are independent of any test's event loop, and end when this process's stdin closes: with the session, however that
ends. Prints two lines, the addresses.
"""

import asyncio
import sys
from pathlib import Path

from threadwork.embedded.postgres import SETTINGS, embedded_postgres
from threadwork.embedded.valkey import embedded_valkey


async def serve(folder: Path) -> None:
    settings = SETTINGS | {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    async with embedded_postgres(folder, settings) as database, embedded_valkey(folder) as redis:
        print(database, redis, sep="\n", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
