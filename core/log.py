"""Logging: one line an event, with the chat, turn and epoch it belongs to, and never what people wrote.

structlog for ours and for the libraries' records, to stderr, as text or JSON. Values that look like a credential are
cut out of every record, whoever logged it.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog

# Keys of Anthropic and of others like it, Slack's and Discord's tokens, E2B's keys, what goes in a header, addresses
# that are secrets by themselves, and the passwords in the addresses of servers.
_SECRET: Final = re.compile(
    r"(sk-ant-[\w-]{6,}|sk-[\w-]{16,}|xox[a-z](?:\.xox[a-z])?-[\w-]{6,}|xapp-[\w-]{6,}|e2b_\w{8,}"
    r"|(?:Bearer|Basic|Bot)\s+[\w.~+/=-]{12,}|\b[MNO][\w-]{22,}\.[\w-]{6}\.[\w-]{20,}"
    r"|(?<=hooks\.slack\.com/)[^\s'\"]+|(?<=[?&]ticket=)[\w-]+|(?<=/webhooks/)\d+/[\w-]{20,}"
    r"|(?<=/interactions/)\d+/[\w-]{20,}|(?<=://)[^\s/@:'\"]*:[^\s/@'\"]+(?=@))"
)
# What is called so is hidden whatever it looks like: Slack's signing secrets, for one, look like any number.
_SECRET_NAME: Final = re.compile(
    r"(?:^|[_-])(?:token|secret|password|api[_-]?key|authorization|cookie)$", re.IGNORECASE
)
_HIDDEN: Final = "[hidden]"
_SAFE: Final = (bool, int, float, type(None))


class Changing:
    """A value on every line of several tasks that changes while they live: bound once, set from any of them.

    A context variable that one task binds anew is not seen by tasks that were begun before.
    """

    def __init__(self) -> None:
        self.value = ""

    def __repr__(self) -> str:
        return self.value


def hide_secrets(_logger: Any, _name: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: replace what looks like a credential, or is called one, anywhere in the record."""
    for key, value in record.items():
        # What begins so is structlog's own, and goes before the record is written.
        if not key.startswith("_"):
            record[key] = _hidden(key, value)
    return record


def _hidden(name: object, value: Any) -> Any:
    if isinstance(value, _SAFE):
        return value
    if isinstance(name, str) and value and _SECRET_NAME.search(name):
        return _HIDDEN
    if isinstance(value, str):
        return _SECRET.sub(_HIDDEN, value)
    if isinstance(value, Mapping):
        return {key: _hidden(key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden(None, inner) for inner in value]
    # An error, bytes, or some object that will be shown by its repr: kept as it is where that shows nothing.
    shown = repr(value)
    hidden = _SECRET.sub(_HIDDEN, shown)
    return value if hidden == shown else hidden


def set_up(level: str = "info", style: str = "text", *, name: str = "") -> None:
    """Send all logging to stderr.

    `level`: debug, info, warning or error. `style`: text or json. `name`: what this process is called.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    last: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, hide_secrets, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in (
        "httpx",
        "httpcore",
        "aiohttp.access",
        "e2b",
        "slack_bolt",
        "slack_sdk",
        "discord",
        "asyncio",
        "arq",
        "alembic",
    ):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    if name:
        structlog.contextvars.bind_contextvars(process=name)
