"""A Discord server of its own, with the bot in it, and what people do there."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, Self

from tests.acceptance.platforms.house import House, until
from tests.acceptance.platforms.platform import Post
from tests.acceptance.program import PATIENCE_S
from tests.doubles.discord import Channel, DiscordDouble, Guild, Message, Person
from tests.doubles.discord.component_rules import INPUT
from tests.doubles.discord.interactions import Seen

_SEND: Final = "POST /channels/{channel}/messages"
_EDIT: Final = "PATCH /channels/{channel}/messages/{message}"
_ADMINS: Final = frozenset({"boss"})


@dataclass(frozen=True, slots=True)
class DiscordThread:
    """A thread or a direct message, and its people; `seen` is what their clicks showed them alone."""

    discord: DiscordDouble
    guild: Guild
    channel: Channel
    seen: list[tuple[str, Seen]]

    def person(self, name: str) -> Person:
        if name in _ADMINS:
            self.guild.role(name, "ADMINISTRATOR")
        return self.guild.person(name, roles=[name] if name in _ADMINS else [])

    async def say(self, text: str, by: str) -> str:
        return (await self.person(by).says(self.channel, text)).id

    async def edit(self, message: str, text: str, by: str) -> None:
        await self.person(by).edits(self.discord.message(message), text)

    async def delete(self, message: str, by: str) -> None:
        await self.person(by).deletes(self.discord.message(message))

    async def press(self, post: Post, label: str, by: str) -> None:
        self._keep(by, await self.person(by).clicks(self.channel.posts[post.id], label))

    async def fill(self, post: Post, label: str, text: str, by: str) -> None:
        form = await self.person(by).opens(self.channel.posts[post.id], label)
        field = next(name for name, one in form.fields.items() if one["type"] == INPUT)
        self._keep(by, await self.person(by).submits(form, {field: text}))

    def _keep(self, by: str, seen: Seen) -> None:
        assert seen.ack != "failed", "it was not acknowledged in time"
        self.seen.append((by, seen))

    async def command(self, verb: str, by: str) -> None:
        self._keep(by, await self.person(by).slash(f"threadwork {verb}", channel=self.channel))

    async def posts(self) -> Sequence[Post]:
        return [
            Post(one.id, one.text, tuple(one.buttons), one.edits)
            for one in self.channel.messages
            if self._is_ours(one) and one.reply_to is None
        ]

    async def posted(self) -> int:
        return sum(self._is_ours(one) and one.reply_to is None for one in self.channel.posts.values())

    async def receipts(self, message: str) -> set[str]:
        bot = self.discord.world.bot.id
        return {emoji for emoji, users in self.discord.message(message).reactions.items() if bot in users}

    async def whispers(self, to: str) -> Sequence[str]:
        """To a click only the one who clicked sees the answer; to a message the bot replies."""
        alone = [(one.id, one.text) for who, seen in self.seen if who == to for one in seen.messages if one.ephemeral]
        mine = self.person(to).id
        replies = [
            (one.id, one.text)
            for one in self.channel.messages
            if self._is_ours(one) and one.reply_to is not None and one.reply_to.author.id == mine
        ]
        return [text for _, text in sorted(alone + replies)]

    def name_of(self, person: str) -> str:
        return f"<@{self.person(person).id}>"

    def known_as(self, person: str) -> str:
        return person.title()

    def _is_ours(self, message: Message) -> bool:
        return message.author is self.discord.world.bot and message.only_for is None


class Discord:
    """One server."""

    def __init__(self, house: House, guild: Guild) -> None:
        self._house = house
        self._discord = house.discord
        self.guild = guild
        self._refused_from = 0

    @classmethod
    async def open(cls, house: House, opened: AsyncExitStack) -> Self:
        return cls(house, house.discord.guild(f"G{house.number()}"))

    async def begin(self, text: str, by: str) -> tuple[DiscordThread, str]:
        message = await self.guild.person(by).mentions_bot("general", text)
        thread = await self._discord.until(lambda: message.thread, within=PATIENCE_S)
        assert thread is not None
        return self.thread(thread), message.id

    async def direct(self, text: str, by: str) -> tuple[DiscordThread, str]:
        message = await self.guild.person(by).dms(text)
        return self.thread(message.channel), message.id

    async def command(self, text: str, by: str) -> DiscordThread:
        known = set(self.guild.threads)
        await self.guild.person(by).slash("threadwork ask", channel="general", what=text)
        (thread,) = await self._discord.until(lambda: set(self.guild.threads) - known, within=PATIENCE_S)
        return self.thread(thread)

    async def crash_bot(self) -> None:
        before = set(self._discord.gateway.sessions)
        await self._house.kill("discord")
        await until(lambda: {one.id for one in self._discord.gateway.live} - before)

    def lose_answers(self, times: int) -> None:
        self._discord.faults.ambiguous(_SEND, times=times)

    def limit_posts(self, seconds: float) -> None:
        self._refused_from = len(self._discord.requests)
        for route in (_SEND, _EDIT):
            self._discord.faults.throttle(route, retry_after=seconds)

    def was_patient(self, seconds: float) -> bool:
        patient = []
        for route in (_SEND, _EDIT):
            calls = [call for call in self._discord.requests[self._refused_from :] if call.route == route]
            refused = next(at for at, call in enumerate(calls) if call.status == 429)
            patient.append(calls[refused + 1].at - calls[refused].at >= seconds)
        return all(patient)

    def thread(self, channel: Channel) -> DiscordThread:
        """What stands in a thread, and what people do there."""
        return DiscordThread(self._discord, self.guild, channel, [])
