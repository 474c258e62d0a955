"""The sentences that pass between people, the program and the agent.

What the program says to the agent begins with `[Threadwork]`, as its system prompt announces.
"""

from collections.abc import Sequence

from core.domain.approval import Approval, decided_words
from core.domain.message import Message
from core.domain.states import ApprovalState
from core.domain.view import ShownStep
from core.errors import (
    AgentError,
    DiskFull,
    Misconfigured,
    SandboxError,
    SandboxLost,
    ThreadworkError,
    Unavailable,
)
from worker.inbox import Brought


def said_by(message: Message, files: Sequence[Brought] = ()) -> str:
    """A message as the agent reads it. In a thread of several people it learns who speaks.

    `files` are those that came with it.
    """
    is_console = message.key.startswith("console:")
    text = message.text if is_console or not message.author_name else f"{message.author_name}: {message.text}"
    here = ", ".join(file.path for file in files if not file.why_not)
    lines = [f"[Threadwork] Attached, in your workspace: {here}"] if here else []
    lines += [
        f"[Threadwork] Attached, but not to be had: {file.name}: {file.why_not}" for file in files if file.why_not
    ]
    return "\n\n".join([text, "\n".join(lines)] if lines else [text]).strip()


def after_restart(running: Sequence[ShownStep], asks: Sequence[Approval]) -> str:
    """What a resumed agent is told: what broke off, and what people decided meanwhile."""
    lines = ["[Threadwork] Your program was interrupted and has been started again; this conversation is intact."]
    asked = {approval.tool_use_id: approval for approval in asks}
    for step in running:
        approval = asked.get(step.id)
        if approval is None:
            lines.append(f"The outcome of this call is unknown, so check before you repeat it: {step.line}.")
        else:
            lines.append(_decided(step, approval))
    lines.append("Go on with what you were asked to do.")
    return "\n".join(lines)


def _decided(step: ShownStep, approval: Approval) -> str:
    answers = approval.decision.answers if approval.decision else {}
    match approval.state:
        case ApprovalState.PENDING:
            return f"Your request was not decided yet ({step.line}). Make the same call again; it still waits."
        case ApprovalState.ALLOWED if answers:
            told = "; ".join(f"{question} → {answer}" for question, answer in answers.items())
            return f"Your question was answered: {told}."
        case ApprovalState.ALLOWED:
            return f"Your request was allowed, but has not run ({step.line}). Make exactly the same call again."
        case _:
            return f"Your request was refused ({step.line}). {decided_words(approval)}"


def stopped_by(name: str) -> str | None:
    """Who stopped a turn, where that is known."""
    return f"Stopped by {name}." if name else None


def lost_when_stopped(name: str) -> str:
    """A turn was to be stopped, and its sandbox was gone."""
    words = "The sandbox of this thread was lost meanwhile, with its files; write again and I start in a new one."
    return " ".join(part for part in (stopped_by(name), words) if part)


def for_people(error: ThreadworkError) -> str:  # noqa: PLR0911 - a sentence each
    """One sentence for the thread: what went wrong, what was kept, what to do now."""
    match error:
        case SandboxLost():
            return (
                "The sandbox of this thread was lost while I worked, with its files. "
                "Your messages are kept: write again and I start in a new one."
            )
        case DiskFull():
            return (
                "The disk of this thread's sandbox is full, so I could not go on. Your messages are kept. "
                "Ask me to delete what is not needed, for which I keep some room, or begin a new thread."
            )
        case Misconfigured():
            return f"I am not set up for this yet. {error.words}"
        case Unavailable():
            return f"I gave up: {error.words}. Nothing you wrote is lost; write again to have me try once more."
        case SandboxError():
            return f"The sandbox refused: {error.words} Your messages are kept; write again to go on."
        case AgentError():
            return f"{error.words} Your messages are kept; write again to go on."
        case _:
            return f"Something went wrong: {error.words}"
