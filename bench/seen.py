"""How soon a person sees that a mention was received: the whole program, on doubles of the platforms."""

import asyncio
import time
from contextlib import AsyncExitStack

from bench.report import Row, p
from tests.acceptance.platforms.discord import Discord
from tests.acceptance.platforms.house import House, open_house
from tests.acceptance.platforms.platform import Platform
from tests.acceptance.platforms.slack import Slack
from tests.acceptance.platforms.thread import asked
from tests.stage.lines import says

TIMES = 10
# As often as Slack lets one workspace's reactions change; more would wait for that.
APART_S = 6.0
LONGEST_S = 60


async def measure() -> list[Row]:
    rows = []
    async with open_house() as house:
        for name, kind in (("Slack", Slack), ("Discord", Discord)):
            async with AsyncExitStack() as opened:
                late = await _mentions(await kind.open(house, opened), house)
            note = f"{TIMES} mentions, {APART_S:.0f} s apart, median {p(late, 50):.0f} ms; every one began a chat"
            rows.append(Row(f"{name}: mention → reaction, p95", p(late, 95), "ms", 150, note))
    return rows


async def _mentions(platform: Platform, house: House) -> list[float]:
    """How many ms after a mention its reaction was there, the time for its thread included."""
    late = []
    for _ in range(TIMES):
        at = time.monotonic()
        thread, message = await platform.begin(asked(f"Hello {house.number()}.", [says("Hello.")]), "ann")
        async with asyncio.timeout(LONGEST_S):
            while not await thread.receipts(message):
                await asyncio.sleep(0.002)
        late.append((time.monotonic() - at) * 1000)
        await asyncio.sleep(APART_S)
    return late
