"""Logging: one line an event, with the chat, turn and epoch it belongs to, and never what people wrote.

structlog for ours and for the libraries' records, to stderr, as text or JSON. Values that look like a credential are
cut out of every record, whoever logged it.
"""

import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
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
_ABOUT: Final = "_threadwork_about"


class Changing:
    """A value on every line of several tasks that changes while they live: bound once, set from any of them.

    A context variable that one task binds anew is not seen by tasks that were begun before.
    """

    def __init__(self) -> None:
        self.value = ""

    def __repr__(self) -> str:
        return self.value


@contextmanager
def about(**facts: object) -> Iterator[None]:
    """Put these on every line of the block, and on one that is logged later of an error that left it."""
    with structlog.contextvars.bound_contextvars(**facts):
        try:
            yield
        except Exception as error:
            setattr(error, _ABOUT, {**plainly(facts), **getattr(error, _ABOUT, {})})
            raise


def bound() -> Mapping[str, str]:
    """What is on every line here."""
    return plainly(structlog.contextvars.get_contextvars())


def plainly(facts: Mapping[str, object]) -> dict[str, str]:
    """The facts as they stand now: one that is `Changing` does not stay so."""
    return {name: str(value) for name, value in facts.items()}


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


class _Errors:
    """A structlog processor: a line that tells of an error says what the error is about, and `on_error` hears of it."""

    def __init__(self, on_error: Callable[[BaseException, Mapping[str, object]], None] | None) -> None:
        self._on_error = on_error

    def __call__(self, _logger: Any, _name: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        error = _error_in(record.get("exc_info"))
        if error is None:
            return record
        record.update({name: value for name, value in getattr(error, _ABOUT, {}).items() if not record.get(name)})
        if self._on_error is not None:
            # What a library calls its line may be a sentence with anything in it.
            theirs = record.get("_record")
            self._on_error(error, {**record, "event": theirs.name if theirs is not None else record.get("event")})
        return record


def _error_in(given: Any) -> BaseException | None:
    """The error of a record's `exc_info`, in each of its forms."""
    if given is True:
        return sys.exc_info()[1]
    found = given[1] if isinstance(given, tuple) else given
    return found if isinstance(found, BaseException) else None


def set_up(
    level: str = "info",
    style: str = "text",
    *,
    name: str = "",
    on_error: Callable[[BaseException, Mapping[str, object]], None] | None = None,
) -> None:
    """Send all logging to stderr.

    `level`: debug, info, warning or error. `style`: text or json. `name`: what this process is called. `on_error` is
    called with every error that is logged with its traceback, and what its line says.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _Errors(on_error),
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
