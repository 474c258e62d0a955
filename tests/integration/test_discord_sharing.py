"""Files that the agent leaves, in servers of several sizes: what Discord takes goes, of the rest people are told."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from core.domain.chat import Author, Mode, Place, Platform, Role
from core.surfaces.discord.boosts import MOST_BYTES, Boosts
from core.surfaces.discord.client import DiscordSurface
from core.surfaces.discord.rest import Rest
from tests.doubles.discord import Channel, DiscordDouble, Person
from tests.stage import ScriptedChat, Stage, bash, says

WAIT_S = 60
MIB = 1024 * 1024
LOOK = "GET /guilds/{guild}"
MAKE_20_MIB = f"mkdir -p outbox && head -c {20 * MIB} /dev/zero > outbox/big.bin"


@dataclass(slots=True)
class Server:
    """A server with a thread in it, and a chat of that thread on the stage."""

    discord: DiscordDouble
    ann: Person
    chat: ScriptedChat
    thread: Channel

    async def makes(self, command: str) -> None:
        """Let the agent run a command, and its answer be in the thread."""
        told = await self.ann.says(self.thread, "Make it.")
        await self.chat.say("Make it.", [bash(command)], [says("Made.")], by=self.author, again=told.id)
        await self.chat.is_done("Made.")
        await self.chat.run_ends()

    @property
    def author(self) -> Author:
        return Author(self.ann.id, "Ann", Role.ADMIN)

    @property
    def sizes(self) -> list[int]:
        return [len(file.content) for post in self.thread.messages for file in post.attachments]

    @property
    def text(self) -> str:
        return "\n".join(self.thread.texts)

    def asked(self) -> int:
        return sum(f"{call.method} {call.template}" == LOOK for call in self.discord.record.calls)


@pytest.fixture
async def server(stage: Stage) -> AsyncIterator[Server]:
    async with DiscordDouble() as discord, DiscordSurface.open(discord.token, discord.api_url) as surface:
        ann = discord.guild().person("ann")
        asked = await ann.mentions_bot("general", "make it")
        thread = await ann.starts_thread(asked, "make it")
        chat = stage.chat(mode=Mode.BYPASS)
        chat.place = Place(Platform.DISCORD, ann.guild.id, asked.channel.id, thread.id)
        stage.tools = stage.desk.tools = replace(stage.tools, surfaces={Platform.DISCORD: surface})
        yield Server(discord, ann, chat, thread)
        await stage.desk.close()


async def test_a_boosted_server_gets_a_large_file_and_is_asked_once(server: Server) -> None:
    server.ann.guild.boosts(2)
    await server.makes(MAKE_20_MIB)
    assert server.sizes == [20 * MIB]
    assert "Not shared" not in server.text
    await server.makes("echo x > outbox/small.txt")
    assert server.sizes == [20 * MIB, 2]
    assert server.asked() == 1


async def test_a_server_without_boosts_is_told_that_it_is_too_large_and_what_to_do(server: Server) -> None:
    await server.makes(f"{MAKE_20_MIB}; echo x > outbox/small.txt")
    assert server.sizes == [2]
    assert "Not shared: big.bin: it has 21 MB, and 10 MB are the most here" in server.text
    assert "ask me for it in parts, or smaller" in server.text
    assert "boost level 2 or 3 takes larger ones" in server.text


async def test_a_server_that_lost_its_boosts_says_so_itself_and_is_asked_again(server: Server) -> None:
    server.ann.guild.boosts(3)
    await server.makes("mkdir -p outbox && echo x > outbox/small.txt")
    server.ann.guild.boosts(1)
    server.discord.allow("40005")

    await server.makes(MAKE_20_MIB)
    assert "Not shared: big.bin: Discord finds it too large." in server.text
    await server.makes("touch outbox/big.bin")
    assert server.sizes == [2]
    assert "Not shared: big.bin: it has 21 MB, and 10 MB are the most here" in server.text
    assert server.asked() == 2


# ------------------------------------------------------------ what is asked, and when


@dataclass(slots=True)
class Hours:
    """A clock that is set by hand."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Asking:
    """Boosts of a made-up Discord, by a clock of the test's."""

    discord: DiscordDouble
    boosts: Boosts
    clock: Hours

    async def most(self, guild: str | None = None) -> int:
        async with asyncio.timeout(WAIT_S):
            return (await self.boosts.file_limit(guild or self.discord.guild().id)).most_bytes

    def asked(self) -> int:
        return sum(f"{call.method} {call.template}" == LOOK for call in self.discord.record.calls)


@pytest.fixture
async def asking() -> AsyncIterator[Asking]:
    clock = Hours()
    async with DiscordDouble() as discord, Rest.open(discord.token, discord.api_url) as rest:
        yield Asking(discord, Boosts(rest, clock), clock)


@pytest.mark.parametrize(("tier", "mib"), [(0, 10), (1, 10), (2, 50), (3, 100)])
async def test_a_servers_limit_is_that_of_its_boosts(asking: Asking, tier: int, mib: int) -> None:
    asking.discord.guild().boosts(tier)
    assert await asking.most() == mib * MIB == MOST_BYTES[tier]


async def test_what_was_learned_holds_for_a_while(asking: Asking) -> None:
    assert await asking.most() == 10 * MIB
    asking.discord.guild().boosts(2)
    asking.clock.now += 3000
    assert await asking.most() == 10 * MIB
    asking.clock.now += 3000
    assert await asking.most() == 50 * MIB
    assert asking.asked() == 2


@pytest.mark.parametrize("how", ["error", "drop"])
async def test_a_server_that_does_not_tell_is_taken_for_one_without_boosts_and_asked_again(
    asking: Asking, how: str
) -> None:
    asking.discord.guild().boosts(2)
    faults = asking.discord.faults
    if how == "drop":
        faults.drop(LOOK, times=2)  # aiohttp asks once more by itself
    else:
        faults.fail(LOOK, status=503)
    assert [await asking.most(), await asking.most()] == [10 * MIB, 10 * MIB]
    assert asking.asked() == (2 if how == "drop" else 1)
    asking.clock.now += 120
    assert await asking.most() == 50 * MIB


@pytest.mark.parametrize("guild", ["@me", "999"])
async def test_direct_messages_and_servers_that_are_gone_have_the_limit_of_all(asking: Asking, guild: str) -> None:
    assert await asking.most(guild) == 10 * MIB
    assert asking.asked() == (0 if guild == "@me" else 1)
