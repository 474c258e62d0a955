"""What may leave in a report of an error: a list of what is let through; everything else is dropped.

An error's words are never sent, since libraries put a query's parameters and a request's body there: a report has the
error's type, the code of one of ours, the places in the program it came through, and whose run it was. Pure.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

# Whose it is: `core/log.py` puts these on every line. `event` is the line's name, `process` the program's.
TAGS: Final = ("tenant", "chat", "turn", "epoch", "process", "event", "code")
# Ids, keys of chats and names of ours look so; a sentence does not.
_PLAIN: Final = re.compile(r"[\w.:@/-]{1,200}")
_EVENT: Final = ("event_id", "timestamp", "level", "platform", "release", "environment", "server_name", "sdk")
_FRAME: Final = ("filename", "abs_path", "function", "module", "lineno", "in_app")
# The program's own lines round the place: `include_source_context`.
_SOURCE: Final = ("context_line", "pre_context", "post_context")
_MECHANISM: Final = ("type", "handled", "exception_id", "parent_id", "is_exception_group")


def tags_of(facts: Mapping[str, object]) -> dict[str, str]:
    """The tags among what a log line says."""
    found = {name: str(facts[name]) for name in TAGS if name in facts}
    return {name: value for name, value in found.items() if _PLAIN.fullmatch(value)}


def kept_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a report: https://develop.sentry.dev/sdk/data-model/event-payloads/."""
    kept = _only(event, _EVENT)
    kept["tags"] = tags_of(event.get("tags") or {})
    errors = (event.get("exception") or {}).get("values") or ()
    kept["exception"] = {"values": [_error(error) for error in errors]}
    return kept


def _error(error: Mapping[str, Any]) -> dict[str, Any]:
    kept = _only(error, ("type", "module"))
    kept["mechanism"] = _only(error.get("mechanism") or {}, _MECHANISM)
    frames = (error.get("stacktrace") or {}).get("frames") or ()
    kept["stacktrace"] = {"frames": [_only(frame, (*_FRAME, *_SOURCE)) for frame in frames]}
    return kept


def _only(given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: given[name] for name in names if given.get(name) is not None}
