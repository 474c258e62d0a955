"""Column types and values that take whatever an agent printed.

Postgres text knows no NUL and no lone surrogates, and `jsonb` neither, nor NaN; tool output has all of them now and
then, and one such character must not end a turn. So they are replaced on the way in. Next: `tables.py`.
"""

import json
import math
from typing import Any, Final

from sqlalchemy import DateTime, Numeric, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

Moment: Final = DateTime(timezone=True)
Money: Final = Numeric(18, 8)

_REPLACEMENT: Final = "\ufffd"


class PlainText(TypeDecorator[str]):
    """Text whose unstorable characters are replaced with U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's
        return None if value is None else storable(value)


def storable(text: str) -> str:
    """`text` without NUL and lone surrogates, which Postgres cannot hold."""
    if "\x00" in text:
        text = text.replace("\x00", _REPLACEMENT)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def dump_json(value: Any) -> str:
    """`value` as JSON that `jsonb` takes; NaN and infinities become null."""
    try:
        dumped = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        dumped.encode()
    except ValueError:
        return _dump_cleaned(value)
    # A NUL is dumped as this escape; so is a backslash before u0000, for which cleaning changes nothing.
    return _dump_cleaned(value) if "\\u0000" in dumped else dumped


def _dump_cleaned(value: Any) -> str:
    return json.dumps(_cleaned(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _cleaned(value: Any) -> Any:
    match value:
        case str():
            return storable(str(value))
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {storable(str(name)): _cleaned(item) for name, item in value.items()}
        case list() | tuple():
            return [_cleaned(item) for item in value]
        case _:
            return value
