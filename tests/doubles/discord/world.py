"""Everything the made-up Discord holds: guilds, roles, channels, threads, messages. Plain records, no rules.

Rules live in `content_rules.py`, `component_rules.py`, `permissions.py` and `posting.py`; JSON shapes in `payloads.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.discord.clock import Clock, Snowflakes
from tests.doubles.discord.permissions import BOT_DEFAULT, EVERYONE_DEFAULT, by_name

JSON = dict[str, Any]

TEXT, DM, PUBLIC_THREAD, PRIVATE_THREAD, FORUM = 0, 1, 11, 12, 15
EPHEMERAL, HAS_THREAD, V2 = 1 << 6, 1 << 5, 1 << 15


@dataclass(slots=True, eq=False)
class User:
    id: str
    name: str
    bot: bool = False


@dataclass(slots=True, eq=False)
class Role:
    id: str
    name: str
    permissions: int
    position: int = 0
    of_bot: str | None = None  # the id of the bot that it came with


@dataclass(slots=True, eq=False)
class Member:
    user: User
    roles: list[str]
    joined_at: float


@dataclass(slots=True, eq=False)
class Attachment:
    id: str
    filename: str
    content: bytes
    content_type: str | None
    url: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A message as it stood at one time."""

    content: str
    embeds: list[JSON]
    components: list[JSON]
    at: float

    @property
    def text(self) -> str:
        return visible_text(self.content, self.embeds, self.components)


@dataclass(slots=True, eq=False, repr=False)
class Message:
    id: str
    channel: "Channel"
    author: User
    at: float
    content: str = ""
    embeds: list[JSON] = field(default_factory=list)
    components: list[JSON] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    flags: int = 0
    kind: int = 0
    edited_at: float | None = None
    deleted: bool = False
    nonce: str | None = None
    reply_to: "Message | None" = None
    thread: "Channel | None" = None
    mentions: list[User] = field(default_factory=list)
    mention_roles: list[str] = field(default_factory=list)
    mention_everyone: bool = False
    pings: list[str] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)  # emoji -> ids of users
    via_interaction: JSON | None = None
    only_for: User | None = None  # an ephemeral message is seen by one person
    loading: bool = False
    history: list[Snapshot] = field(default_factory=list)  # first to latest, the first as posted

    def __repr__(self) -> str:
        return f"<Message {self.id} by {self.author.name}: {self.text[:80]!r}>"

    @property
    def text(self) -> str:
        """All that can be read in it: content, embeds and text displays, top to bottom."""
        return visible_text(self.content, self.embeds, self.components)

    @property
    def edits(self) -> int:
        return max(0, len(self.history) - 1)

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def buttons(self) -> dict[str, str]:
        """Label (or emoji) -> custom_id of every button one can click."""
        return {
            part.get("label") or str((part.get("emoji") or {}).get("name")): part["custom_id"]
            for part in walk(self.components)
            if part["type"] == 2 and "custom_id" in part and not part.get("disabled")
        }

    def keep(self, at: float) -> None:
        """Add how it stands now to its history."""
        self.history.append(Snapshot(self.content, self.embeds, self.components, at))


@dataclass(slots=True, eq=False, repr=False)
class Channel:
    id: str
    kind: int
    name: str
    guild: "GuildState | None"
    created_at: float
    parent: "Channel | None" = None
    owner_id: str | None = None
    recipient: User | None = None
    topic: str | None = None
    position: int = 0
    slowmode: int = 0
    overwrites: list[JSON] = field(default_factory=list)
    tags: list[JSON] = field(default_factory=list)
    applied_tags: list[str] = field(default_factory=list)
    archived: bool = False
    locked: bool = False
    invitable: bool = True
    auto_archive_minutes: int = 4320
    archive_changed_at: float = 0.0
    last_activity_at: float = 0.0
    members: set[str] = field(default_factory=set)
    posts: dict[str, Message] = field(default_factory=dict)  # every message ever, the deleted too
    names: list[str] = field(default_factory=list)  # every name it had
    deleted: bool = False

    def __repr__(self) -> str:
        return f"<Channel {self.id} {self.name!r} of type {self.kind}>"

    @property
    def is_thread(self) -> bool:
        return self.kind in {PUBLIC_THREAD, PRIVATE_THREAD}

    @property
    def messages(self) -> list[Message]:
        """Those on screen now, oldest first."""
        return [message for message in self.posts.values() if not message.deleted]

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.messages]


