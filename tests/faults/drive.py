"""The people of a schedule: they say things, some twice, click, some twice and some late, and wait for an end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from uuid import UUID

from bots.intake import Intake
from core.bus.connection import open_redis
from core.bus.control import RedisControlChannel
from core.domain.approval import Approval, Decision, Verdict
from core.domain.chat import Author, ChatId, ChatSettings, Mode, Place, Platform
from core.domain.states import is_final
from core.errors import AlreadyDecided, IllegalStep, Unavailable
from core.ports import Stores
from core.queue import ArqWorkQueue
from core.store.console import PostgresConsoleThreads
from core.store.engine import open_engine
from core.store.stores import stores_on
from tests.faults.schedule import Chat, Command, Said

Answer = TypeVar("Answer")
ANN = Author("u1", "Ann")
BOB = Author("u2", "Bob")


@dataclass(slots=True)
class Played:
    """What came of a schedule, as its people know it."""

    chat: Chat
    chat_id: ChatId | None = None
    accepted: dict[str, UUID] = field(default_factory=dict)
    decided: dict[UUID, str] = field(default_factory=dict)
    second_clicks_taken: int = 0
    was_stopped: bool = False


@dataclass(slots=True)
class People:
    """What a bot has: the stores and the use cases."""

    stores: Stores
    threads: PostgresConsoleThreads
    intake: Intake

    async def play(self, chat: Chat, within_s: float) -> Played:
        """Play a schedule to its end. Raises `TimeoutError` when something is never answered."""
        played = Played(chat)
        place = Place(Platform.CONSOLE, "local", "", chat.name)
        async with asyncio.timeout(within_s), asyncio.TaskGroup() as tasks:
            speaking = [tasks.create_task(self._say(played, place, said)) for said in chat.said]
            clicking = tasks.create_task(self._click(played, {c.tag: c for said in chat.said for c in said.commands}))
            if chat.stop_after_s is not None:
                tasks.create_task(self._stop(played, chat.stop_after_s))
            await asyncio.wait(speaking)
            await self._settled(played)
            clicking.cancel()
        return played

    async def _say(self, played: Played, place: Place, said: Said) -> None:
        await asyncio.sleep(said.after_s)
        for number in range(said.deliveries):
            await asyncio.sleep(0.05 * number)
            accepted = await insist(
                lambda: self.intake.accept(
                    place, ANN, said.tag, said.prompt(), settings=ChatSettings(mode=Mode.ASK), title=said.tag
                )
            )
            played.chat_id = accepted.chat.id
            played.accepted[said.tag] = accepted.message.id

    async def _click(self, played: Played, commands: dict[str, Command]) -> None:
        seen: set[UUID] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(0.1)
                if played.chat_id is None:
                    continue
                for approval in await insist(partial(self.stores.approvals.pending, played.chat_id)):
                    if approval.id not in seen:
                        seen.add(approval.id)
                        tasks.create_task(self._decide(played, approval, commands))

    async def _decide(self, played: Played, approval: Approval, commands: dict[str, Command]) -> None:
        text = str(approval.input.get("command", ""))
        command = next((one for tag, one in commands.items() if f"echo {tag} >>" in text), None)
        if command is None:
            raise AssertionError(f"a question nobody scripted: {approval.input}")
        await asyncio.sleep(command.decide_after_s)
        verdict = Verdict.ALLOW if command.allow else Verdict.DENY
        try:
            await insist(lambda: self.intake.decide(approval.id, Decision(verdict), ANN))
            played.decided[approval.id] = command.tag
        except (AlreadyDecided, IllegalStep):
            played.decided[approval.id] = command.tag
        if command.clicks > 1:
            try:
                await insist(lambda: self.intake.decide(approval.id, Decision(Verdict.DENY), BOB))
                played.second_clicks_taken += 1
            except (AlreadyDecided, IllegalStep):
                pass

    async def _stop(self, played: Played, after_s: float) -> None:
        await asyncio.sleep(after_s)
        chat_id = played.chat_id
        if chat_id is not None:
            played.was_stopped = await insist(lambda: self.intake.stop(chat_id, ANN))

    async def _settled(self, played: Played) -> None:
        """Wait until every message has its end, every turn is shown, and every receipt is final."""
        chat_id = played.chat_id
        assert chat_id is not None
        while True:
            messages = await insist(lambda: self.stores.messages.recent(chat_id))
            turns = await insist(lambda: self.stores.turns.recent(chat_id))
            untold = await insist(lambda: self.stores.messages.unmarked(chat_id))
            if all(is_final(m.state) for m in messages) and all(t.is_shown for t in turns) and not untold:
                return
            await asyncio.sleep(0.2)


async def insist(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Do it again while the database is away, as a person would."""
    while True:
        try:
            async with asyncio.timeout(20):
                return await call()
        except (Unavailable, TimeoutError):
            await asyncio.sleep(0.3)


@asynccontextmanager
async def people(database_url: str, redis_url: str) -> AsyncIterator[People]:
    """Connected to a stack's servers as a bot is."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(database_url, pool_size=10))
        redis = await stack.enter_async_context(open_redis(redis_url))
        queue = await stack.enter_async_context(ArqWorkQueue.open(redis_url))
        stores = stores_on(engine)
        yield People(stores, PostgresConsoleThreads(engine), Intake(stores, RedisControlChannel(redis), queue))
