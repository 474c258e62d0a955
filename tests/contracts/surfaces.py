"""Every surface on ground of its own: a thread with a person in it, and a platform that can be told to go wrong."""

import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from core.domain.chat import Place, Platform
from core.ports import Call, Payload, Receipt, Surface
from core.store.console import PostgresConsoleThreads
from core.store.engine import open_engine
from core.surfaces.console.client import ConsoleSurface
from core.surfaces.discord.client import DiscordSurface
from core.surfaces.discord.components import texts_of as discord_texts_of
from core.surfaces.discord.receipts import EMOJI as DISCORD_EMOJI
from core.surfaces.markdown import ZERO_WIDTH
from core.surfaces.slack.blocks import texts_of
from core.surfaces.slack.client import SlackSurface
from core.surfaces.slack.receipts import EMOJI
from core.surfaces.slack.streaming import SlackStreamingSurface
from tests.doubles import discord
from tests.doubles.slack import Message, Person, SlackDouble


@dataclass(frozen=True, slots=True)
class Shown:
    """A post as it stands in the thread."""

    id: str
    text: str


class Ground(Protocol):
    """A surface, a thread, and what people see in it."""

    @property
    def surface(self) -> Surface: ...
    @property
    def place(self) -> Place: ...
    async def says(self, text: str) -> str: ...
    async def posts(self) -> Sequence[Shown]: ...
    async def receipts(self, message: str) -> Sequence[str]: ...
    async def delete(self, post: str) -> None: ...
    def read(self, payloads: Sequence[Payload]) -> str: ...


class Faraway(Ground, Protocol):
    """A platform behind a network, which can be full, closed or out of reach."""

    def lose_answer(self, call: Call) -> None: ...
    def lose_file_answer(self) -> None: ...
    def lose_request(self, call: Call) -> None: ...
    def fill(self, call: Call, wait_s: float) -> None: ...
    async def close_place(self) -> None: ...


def bare(text: str) -> str:
    """What must survive any cutting and escaping: no white space, no characters without width, no fence lines."""
    return re.sub(r"\s+", "", re.sub(r"(?m)^ {0,3}(`{3,}|~{3,})[^\n]*$", "", text).replace(ZERO_WIDTH, ""))


# ---------------------------------------------------------------- console


@dataclass(slots=True)
class ConsoleGround:
    surface: ConsoleSurface
    threads: PostgresConsoleThreads
    place: Place = field(default_factory=lambda: Place(Platform.CONSOLE, "local", "", "work"))
    said: int = 0

    async def says(self, text: str) -> str:
        self.said += 1
        return f"{text}-{self.said}"

    async def posts(self) -> Sequence[Shown]:
        return [Shown(post.id, str(post.body.get("text", ""))) for post in await self.threads.posts(self.place.key)]

    async def receipts(self, message: str) -> Sequence[str]:
        found = (await self.threads.receipts(self.place.key)).get(message)
        return [found] if found else []

    async def delete(self, post: str) -> None:
        await self.threads.remove(post)

    def read(self, payloads: Sequence[Payload]) -> str:
        return "\n".join(str(payload.body["text"]) for payload in payloads)


@asynccontextmanager
async def console_ground(database_url: str) -> AsyncIterator[ConsoleGround]:
    async with open_engine(database_url) as engine:
        threads = PostgresConsoleThreads(engine)
        yield ConsoleGround(ConsoleSurface(threads), threads)


# ---------------------------------------------------------------- Slack


_METHODS = {Call.SEND: "chat.postMessage", Call.EDIT: "chat.update", Call.MARK: "reactions.add"}


@dataclass(slots=True)
class SlackGround:
    surface: SlackSurface
    double: SlackDouble
    person: Person
    root: Message

    @property
    def place(self) -> Place:
        return Place(Platform.SLACK, "T1", self.root.channel, self.root.ts)

    async def says(self, text: str) -> str:
        return (await self.person.says("general", text, thread_ts=self.root.ts)).ts

    async def posts(self) -> Sequence[Shown]:
        return [Shown(post.ts, post.shown) for post in self.double.thread("general", self.root).ours]

    async def receipts(self, message: str) -> Sequence[str]:
        # Working looks like queued.
        seen = {emoji: receipt.value for receipt, emoji in EMOJI.items() if receipt is not Receipt.WORKING}
        return [seen[name] for name in self.double.message("general", message).reactions]

    async def delete(self, post: str) -> None:
        self.double.posting.delete(self.double.message("general", post))

    def read(self, payloads: Sequence[Payload]) -> str:
        blocks = [block for payload in payloads for block in payload.body["blocks"] if block["type"] == "markdown"]
        return "\n".join(texts_of(blocks))

    def lose_answer(self, call: Call) -> None:
        self.double.faults.ambiguous(_METHODS[call])

    def lose_file_answer(self) -> None:
        self.double.faults.ambiguous("files.completeUploadExternal")

    def lose_request(self, call: Call) -> None:
        self.double.faults.drop(_METHODS[call])

    def fill(self, call: Call, wait_s: float) -> None:
        self.double.faults.throttle(_METHODS[call], retry_after=wait_s)

    async def close_place(self) -> None:
        await self.double.workspace("T1").archives("general", by=self.person)


