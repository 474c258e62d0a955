"""A turn as the page tells it: what people said, what the agent wrote and did, what was asked and who decided. Pure.

Made of what is stored, so it tells the same to everybody, long after; what is being written just now comes by the
stream. Everything in it is plain text, which the templates escape.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.domain import events as e
from core.domain.approval import Approval, Question, decided_words, questions_of
from core.domain.attachment import size_words
from core.domain.describe import command_of, diff_of
from core.domain.message import Message
from core.domain.states import ApprovalState
from core.domain.turn import Turn
from core.domain.view import HOUSEKEEPING
from core.ports import Recorded

MOST_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the page shows it: the whole of it, as on every surface."""

    approval: Approval
    command: str | None
    diff: str | None
    plan: str
    questions: tuple[Question, ...]
    decided: str

    @property
    def is_open(self) -> bool:
        """Whether it waits for somebody."""
        return self.approval.state is ApprovalState.PENDING


@dataclass(slots=True)
class Part:
    """One thing in a turn. `kind`: text, thought, step, asked or notice; what does not belong to it is empty."""

    kind: str
    at: datetime
    text: str = ""
    tool: str = ""
    state: str = ""
    input: str = ""
    diff: str = ""
    output: str = ""
    is_nested: bool = False
    asked: Asked | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """A turn, told."""

    turn: Turn
    messages: Sequence[Message]
    parts: Sequence[Part]
    tasks: Sequence[e.Task] = field(default_factory=tuple)

    @property
    def has_last_words(self) -> bool:
        """Whether the final text says something that the parts have not said."""
        written = [part.text.strip() for part in self.parts if part.kind == "text"]
        final = self.turn.text.strip()
        return bool(final) and final not in written and final != "\n\n".join(written)


def asked(approval: Approval) -> Asked:
    """A question with everything that one has to see to decide."""
    plan = approval.input.get("plan") if approval.tool == "ExitPlanMode" else ""
    return Asked(
        approval,
        command_of(approval.tool, approval.input),
        diff_of(approval.tool, approval.input),
        plan if isinstance(plan, str) else "",
        questions_of(approval.input) if approval.tool == "AskUserQuestion" else (),
        decided_words(approval),
    )


def tell(turn: Turn, messages: Sequence[Message], recorded: Sequence[Recorded], approvals: Sequence[Approval]) -> Story:
    """A turn out of what is stored of it."""
    by_id = {str(approval.id): approval for approval in approvals}
    parts: list[Part] = []
    steps: dict[str, Part] = {}
    tasks: tuple[e.Task, ...] = ()
    for one in recorded:
        match one.event:
            case e.ToolStarted(id=call, tool=tool) if tool not in HOUSEKEEPING:
                steps[call] = _step(one.event, one.at)
                parts.append(steps[call])
            case e.ToolFinished(id=call, output=output) | e.ToolFailed(id=call, output=output) if call in steps:
                steps[call].state = "done" if isinstance(one.event, e.ToolFinished) else "failed"
                steps[call].output = output[:MOST_CHARS]
            case e.ApprovalAsked(approval_id=asked_id) if asked_id in by_id:
                parts.append(Part("asked", one.at, asked=asked(by_id[asked_id])))
            case e.TasksChanged(tasks=changed, is_whole=True):
                tasks = changed
            case _:
                parts += _words(one.event, one.at)
    if turn.ended_at is not None:
        for step in steps.values():
            step.state = "failed" if step.state == "running" else step.state
    return Story(turn, messages, parts, tasks)


def _step(event: e.ToolStarted, at: datetime) -> Part:
    diff = diff_of(event.tool, event.input) or ""
    return Part(
        "step",
        at,
        text=event.line,
        tool=event.tool,
        state="running",
        input="" if diff else _input(event.tool, event.input)[:MOST_CHARS],
        diff=diff[:MOST_CHARS],
        is_nested=event.parent is not None,
    )


def _input(tool: str, given: Mapping[str, Any]) -> str:
    whole = command_of(tool, given)
    return whole if whole is not None else json.dumps(dict(given), indent=2, ensure_ascii=False, default=str)


def _words(event: e.RunEvent, at: datetime) -> list[Part]:  # noqa: PLR0911 - one return per kind of event
    match event:
        case e.TextWritten(text=text):
            return [Part("text", at, text=text)]
        case e.ThinkingDone(text=text) if text.strip():
            return [Part("thought", at, text=text)]
        case e.MessageSteered():
            return [Part("notice", at, text=f"{event.author or 'Someone'} added: {event.text}")]
        case e.ModelRetried():
            return [Part("notice", at, text=f"The model did not answer ({event.why}) and was asked again.")]
        case e.ContextCompacted():
            return [Part("notice", at, text="The agent summarised the earlier part of the conversation.")]
        case e.AgentRestarted(words=words) | e.Noticed(words=words):
            return [Part("notice", at, text=words)]
        case e.FileShared(name=name, size=size):
            return [Part("notice", at, text=f"⇪ {name} ({size_words(size)})")]
        case e.FileKept(name=name, why=why):
            return [Part("notice", at, text=f"Not shared: {name}: {why}.")]
        case _:
            return []
