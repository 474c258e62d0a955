"""What people ask with buttons, menus, forms and commands, as values. Pure: what is not understood is None.

Shapes: https://docs.discord.com/developers/interactions/receiving-and-responding. Buttons, menus and the forms that
they open speak the language of `core/surfaces/presses.py`, so that any process can take them in, after any restart.
Next: `answering.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from bots.discord.parse import Person, files_of, guild_of, person_of
from core.domain.chat import Place, Platform
from core.domain.message import FileIn
from core.surfaces.presses import Press, Verb, decode

log = structlog.get_logger(__name__)
JSON = Mapping[str, Any]
ASK_ABOUT: Final = "Ask Threadwork"
# The form of that command; behind it stands the message's id.
ABOUT: Final = "tw-about:"
_SLASH, _MESSAGE_MENU = 1, 3
_TEXT_INPUT: Final = 4
_THREADS: Final = frozenset({10, 11, 12})


@dataclass(frozen=True, slots=True)
class Where:
    """Who asks, where, and by which token Discord wants its answer. `parent` is the channel that a thread is in."""

    id: str
    token: str
    guild: str
    channel: str
    parent: str | None
    person: Person

    @property
    def is_thread(self) -> bool:
        """Whether it is a thread."""
        return self.parent is not None

    @property
    def place(self) -> Place:
        """The place that the thread is."""
        return Place(Platform.DISCORD, self.guild, self.parent or self.channel, self.channel)


@dataclass(frozen=True, slots=True)
class Pressed:
    """A click on one of our buttons, or a choice in a menu: options by question."""

    where: Where
    press: Press
    chosen: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Submitted:
    """A form of ours, filled in. `press` opened it; `about` is the message instead, for `ASK_ABOUT`."""

    where: Where
    press: Press | None
    about: str | None
    texts: Mapping[str, str]
    chosen: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Commanded:
    """A slash command: its verb and its options, of which files are apart."""

    where: Where
    verb: str
    options: Mapping[str, str]
    files: tuple[FileIn, ...] = ()


@dataclass(frozen=True, slots=True)
class Completing:
    """Somebody types into an option of a slash command, and wants to know what there is."""

    where: Where
    verb: str
    option: str
    typed: str


@dataclass(frozen=True, slots=True)
class AskedAbout:
    """The command in a message's menu: ask the agent about this one."""

    where: Where
    message: str
    text: str


@dataclass(frozen=True, slots=True)
class Strange:
    """A click or a form that is none of ours, or none of this version's."""

    where: Where


Asked = Pressed | Submitted | Commanded | Completing | AskedAbout | Strange


def parse_interaction(data: JSON) -> Asked | None:
    """A click, a form or a command; None for one that asks for nothing, or that is malformed."""
    try:
        read = _READERS.get(data["type"])
        return None if read is None else read(_where(data), data["data"])
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, StopIteration) as error:
        log.warning("payload_not_understood", type="INTERACTION_CREATE", kind=data.get("type"), why=repr(error))
        return None


def _where(data: JSON) -> Where:
    member = data.get("member")
    user = member["user"] if member else data["user"]
    rights = int(member["permissions"]) if member and member.get("permissions") is not None else None
    channel = data.get("channel") or {}
    is_thread = channel.get("type") in _THREADS
    return Where(
        id=str(data["id"]),
        token=str(data["token"]),
        guild=guild_of(data),
        channel=str(data["channel_id"]),
        parent=str(channel["parent_id"]) if is_thread else None,
        person=person_of(user, member, rights),
    )


def _pressed(where: Where, data: JSON) -> Pressed | Strange:
    press = decode(str(data["custom_id"]))
    if press is None:
        return Strange(where)
    chosen = _options(press, data.get("values") or ())
    if press.verb is Verb.ANSWER and press.question is not None and press.option is not None:
        chosen = {press.question: (press.option,)}
    return Pressed(where, press, chosen)


def _submitted(where: Where, data: JSON) -> Submitted | Strange:
    custom_id = str(data["custom_id"])
    press = decode(custom_id)
    about = custom_id.removeprefix(ABOUT) if custom_id.startswith(ABOUT) else None
    if press is None and about is None:
        return Strange(where)
    fields = list(_fields(data["components"]))
    texts = {str(one["custom_id"]): str(one.get("value") or "").strip() for one in fields if one["type"] == _TEXT_INPUT}
    values = [value for one in fields for value in one.get("values") or ()]
    return Submitted(where, press, about, texts, _options(press, values) if press is not None else {})


def _fields(components: Sequence[JSON]) -> Iterator[JSON]:
    """The inputs of a form, in rows or under labels."""
    for row in components:
        if row.get("component"):
            yield row["component"]
        yield from row.get("components") or ()


def _options(about: Press, values: Sequence[Any]) -> dict[int, tuple[int, ...]]:
    """The options among values that are of the same question or questions, by question."""
    found: dict[int, list[int]] = {}
    for value in values:
        press = decode(str(value))
        if press is None or press.verb is not Verb.ANSWER or press.subject != about.subject:
            continue
        if press.question is not None and press.option is not None:
            found.setdefault(press.question, []).append(press.option)
    return {question: tuple(sorted(options)) for question, options in found.items()}


def _commanded(where: Where, data: JSON) -> Commanded | AskedAbout | None:
    if data["type"] == _MESSAGE_MENU and data["name"] == ASK_ABOUT:
        return _asked_about(where, data)
    if data["type"] != _SLASH:
        return None
    verb, options = _verb_of(data)
    attached = (data.get("resolved") or {}).get("attachments") or {}
    given = {str(one["name"]): str(one["value"]) for one in options}
    files = files_of({"attachments": [attached[value] for value in given.values() if value in attached]})
    return Commanded(where, verb, {name: value for name, value in given.items() if value not in attached}, files)


def _completing(where: Where, data: JSON) -> Completing:
    verb, options = _verb_of(data)
    typed = next(one for one in options if one.get("focused"))
    return Completing(where, verb, str(typed["name"]), str(typed["value"]))


def _verb_of(data: JSON) -> tuple[str, Sequence[JSON]]:
    verb = data["options"][0]
    return str(verb["name"]), verb.get("options") or ()


def _asked_about(where: Where, data: JSON) -> AskedAbout:
    message = data["resolved"]["messages"][data["target_id"]]
    return AskedAbout(where, str(message["id"]), str(message.get("content") or ""))


_READERS: Final[Mapping[int, Callable[[Where, JSON], Asked | None]]] = {
    2: _commanded,
    3: _pressed,
    4: _completing,
    5: _submitted,
}
