"""What the double answers: the values of a script, its JSON form, and which part of it comes next.

A script inside a prompt is `@@[[block, …], …]@@`: a list of API responses, each a list of blocks. Blocks:
`{"text": "…"}` (with `"size": n` it is repeated up to n characters), `{"thinking": "…"}`,
`{"tool": "Bash", "input": {…}}`, `{"gate": "name"}`, `{"wait": seconds}`, `{"delay": seconds between deltas}`,
`{"hang": true}`, `{"cut": true}`, `{"garbage": "raw bytes of the stream"}`,
`{"status": 529, "message": "…", "kind": "overloaded_error", "retry_after": 0}`.
The faults (`hang`, `cut`, `garbage`, `status`) take `"times": n` (1 unless given): from the n+1st attempt at the same
response on they are left out, so that a client's retry can succeed; `"times": 0` means always.
Next: `server.py`, which plays them.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

SCRIPT = re.compile(r"@@(\[\[.*?\]\])@@", re.DOTALL)
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    text: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    name: str
    input: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """The response stops here until the test opens the gate of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing more comes, and the connection stays open until the client leaves."""

    times: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is closed here, mid-answer."""

    times: int = 0


@dataclass(frozen=True, slots=True)
class Garbage:
    """These characters are put into the stream as they are."""

    raw: str
    times: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer. In a queue it counts once; as a block, `times` attempts (0: always)."""

    status: int
    message: str = "scripted refusal"
    kind: str = ""
    retry_after_s: float | None = None
    times: int = 0

    def body(self) -> dict[str, Any]:
        kind = self.kind or KINDS.get(self.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": self.message}, "request_id": "req_double"}


Step = Text | Thinking | ToolUse | Gate | Wait | Hang | Cut | Garbage | Refusal
FAULTS = (Hang, Cut, Garbage, Refusal)


@dataclass(frozen=True, slots=True)
class Reply:
    """One API response, played step by step; `Gate`, `Wait`, `Hang` and `Cut` at its start come before the headers."""

    steps: Sequence[Step]
    delay_s: float = 0.0
    usage: Mapping[str, int] = field(default_factory=dict)
    model: str = ""

    @property
    def content(self) -> list[dict[str, Any]]:
        """The content blocks of the finished message."""
        blocks: list[dict[str, Any]] = []
        for n, step in enumerate(self.steps):
            match step:
                case Text(text):
                    blocks.append({"type": "text", "text": text})
                case Thinking(text):
                    blocks.append({"type": "thinking", "thinking": text, "signature": f"signed-{n}"})
                case ToolUse(name, given, tool_id):
                    blocks.append({"type": "tool_use", "id": tool_id, "name": name, "input": dict(given)})
                case _:
                    pass
        return blocks

    @property
    def stop_reason(self) -> str:
        return "tool_use" if any(isinstance(step, ToolUse) for step in self.steps) else "end_turn"

    @property
    def opening(self) -> Sequence[Step]:
        """The steps that come before anything is sent."""
        return tuple(itertools.takewhile(lambda s: isinstance(s, Gate | Wait | Hang | Cut), self.steps))

    def at_attempt(self, attempt: int) -> "Reply":
        """This reply without the faults that were only for earlier attempts (the first is 1)."""
        steps = tuple(s for s in self.steps if not (isinstance(s, FAULTS) and 0 < s.times < attempt))
        return Reply(steps, self.delay_s, self.usage, self.model)


def text_reply(text: str, *, delay_s: float = 0.0) -> Reply:
    return Reply((Text(text),), delay_s)


def tool_reply(name: str, *, text: str = "", **given: Any) -> Reply:
    return Reply((*((Text(text),) if text else ()), ToolUse(name, given)))


def script_prompt(*responses: Sequence[Mapping[str, Any]], say: str = "") -> str:
    """A prompt that carries its own script; `say` stands before it."""
    return f"{say} @@{json.dumps([list(r) for r in responses])}@@".strip()


def parse_reply(blocks: Sequence[Mapping[str, Any]]) -> Reply:
    """One response in JSON form as a value; ValueError when a block has none of the known keys."""
    steps: list[Step] = []
    delay_s = 0.0
    for block in blocks:
        times = int(block.get("times", 1))
        match block:
            case {"tool": str(name)}:
                steps.append(ToolUse(name, block.get("input", {}), block.get("id", "")))
            case {"text": str(text)}:
                size = int(block.get("size", len(text)))
                steps.append(Text((text * (size // max(len(text), 1) + 1))[:size]))
            case {"thinking": str(text)}:
                steps.append(Thinking(text))
            case {"gate": str(name)}:
                steps.append(Gate(name))
            case {"wait": seconds}:
                steps.append(Wait(float(seconds)))
            case {"delay": seconds}:
                delay_s = float(seconds)
            case {"hang": _}:
                steps.append(Hang(times))
            case {"cut": _}:
                steps.append(Cut(times))
            case {"garbage": str(raw)}:
                steps.append(Garbage(raw, times))
            case {"status": status}:
                steps.append(_refusal(int(status), block, times))
            case _:
                raise ValueError(f"no such block in a script: {dict(block)!r}")
    return Reply(tuple(steps), delay_s)


def _refusal(status: int, block: Mapping[str, Any], times: int) -> Refusal:
    return Refusal(
        status, block.get("message", "scripted refusal"), block.get("kind", ""), block.get("retry_after"), times
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a conversation stands in the last script it holds; `at` is the index of the message that holds it."""

    script: str
    number: int
    at: int


def find_place(messages: Sequence[Mapping[str, Any]]) -> Place | None:
    """The script of the running turn and the index of the response that is due, from the messages alone.

    A script counts from the message that holds it; every later answer to tool calls moves one on. A text that
    steers between tool calls changes nothing, unless it holds a script of its own. A message after the last
    answer of a turn begins a new turn, and without a script there is none. When a stream broke, the CLI sends what
    it got and asks to resume: that is another attempt at the same response.
    """
    place: Place | None = None
    ended, asked = False, False
    for at, message in enumerate(messages):
        blocks = list(blocks_of(message))
        if message.get("role") == "assistant":
            asked = any(b.get("type") == "tool_use" for b in blocks)
            ended = not asked
            continue
        found = [s for b in blocks if b.get("type") == "text" for s in SCRIPT.findall(b.get("text", ""))]
        if found:
            place, ended, asked = Place(found[-1], 0, at), False, False
        elif asked and any(b.get("type") == "tool_result" for b in blocks):
            place, asked = place and replace(place, number=place.number + 1), False
        elif ended and message.get("role") == "user" and not _goes_on(blocks):
            place, ended = None, False
    return place


def blocks_of(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    content = message.get("content", "")
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    elif isinstance(content, list):
        yield from (b for b in content if isinstance(b, dict))


def _goes_on(blocks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a user message begins no turn: the CLI's own reminders and requests to resume, and our note after a restart."""
    own = (
        "<system-reminder>",
        "Your response above was cut off mid-stream",
        "[Threadwork] Your program was interrupted",
    )
    return all(str(b.get("text", "")).lstrip().startswith(own) for b in blocks)
