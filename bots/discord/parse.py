"""What Discord's gateway sends about messages, as values. Pure: what is not understood is None, and never an error.

Shapes: https://docs.discord.com/developers/events/gateway-events. Clicks, forms and commands are in `asked.py`;
recorded payloads of all of them are replayed in the tests. Next: `listener.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from core.domain.message import FileIn

log = structlog.get_logger(__name__)
JSON = Mapping[str, Any]

# How Discord's own links name the server of a direct message.
DIRECT: Final = "@me"
# Messages that people write, replies among them; every other type is Discord telling of something: joins, pins.
_WRITTEN: Final = frozenset({0, 19})


@dataclass(frozen=True, slots=True)
class Person:
    """Who wrote or clicked. `rights` are their permissions where they did, if Discord says; else `roles` tell them."""

    id: str
    name: str
    roles: tuple[str, ...] = ()
    rights: int | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a person. `channel` is the channel or the thread that it stands in.

    `names`: those of the people mentioned in it, by id; `roles`: the roles. `is_mention`: of the app, also by a reply
    to it. `answers`: the message that it is a reply to.
    """

    guild: str
    channel: str
    id: str
    person: Person
    text: str
    names: Mapping[str, str] = field(default_factory=dict)
    files: tuple[FileIn, ...] = ()
    is_mention: bool = False
    roles: tuple[str, ...] = ()
    answers: JSON | None = None

    @property
    def is_direct(self) -> bool:
        """Whether it was written to the app alone."""
        return self.guild == DIRECT


@dataclass(frozen=True, slots=True)
class Edited:
    """A person changed the text of a message."""

    guild: str
    channel: str
    id: str
    person: Person
    text: str
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deleted:
    """Messages were taken away."""

    guild: str
    channel: str
    ids: tuple[str, ...]


Event = Said | Edited | Deleted


def parse_event(kind: str, data: JSON, me: str) -> Event | None:
    """The event, or None for one that is nothing to us or that is malformed. `me`: the app's own user."""
    read = _READERS.get(kind)
    if read is None:
        return None
    try:
        return read(data, me)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        log.warning("payload_not_understood", type=kind, why=repr(error))
        return None


def _said(data: JSON, me: str) -> Said | None:
    if _is_bots(data) or data["type"] not in _WRITTEN:
        return None
    return Said(
        guild=guild_of(data),
        channel=str(data["channel_id"]),
        id=str(data["id"]),
        person=person_of(data["author"], data.get("member")),
        text=_text_of(data),
        names=names_in(data),
        files=files_of(data) + tuple(file for one in _forwarded(data) for file in files_of(one)),
        roles=tuple(str(role) for role in data.get("mention_roles") or ()),
        answers=data.get("referenced_message"),
        is_mention=any(str(one["id"]) == me for one in data.get("mentions") or ()),
    )


def _text_of(data: JSON) -> str:
    """What was written, and what was forwarded with it."""
    texts = [str(data.get("content") or ""), *(str(one.get("content") or "") for one in _forwarded(data))]
    return "\n\n".join(text for text in texts if text)


def _forwarded(data: JSON) -> list[JSON]:
    return [one["message"] for one in data.get("message_snapshots") or ()]


def _edited(data: JSON, _me: str) -> Edited | None:
    # A link that Discord shows a preview of, and a thread under the message, change it, too.
    if not data.get("edited_timestamp") or _is_bots(data) or data.get("type") not in _WRITTEN:
        return None
    return Edited(
        guild=guild_of(data),
        channel=str(data["channel_id"]),
        id=str(data["id"]),
        person=person_of(data["author"], data.get("member")),
        text=str(data["content"]),
        names=names_in(data),
    )


def _deleted(data: JSON, _me: str) -> Deleted:
    ids = data["ids"] if "ids" in data else [data["id"]]
    return Deleted(guild_of(data), str(data["channel_id"]), tuple(str(one) for one in ids))


_READERS: Final[Mapping[str, Callable[[JSON, str], Event | None]]] = {
    "MESSAGE_CREATE": _said,
    "MESSAGE_UPDATE": _edited,
    "MESSAGE_DELETE": _deleted,
    "MESSAGE_DELETE_BULK": _deleted,
}


def guild_of(data: JSON) -> str:
    """The server something is from; `DIRECT` for none."""
    return str(data.get("guild_id") or DIRECT)


def person_of(user: JSON, member: JSON | None, rights: int | None = None) -> Person:
    """A person by what a payload says of the user, and of them as a member of the server."""
    known = member or {}
    names = (known.get("nick"), user.get("global_name"), user.get("username"))
    name = next((str(one).strip() for one in names if one and str(one).strip()), str(user["id"]))
    return Person(str(user["id"]), name, tuple(str(role) for role in known.get("roles") or ()), rights)


def names_in(data: JSON) -> dict[str, str]:
    """The names of the people whom a message mentions, by id."""
    return {str(one["id"]): person_of(one, one.get("member")).name for one in data.get("mentions") or ()}


def _is_bots(data: JSON) -> bool:
    return bool(data["author"].get("bot") or data.get("webhook_id"))


def files_of(data: JSON) -> tuple[FileIn, ...]:
    """The files that came with a message."""
    return tuple(
        FileIn(
            name=str(file.get("filename") or file["id"]),
            url=str(file["url"]),
            size=int(file.get("size") or 0),
            media_type=str(file.get("content_type") or "application/octet-stream").partition(";")[0].strip(),
        )
        for file in data.get("attachments") or ()
    )
