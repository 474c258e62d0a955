"""The bytes of an answer: server-sent events for a streaming request, one JSON message for another.

`frames` yields what a streaming answer is made of, in order: bytes to send, or a step that is not bytes
(`Gate`, `Wait`, `Hang`, `Cut`) for the server to act on. Format: Anthropic's "Streaming messages" page.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.doubles.anthropic.script import Cut, Garbage, Gate, Hang, Refusal, Reply, Text, Thinking, ToolUse, Wait

DELTA_CHARS = 24
MOST_DELTAS = 400

Pause = Gate | Wait | Hang | Cut


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def message_of(reply: Reply, message_id: str, model: str) -> dict[str, Any]:
    """The whole message, as a request without `stream` gets it."""
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": reply.model or model,
        "content": reply.content,
        "stop_reason": reply.stop_reason,
        "stop_sequence": None,
        "usage": usage_of(reply),
    }


def usage_of(reply: Reply) -> dict[str, int]:
    counted = {"input_tokens": 100, "output_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {**counted, **reply.usage}


def frames(reply: Reply, message_id: str, model: str) -> Iterator[bytes | Pause]:
    """The stream of one reply: bytes, and the steps between them."""
    usage = usage_of(reply)
    opening = message_of(reply, message_id, model) | {"content": [], "stop_reason": None}
    yield event("message_start", message=opening | {"usage": usage | {"output_tokens": 1}})
    yield event("ping")
    index = 0
    for step in reply.steps:
        match step:
            case Gate() | Wait() | Hang() | Cut():
                yield step
            case Garbage(raw):
                yield raw.encode()
            case Refusal():
                yield event("error", error=step.body()["error"])
            case Text() | Thinking() | ToolUse():
                yield from _block(index, step)
                index += 1
    ending = {"stop_reason": reply.stop_reason, "stop_sequence": None}
    yield event("message_delta", delta=ending, usage={"output_tokens": usage["output_tokens"]})
    yield event("message_stop")


def _block(index: int, step: Text | Thinking | ToolUse) -> Iterator[bytes]:
    start: Mapping[str, Any]
    deltas: Iterator[Mapping[str, Any]]
    match step:
        case Text(text):
            start = {"type": "text", "text": ""}
            deltas = ({"type": "text_delta", "text": part} for part in _cut(text))
        case Thinking(text):
            start = {"type": "thinking", "thinking": "", "signature": ""}
            parts = [{"type": "thinking_delta", "thinking": part} for part in _cut(text)]
            deltas = iter([*parts, {"type": "signature_delta", "signature": f"signed-{index}"}])
        case ToolUse(name, given, tool_id):
            start = {"type": "tool_use", "id": tool_id, "name": name, "input": {}}
            deltas = ({"type": "input_json_delta", "partial_json": part} for part in _cut(json.dumps(dict(given))))
    yield event("content_block_start", index=index, content_block=start)
    for delta in deltas:
        yield event("content_block_delta", index=index, delta=delta)
    yield event("content_block_stop", index=index)


def _cut(text: str) -> Iterator[str]:
    size = max(DELTA_CHARS, len(text) // MOST_DELTAS)
    return (text[at : at + size] for at in range(0, len(text), size))
