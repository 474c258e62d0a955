"""The Slack bot on a made-up Slack and real servers, and what it stored."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from bots.slack.app import open_slack
from bots.slack.manifest import manifest
from core.domain.approval import Approval, ApprovalKind
from core.domain.chat import Chat, Place, Platform
from core.domain.message import Message
from core.domain.states import ApprovalState
from core.domain.turn import Turn
from core.ports import Asked as TheyAsk
from core.ports import Fence, Stores
from core.settings import Settings
from core.store.stores import open_stores
from core.surfaces.slack.approvals import render_approval
from tests.doubles.slack import Message as Posted
from tests.doubles.slack import Person, SlackDouble, Workspace


@dataclass(frozen=True, slots=True)
class Question:
    """An approval, and the post that has its buttons."""

    stores: Stores
    asked: Approval
    post: Posted

    async def now(self) -> Approval:
        return await self.stores.approvals.get(self.asked.id)

    async def settled(self) -> Approval:
        """The approval, once it was decided."""
        async with asyncio.timeout(60):
            while (found := await self.now()).state is ApprovalState.PENDING:
                await asyncio.sleep(0.01)
            return found


@dataclass(frozen=True, slots=True)
class Scene:
    """A workspace with the bot in it."""

    slack: SlackDouble
    workspace: Workspace
    stores: Stores
    settings: Settings

    @property
    def ann(self) -> Person:
        return self.workspace.person("ann")

    def place(self, thread: Posted | str, channel: str | None = None) -> Place:
        if isinstance(thread, Posted):
            return Place(Platform.SLACK, self.workspace.id, thread.channel, thread.thread_ts or thread.ts)
        return Place(Platform.SLACK, self.workspace.id, self.slack.channel(channel or "general").id, thread)

    async def chat(self, thread: Posted) -> Chat:
        """The chat of a thread, once there is one."""
        found: Chat = await self.eventually(lambda: self.stores.chats.by_key(self.place(thread).key))
        return found

    async def no_chat(self, thread: Posted) -> bool:
        return await self.stores.chats.by_key(self.place(thread).key) is None

    async def messages(self, thread: Posted, count: int = 1) -> Sequence[Message]:
        """The chat's messages, oldest first, once there are so many."""
        chat = await self.chat(thread)

        async def enough() -> Sequence[Message] | None:
            found = await self.stores.messages.recent(chat.id)
            return found[::-1] if len(found) >= count else None

        found: Sequence[Message] = await self.eventually(enough)
        return found

    async def turn(self, thread: Posted) -> tuple[Fence, Turn]:
        """A turn that has taken up what was said, as a worker would begin it."""
        chat = await self.chat(thread)
        queued = await self.stores.messages.queued(chat.id)
        taken = await self.stores.chats.take(chat.id, "w1", 300)
        assert taken is not None
        return taken[1], await self.stores.turns.begin(taken[1], [one.id for one in queued])

    async def asks(self, thread: Posted, kind: ApprovalKind, tool: str, **tool_input: Any) -> Question:
        """The agent's question, in the thread with its buttons, as the worker would post it."""
        fence, turn = await self.turn(thread)
        asked = TheyAsk(turn.id, "tu1", kind, tool, tool_input, f"Run {tool}")
        approval, _ = await self.stores.approvals.ask(fence, asked, 2)
        where = self.slack.channel(thread.channel)
        posts = [
            self.slack.posting.create(
                where, self.workspace.bot, one.body["text"], blocks=one.body["blocks"], thread_ts=thread.ts
            )
            for one in render_approval(approval)
        ]
        return Question(self.stores, approval, posts[-1])

    async def eventually(self, look: Any) -> Any:
        """What `look` finds, once it finds something."""
        async with asyncio.timeout(60):
            while not (found := await look()):
                await asyncio.sleep(0.01)
            return found

    async def seen(self, message: Posted, emoji: str = "eyes") -> None:
        await self.slack.until(lambda: emoji in message.reactions, within=60)


def settings_for(slack: SlackDouble, database_url: str, redis_url: str, folder: Path, **more: Any) -> Settings:
    env = {name.lower(): value for name, value in slack.env().items()}
    return Settings(
        **{
            "_env_file": None,
            "database_url": database_url,
            "redis_url": redis_url,
            "threadwork_data_dir": folder,
            **env,
            **more,
        }
    )


@asynccontextmanager
async def open_scene(slack: SlackDouble, settings: Settings, *, sockets: int = 1) -> AsyncIterator[Scene]:
    slack.workspace("T1")
    slack.apply_manifest(manifest())
    async with open_stores(str(settings.database_url)) as stores, open_slack(settings):
        await slack.connected(sockets, within=60)
        yield Scene(slack, slack.workspace("T1"), stores, settings)


@asynccontextmanager
async def locked(database_url: str, table: str) -> AsyncIterator[None]:
    """Nobody else can read or write the table meanwhile."""
    connection = await asyncpg.connect(
        host=database_url.partition("host=")[2], user="postgres", database=urlsplit(database_url).path[1:]
    )
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
