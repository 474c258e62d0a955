"""What was said in a thread before the agent was called into it, as the agent reads it. Pure.

It stands behind the message that called the agent, so an edit of that message leaves it as it is. Each platform's
`context.py` reads what was said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bots.bang import is_aside

HEADING: Final = "\n\n[Said in this thread before, oldest first]\n"
MOST_CHARS: Final = 12_000


@dataclass(frozen=True, slots=True)
class Line:
    """One earlier message."""

    name: str
    text: str


def with_context(text: str, lines: Sequence[Line]) -> str:
    """A message with what was said before it: as many of the newest lines as fit."""
    lines = [line for line in lines if not is_aside(line.text)]
    kept: list[str] = []
    room = MOST_CHARS
    for line in reversed(lines):
        shown = f"{line.name}: {line.text}"
        if len(shown) > room:
            kept.append(f"… {len(lines) - len(kept)} earlier messages are left out …")
            break
        room -= len(shown) + 1
        kept.append(shown)
    return text + HEADING + "\n".join(reversed(kept)) if kept else text


def with_new_text(before: str, text: str) -> str:
    """An edited message: new words, the same context."""
    _old, heading, rest = before.partition(HEADING)
    return text + heading + rest
