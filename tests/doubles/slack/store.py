"""The records of a made-up Slack: workspaces with their people, channels, messages, files, views and tokens.

Only values and look-ups; who may do what is in `web_api/`, what is sent to the app in `payloads.py`.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from tests.doubles.slack.clock import Clock
from tests.doubles.slack.errors import SlackError

JSON = dict[str, Any]
ChannelKind = Literal["channel", "group", "im"]

SCOPES = frozenset(
    [
        "app_mentions:read",
        "assistant:write",
        "channels:history",
        "channels:join",
        "channels:read",
        "chat:write",
        "commands",
        "files:read",
        "files:write",
        "groups:history",
        "groups:read",
        "im:history",
        "im:read",
        "im:write",
        "reactions:read",
        "reactions:write",
        "team:read",
        "users:read",
    ]
)


@dataclass(eq=False, slots=True)
class User:
    """A person or a bot user."""

    id: str
    name: str
    team: str
    bot_id: str | None = None
    is_admin: bool = False
    is_deleted: bool = False
    is_guest: bool = False

    @property
    def real_name(self) -> str:
        return self.name if self.bot_id else self.name.title()


@dataclass(eq=False, slots=True)
class File:
    """An uploaded file; `content` is None until the bytes came."""

    id: str
    name: str
    title: str
    mimetype: str
    user: str
    content: bytes | None
    length: int
    created: int
    is_complete: bool = True
    shares: list[tuple[str, str, str | None]] = field(default_factory=list)  # channel, ts, thread
    url: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """A message as it was from some moment on. `kind`: "posted", "edited" or "deleted"."""

    at: float
    kind: str
    text: str
    blocks: list[JSON]


@dataclass(eq=False, slots=True)
class Stream:
    """A message that is still being written."""

    started_at: float
    text: str = ""
    tasks: dict[str, JSON] = field(default_factory=dict)
    plan: str = ""
    blocks: list[JSON] = field(default_factory=list)
    state: Literal["open", "stopped", "stopped_by_user", "expired"] = "open"


@dataclass(eq=False, slots=True)
class Message:
    """A message now, with `history` of what it was. `files` are shown under it, `only_for` sees it alone."""

    ts: str
    channel: str
    team: str
    author: User
    text: str
    blocks: list[JSON]
    thread_ts: str | None = None
    subtype: str | None = None
    metadata: JSON | None = None
    attachments: list[JSON] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    edited_at: str | None = None
    is_deleted: bool = False
    is_tombstone: bool = False
    only_for: str | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)
    history: list[Version] = field(default_factory=list)
    stream: Stream | None = None

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts

    @property
    def elements(self) -> list[JSON]:
        """Every interactive element in the blocks, with its `block_id`."""
        return [one for block in self.blocks for one in interactive(block)]

    @property
    def shown(self) -> str:
        """All text a reader sees: that of the app's blocks when there are any."""
        return "\n".join(texts_of(self.blocks)) if self.blocks and self.author.bot_id else self.text

    def note(self, at: float, kind: str) -> None:
        self.history.append(Version(at, kind, self.text, list(self.blocks)))


@dataclass(eq=False, slots=True)
class Channel:
    """A conversation; `members` are user ids."""

    id: str
    name: str
    team: str
    kind: ChannelKind
    created: int
    members: set[str] = field(default_factory=set)
    messages: dict[str, Message] = field(default_factory=dict)
    is_archived: bool = False
    statuses: dict[str, JSON] = field(default_factory=dict)
    sessions: dict[str, JSON] = field(default_factory=dict)

    def message(self, ts: str) -> Message:
        found = self.messages.get(str(ts))
        if found is None or (found.is_deleted and not found.is_tombstone) or found.only_for:
            raise SlackError("message_not_found")
        return found

    def replies(self, ts: str) -> list[Message]:
        """Replies in a thread, oldest first, without the parent and without what only one person sees."""
        rows = [one for one in self.messages.values() if one.thread_ts == ts and one.is_reply]
        return sorted((one for one in rows if not one.is_deleted and not one.only_for), key=lambda one: one.ts)


@dataclass(eq=False, slots=True)
class View:
    """A modal or a home tab as it is on somebody's screen."""

    id: str
    user: str
    body: JSON
    hash: str
    root: str
    previous: str | None = None
    is_open: bool = True


@dataclass(eq=False, slots=True)
class Token:
    """An access token of one installation."""

    value: str
    team: str
    expires_at: float | None = None
    is_revoked: bool = False
    user: str | None = None  # whose it is, if not the app's


@dataclass(eq=False, slots=True)
class Team:
    """A workspace. `scopes` are those granted to the app."""

    id: str
    name: str
    bot: User
    scopes: set[str]
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    homes: dict[str, View] = field(default_factory=dict)
    is_installed: bool = True
    is_agent: bool = True

    def channel(self, number: object) -> Channel:
        found = self.channels.get(str(number))
        if found is None:
            raise SlackError("channel_not_found")
        return found

    def user(self, number: object) -> User:
        found = self.users.get(str(number))
        if found is None:
            raise SlackError("user_not_found")
        return found

    def dm_with(self, user: User) -> Channel | None:
        both = {user.id, self.bot.id}
        return next((one for one in self.channels.values() if one.kind == "im" and one.members == both), None)


class Store:
    """All workspaces, all tokens, and the numbering of everything."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.teams: dict[str, Team] = {}
        self.tokens: dict[str, Token] = {}
        self._count = 0

    def new_id(self, letter: str) -> str:
        self._count += 1
        return f"{letter}0{self._count:08X}"

    def find_channel(self, number: str) -> tuple[Team, Channel]:
        for team in self.teams.values():
            if number in team.channels:
                return team, team.channels[number]
        raise KeyError(number)


def interactive(block: JSON) -> list[JSON]:
    """The elements of a block that people can use."""
    rows = [block["accessory"]] if block.get("accessory") else []
    if block.get("type") in {"actions", "context_actions"}:
        rows += block.get("elements", [])
    if block.get("type") == "input":
        rows.append(block.get("element", {}))
    return [{**one, "block_id": block.get("block_id")} for one in rows if one.get("type") != "image"]


def texts_of(part: Any) -> list[str]:
    """All texts inside blocks, in reading order."""
    if isinstance(part, list):
        return [text for one in part for text in texts_of(one)]
    if not isinstance(part, dict):
        return []
    found: list[str] = []
    for key, value in part.items():
        if key in {"text", "title", "label", "alt_text", "details", "output"} and isinstance(value, str):
            found.append(value)
        elif key != "option_groups":
            found += texts_of(value)
    return found
