"""The people of a schedule: they say things, some twice, click, some twice and some late, and wait for an end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from bots.intake import Intake
from core.bus.connection import open_redis
from core.bus.control import RedisControlChannel
from core.domain.approval import Approval, Verdict
from core.domain.chat import ChatId
from core.domain.states import ApprovalState, is_final
from core.ports import Stores
from core.queue import ArqWorkQueue
from core.store.console import PostgresConsoleThreads
from core.store.engine import open_engine
from core.store.stores import stores_on
from tests.faults.insisting import insist
from tests.faults.platforms.console import Console
from tests.faults.platforms.platform import ANN, BOB, Platform, Room
from tests.faults.schedule import Chat, Command
from tests.faults.stack import SECRET

# A click may be lost with the bot that took it; after so long people click again.
CLICK_AGAIN_S: Final = 4.0


@dataclass(slots=True)
class Played:
    """What came of a schedule, as its people know it. `said` is the id of each message, by its tag."""

    chat: Chat
    room: Room
    chat_id: ChatId | None = None
    said: dict[str, str] = field(default_factory=dict)
    was_stopped: bool = False


@dataclass(slots=True)
class People:
    """What a bot has, the stores and the use cases; and the platform that they are on."""

    stores: Stores
    threads: PostgresConsoleThreads
    intake: Intake
    engine: AsyncEngine
    secret: bytes
    platform: Platform

    async def play(self, chat: Chat, within_s: float) -> Played:
        """Play a schedule to its end. Raises `TimeoutError` when something is never answered."""
        played = Played(chat, await self.platform.open_room(chat, self))
        commands = {command.tag: command for said in chat.said for command in said.commands}
        async with asyncio.timeout(within_s), asyncio.TaskGroup() as tasks:
            speaking = tasks.create_task(self._speak(played))
            clicking = tasks.create_task(self._click(played, commands))
            if chat.stop_after_s is not None:
                tasks.create_task(self._stop(played, chat.stop_after_s))
            await speaking
            await self._settled(played)
            clicking.cancel()
        return played

    async def _speak(self, played: Played) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        for said in played.chat.said:
            await asyncio.sleep(max(0.0, began + said.after_s - clock()))
            played.said[said.tag] = await played.room.say(said)

    async def _click(self, played: Played, commands: dict[str, Command]) -> None:
        seen: set[UUID] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(0.1)
                if played.chat_id is None:
                    played.chat_id = await self._find(played.room)
                    continue
                for approval in await insist(partial(self.stores.approvals.pending, played.chat_id)):
                    if approval.id not in seen:
                        seen.add(approval.id)
                        tasks.create_task(self._decide(played.room, approval, commands))

    async def _find(self, room: Room) -> ChatId | None:
        key = room.key
        chat = await insist(lambda: self.stores.chats.by_key(key)) if key is not None else None
        return chat.id if chat is not None else None

    async def _decide(self, room: Room, approval: Approval, commands: dict[str, Command]) -> None:
        text = str(approval.input.get("command", ""))
        command = next((one for tag, one in commands.items() if f"echo {tag} >>" in text), None)
        if command is None:
            raise AssertionError(f"a question nobody scripted: {approval.input}")
        await asyncio.sleep(command.decide_after_s)
        verdict = Verdict.ALLOW if command.allow else Verdict.DENY
        clock = asyncio.get_running_loop().time
        while await self._is_open(approval):
            clicks = (room.press(approval, verdict, ANN) for _ in range(command.clicks))
            until = clock() + CLICK_AGAIN_S
            for is_clicked in await asyncio.gather(*clicks):
                while is_clicked and clock() < until and await self._is_open(approval):
                    await asyncio.sleep(0.1)
            await asyncio.sleep(0.1)
        if command.clicks > 1:
            await room.press(approval, Verdict.DENY, BOB)

    async def _is_open(self, approval: Approval) -> bool:
        now = await insist(lambda: self.stores.approvals.get(approval.id))
        return now.state is ApprovalState.PENDING

    async def _stop(self, played: Played, after_s: float) -> None:
        await asyncio.sleep(after_s)
        played.was_stopped = await played.room.stop()

    async def _settled(self, played: Played) -> None:
        """Wait until every message has its end, every turn is shown, and every receipt is final."""
        while not await self._is_settled(played):
            await asyncio.sleep(0.2)

    async def _is_settled(self, played: Played) -> bool:
        chat_id = played.chat_id
        if chat_id is None:
            # Told that the first message was not taken, people begin no chat.
            return played.room.refused > 0
        messages = await insist(lambda: self.stores.messages.recent(chat_id))
        turns = await insist(lambda: self.stores.turns.recent(chat_id))
        untold = await insist(lambda: self.stores.messages.unmarked(chat_id))
        are_there = len(messages) + played.room.refused >= len(played.said)
        are_over = all(is_final(one.state) for one in messages) and all(one.is_shown for one in turns)
        return are_there and are_over and not untold


@asynccontextmanager
async def people(database_url: str, redis_url: str, platform: Platform | None = None) -> AsyncIterator[People]:
    """Connected to a stack's servers as a bot is. They are on the console unless told otherwise."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(database_url, pool_size=10))
        redis = await stack.enter_async_context(open_redis(redis_url))
        queue = await stack.enter_async_context(ArqWorkQueue.open(redis_url))
        stores = stores_on(engine)
        intake = Intake(stores, RedisControlChannel(redis), queue)
        chosen: Platform = platform if platform is not None else Console()
        yield People(stores, PostgresConsoleThreads(engine), intake, engine, SECRET, chosen)
