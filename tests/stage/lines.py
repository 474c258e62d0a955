"""The words of a scripted model: blocks of `tests.doubles.anthropic`, put short."""

from typing import Any

Block = dict[str, Any]
# The CLI ends a leading `sleep` at once, so what should take long is a loop that writes down how far it came.
ENDLESS = "n=0; while :; do n=$((n+1)); echo $n > count; python3 -c 'import time; time.sleep(0.05)'; done"


def says(text: str, *, size: int | None = None) -> Block:
    return {"text": text} if size is None else {"text": text, "size": size}


def calls(tool: str, **given: Any) -> Block:
    return {"tool": tool, "input": given}


def bash(command: str, **given: Any) -> Block:
    return calls("Bash", command=command, **given)


def at_gate(name: str) -> Block:
    """The answer stops here until the test opens the gate."""
    return {"gate": name}


def asks_person(question: str, *options: str) -> Block:
    labels = [{"label": option, "description": f"{option}, that is"} for option in options]
    return calls(
        "AskUserQuestion",
        questions=[{"question": question, "header": "Choice", "options": labels, "multiSelect": False}],
    )
