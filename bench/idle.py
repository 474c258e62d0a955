"""What chats cost that do nothing: attached to an idle agent, and parked by the thousand."""

import asyncio
import time
from pathlib import Path

from bench.report import Row, p
from bench.stage import clock, stage
from core.domain.approval import ApprovalKind, Decision, Verdict
from core.domain.chat import ChatSettings, Mode, Place, Platform
from core.domain.states import TurnState, is_final
from core.ports import Asked
from tests.doubles.anthropic import script_prompt
from tests.faults.drive import People
from tests.faults.platforms.console import ANN
from tests.faults.stack import Stack

# The first ones fill the pools of connections and their prepared statements; what one more costs is asked after that.
WARM = 10
ATTACHED = 12
PARKED = 1000
WOKEN = 20


def _memory_kb(pid: int | None) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


def _cpu_s(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def _cpu_share(pid: int | None, seconds: float) -> float:
    before, at = _cpu_s(pid), time.monotonic()
    await asyncio.sleep(seconds)
    return (_cpu_s(pid) - before) / (time.monotonic() - at) * 100


async def _turns(crowd: People, names: list[str], text: str, mode: Mode) -> None:
    places = [Place(Platform.CONSOLE, "local", "", name) for name in names]
    chats = [
        (await crowd.intake.accept(place, ANN, place.thread, text, settings=ChatSettings(mode=mode))).chat.id
        for place in places
    ]
    async with asyncio.timeout(180):
        for chat in chats:
            while not all(is_final(turn.state) for turn in await crowd.stores.turns.recent(chat)) or not (
                await crowd.stores.turns.recent(chat)
            ):
                await asyncio.sleep(0.1)


async def _attached() -> list[Row]:
    async with clock() as model, stage(model.url, THREADWORK_LINGER_S="120") as (stack, crowd):
        model.deltas, model.pause_s = 5, 0.01
        pid = stack.workers[0].pid
        await _turns(crowd, [f"warm-{n}" for n in range(WARM)], "Hello", Mode.BYPASS)
        await asyncio.sleep(3)
        few, quiet = _memory_kb(pid), await _cpu_share(pid, 10)
        await _turns(crowd, [f"idle-{n}" for n in range(ATTACHED)], "Hello", Mode.BYPASS)
        await asyncio.sleep(3)
        many, busy = _memory_kb(pid), await _cpu_share(pid, 10)
    each = (many - few) / ATTACHED
    return [
        Row(
            "another attached, idle chat: memory",
            each,
            "kB",
            100,
            f"{few >> 10} MB with {WARM}, {many >> 10} MB with {WARM + ATTACHED}",
        ),
        Row(
            "another attached, idle chat: CPU",
            max(0.0, busy - quiet) / ATTACHED,
            "% of a core",
            0.1,
            f"worker {busy:.1f} %",
        ),
    ]


async def _wait_like_parked(crowd: People, number: int) -> None:
    """A chat whose turn waits for a person, as parking leaves it, without a sandbox."""
    place = Place(Platform.CONSOLE, "local", "", f"parked-{number}")
    accepted = await crowd.stores.messages.accept(place, ANN, place.thread, "Wait.")
    taken = await crowd.stores.chats.take(accepted.chat.id, "bench", 60)
    if taken is None:
        # The sweeper has seen it first, and works on it.
        await _wait_like_parked(crowd, number + PARKED)
        return
    fence = taken[1]
    turn = await crowd.stores.turns.begin(fence, [accepted.message.id])
    asked = Asked(turn.id, f"toolu_{number}", ApprovalKind.TOOL, "Bash", {"command": "true"}, "Runs `true`")
    await crowd.stores.approvals.ask(fence, asked, 2)
    await crowd.stores.turns.park(fence, turn.id)
    await crowd.stores.chats.release(fence)


async def _woken(crowd: People, chats: list[str]) -> list[float]:
    """Click in all of them at once; how long until each turn is done."""

    async def one(name: str) -> float:
        chat = await crowd.stores.chats.by_key(f"console:{name}")
        assert chat is not None
        (open_question,) = await crowd.stores.approvals.pending(chat.id)
        at = time.monotonic()
        await crowd.intake.decide(open_question.id, Decision(Verdict.ALLOW), ANN)
        while (await crowd.stores.turns.recent(chat.id))[0].state is not TurnState.DONE:
            await asyncio.sleep(0.1)
        return time.monotonic() - at

    async with asyncio.timeout(180):
        return list(await asyncio.gather(*(one(name) for name in chats)))


async def _parked() -> list[Row]:
    prompt = script_prompt([{"tool": "Bash", "input": {"command": "echo woken > woken"}}], [{"text": "Done."}])
    async with stage("", THREADWORK_PARK_AFTER_S="1", THREADWORK_LINGER_S="0.5") as (stack, crowd):
        pid = stack.workers[0].pid
        names = [f"real-{n}" for n in range(WOKEN)]
        for name in names:
            place = Place(Platform.CONSOLE, "local", "", name)
            await crowd.intake.accept(place, ANN, name, prompt, settings=ChatSettings(mode=Mode.ASK))
        await _all_parked(crowd, names)
        before, quiet = _memory_kb(pid), await _cpu_share(pid, 10)
        for first in range(0, PARKED, 20):
            await asyncio.gather(*(_wait_like_parked(crowd, first + n) for n in range(20)))
        await asyncio.sleep(12)
        after, busy = _memory_kb(pid), await _cpu_share(pid, 10)
        jobs = await _jobs(stack)
        times = await _woken(crowd, names)
    return [
        Row(
            f"{PARKED} waiting chats: worker memory more",
            max(0, after - before) / 1024,
            "MB",
            5,
            f"{before >> 10} MB before",
        ),
        Row(
            f"{PARKED} waiting chats: worker CPU more",
            max(0.0, busy - quiet),
            "% of a core",
            1,
            f"{quiet:.1f} % before",
        ),
        Row(
            f"{PARKED} waiting chats: jobs in the queue",
            jobs,
            "jobs",
            0,
            "each run by a worker of stock arq would hold one",
        ),
        Row(
            f"{WOKEN} of them answered at once: click → turn done, p95",
            p(times, 95),
            "s",
            None,
            f"median {p(times, 50):.1f} s, fastest {min(times):.1f} s",
        ),
    ]


async def _all_parked(crowd: People, names: list[str]) -> None:
    async with asyncio.timeout(180):
        for name in names:
            while True:
                chat = await crowd.stores.chats.by_key(f"console:{name}")
                turn = await crowd.stores.turns.unfinished(chat.id) if chat else None
                if turn is not None and turn.state is TurnState.WAITING:
                    break
                await asyncio.sleep(0.2)


async def _jobs(stack: Stack) -> int:
    from core.bus.connection import open_redis
    from core.queue import QUEUE

    async with open_redis(stack.valkey.url) as redis:
        return int(await redis.zcard(QUEUE))


async def measure() -> list[Row]:
    return await _attached() + await _parked()
