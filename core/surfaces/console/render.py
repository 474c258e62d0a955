"""A view as the console's threads keep it: structured, since only the terminal knows its width and colours.

Pure. `bots/console/screen.py` draws what is made here. Next: `client.py`.
"""

from collections.abc import Sequence
from typing import Any

from core.domain.approval import Approval, decided_words, questions_of
from core.domain.attachment import size_words
from core.domain.describe import command_of, diff_of
from core.domain.view import View
from core.ports import Payload


def render(view: View) -> Sequence[Payload]:
    """The one post of a turn."""
    body: dict[str, Any] = {
        "kind": "turn",
        "number": view.turn_number,
        "state": view.state.value,
        "status": view.status,
        "model": view.model,
        "tasks": [{"text": task.text, "state": task.state} for task in view.tasks],
        "steps": [
            {"line": step.line, "state": step.state.value, "output": step.output, "nested": step.parent is not None}
            for step in view.steps
        ],
        "hidden_steps": view.hidden_steps,
        "text": view.answer,
        "thinking": view.thinking,
        "notices": list(view.notices),
        "files": [{"name": file.name, "path": file.path, "size": file.size} for file in view.files],
        "error": view.error,
        "tokens": view.usage.total,
        "cost_usd": str(view.cost_usd),
        "duration_s": view.duration_s,
    }
    return [Payload(body)]


def render_file(name: str, data: bytes) -> Payload:
    """The post of a file, which stays in the sandbox: `threadwork files` prints it."""
    return Payload(
        {"kind": "file", "name": name, "size": len(data), "words": f"⇪ {name} ({size_words(len(data))})"},
        {name: data},
        is_file=True,
    )


def render_approval(approval: Approval) -> Sequence[Payload]:
    """The post of a question: everything a person must see to decide, nothing cut."""
    body: dict[str, Any] = {
        "kind": approval.kind.value,
        "approval": str(approval.id),
        "state": approval.state.value,
        "line": approval.line,
        "tool": approval.tool,
        "command": command_of(approval.tool, approval.input),
        "diff": diff_of(approval.tool, approval.input),
        "plan": str(approval.input.get("plan") or "") if approval.tool == "ExitPlanMode" else None,
        "questions": [
            {
                "text": question.text,
                "header": question.header,
                "multiple": question.is_multiple,
                "options": [{"label": option.label, "description": option.description} for option in question.options],
            }
            for question in questions_of(approval.input)
        ],
        "why": approval.why,
        "decided": decided_words(approval),
    }
    return [Payload(body)]
