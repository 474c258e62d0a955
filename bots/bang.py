"""`!stop`, `!status` and the others: what people write to the bot itself, in the same words on every platform. Pure.

A line that begins with `!` and none of these words is a message like any other.
"""

import re
from dataclasses import dataclass
from typing import Final

from core.domain.chat import Busy, Place

NAMES: Final = frozenset({"stop", "status", "model", "mode", "queue", "mentions", "invite", "new", "help"})
_COMMAND: Final = re.compile(r"!(\w+)(?:\s+(.*))?\Z", re.DOTALL)
_CALLED: Final = re.compile(r"\A(?:\s*@\S+)+")
MODEL: Final = re.compile(r"[\w.:/@\[\]-]{1,100}")
QUEUE: Final = {
    "on": Busy.QUEUE,
    "off": Busy.STEER,
    "interrupt": Busy.INTERRUPT,
    "queue": Busy.QUEUE,
    "steer": Busy.STEER,
}


def is_aside(text: str) -> bool:
    """Whether a message is for people, and not for the agent, or a command to the bot."""
    found = _COMMAND.match(_CALLED.sub("", text).strip())
    return found is not None and (found[1].lower() == "aside" or found[1].lower() in NAMES)


@dataclass(frozen=True, slots=True)
class Command:
    """A command as written: its word, and what follows."""

    name: str
    rest: str
    user: str
    place: Place


def parse_bang(text: str, user: str, place: Place) -> Command | None:
    """A `!` command; None for what is none of ours."""
    found = _COMMAND.match(text.strip())
    if found is None or found[1].lower() not in NAMES:
        return None
    return Command(found[1].lower(), (found[2] or "").strip(), user, place)
