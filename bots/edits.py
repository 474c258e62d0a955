"""What a person may change of what the agent asked for, as text: a command as it stands, any other input as JSON."""

import json
from typing import Any

from core.domain.approval import Approval
from core.domain.describe import command_of


def editable(approval: Approval) -> str:
    """What a person edits: a command as it stands, any other input as JSON."""
    if approval.tool == "Bash":
        return command_of(approval.tool, approval.input) or ""
    return json.dumps(approval.input, ensure_ascii=False, indent=2)


def with_edit(approval: Approval, text: str) -> dict[str, Any] | None:
    """The tool's input with a person's edit; None when it is not the JSON it must be."""
    if approval.tool == "Bash":
        return {**approval.input, "command": text} if text.strip() else None
    try:
        changed = json.loads(text)
    except ValueError:
        return None
    return changed if isinstance(changed, dict) else None