@dataclass(slots=True, eq=False, repr=False)
class GuildState:
    id: str
    name: str
    owner: User
    premium_tier: int = 0  # how far people have boosted it
    roles: dict[str, Role] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Guild {self.id} {self.name!r}>"

    @property
    def threads(self) -> list[Channel]:
        return [channel for channel in self.channels.values() if channel.is_thread and not channel.deleted]


class World:
    """All guilds and direct messages of one double."""

    def __init__(self, clock: Clock, *, bot_name: str) -> None:
        self.clock = clock
        self.ids = Snowflakes(clock)
        self.users: dict[str, User] = {}
        self.guilds: dict[str, GuildState] = {}
        self.channels: dict[str, Channel] = {}
        self.bot = self.add_user(bot_name, bot=True)
        self.app_id = self.bot.id
        self.attachments: dict[str, Attachment] = {}

    def add_user(self, name: str, *, bot: bool = False) -> User:
        user = User(self.ids.new(), name, bot)
        self.users[user.id] = user
        return user

    def add_guild(self, name: str, *, bot_permissions: int = BOT_DEFAULT) -> GuildState:
        guild = GuildState(self.ids.new(), name, self.add_user(f"{name}-owner"))
        guild.roles[guild.id] = Role(guild.id, "@everyone", EVERYONE_DEFAULT)
        role = self.add_role(guild, self.bot.name, bot_permissions)
        role.of_bot = self.bot.id
        self.join(guild, guild.owner, [])
        self.join(guild, self.bot, [role.id])
        self.guilds[guild.id] = guild
        return guild

    def add_role(self, guild: GuildState, name: str, permissions: int = 0) -> Role:
        role = Role(self.ids.new(), name, permissions, len(guild.roles))
        guild.roles[role.id] = role
        return role

    def join(self, guild: GuildState, user: User, roles: list[str]) -> Member:
        member = Member(user, roles, self.clock.now())
        guild.members[user.id] = member
        return member

    def add_channel(self, guild: GuildState | None, name: str, kind: int, **more: Any) -> Channel:
        now = self.clock.now()
        channel = Channel(more.pop("id", None) or self.ids.new(), kind, name, guild, now, **more)
        channel.names.append(name)
        channel.last_activity_at = channel.archive_changed_at = now
        self.channels[channel.id] = channel
        if guild is not None:
            guild.channels[channel.id] = channel
        return channel

    def dm_with(self, user: User) -> Channel:
        for channel in self.channels.values():
            if channel.kind == DM and channel.recipient is user:
                return channel
        return self.add_channel(None, user.name, DM, recipient=user)

    def messages(self) -> Iterator[Message]:
        for channel in self.channels.values():
            yield from channel.posts.values()

    @staticmethod
    def deny(channel: Channel, who: str, *permissions: str) -> None:
        """Take permissions from a member (by user id) or a role (by role id) in one channel."""
        guild = channel.guild
        kind = 0 if guild is not None and who in guild.roles else 1
        bits = 0
        for name in permissions:
            bits |= by_name(name)
        channel.overwrites.append({"id": who, "type": kind, "allow": "0", "deny": str(bits)})


def walk(components: list[JSON]) -> Iterator[JSON]:
    """Every component, the nested ones after their parents, in the order they are shown."""
    for component in components:
        yield component
        yield from walk(component.get("components") or [])
        for key in ("component", "accessory"):
            if isinstance(inner := component.get(key), dict):
                yield from walk([inner])


def visible_text(content: str, embeds: list[JSON], components: list[JSON]) -> str:
    """What a reader sees as text: content, then embeds, then text displays."""
    parts = [content]
    for embed in embeds:
        parts += [embed.get("title") or "", embed.get("description") or ""]
        for row in embed.get("fields") or []:
            parts += [row["name"], row["value"]]
        parts.append((embed.get("footer") or {}).get("text") or "")
    parts += [str(part.get("content", "")) for part in walk(components) if part["type"] == 10]
    return "\n".join(part for part in parts if part)
