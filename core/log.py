"""Logging: one line an event, with the chat, turn and epoch it belongs to, and never what people wrote.

structlog for ours and for the libraries' records, to stderr, as text or JSON. Values that look like a credential are
cut out of every record, whoever logged it.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

_SECRET: Final = re.compile(
    r"(sk-ant-[\w-]{6,}|sk-[\w-]{16,}|xox[abeprs]-[\w-]{6,}|xapp-[\w-]{6,}|e2b_[\w]{8,}"
    r"|Bearer\s+[\w.~+/-]{12,}|\b[MN][\w-]{23,}\.[\w-]{6}\.[\w-]{20,})"
)
_HIDDEN: Final = "[hidden]"


def hide_secrets(_logger: Any, _name: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: replace what looks like a credential in any text of the record."""
    for key, value in record.items():
        if isinstance(value, str):
            record[key] = _SECRET.sub(_HIDDEN, value)
    return record


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
