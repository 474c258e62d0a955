"""`python -m tests.faults [--surface S] [--count N] [--seed N] [--keep]`: random schedules, judged; 1 if any is broken."""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from core.log import set_up
from tests.faults import drive, oracle, schedule
from tests.faults.platforms import OPEN
from tests.faults.stack import Stack, running

ROUND = 8
WITHIN_S = 100.0
# Two hundred idle agents would take a core between them; those of earlier rounds are paused, as the product does.
SETTINGS = {"THREADWORK_IDLE_PAUSE_AFTER_S": "40"}


async def play_round(
    stack: Stack, people: drive.People, seed: int, size: int = ROUND, within_s: float = WITHIN_S
) -> list[str]:
    """Play the schedules `seed` … `seed + size - 1` side by side while things break; what does not hold."""
    faults = schedule.faults(seed, has_bot=people.platform.bot is not None)
    chats = [schedule.chat(number) for number in range(seed, seed + size)]
    may_lose = any(fault.name in schedule.LOSES_PROCESSES for fault in faults)

    async def stage() -> None:
        at = 0.0
        for fault in faults:
            await asyncio.sleep(max(0.0, fault.after_s - at))
            before = asyncio.get_running_loop().time()
            await stack.stage(fault)
            at = fault.after_s + asyncio.get_running_loop().time() - before

    staging = asyncio.create_task(stage())
    playing = [asyncio.create_task(people.play(chat, within_s)) for chat in chats]
    await asyncio.wait(playing)
    await staging
    broken: list[str] = []
    for chat, task in zip(chats, playing, strict=True):
        error = task.exception()
        if error is not None:
            broken.append(f"{chat.name} (seed {chat.seed}): 1: not settled within {within_s:.0f} s: {_words(error)}")
        else:
            broken += await oracle.judge(people, task.result(), stack.sandboxes_dir, may_lose_processes=may_lose)
    return broken + [f"rules: {words}" for words in people.platform.violations([fault.name for fault in faults])]


def _words(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return repr(error)


async def main(surface: str, count: int, seed: int, *, keep: bool) -> int:
    set_up("warning")
    folder = Path(tempfile.mkdtemp(prefix="twf"))
    print(f"folder {folder}", flush=True)
    started = time.monotonic()
    broken: list[str] = []
    staged: Counter[str] = Counter()
    async with (
        OPEN[surface](seed) as platform,
        running(folder, seed, platform=platform, settings=SETTINGS) as stack,
        drive.people(stack.postgres.url, stack.valkey.url, platform) as people,
    ):
        for first in range(seed, seed + count, ROUND):
            size = min(ROUND, seed + count - first)
            faults = schedule.faults(first, has_bot=platform.bot is not None)
            names = ", ".join(f"{fault.name} at {fault.after_s:.1f} s" for fault in faults)
            at = time.monotonic()
            found = await play_round(stack, people, first, size)
            print(f"seed {first}: {'BROKEN' if found else 'ok'} in {time.monotonic() - at:.1f} s ({names})", flush=True)
            for words in found:
                print(f"    {words}", flush=True)
            broken += found
        broken += [f"model: {words}" for words in stack.model.violations]
        staged.update(stack.staged)
        staged.update(platform.staged)
    took = time.monotonic() - started
    print("faults staged: " + ", ".join(f"{name} {times}" for name, times in sorted(staged.items())))
    print(f"{count} schedules on {surface} in {took:.0f} s, {len(broken)} broken")
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--surface", choices=list(OPEN), default="console")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the stack's folder for a look")
    chosen = parser.parse_args()
    try:
        code = asyncio.run(main(chosen.surface, chosen.count, chosen.seed, keep=chosen.keep))
    except Exception:
        traceback.print_exc()
        code = 2
    sys.exit(code)
