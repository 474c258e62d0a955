"""What the script answers with: things it thinks, says, and tools it calls. Next: `plays.py`, `wire.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Think:
    text: str


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class Use:
    name: str
    input: Mapping[str, Any]


Answer = Sequence[Think | Say | Use]


def load(*names: str) -> Use:
    """The call that makes the CLI send the schemas of tools it only named so far."""
    return Use("ToolSearch", {"query": f"select:{','.join(names)}", "max_results": len(names)})


def run(command: str, why: str) -> Use:
    return Use("Bash", {"command": command, "description": why})