@asynccontextmanager
async def slack_ground() -> AsyncIterator[SlackGround]:
    async with SlackDouble(rates=False) as double:
        workspace = double.workspace("T1")
        person = workspace.person("ann")
        root = await person.mentions("general", "fix the build")

        async def token_of(tenant: str) -> str:
            return double.workspace(tenant).token

        async with SlackSurface.open(token_of, double.api_url) as surface:
            yield SlackGround(surface, double, person, root)


@dataclass(slots=True)
class StreamingGround(SlackGround):
    """Slack with streams: what is sent here first is a stream."""

    def lose_answer(self, call: Call) -> None:
        self.double.faults.ambiguous(_METHODS[call] if call is not Call.SEND else "chat.startStream")

    def lose_request(self, call: Call) -> None:
        self.double.faults.drop(_METHODS[call] if call is not Call.SEND else "chat.startStream")

    def fill(self, call: Call, wait_s: float) -> None:
        # Where no stream can be begun, a post is made.
        if call is Call.SEND:
            self.double.faults.throttle("chat.startStream", retry_after=wait_s)
        SlackGround.fill(self, call, wait_s)


@asynccontextmanager
async def streaming_ground(clock: Callable[[], float] = time.monotonic) -> AsyncIterator[StreamingGround]:
    async with SlackDouble(rates=False) as double:
        person = double.workspace("T1").person("ann")
        root = await person.mentions("general", "fix the build")

        async def token_of(tenant: str) -> str:
            return double.workspace(tenant).token

        async def recipient_of(_place: Place) -> str:
            return person.id

        opening = SlackStreamingSurface.open(token_of, double.api_url, recipient_of=recipient_of, clock=clock)
        async with opening as surface:
            yield StreamingGround(surface, double, person, root)


# ---------------------------------------------------------------- Discord


_MESSAGE = "/channels/{channel}/messages/{message}"
_ROUTES = {
    Call.SEND: "POST /channels/{channel}/messages",
    Call.EDIT: f"PATCH {_MESSAGE}",
    Call.MARK: f"PUT {_MESSAGE}/reactions/{{emoji}}/@me",
}


@dataclass(slots=True)
class DiscordGround:
    surface: DiscordSurface
    double: discord.DiscordDouble
    person: discord.Person
    thread: discord.Channel

    @property
    def place(self) -> Place:
        assert self.thread.parent is not None
        return Place(Platform.DISCORD, self.person.guild.id, self.thread.parent.id, self.thread.id)

    async def says(self, text: str) -> str:
        return (await self.person.says(self.thread, text)).id

    async def posts(self) -> Sequence[Shown]:
        return [Shown(one.id, one.text) for one in self.thread.messages if one.author is self.double.world.bot]

    async def receipts(self, message: str) -> Sequence[str]:
        # Working looks like queued.
        seen = {emoji: receipt.value for receipt, emoji in DISCORD_EMOJI.items() if receipt is not Receipt.WORKING}
        return [seen[name] for name in self.double.message(message).reactions]

    async def delete(self, post: str) -> None:
        await self.person.deletes(self.double.message(post))

    def read(self, payloads: Sequence[Payload]) -> str:
        files = [data.decode() for payload in payloads for data in payload.files.values()]
        parts = [part for payload in payloads for part in payload.body["components"]]
        # The footer is in small print.
        shown = [text for part in parts for text in discord_texts_of(part) if not text.startswith("-# ")]
        return "\n".join(files or shown)

    def lose_answer(self, call: Call) -> None:
        self.double.faults.ambiguous(_ROUTES[call], times=_tries(call))

    def lose_file_answer(self) -> None:
        self.lose_answer(Call.SEND)

    def lose_request(self, call: Call) -> None:
        self.double.faults.drop(_ROUTES[call], times=_tries(call))

    def fill(self, call: Call, wait_s: float) -> None:
        self.double.faults.throttle(_ROUTES[call], retry_after=wait_s)

    async def close_place(self) -> None:
        self.double.threads.delete(self.thread, self.person.guild.state.owner)


def _tries(call: Call) -> int:
    """aiohttp asks a second time by itself where that is harmless."""
    return 2 if call is Call.MARK else 1


@asynccontextmanager
async def discord_ground() -> AsyncIterator[DiscordGround]:
    async with discord.DiscordDouble() as double:
        double.limits.enabled = False
        guild = double.guild("G1")
        guild.role("moderators", "MANAGE_MESSAGES")
        person = guild.person("ann", roles=["moderators"])
        thread = await person.starts_thread(await person.mentions_bot("general", "fix the build"), "fix the build")
        async with DiscordSurface.open(double.token, double.api_url) as surface:
            yield DiscordGround(surface, double, person, thread)
