"""What Anthropic's Messages API asks of a request, as far as the CLI and the gateway could break it.

`broken_rules` gives each breach as a sentence; the real API answers the first one with a 400, and so does
`server.py`. Source: the Messages API reference (roles, tool use, versioning).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.doubles.anthropic.script import blocks_of

HOP_BY_HOP = ("connection", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade")


def broken_rules(headers: Mapping[str, str], body: Any, *, counting: bool = False) -> list[str]:
    """Each rule the request breaks; empty for a good one. `headers` has names in lower case."""
    if not isinstance(body, dict):
        return ["the body is not a JSON object"]
    return [*_of_headers(headers), *_of_fields(body, counting=counting), *_of_messages(body.get("messages"))]


def _of_headers(headers: Mapping[str, str]) -> Iterator[str]:
    if "anthropic-version" not in headers:
        yield "anthropic-version: header is required"
    if "json" not in headers.get("content-type", ""):
        yield "content-type: must be application/json"
    for name in ("proxy-authorization", "te", "upgrade"):
        if name in headers:
            yield f"{name}: a hop-by-hop header was passed on"


def _of_fields(body: Mapping[str, Any], *, counting: bool) -> Iterator[str]:
    if not isinstance(body.get("model"), str) or not body["model"]:
        yield "model: Field required"
    limit = body.get("max_tokens")
    if not counting and (not isinstance(limit, int) or limit < 1):
        yield "max_tokens: Field required"


def _of_messages(messages: Any) -> Iterator[str]:
    if not isinstance(messages, list) or not messages:
        yield "messages: at least one message is required"
        return
    if messages[0].get("role") != "user":
        yield "messages.0: the first message must use the user role"
    for n, message in enumerate(messages):
        role = message.get("role")
        if role not in {"user", "assistant", "system"}:
            yield f"messages.{n}: unexpected role {role!r}"
        for block in blocks_of(message):
            if block.get("type") == "text" and not block.get("text"):
                yield f"messages.{n}: text content blocks must be non-empty"
    yield from _of_tool_use(messages)


def _of_tool_use(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A call is answered in the next user turn, by its id, once; an answer has a call right before it."""
    open_calls: set[str] = set()
    seen: set[str] = set()
    in_answer = False
    for n, message in enumerate(messages):
        role = message.get("role")
        if role == "system":
            continue
        if role == "assistant":
            if in_answer and open_calls:
                yield f"messages.{n}: `tool_use` ids were found without `tool_result` blocks: {sorted(open_calls)}"
                open_calls = set()
            for block in blocks_of(message):
                if block.get("type") == "tool_use":
                    if block["id"] in seen:
                        yield f"messages.{n}: `tool_use` ids must be unique: {block['id']}"
                    seen.add(block["id"])
                    open_calls.add(block["id"])
            in_answer = False
            continue
        in_answer = True
        for block in blocks_of(message):
            if block.get("type") == "tool_result":
                if block.get("tool_use_id") not in open_calls:
                    yield f"messages.{n}: unexpected `tool_use_id` in `tool_result`: {block.get('tool_use_id')}"
                open_calls.discard(block.get("tool_use_id", ""))
    if open_calls:
        yield f"`tool_use` ids were found without `tool_result` blocks: {sorted(open_calls)}"
