"""Discord: a server for each schedule on one double, with the bot in it; people write, click and are told things.

Discord tears the gateway's connection, forgets sessions so that messages are missed, repeats events, loses answers, and
does late what was given up.
"""

import asyncio
import copy
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from core.domain.approval import Approval, Verdict
from core.surfaces.discord.receipts import EMOJI
from core.surfaces.presses import Press, Verb, decode
from tests.doubles.discord import Call, CannotDo, Channel, DiscordDouble, Guild, Message
from tests.faults.platforms import screen
from tests.faults.platforms.platform import ANN, BOB, Ending, Platform, Room
from tests.faults.schedule import BOT_FAULTS, Chat, Fault, Said

if TYPE_CHECKING:
    from tests.faults.drive import People

_SEND: Final = "POST /channels/{channel}/messages"
_CALLS: Final = (
    _SEND,
    "PATCH /channels/{channel}/messages/{message}",
    "GET /channels/{channel}/messages",
    "POST /channels/{channel}/messages/{message}/threads",
    "PUT /channels/{channel}/messages/{message}/reactions/*",
    "DELETE /channels/{channel}/messages/{message}/reactions/*",
)
_REFUSAL: Final = "I could not take your message"
_EVER: Final = 1 << 30
# Longer than the program waits for an answer.
_TOO_LATE_S: Final = 25.0
_THREAD_S: Final = 90.0


class DiscordRoom:
    """A server, and the thread of one schedule under its first channel."""

    def __init__(self, discord: DiscordDouble, guild: Guild) -> None:
        self._discord = discord
        self._guild = guild
        self._asked: Message | None = None
        self._seen: dict[Press, Message] = {}
        guild.role(BOB, "ADMINISTRATOR")
        guild.person(BOB, roles=[BOB])

    @property
    def key(self) -> str | None:
        return None if self._asked is None else f"discord:{self._guild.id}:{self._asked.id}"

    @property
    def refused(self) -> int:
        return sum(one.reply_to is not None and one.text.startswith(_REFUSAL) for one in self._bots())

    async def say(self, said: Said) -> str:
        ann = self._guild.person(ANN)
        if self._asked is None:
            message = self._asked = await ann.mentions_bot("general", said.prompt())
        else:
            asked = self._asked
            thread = await self._discord.until(lambda: asked.thread, within=_THREAD_S)
            assert thread is not None
            message = await ann.says(thread, said.prompt())
        for _ in range(said.deliveries - 1):
            await asyncio.sleep(0.05)
            self._discord.repeat("MESSAGE_CREATE")
        return message.id

    async def press(self, approval: Approval, verdict: Verdict, by: str) -> bool:
        return await self._press(Press(Verb.ALLOW if verdict is Verdict.ALLOW else Verb.DENY, approval.id), by)

    async def stop(self) -> bool:
        presses = [decode(custom_id) for one in self._bots() for custom_id in one.buttons.values()]
        stops = [press for press in presses if press is not None and press.verb is Verb.STOP]
        return bool(stops) and await self._press(stops[-1], ANN)

    async def _press(self, press: Press, by: str) -> bool:
        for one in self._bots():
            for custom_id in one.buttons.values():
                shown = decode(custom_id)
                if shown is not None and shown not in self._seen:
                    # As it is on a screen that is not told of later edits.
                    self._seen[shown] = copy.copy(one)
        seen = self._seen.get(press)
        if seen is None:
            return False
        try:
            return (await self._guild.person(by).clicks(seen, press.encode())).ack != "failed"
        except CannotDo:
            return False

    def _thread(self) -> Channel | None:
        return self._asked.thread if self._asked is not None else None

    def _bots(self) -> list[Message]:
        thread = self._thread()
        rows = list(thread.posts.values()) if thread is not None else []
        # In the channel stands nothing of the bot's but replies.
        rows += self._guild.channel("general").posts.values()
        return [one for one in rows if one.author is self._discord.world.bot and one.only_for is None]

    async def broken(self, ending: Ending) -> Sequence[str]:
        shown = [
            screen.Shown(one.id, one.text, list(one.buttons), one.deleted)
            for one in self._bots()
            if one.reply_to is None
        ]
        return list(screen.broken(ending, shown, EMOJI, self._signs))

    def _signs(self, message: str) -> list[str]:
        bot = self._discord.world.bot.id
        return [emoji for emoji, users in self._discord.message(message).reactions.items() if bot in users]


class Discord:
    """The double, in which something goes wrong with every tenth call, and what is staged on top of that."""

    def __init__(self, discord: DiscordDouble, seed: int) -> None:
        self.name = "discord"
        self.bot: str | None = "discord"
        # The double fails, not what stands around the surface.
        self.settings: Mapping[str, str] = {**discord.env, "THREADWORK_MODE": "ask", "FAULTS_SHARE": "0"}
        self._discord = discord
        self._rng = random.Random(f"discord {seed}")
        self._looked = 0
        faults = discord.faults
        for route in _CALLS:
            faults.ambiguous(route, times=_EVER).when = self._at_times(0.04)
            faults.fail(route, times=_EVER).when = self._at_times(0.03)
            faults.drop(route, times=_EVER).when = self._at_times(0.02)
            faults.throttle(route, retry_after=0.5, times=_EVER).when = self._at_times(0.01)

    def _at_times(self, share: float) -> Callable[[Call], bool]:
        return lambda _call: self._rng.random() < share

    @property
    def staged(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for fault in self._discord.faults.planned:
            name = f"{fault.kind} {fault.route}"
            found[name] = found.get(name, 0) + fault.spent
        return found

    async def open_room(self, chat: Chat, people: "People") -> Room:
        return DiscordRoom(self._discord, self._discord.guild(f"G{chat.seed}"))

    async def stage(self, fault: Fault) -> None:
        faults = self._discord.faults
        match fault.name:
            case "cut the bot off":
                await self._discord.cut_gateway(abrupt=True)
            case "cut the bot off and keep it out":
                self._discord.refuse_connections(2)
                await self._discord.cut_gateway()
            case "begin a new session":
                # What is said until the bot is back is told to nobody.
                self._discord.refuse_connections(2)
                await self._discord.invalidate_sessions(silently=True)
                await self._discord.cut_gateway(abrupt=True)
            case "repeat events":
                self._discord.repeat("MESSAGE_CREATE")
            case "mix events up":
                # There is one order in a session; what was missed comes beside it.
                await self._discord.invalidate_sessions()
            case "lose answers":
                faults.ambiguous(_SEND, times=3)
            case "answer too late":
                faults.delay(_SEND, seconds=_TOO_LATE_S)
            case "refuse calls":
                for route in _CALLS:
                    faults.fail(route, status=503, times=2)
            case "throttle calls":
                faults.throttle("* /channels/{channel}/messages*", retry_after=3, times=2)
            case unknown:
                raise NotImplementedError(f"Discord's double has no {unknown}")

    def violations(self, faults: Sequence[str]) -> Sequence[str]:
        found = self._discord.violations[self._looked :]
        self._looked += len(found)
        # The bot and the worker react in one channel, each on its own: they may meet, and then wait and try again.
        excused = {"429"}
        if set(faults) & {*BOT_FAULTS, "kill postgres", "kill valkey"}:
            excused.add("10062")
        return [str(one) for one in found if one.code not in excused]


@asynccontextmanager
async def open_discord(seed: int) -> AsyncIterator[Platform]:
    """A double without servers."""
    async with DiscordDouble() as discord:
        yield Discord(discord, seed)
        discord.violations.clear()
