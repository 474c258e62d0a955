"""Makes what the agent's program says fit for storing: no NUL, no lone surrogates, no more than so many characters.

The database refuses NUL and surrogates in JSON, and nobody reads a megabyte of tool output. Next: `translate.py`.
"""

import json
import math
import re
import textwrap
from typing import Any, Final

MAX_INPUT_BYTES: Final = 20_000
MAX_OUTPUT_CHARS: Final = 4_000
_MAX_DEPTH: Final = 40
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_REMINDER: Final = re.compile(r"\s*<system-reminder>.*?</system-reminder>", re.DOTALL)
# A sub-agent's report comes in a frame of words for the model, and ends in its id.
_HAND_BACK: Final = re.compile(r"\[Subagent hand-back\].*?The report follows:\n(.*?)(?:\nagentId: .*)?\Z", re.DOTALL)
_ERROR_TAG: Final = re.compile(r"</?tool_use_error>")


def storable(text: str) -> str:
    """The text without what a database cannot keep."""
    return _UNSTORABLE.sub("\ufffd", text)


def head_and_tail(text: str, limit: int) -> str:
    """At most `limit` characters of a text: its beginning and its end, with a note of what is missing between."""
    if len(text) <= limit:
        return text
    note = f"\n… {len(text) - limit:,} characters left out …\n"
    room = max(0, limit - len(note))
    tail = room // 2
    return (text[: room - tail] + note + text[len(text) - tail :])[:limit]


def clipped_input(value: object) -> dict[str, Any]:
    """A tool's input as it is stored: an object of at most `MAX_INPUT_BYTES` of JSON, long texts cut in the middle."""
    if not isinstance(value, dict):
        return {}
    text = ""
    for limit in (MAX_INPUT_BYTES, 4_000, 1_000, 200):
        clipped = {str(_plain(name, 200, 0)): _plain(item, limit, 0) for name, item in value.items()}
        text = json.dumps(clipped, ensure_ascii=False)
        if len(text.encode()) <= MAX_INPUT_BYTES:
            return clipped
    return {"clipped": head_and_tail(text, MAX_OUTPUT_CHARS)}


def output_text(content: object) -> str:
    """A tool result's content as text: strings as they are, blocks one under the other, pictures by name only."""
    blocks = content if isinstance(content, list) else [content]
    text = "\n".join(part for block in blocks if (part := _block_text(block)))
    text = _ERROR_TAG.sub("", _REMINDER.sub("", text))
    if found := _HAND_BACK.search(text):
        text = textwrap.dedent(found[1])
    return head_and_tail(storable(text), MAX_OUTPUT_CHARS)


def _block_text(block: object) -> str:
    if isinstance(block, str):
        return block
    if not isinstance(block, dict):
        return ""
    if isinstance(text := block.get("text"), str):
        return text
    kind = block.get("type")
    source = block.get("source")
    if isinstance(source, dict):
        media, data = source.get("media_type"), source.get("data")
        size = f", {len(data) * 3 // 4:,} bytes" if isinstance(data, str) else ""
        return f"[{kind}: {media or 'unknown'}{size}]"
    name = block.get("tool_name") or block.get("name") or block.get("title") or ""
    return f"[{kind}{': ' + name if isinstance(name, str) and name else ''}]" if isinstance(kind, str) else ""


def _plain(value: object, limit: int, depth: int) -> Any:  # noqa: PLR0911 - one return per kind of value
    if depth > _MAX_DEPTH:
        return "…"
    match value:
        case str():
            return head_and_tail(storable(value), limit)
        case bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case dict():
            return {str(_plain(str(name), 200, 0)): _plain(item, limit, depth + 1) for name, item in value.items()}
        case list():
            return [_plain(item, limit, depth + 1) for item in value]
        case _:
            return str(value)
