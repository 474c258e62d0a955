"""A question the agent asks a person, and the decision.

Three kinds: may I use this tool, do you agree with this plan, which of these options. A decision is a value that
`worker/agent/questions.py` turns into the agent's answer. Next: `policy.py`, which says what is asked at all.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

from core.domain.chat import ChatId
from core.domain.states import ApprovalState

ApprovalId = NewType("ApprovalId", UUID)


class ApprovalKind(StrEnum):
    """What is asked."""

    TOOL = "tool"
    PLAN = "plan"
    QUESTION = "question"


class Verdict(StrEnum):
    """What a person can say to a question.

    `ALWAYS` allows and makes a rule for this chat; `ACCEPT_EDITS` is a plan's "approve, and accept edits".
    """

    ALLOW = "allow"
    ALWAYS = "always"
    ACCEPT_EDITS = "accept_edits"
    DENY = "deny"

    @property
    def is_yes(self) -> bool:
        """Whether the agent goes on with what it asked for."""
        return self is not Verdict.DENY


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided.

    `reason` goes to the agent with a denial. `updated_input` replaces the tool's input and really runs.
    `answers` maps a question's text to the chosen label, several joined by `, `, or to free text.
    """

    verdict: Verdict
    reason: str = ""
    updated_input: dict[str, Any] | None = None
    answers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a question."""

    label: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of an AskUserQuestion call."""

    text: str
    header: str
    options: tuple[Option, ...]
    is_multiple: bool = False


@dataclass(frozen=True, slots=True)
class Approval:
    """A question as stored, keyed by (chat, tool_use_id).

    `input` is the tool's whole input; `suggestions` are the agent's own proposals for a lasting rule.
    """

    id: ApprovalId
    chat_id: ChatId
    turn_id: UUID
    tool_use_id: str
    kind: ApprovalKind
    tool: str
    input: dict[str, Any]
    line: str
    state: ApprovalState
    asked_at: datetime
    suggestions: tuple[dict[str, Any], ...] = ()
    why: str = ""
    decision: Decision | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A lasting permission a person gave in a chat: a tool, and which of its calls (`None`: all).

    `pattern` is the agent's rule content, for Bash a command or `prefix *`.
    """

    tool: str
    pattern: str | None = None

    def __str__(self) -> str:
        """As the agent's own settings write it: `Bash(git status)`."""
        return self.tool if self.pattern is None else f"{self.tool}({self.pattern})"


def questions_of(tool_input: dict[str, Any]) -> tuple[Question, ...]:
    """Read an AskUserQuestion input; what is malformed in it is left out."""
    found = []
    for raw in tool_input.get("questions") or ():
        if not isinstance(raw, dict) or not isinstance(raw.get("question"), str):
            continue
        options = tuple(
            Option(str(option.get("label", "")), str(option.get("description") or ""))
            for option in raw.get("options") or ()
            if isinstance(option, dict) and option.get("label")
        )
        found.append(
            Question(raw["question"], str(raw.get("header") or ""), options, bool(raw.get("multiSelect", False)))
        )
    return tuple(found)


def decided_words(approval: Approval) -> str:
    """How a settled question reads: `Ann allowed this.`; for an open one, an empty text."""
    who = approval.decided_by or "A rule of this chat"
    match approval.state:
        case ApprovalState.PENDING:
            return ""
        case ApprovalState.WITHDRAWN:
            return "No longer needed."
        case ApprovalState.DENIED:
            reason = approval.decision.reason if approval.decision else ""
            return f"{who} denied this{': ' + reason if reason else '.'}"
        case ApprovalState.ALLOWED:
            return _allowed_words(who, approval.decision)


def _allowed_words(who: str, decision: Decision | None) -> str:
    if decision is None:
        return f"{who} allowed this."
    if decision.answers:
        return f"{who} answered: " + "; ".join(f"{answer}" for answer in decision.answers.values())
    if decision.verdict is Verdict.ALWAYS:
        return f"{who} allowed this, and the like in this thread."
    if decision.verdict is Verdict.ACCEPT_EDITS:
        return f"{who} approved the plan and accepts edits."
    if decision.updated_input is not None:
        return f"{who} allowed this with changes."
    return f"{who} allowed this."
