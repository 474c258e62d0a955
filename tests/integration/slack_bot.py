"""The Slack bot on a made-up Slack and real servers, and what it stored."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bots.slack.app import open_slack
from core.domain.chat import Chat, Place, Platform
from core.domain.message import Message
from core.ports import Stores
from core.settings import Settings
from core.store.stores import open_stores
from tests.doubles.slack import Message as Posted
from tests.doubles.slack import Person, SlackDouble, Workspace


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
async def open_scene(slack: SlackDouble, settings: Settings) -> AsyncIterator[Scene]:
    async with open_stores(str(settings.database_url)) as stores, open_slack(settings):
        await slack.connected(within=60)
        yield Scene(slack, slack.workspace("T1"), stores, settings)
