"""Reads off what an answer used, from a copy of its bytes, and never changes them.

A streaming answer says its usage in `message_start` and, cumulatively, in `message_delta`; another answer says it
in its one JSON object (Anthropic's "Streaming messages" page). What cannot be read counts as nothing rather than
stopping the answer. Next: `proxy.py`, which feeds it.
"""

import json
from dataclasses import dataclass, field
from typing import Any

LONGEST_LINE = 1 << 20
LONGEST_JSON = 32 << 20


@dataclass(frozen=True, slots=True)
class Metered:
    """One request of a chat to the model, finished or broken off; what it used is in tokens, times are seconds."""

    chat_id: str
    model: str
    status: int
    duration_s: float
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_tokens: int = 0
    cache_read_tokens: int = 0


@dataclass(slots=True)
class Meter:
    """Takes an answer's bytes as they come, cut anywhere, and knows the usage so far."""

    streaming: bool
    model: str = ""
    _usage: dict[str, int] = field(default_factory=dict)
    _rest: bytearray = field(default_factory=bytearray)
    _skipping: bool = False

    def feed(self, chunk: bytes) -> None:
        """Reads one more piece; costs little for a piece that says nothing of usage."""
        if not self.streaming:
            if len(self._rest) + len(chunk) <= LONGEST_JSON:
                self._rest += chunk
            return
        lines = chunk.split(b"\n")
        for n, part in enumerate(lines):
            if not self._skipping:
                self._rest += part
            if n < len(lines) - 1:
                # Text cannot hold this: inside a JSON string its quotes are escaped.
                if b'"usage"' in self._rest and self._rest.startswith(b"data:"):
                    self._read(self._rest[len(b"data:") :])
                self._rest.clear()
                self._skipping = False
            elif len(self._rest) > LONGEST_LINE:
                self._rest.clear()
                self._skipping = True

    def result(self, chat_id: str, status: int, duration_s: float) -> Metered:
        """What was used in all; to be called when no more bytes will come."""
        if not self.streaming and self._rest:
            self._read(self._rest)
        used = self._usage
        return Metered(
            chat_id=chat_id,
            model=self.model,
            status=status,
            duration_s=duration_s,
            input_tokens=used.get("input_tokens", 0),
            output_tokens=used.get("output_tokens", 0),
            cache_creation_tokens=used.get("cache_creation_input_tokens", 0),
            cache_read_tokens=used.get("cache_read_input_tokens", 0),
        )

    def _read(self, raw: bytes | bytearray) -> None:
        try:
            event: Any = json.loads(raw)
        except ValueError:
            return
        message = event.get("message") if isinstance(event, dict) and "message" in event else event
        if not isinstance(message, dict):
            return
        if isinstance(message.get("model"), str):
            self.model = message["model"]
        usage = message.get("usage")
        if isinstance(usage, dict):
            self._usage.update({name: n for name, n in usage.items() if isinstance(n, int) and n >= 0})
