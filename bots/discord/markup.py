"""Discord's way of writing a message, turned into what the person wrote. Pure.

Discord sends `<@1>`, `<#2>`, `<@&3>` and `<:name:4>` where people chose a name, a channel, a role and an emoji:
https://docs.discord.com/developers/reference#message-formatting. Next: `parse.py`.
"""

import re
from collections.abc import Mapping
from typing import Final

_MARK: Final = re.compile(r"<(@!?|@&|#)(\d+)>|<a?:(\w+):\d+>|</([^:<>\n]{1,100}):\d+>")
_PERSON: Final = re.compile(r"<@!?(\d+)>")
_NAMED: Final = re.compile(r"<(?:@&|#)(\d+)>")


def mentioned(text: str) -> tuple[str, ...]:
    """The ids of the people and bots a text mentions, each once, in order."""
    return tuple(dict.fromkeys(_PERSON.findall(text)))


def roles_and_channels(text: str) -> tuple[str, ...]:
    """The ids of the roles and channels a text names."""
    return tuple(dict.fromkeys(_NAMED.findall(text)))


def without_mention(text: str, user: str) -> str:
    """The text without the mentions of one user at its beginning."""
    return re.sub(rf"\A(?:\s*<@!?{re.escape(user)}>[\s,:]*)+", "", text)


def readable(text: str, names: Mapping[str, str]) -> str:
    """The text as its author saw it. `names`: those of people, roles and channels, by id."""
    return _MARK.sub(lambda found: _shown(found, names), text)


def _shown(found: re.Match[str], names: Mapping[str, str]) -> str:
    sign, number, emoji, command = found.groups()
    if emoji:
        return f":{emoji}:"
    if command:
        return f"/{command}"
    return f"{sign[0]}{names.get(number, number)}"
