"""What is known of the servers the bot is in: which channel a thread is in, who has which rights, what is called how.

Asked of discord.py, which keeps it as the gateway tells it, and of Discord for what it does not keep: threads in the
archive. Next: `taking.py`.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

import discord
import structlog

from bots.discord.parse import DIRECT, Person, person_of
from bots.discord.web import DiscordWeb
from core.domain.chat import Author, Place, Platform, Role
from core.errors import ThreadworkError

log = structlog.get_logger(__name__)
_THREADS: Final = frozenset({10, 11, 12})
_MOST: Final = 5_000
_ADMIN: Final = discord.Permissions(administrator=True, manage_guild=True).value


@dataclass(frozen=True, slots=True)
class Room:
    """A channel or a thread; `parent` is the channel that a thread is in."""

    id: str
    parent: str | None

    @property
    def is_thread(self) -> bool:
        """Whether it is one of the threads of a channel."""
        return self.parent is not None


class Servers:
    """The servers as the present connection knows them. `me` is the app's own user, `app` the application.

    `forums`: the ids of those in which every new post begins a chat; `all` means all. `deciders`: the ids of the roles
    whose members may decide in every chat of their server.
    """

    def __init__(
        self, web: DiscordWeb, me: str, app: str, *, forums: Collection[str] = (), deciders: Collection[str] = ()
    ) -> None:
        self.web = web
        self.me = me
        self.app = app
        self._forums = forums
        self._deciders = frozenset(deciders)
        self.client: discord.Client | None = None
        # Whether Discord shows us the text of messages that do not mention the app.
        self.reads_everything = True
        self._rooms: OrderedDict[str, Room] = OrderedDict()

    def known_room(self, channel: str) -> Room | None:
        """A channel or thread, if it is known without asking."""
        found = self.client.get_channel(int(channel)) if self.client is not None else None
        if isinstance(found, discord.Thread):
            return Room(channel, str(found.parent_id))
        return Room(channel, None) if found is not None else self._rooms.get(channel)

    async def room(self, channel: str) -> Room:
        """A channel or thread."""
        known = self.known_room(channel)
        if known is not None:
            return known
        found = await self.web.channel(channel)
        room = Room(channel, str(found["parent_id"]) if found.get("type") in _THREADS else None)
        self._rooms[channel] = room
        while len(self._rooms) > _MOST:
            self._rooms.popitem(last=False)
        return room

    def is_open_forum(self, post: str) -> bool:
        """Whether a post stands in a forum where every post begins a chat."""
        found = self.client.get_channel(int(post)) if self.client is not None and self._forums else None
        if not isinstance(found, discord.Thread) or not isinstance(found.parent, discord.ForumChannel):
            return False
        return "all" in self._forums or str(found.parent_id) in self._forums

    def title(self, thread: str) -> str:
        """The title of a thread."""
        found = self.client.get_channel(int(thread)) if self.client is not None else None
        return found.name if isinstance(found, discord.Thread) else ""

    def my_role(self, guild: str) -> str | None:
        """The role that came with the app into a server; people pick it where they mean the app."""
        found = self.client.get_guild(int(guild)) if self.client is not None and guild != DIRECT else None
        return str(found.self_role.id) if found is not None and found.self_role is not None else None

    async def author(self, guild: str, person: Person) -> Author:
        """A person with their role: admins are those who may manage the server."""
        rights = person.rights if person.rights is not None else self._rights(guild, person)
        role = Role.ADMIN if rights & _ADMIN else Role.MEMBER
        return Author(person.id, person.name, role, is_decider=not self._deciders.isdisjoint(person.roles))

    def _rights(self, guild: str, person: Person) -> int:
        found = self.client.get_guild(int(guild)) if self.client is not None and guild != DIRECT else None
        if found is None:
            return 0
        if str(found.owner_id) == person.id:
            return _ADMIN
        rights = found.default_role.permissions.value
        for role in map(found.get_role, map(int, person.roles)):
            rights |= role.permissions.value if role is not None else 0
        return rights

    def names(self, guild: str, ids: Iterable[str]) -> dict[str, str]:
        """The names of roles and channels, as far as they are known."""
        found = self.client.get_guild(int(guild)) if self.client is not None and guild != DIRECT else None
        if found is None:
            return {}
        named = ((one, found.get_role(int(one)) or found.get_channel_or_thread(int(one))) for one in ids)
        return {one: what.name.removeprefix("@") for one, what in named if what is not None}

    async def member(self, guild: str, user: str) -> Person | None:
        """Somebody as a member of a server; None when Discord does not say."""
        if guild == DIRECT:
            return None
        try:
            found = await self.web.member(guild, user)
            return person_of(found["user"], found)
        except (ThreadworkError, KeyError) as error:
            log.warning("person_not_found", user=user, why=repr(error))
            return None


def place_in(guild: str, room: Room) -> Place:
    """The place that a thread, or a channel of direct messages, is."""
    return Place(Platform.DISCORD, guild, room.parent or room.id, room.id)


def link(place: Place, message: str | None = None) -> str:
    """Where a thread or a message in it can be read."""
    address = f"https://discord.com/channels/{place.tenant}/{place.thread}"
    return f"{address}/{message}" if message else address
