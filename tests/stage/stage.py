"""The stage: everything a run works with, real, in this process; a host of sandboxes beside it.

Runs are started by `Desk`, which stands for the queue and the worker: a chat that is put to work has one run at a
time, and is worked again when it was put meanwhile.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bots.intake import Intake
from core.bus.budget import RedisEditBudget
from core.bus.connection import open_redis
from core.bus.control import open_control
from core.bus.events import RedisEventBus
from core.domain.chat import ChatId, Platform
from core.domain.events import RunEvent
from core.domain.turn import TurnId
from core.ports import EventBus, Stores
from core.store.console import PostgresConsoleThreads
from core.store.engine import open_engine
from core.store.stores import stores_on
from core.surfaces.console.client import ConsoleSurface
from tests.doubles.anthropic import AnthropicDouble
from tests.integration.hosts import Host
from tests.stage.chat import ScriptedChat
from tests.stage.sandboxes import Provider
from tests.stage.surface import RecordingSurface
from worker.gateway.app import GatewaySettings, serve_gateway
from worker.gateway.credential import Credential
from worker.gateway.tokens import mint_token
from worker.limits import Limits
from worker.run_chat import run_chat
from worker.sandbox.bootstrap import bring_cli
from worker.sandbox.provider import E2BProvider, SandboxServer
from worker.sandbox.seating import Access, Seating
from worker.tools import Tools

KEY = "sk-ant-the-real-one"
SECRET = b"stage-secret-of-thirty-two-bytes"
# Looking is slow on purpose: what works only by looking, without a wake, makes its test time out.
LIMITS = Limits(lease_s=4.0, linger_s=0.5, look_every_s=40.0, interrupt_s=8.0, settle_s=10.0, patience_s=20.0)


@dataclass(frozen=True, slots=True)
class Told:
    """An event as it was published."""

    chat_id: ChatId
    turn_id: TurnId
    seq: int | None
    event: RunEvent


class Ear:
    """An event bus that keeps all it carries; the rest is the real one."""

    def __init__(self, inner: EventBus) -> None:
        self._inner = inner
        self.told: list[Told] = []
        self.news = asyncio.Condition()

    async def publish(self, chat_id: ChatId, turn_id: TurnId, events: Sequence[tuple[int | None, RunEvent]]) -> None:
        await self._inner.publish(chat_id, turn_id, events)
        self.told += [Told(chat_id, turn_id, seq, event) for seq, event in events]
        async with self.news:
            self.news.notify_all()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Desk:
    """`core.ports.WorkQueue`, and the worker behind it. `is_open`: whether chats that are put are worked."""

    def __init__(self) -> None:
        self.tools: Tools | None = None
        self.is_open = True
        self.runs: dict[ChatId, asyncio.Task[None]] = {}
        self._again: set[ChatId] = set()
        self._broken: list[BaseException] = []

    async def put(self, chat_id: ChatId) -> None:
        if not self.is_open:
            return
        if chat_id in self.runs:
            self._again.add(chat_id)
        else:
            self.start(chat_id)

    def start(self, chat_id: ChatId) -> "asyncio.Task[None]":
        """Start a run at once, whatever else runs."""
        assert self.tools is not None
        task = asyncio.create_task(run_chat(self.tools, chat_id), name=f"run {chat_id}")
        self.runs[chat_id] = task
        task.add_done_callback(partial(self._ended, chat_id))
        return task

    async def second(self, chat_id: ChatId) -> None:
        """Run a chat beside the run that has it, to its end."""
        assert self.tools is not None
        await run_chat(self.tools, chat_id)

    def _ended(self, chat_id: ChatId, task: "asyncio.Task[None]") -> None:
        if self.runs.get(chat_id) is task:
            del self.runs[chat_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken.append(error)
        if not task.cancelled() and self.is_open and chat_id in self._again:
            self._again.discard(chat_id)
            self.start(chat_id)

    async def close(self) -> None:
        """End all runs. Raises what one of them raised, also of those that ended before."""
        self.is_open = False
        running = list(self.runs.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        # What a run raised goes to its callback, which the loop calls after those who wait.
        await asyncio.sleep(0)
        for error in self._broken:
            raise error


@dataclass(slots=True)
class Stage:
    """What a test has in hand."""

    tools: Tools
    stores: Stores
    engine: AsyncEngine
    threads: PostgresConsoleThreads
    intake: Intake
    model: AnthropicDouble
    surface: RecordingSurface
    provider: Provider
    ear: Ear
    desk: Desk
    host: Host
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def chat(self, name: str | None = None, **settings: Any) -> ScriptedChat:
        """A chat of this name; it begins with its first message."""
        return ScriptedChat(self, name or f"chat-{next(self._numbers)}", **settings)

    def limit(self, **limits: Any) -> None:
        """Other limits, for the runs that start from now on."""
        self.tools = replace(self.tools, limits=replace(self.tools.limits, **limits))
        self.desk.tools = self.tools

    async def value(self, sql: str, **values: Any) -> Any:
        """What a query gives, straight from the database."""
        async with self.engine.connect() as connection:
            return (await connection.execute(text(sql), values)).scalar_one_or_none()


@asynccontextmanager
async def open_stage(database_url: str, redis_url: str, host: Host) -> AsyncIterator[Stage]:
    """The stage, up; at the end its runs and its sandboxes are ended."""
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(AnthropicDouble(credential=KEY))
        gateway = GatewaySettings(
            Credential("api_key", KEY), SECRET, upstream=model.url, socket_path=host.gateway_dir / "gateway.sock"
        )
        await stack.enter_async_context(serve_gateway(gateway))
        engine = await stack.enter_async_context(open_engine(database_url))
        redis = await stack.enter_async_context(open_redis(redis_url))
        control = await stack.enter_async_context(open_control(redis))
        stores, threads = stores_on(engine), PostgresConsoleThreads(engine)
        surface = RecordingSurface(ConsoleSurface(threads))
        sdk = host.sdk
        provider = Provider(E2BProvider(SandboxServer(sdk["api_key"], sdk["api_url"], sdk["sandbox_url"])))
        ear, desk = Ear(RedisEventBus(redis)), Desk()
        desk.tools = Tools(
            stores=stores,
            bus=ear,
            control=control,
            budget=RedisEditBudget(redis),
            surfaces={Platform.CONSOLE: surface},
            provider=provider,
            seating=Seating(provider, Access(partial(mint_token, SECRET)), bring_cli),
            limits=LIMITS,
            worker="stage",
        )
        stack.push_async_callback(_clear, provider)
        stack.push_async_callback(desk.close)
        intake = Intake(stores, control, desk)
        yield Stage(desk.tools, stores, engine, threads, intake, model, surface, provider, ear, desk, host)


async def _clear(provider: Provider) -> None:
    for sandbox_id in provider.made:
        await provider.kill(sandbox_id)
