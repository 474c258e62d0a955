"""The Discord bot on a made-up Discord and real servers, and what it stored."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bots.discord.app import open_discord
from core.domain.approval import Approval, ApprovalKind
from core.domain.chat import Chat, Place, Platform
from core.domain.message import Message
from core.domain.states import ApprovalState
from core.domain.turn import Turn
from core.ports import Asked as TheyAsk
from core.ports import Fence, Stores
from core.settings import Settings
from core.store.stores import open_stores
from core.surfaces.discord.approvals import render_approval
from tests.doubles.discord import Channel, DiscordDouble, Guild, Person
from tests.doubles.discord import Message as Posted


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
    """A server with the bot in it."""

    discord: DiscordDouble
    guild: Guild
    stores: Stores
    settings: Settings

    @property
    def ann(self) -> Person:
        return self.guild.person("ann")

    def place(self, thread: Channel) -> Place:
        guild = thread.guild.id if thread.guild else "@me"
        return Place(Platform.DISCORD, guild, thread.parent.id if thread.parent else thread.id, thread.id)

    async def thread(self, message: Posted) -> Channel:
        """The thread that begins with a message, once there is one."""
        await self.discord.until(lambda: message.thread, within=60)
        assert message.thread is not None
        return message.thread

    async def chat(self, thread: Channel) -> Chat:
        """The chat of a thread, once there is one."""
        found: Chat = await self.eventually(lambda: self.stores.chats.by_key(self.place(thread).key))
        return found

    async def no_chat(self, thread: Channel) -> bool:
        return await self.stores.chats.by_key(self.place(thread).key) is None

    async def begun(self, text: str = "go", by: Person | None = None) -> Channel:
        """The thread of a chat that somebody began."""
        asked = await (by or self.ann).mentions_bot("general", text)
        await self.seen(asked)
        return await self.thread(asked)

    async def messages(self, thread: Channel, count: int = 1) -> Sequence[Message]:
        """The chat's messages, oldest first, once there are so many."""
        chat = await self.chat(thread)

        async def enough() -> Sequence[Message] | None:
            found = await self.stores.messages.recent(chat.id)
            return found[::-1] if len(found) >= count else None

        found: Sequence[Message] = await self.eventually(enough)
        return found

    async def turn(self, thread: Channel) -> tuple[Fence, Turn]:
        """A turn that has taken up what was said, as a worker would begin it."""
        chat = await self.chat(thread)
        queued = await self.stores.messages.queued(chat.id)
        taken = await self.stores.chats.take(chat.id, "w1", 300)
        assert taken is not None
        return taken[1], await self.stores.turns.begin(taken[1], [one.id for one in queued])

    async def asks(self, thread: Channel, kind: ApprovalKind, tool: str, **tool_input: Any) -> Question:
        """The agent's question, in the thread with its buttons, as the worker would post it."""
        fence, turn = await self.turn(thread)
        asked = TheyAsk(turn.id, "tu1", kind, tool, tool_input, f"Run {tool}")
        approval, _ = await self.stores.approvals.ask(fence, asked, 2)
        bot = self.discord.world.bot
        posts = [self.discord.posting.create(thread, bot, dict(one.body), []) for one in render_approval(approval)]
        return Question(self.stores, approval, posts[-1])

    async def eventually(self, look: Any) -> Any:
        """What `look` finds, once it finds something."""
        async with asyncio.timeout(60):
            while not (found := await look()):
                await asyncio.sleep(0.01)
            return found

    async def seen(self, message: Posted, emoji: str = "👀") -> None:
        await self.discord.until(lambda: emoji in message.reactions, within=60)

    async def told(self, channel: Channel, words: str) -> Posted:
        """A post of the bot with these words, once it is there."""
        found = await self.discord.until(lambda: self.posts(channel, words), within=60)
        return found[-1]

    def posts(self, channel: Channel, words: str = "") -> list[Posted]:
        """The bot's posts with these words."""
        bot = self.discord.world.bot
        return [one for one in channel.messages if one.author is bot and words in one.text]


def settings_for(discord: DiscordDouble, database_url: str, redis_url: str, folder: Path, **more: Any) -> Settings:
    env = {name.lower(): value for name, value in discord.env.items()}
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
async def open_scene(discord: DiscordDouble, settings: Settings) -> AsyncIterator[Scene]:
    guild = discord.guild("G1")
    async with open_stores(str(settings.database_url)) as stores, open_discord(settings):
        await discord.ready(within=60)
        await discord.until(lambda: discord.commands[None], within=60)
        yield Scene(discord, guild, stores, settings)
