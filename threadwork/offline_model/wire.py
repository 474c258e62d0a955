"""Anthropic's format of an answer, streamed in small pieces at a pace people can watch, or whole.

Format: the "Streaming messages" and "Messages" pages of Anthropic's API reference. Next: `server.py`.
"""

import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from threadwork.offline_model import MODEL
from threadwork.offline_model.answer import Answer, Say, Think, Use

CHARS_PER_TOKEN = 4
SIGNATURE = "offline"


def usage_of(answer: Answer, asked_chars: int, *, is_first: bool) -> dict[str, int]:
    """Token counts of a size that fits: a conversation's beginning is written to the cache, then read from it."""
    sent = asked_chars // CHARS_PER_TOKEN
    said = sum(len(json.dumps(dict(p.input))) if isinstance(p, Use) else len(p.text) for p in answer)
    fresh = min(sent, 200)
    return {
        "input_tokens": fresh,
        "cache_creation_input_tokens": sent - fresh if is_first else 0,
        "cache_read_input_tokens": 0 if is_first else sent - fresh,
        "output_tokens": max(1, said // CHARS_PER_TOKEN),
    }


def whole_message(answer: Answer, usage: Mapping[str, int]) -> dict[str, Any]:
    """The answer as one JSON object."""
    blocks = [_finished(part) for part in answer]
    return _message(usage) | {"content": blocks, "stop_reason": _stop_reason(answer)}


def stream(answer: Answer, usage: Mapping[str, int]) -> Iterator[bytes]:
    """The answer as server-sent events, one piece for each write."""
    yield _event("message_start", message=_message({**usage, "output_tokens": 1}))
    yield _event("ping")
    for index, part in enumerate(answer):
        finished = _finished(part)
        yield _event("content_block_start", index=index, content_block=finished | _empty(part))
        for delta in _deltas(part):
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    ending = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
    yield _event("message_delta", delta=ending, usage={"output_tokens": usage["output_tokens"]})
    yield _event("message_stop")


def _empty(part: Think | Say | Use) -> dict[str, Any]:
    match part:
        case Think():
            return {"thinking": "", "signature": ""}
        case Say():
            return {"text": ""}
        case Use():
            return {"input": {}}


def _deltas(part: Think | Say | Use) -> Iterator[Mapping[str, Any]]:
    match part:
        case Think(text):
            yield from ({"type": "thinking_delta", "thinking": piece} for piece in _pieces(text))
            yield {"type": "signature_delta", "signature": SIGNATURE}
        case Say(text):
            yield from ({"type": "text_delta", "text": piece} for piece in _pieces(text))
        case Use(_, given):
            written = json.dumps(dict(given))
            yield from ({"type": "input_json_delta", "partial_json": piece} for piece in _pieces(written))


def _message(usage: Mapping[str, int]) -> dict[str, Any]:
    return {
        "id": f"msg_offline_{secrets.token_hex(8)}",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": dict(usage),
    }


def _finished(part: Think | Say | Use) -> dict[str, Any]:
    match part:
        case Think(text):
            return {"type": "thinking", "thinking": text, "signature": SIGNATURE}
        case Say(text):
            return {"type": "text", "text": text}
        case Use(name, given):
            return {
                "type": "tool_use",
                "id": f"toolu_offline_{secrets.token_hex(8)}",
                "name": name,
                "input": dict(given),
            }


def _stop_reason(answer: Answer) -> str:
    return "tool_use" if any(isinstance(part, Use) for part in answer) else "end_turn"


def _pieces(text: str) -> Sequence[str]:
    """A word or so each, about the size of a model's own deltas."""
    return re.findall(r"\s*\S{1,12}\s*|\s+", text)


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
