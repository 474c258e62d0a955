"""A small bot on the real discord.py, for the tests of the Discord double. No fixture, so that each test sees its set-up."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import discord
from discord import app_commands, ui

from tests.doubles.discord import DiscordDouble


class Bot(discord.Client):
    """Keeps what it hears; `on_click` answers its dynamic button."""

    def __init__(self, *, message_content: bool = True, **options: Any) -> None:
        intents = discord.Intents.default()
        intents.message_content = message_content
        # The library waits this long after the last server before it says it is ready.
        super().__init__(
            intents=intents, guild_ready_timeout=0.05, allowed_mentions=discord.AllowedMentions.none(), **options
        )
        self.tree = app_commands.CommandTree(self)
        self.heard: list[discord.Message] = []
        self.edited: list[discord.RawMessageUpdateEvent] = []
        self.deleted: list[int] = []
        self.threads_seen: list[discord.Thread] = []
        self.is_ready_now = asyncio.Event()

    async def on_ready(self) -> None:
        self.is_ready_now.set()

    async def on_message(self, message: discord.Message) -> None:
        if message.author != self.user and message.type in {discord.MessageType.default, discord.MessageType.reply}:
            self.heard.append(message)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        self.edited.append(event)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        self.deleted.append(event.message_id)

    async def on_thread_create(self, thread: discord.Thread) -> None:
        self.threads_seen.append(thread)

    def texts(self) -> list[str]:
        return [message.content for message in self.heard]

    def text_channel(self, name: str = "general") -> discord.TextChannel:
        found = discord.utils.get(self.get_all_channels(), name=name)
        assert isinstance(found, discord.TextChannel)
        return found


@contextlib.asynccontextmanager
async def connected(
    double: DiscordDouble, *, prepare: Callable[[Bot], None] | None = None, **options: Any
) -> AsyncIterator[Bot]:
    """A bot of its own, ready, and gone afterwards."""
    with double.redirected():
        bot = Bot(**options)
        if prepare is not None:
            prepare(bot)
        async with asyncio.TaskGroup() as tasks:
            async with bot:
                run = tasks.create_task(bot.start(double.token))
                async with asyncio.timeout(30):
                    await bot.is_ready_now.wait()
                try:
                    yield bot
                finally:
                    await bot.close()
            async with asyncio.timeout(30):
                await run


class Decide(ui.DynamicItem[ui.Button[ui.View]], template=r"decide:(?P<what>\w+)"):
    """A button that works after any restart, since its custom_id says all."""

    def __init__(self, what: str) -> None:
        super().__init__(ui.Button(label=what.title(), custom_id=f"decide:{what}"))
        self.what = what

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> "Decide":
        return cls(match["what"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await interaction.response.send_message(f"you chose {self.what}", ephemeral=True)


class Card(ui.LayoutView):
    """A message of components with a button."""

    def __init__(self, text: str, *buttons: str) -> None:
        super().__init__(timeout=None)
        row: ui.ActionRow[Card] = ui.ActionRow()
        for what in buttons:
            row.add_item(Decide(what))
        parts: list[ui.Item[Any]] = [ui.TextDisplay(text)]
        self.add_item(ui.Container(*parts, *([row] if buttons else [])))
