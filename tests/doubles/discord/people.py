"""The people of a test: `ann = double.guild("G1").person("ann")`, then `await ann.says("general", "hello")`.

Methods read as sentences and are coroutines, so that the program under test runs in between. What people do with
buttons and commands is in `asking.py`.
"""

import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.doubles.discord import payloads
from tests.doubles.discord.asking import Asks
from tests.doubles.discord.content_rules import Upload
from tests.doubles.discord.gateway import GUILDS
from tests.doubles.discord.permissions import BOT_DEFAULT, by_name
from tests.doubles.discord.world import FORUM, JSON, TEXT, Channel, GuildState, Message, Role, User

if TYPE_CHECKING:
    from tests.doubles.discord.double import DiscordDouble

File = Path | tuple[str, bytes]


class Person(Asks):
    """Somebody in one server (and, by `dms`, in direct messages)."""

    def __init__(self, double: "DiscordDouble", guild: "Guild", user: User) -> None:
        self.double = double
        self.guild = guild
        self.user = user

    @property
    def id(self) -> str:
        return self.user.id

    @property
    def dm(self) -> Channel:
        """Her direct messages with the bot."""
        return self.double.world.dm_with(self.user)

    def channel(self, where: str | Channel | None) -> Channel:
        return self.guild.channel(where)

    def sits_at_the_browser(self) -> None:
        """Be who Discord's page for signing in asks from now on."""
        self.double.server.sign_ins.at_browser = self.user

    async def says(
        self, where: str | Channel, text: str, *, files: Sequence[File] = (), reply_to: Message | None = None
    ) -> Message:
        """Post a message; the bot is mentioned by writing `double.mention` in it. `where`: a name, id or channel."""
        body: JSON = {"content": text}
        if reply_to is not None:
            body["message_reference"] = {"message_id": reply_to.id}
        return self.double.posting.create(self.channel(where), self.user, body, uploads_of(files))

    async def mentions_bot(self, where: str | Channel, text: str, *, files: Sequence[File] = ()) -> Message:
        return await self.says(where, f"{self.double.mention} {text}", files=files)

    async def dms(self, text: str, *, files: Sequence[File] = ()) -> Message:
        return await self.says(self.dm, text, files=files)

    async def edits(self, message: Message, text: str) -> Message:
        return self.double.posting.edit(message, self.user, {"content": text}, [])

    async def deletes(self, message: Message) -> None:
        self.double.posting.delete(message, self.user)

    async def reacts(self, message: Message, emoji: str) -> None:
        self.double.posting.react(message, self.user, emoji, add=True)

    async def unreacts(self, message: Message, emoji: str) -> None:
        self.double.posting.react(message, self.user, emoji, add=False)

    async def posts_in_forum(
        self, forum: str | Channel, title: str, text: str, *, files: Sequence[File] = (), tags: Sequence[str] = ()
    ) -> Channel:
        """A new post; returns its thread, whose first message has the thread's id. Tags by name."""
        channel = self.channel(forum)
        ids = [tag["id"] for tag in channel.tags if tag["name"] in tags]
        body: JSON = {"name": title, "message": {"content": text}, "applied_tags": ids}
        return self.double.threads.forum_post(channel, self.user, body, uploads_of(files))[0]

    async def starts_thread(self, where: Message | str | Channel, name: str) -> Channel:
        """A thread under a message, or in a channel without one."""
        if isinstance(where, Message):
            return self.double.threads.from_message(where, self.user, {"name": name})
        return self.double.threads.without_message(self.channel(where), self.user, {"name": name, "type": 11})

    async def changes(self, channel: Channel, **settings: object) -> None:
        """Rename, archive or lock: what PATCH takes."""
        self.double.threads.change(channel, self.user, settings)


class Guild:
    """One server. It begins with the channel "general"; asking for a channel or role by a new name makes it."""

    def __init__(self, double: "DiscordDouble", name: str, *, bot_permissions: int = BOT_DEFAULT) -> None:
        self.double = double
        self.state: GuildState = double.world.add_guild(name, bot_permissions=bot_permissions)
        self.people: dict[str, Person] = {}
        self.text("general")
        data = payloads.guild(self.state, bot=double.world.bot)
        double.gateway.dispatch("GUILD_CREATE", data | {"guild_id": self.id}, intent=GUILDS)

    @property
    def id(self) -> str:
        return self.state.id

    @property
    def threads(self) -> list[Channel]:
        return self.state.threads

    def boosts(self, tier: int) -> None:
        """Let people have boosted the server to this level, 0 to 3."""
        self.state.premium_tier = tier
        data = payloads.guild(self.state, bot=self.double.world.bot)
        self.double.gateway.dispatch("GUILD_UPDATE", data | {"guild_id": self.id}, intent=GUILDS)

    def person(self, name: str, *, roles: Sequence[str] = ()) -> Person:
        if name not in self.people:
            user = next((one for one in self.double.world.users.values() if one.name == name and not one.bot), None)
            user = user or self.double.world.add_user(name)
            self.double.world.join(self.state, user, [self.role(role).id for role in roles])
            self.people[name] = Person(self.double, self, user)
        return self.people[name]

    def role(self, name: str, *permissions: str) -> Role:
        found = next((one for one in self.state.roles.values() if one.name == name), None)
        if found is None:
            found = self.double.world.add_role(self.state, name, by_name(*permissions))
            event = {"guild_id": self.id, "role": payloads.role(found)}
            self.double.gateway.dispatch("GUILD_ROLE_CREATE", event, intent=GUILDS)
        return found

    def text(self, name: str) -> Channel:
        return self._made(name, TEXT)

    def forum(self, name: str, *, tags: Sequence[str] = ()) -> Channel:
        forum = self._made(name, FORUM)
        for tag in tags:
            if tag not in {one["name"] for one in forum.tags}:
                number = self.double.world.ids.new()
                forum.tags.append({"id": number, "name": tag, "moderated": False, "emoji_id": None, "emoji_name": None})
        return forum

    def _made(self, name: str, kind: int) -> Channel:
        for channel in self.state.channels.values():
            if channel.name == name and channel.kind == kind and not channel.deleted:
                return channel
        channel = self.double.world.add_channel(self.state, name, kind, position=len(self.state.channels))
        self.double.gateway.dispatch("CHANNEL_CREATE", payloads.channel(channel), channel=channel, intent=GUILDS)
        return channel

    def channel(self, where: str | Channel | None) -> Channel:
        """A channel or thread by name, id, or itself; None is the first one."""
        if isinstance(where, Channel):
            return where
        rows = [one for one in self.state.channels.values() if not one.deleted]
        if where is None:
            return rows[0]
        for channel in reversed(rows):
            if where in {channel.id, channel.name}:
                return channel
        raise KeyError(f"no channel {where!r} in {[one.name for one in rows]}")

    def deny(self, channel: str | Channel, *permissions: str, who: str | None = None) -> None:
        """Take permissions in one channel from the bot, or from a user or role by id."""
        found = self.channel(channel)
        self.double.world.deny(found, who or self.double.world.bot.id, *permissions)
        self.double.gateway.dispatch("CHANNEL_UPDATE", payloads.channel(found), channel=found, intent=GUILDS)


def uploads_of(files: Sequence[File]) -> list[Upload]:
    made = []
    for index, file in enumerate(files):
        name, content = (file.name, file.read_bytes()) if isinstance(file, Path) else file
        made.append(Upload(index, name, content, mimetypes.guess_type(name)[0]))
    return made
