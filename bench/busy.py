"""20 busy threads in one workspace and in one server: how late ends and questions are, under the platform's limits.

The presenter, the shared budget in Redis and the surfaces are the real ones, against the doubles that enforce the
documented limits; the agents' work is made up: deltas, a tool, a question that is answered after some seconds, an end.
"""

import asyncio
import json
import random
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from bench.report import Row, p
from core.bus.budget import RedisEditBudget
from core.bus.connection import open_redis
from core.bus.events import RedisEventBus
from core.domain import events as e
from core.domain.approval import Approval, ApprovalKind, Decision, Verdict
from core.domain.chat import AgentSeat, Author, Place, Platform
from core.domain.states import TurnState
from core.domain.turn import Usage
from core.domain.view import View
from core.errors import RateLimited
from core.ports import Allowance, Asked, Call, EditBudget, EventBus, FileLimit, Payload, Receipt, Stores, Surface
from core.store.stores import open_stores
from core.surfaces.discord.client import DiscordSurface
from core.surfaces.slack.client import SlackSurface
from migrations.run import upgrade
from tests.doubles import discord
from tests.doubles.slack import SlackDouble
from threadwork.embedded.postgres import embedded_postgres
from threadwork.embedded.valkey import embedded_valkey
from worker.hold import Hold
from worker.present import Presenter
from worker.telling import Telling

THREADS = 20
TURN_S = (60.0, 90.0)
ANSWER_S = 4.0
ASKS = 0.5
FIRST_S, WHOLE_S = 60.0, 240.0
MARK = re.compile(r"(?:END|ASK)[0-9]+x")
ANN = Author("U1", "Ann")
Answer = TypeVar("Answer")
Say = Callable[[str], Awaitable[str]]


@dataclass(slots=True)
class Watched:
    """`core.ports.Surface` that notes when what was on screen, and what was refused."""

    inner: Surface
    seen: dict[str, float] = field(default_factory=dict)
    refused: list[float] = field(default_factory=list)
    calls: Counter[Call] = field(default_factory=Counter)
    edits: Counter[str] = field(default_factory=Counter)

    @property
    def platform(self) -> Platform:
        return self.inner.platform

    def render(self, view: View) -> Sequence[Payload]:
        return self.inner.render(view)

    def render_approval(self, approval: Approval) -> Sequence[Payload]:
        return self.inner.render_approval(approval)

    async def file_limit(self, place: Place) -> FileLimit:
        return await self.inner.file_limit(place)

    def render_file(self, name: str, data: bytes) -> Payload:
        return self.inner.render_file(name, data)

    def allowance(self, place: Place, call: Call) -> Allowance:
        return self.inner.allowance(place, call)

    async def send(self, place: Place, payload: Payload, mark: str) -> str:
        return await self._noted(Call.SEND, payload, self.inner.send(place, payload, mark))

    async def edit(self, place: Place, external_id: str, payload: Payload) -> None:
        self.edits[place.key] += 1
        await self._noted(Call.EDIT, payload, self.inner.edit(place, external_id, payload))

    def looks_alike(self, receipt: Receipt, before: Receipt | None) -> bool:
        return self.inner.looks_alike(receipt, before)

    async def receipt(self, place: Place, message: str, receipt: Receipt, before: Receipt | None) -> None:
        await self._noted(Call.MARK, None, self.inner.receipt(place, message, receipt, before))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def _noted(self, call: Call, payload: Payload | None, work: Awaitable[Answer]) -> Answer:
        self.calls[call] += 1
        try:
            answer = await work
        except RateLimited:
            self.refused.append(time.monotonic())
            raise
        for mark in MARK.findall(json.dumps(payload.body)) if payload else ():
            self.seen.setdefault(mark, time.monotonic())
        return answer


@dataclass(frozen=True, slots=True)
class Servers:
    """What all threads share."""

    stores: Stores
    bus: EventBus
    budget: EditBudget


@dataclass(slots=True)
class Thread:
    """One thread with somebody in it and an agent that is made up."""

    servers: Servers
    surface: Watched
    place: Place
    say: Say
    number: int
    due: dict[str, float] = field(default_factory=dict)

    async def work(self, until: float, *, turn_s: tuple[float, float] = TURN_S, asks: bool = True) -> None:
        """Turn after turn, until that time has come."""
        stores = self.servers.stores
        await asyncio.sleep(random.random() * min(10.0, turn_s[0]))
        first = await self._message("Begin.")
        taken = await stores.chats.take(first[1], "bench", 600.0)
        assert taken is not None
        hold = Hold(stores.chats, taken[1], 600.0)
        presenter = Presenter(self.surface, stores, self.servers.budget, hold, self.place)
        presenting = asyncio.create_task(presenter.run())
        try:
            message = first
            count = 0
            while True:
                turn = await stores.turns.begin(hold.fence, [message[0]])
                telling = Telling(turn, stores, self.servers.bus, hold, presenter)
                await telling.began()
                presenter.mark_messages()
                count += 1
                await self._turn(telling, hold, f"{self.number}0{count}", random.uniform(*turn_s), asks=asks)
                if time.monotonic() >= until:
                    break
                message = await self._message("Go on.")
            await presenter.settled(60)
        finally:
            presenting.cancel()
            await asyncio.wait((presenting,))

    async def _message(self, text: str) -> tuple[Any, Any]:
        accepted = await self.servers.stores.messages.accept(self.place, ANN, await self.say(text), text)
        return accepted.message.id, accepted.chat.id

    async def _turn(self, telling: Telling, hold: Hold, name: str, seconds: float, *, asks: bool) -> None:
        seat = AgentSeat()
        ends_at = time.monotonic() + seconds
        asks = asks and random.random() < ASKS
        asks_at = time.monotonic() + seconds * random.uniform(0.2, 0.7)
        await telling.tell([e.AgentReady("s", "made-up"), e.ToolStarted(name, "Bash", "Runs `make`", {})], seat)
        while time.monotonic() < ends_at:
            await telling.tell([e.TextStreamed("some more words ")], seat)
            await asyncio.sleep(0.3)
            if asks and time.monotonic() > asks_at:
                asks = False
                await self._ask(telling, hold, name)
        text = f"Done. END{name}x"
        await telling.tell([e.ToolFinished(name, "fine"), e.LiveTextDropped()], seat)
        self.due[f"END{name}x"] = time.monotonic()
        end = e.TurnFinished(TurnState.DONE, text, Usage(10, 10), Decimal("0.01"), seconds)
        await telling.tell([e.TextWritten(text)], seat)
        await telling.ended(end, seat, None)

    async def _ask(self, telling: Telling, hold: Hold, name: str) -> None:
        approvals = self.servers.stores.approvals
        command = f"git push ASK{name}x"
        asked = Asked(telling.turn.id, f"t{name}", ApprovalKind.TOOL, "Bash", {"command": command}, f"Runs {command}")
        self.due[f"ASK{name}x"] = time.monotonic()
        approval, _ = await approvals.ask(hold.fence, asked, telling.seq + 1)
        await telling.asked(approval)
        await asyncio.sleep(ANSWER_S)
        decided = await approvals.decide(approval.id, Decision(Verdict.ALLOW), "Ann")
        await telling.tell([telling.settled(decided, "Ann allowed this.")], AgentSeat())


@asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="twb"))
    try:
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(embedded_postgres(folder))
            await upgrade(database)
            valkey = await stack.enter_async_context(embedded_valkey(folder))
            stores = await stack.enter_async_context(open_stores(database))
            redis = await stack.enter_async_context(open_redis(valkey))
            yield Servers(stores, RedisEventBus(redis), RedisEditBudget(redis))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def slack(shared: Servers) -> AsyncIterator[tuple[Watched, list[Thread]]]:
    async with SlackDouble() as double, AsyncExitStack() as stack:
        workspace = double.workspace("T1")
        ann = workspace.person("ann")

        async def token_of(_: str) -> str:
            return workspace.token

        surface = Watched(await stack.enter_async_context(SlackSurface.open(token_of, double.api_url)))
        threads = []
        for number in range(1, THREADS + 2):
            root = await ann.mentions("general", f"thread {number}")

            async def say(text: str, thread: str = root.ts) -> str:
                return (await ann.says("general", text, thread_ts=thread)).ts

            threads.append(Thread(shared, surface, Place(Platform.SLACK, "T1", root.channel, root.ts), say, number))
        yield surface, threads


@asynccontextmanager
async def on_discord(shared: Servers) -> AsyncIterator[tuple[Watched, list[Thread]]]:
    async with discord.DiscordDouble() as double, AsyncExitStack() as stack:
        guild = double.guild("G1")
        ann = guild.person("ann")
        surface = Watched(await stack.enter_async_context(DiscordSurface.open(double.token, double.api_url)))
        threads = []
        for number in range(1, THREADS + 2):
            root = await ann.mentions_bot("general", f"thread {number}")
            thread = await ann.starts_thread(root, f"thread {number}")
            assert thread.parent is not None

            async def say(text: str, where: Any = thread) -> str:
                return (await ann.says(where, text)).id

            place = Place(Platform.DISCORD, guild.id, thread.parent.id, thread.id)
            threads.append(Thread(shared, surface, place, say, number))
        yield surface, threads


async def busy(name: str, surface: Watched, threads: Sequence[Thread]) -> list[Row]:
    alone, *crowd = threads
    await alone.work(0.0, turn_s=(0.5, 0.5), asks=False)
    one = f"{surface.calls[Call.MARK]} reaction calls beside"
    rows = [
        Row(f"{name}: calls for a one-line answer", surface.calls[Call.SEND] + surface.calls[Call.EDIT], "", 3, one)
    ]
    surface.edits.clear()
    begun = time.monotonic()
    await asyncio.gather(*(thread.work(begun + WHOLE_S) for thread in crowd))
    late: dict[str, list[float]] = {"END": [], "ASK": []}
    for thread in crowd:
        for mark, due in thread.due.items():
            if due > begun + FIRST_S:
                late[mark[:3]].append(surface.seen[mark] - due)
    refused = sum(at > begun + FIRST_S for at in surface.refused)
    edits = sorted(surface.edits[thread.place.key] for thread in crowd)
    worked = f"{THREADS} threads, turns of {TURN_S[0]:.0f}-{TURN_S[1]:.0f} s, half of them ask"
    note = f"{len(late['END'])} ends, median {p(late['END'], 50):.2f} s; {worked}"
    return [
        *rows,
        Row(f"{name}: last event → final text on screen, p95", p(late["END"], 95), "s", 1.5, note),
        Row(f"{name}: asked → question on screen, p95", p(late["ASK"], 95), "s", 1.0, f"{len(late['ASK'])} questions"),
        Row(f"{name}: refusals (429) after the first minute", refused, "", 0, f"{len(surface.refused)} in all"),
        Row(
            f"{name}: edits, most of a thread to least", edits[-1] / max(1, edits[0]), "×", None, f"{sum(edits)} edits"
        ),
    ]


async def measure() -> list[Row]:
    async with servers() as shared, slack(shared) as (on_slack, s_threads), on_discord(shared) as (there, d_threads):
        found = await asyncio.gather(busy("Slack", on_slack, s_threads), busy("Discord", there, d_threads))
    return [row for rows in found for row in rows]
