"""Slack's way of writing a message, turned into what the person wrote. Pure.

Slack sends `<@U1>`, `<#C1|general>`, `<https://x|label>` and `&lt;` where people typed a name, a channel, a link and
a sign: https://docs.slack.dev/messaging/formatting-message-text. Next: `parse.py`.
"""

import html
import re
from collections.abc import Mapping
from typing import Final

_ENTITY: Final = re.compile(r"<([@#!][^<>]+|[A-Za-z][A-Za-z0-9+.-]*:[^<>]+)>")
_PERSON: Final = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")


def mentioned(text: str) -> tuple[str, ...]:
    """The ids of the people and bots a text mentions, each once, in order."""
    return tuple(dict.fromkeys(_PERSON.findall(text)))


def without_mention(text: str, user: str) -> str:
    """The text without the mentions of one user at its beginning."""
    return re.sub(rf"\A(?:\s*<@{re.escape(user)}(?:\|[^<>]*)?>[\s,:]*)+", "", text)


def readable(text: str, names: Mapping[str, str]) -> str:
    """The text as its author saw it. `names`: those of the people mentioned, by id."""
    made, end = "", 0
    for match in _ENTITY.finditer(text):
        made += html.unescape(text[end : match.start()]) + _entity(match[1], names)
        end = match.end()
    return made + html.unescape(text[end:])


def _entity(inner: str, names: Mapping[str, str]) -> str:
    what, _, label = inner.partition("|")
    label = html.unescape(label)
    match what[0]:
        case "@":
            return f"@{names.get(what[1:]) or label or what[1:]}"
        case "#":
            return f"#{label or what[1:]}"
        case "!":
            return _special(what[1:], label)
        case _:
            return _link(html.unescape(what), label)


def _special(what: str, label: str) -> str:
    if what.startswith(("date^", "subteam^")):
        return label or f"@{what.partition('^')[2]}"
    return f"@{what}"


def _link(url: str, label: str) -> str:
    bare = url.removeprefix("mailto:").removeprefix("tel:")
    is_typed = label.rstrip("/") in {bare.rstrip("/"), bare.partition("://")[2].rstrip("/")}
    return (label or bare) if not label or is_typed else f"{label} ({bare})"
