"""What should be on screen now: `fold(view, event) -> view`, pure.

A view is all a surface needs to draw one turn: status, task list, steps, text, open questions, footer. Surfaces
render it (`core/surfaces/<platform>/render.py`); the presenter decides when. Folding the stored events of a turn
gives the view without its streamed tail; folding the deltas after them gives the rest.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final, assert_never

from core.domain import events as e
from core.domain.states import ApprovalState, TurnState
from core.domain.turn import TurnId, Usage

MAX_STEPS_KEPT: Final = 200
MAX_STREAM_CHARS: Final = 200_000
# What these do is on screen as the task list, or is no news.
HOUSEKEEPING: Final = frozenset({"TodoWrite", "TaskCreate", "TaskUpdate", "TaskList", "TaskGet", "ToolSearch"})
_NOTHING_SPENT: Final = Usage()


class StepState(StrEnum):
    """How a tool call stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ShownStep:
    """One tool call as people see it. `output` is its last words, shown where it failed."""

    id: str
    tool: str
    line: str
    state: StepState = StepState.RUNNING
    output: str = ""
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class View:
    """One turn on screen.

    `status` says in a few words what goes on. `texts` are the finished blocks of the answer, `stream` the block
    being written, `thinking` the thought being thought. `final` is the answer once the turn is done. `asks` are ids
    of open questions, `files` what was handed over, each with a post of its own. `turn_id` is what a Stop button names:
    without it there is none.
    """

    turn_number: int = 0
    state: TurnState = TurnState.RUNNING
    status: str = "Starting…"
    model: str = ""
    tasks: tuple[e.Task, ...] = ()
    steps: tuple[ShownStep, ...] = ()
    hidden_steps: int = 0
    texts: tuple[str, ...] = ()
    stream: str = ""
    thinking: str = ""
    notices: tuple[str, ...] = ()
    files: tuple[e.FileShared, ...] = ()
    asks: tuple[str, ...] = ()
    final: str = ""
    error: str | None = None
    usage: Usage = _NOTHING_SPENT
    cost_usd: Decimal = Decimal(0)
    duration_s: float = 0.0
    turn_id: TurnId | None = None

    @property
    def is_over(self) -> bool:
        """Whether the turn has ended."""
        return self.state in {TurnState.DONE, TurnState.FAILED, TurnState.STOPPED}

    @property
    def answer(self) -> str:
        """The text to show: the final one, else all that was written so far with the live tail."""
        if self.final:
            return self.final
        return "\n\n".join(part for part in (*self.texts, self.stream) if part.strip())

    @property
    def running_steps(self) -> tuple[ShownStep, ...]:
        """The tool calls that have not come back."""
        return tuple(step for step in self.steps if step.state is StepState.RUNNING)


def fold(view: View, event: e.RunEvent) -> View:  # noqa: PLR0911 - one return per kind of event
    """The view after `event`. Nothing changes a view that is over."""
    if view.is_over:
        return view
    match event:
        case e.TextStreamed():
            stream = (view.stream + event.text)[-MAX_STREAM_CHARS:]
            return replace(view, stream=stream, thinking="", status="Writing…")
        case e.ThinkingStreamed():
            return replace(view, thinking=(view.thinking + event.text)[-2000:], status="Thinking…")
        case e.LiveTextDropped():
            return replace(view, stream="", thinking="")
        case e.TextWritten():
            return replace(view, texts=(*view.texts, event.text), stream="", thinking="")
        case e.ThinkingDone():
            return replace(view, thinking="")
        case e.ToolStarted() | e.ToolFinished() | e.ToolFailed():
            return _fold_tool(view, event)
        case e.ApprovalAsked() | e.ApprovalSettled():
            return _fold_approval(view, event)
        case e.TasksChanged():
            return replace(view, tasks=_merged(view.tasks, event))
        case e.TurnFinished():
            return _finished(view, event)
        case _:
            return _fold_news(view, event)


def _fold_tool(view: View, event: e.ToolStarted | e.ToolFinished | e.ToolFailed) -> View:
    if isinstance(event, e.ToolStarted) and event.tool in HOUSEKEEPING:
        return replace(view, status="Working…")
    if isinstance(event, e.ToolStarted):
        shown = ShownStep(event.id, event.tool, event.line, parent=event.parent)
        steps = (*view.steps, shown)
        over = max(0, len(steps) - MAX_STEPS_KEPT)
        return replace(
            view,
            steps=steps[over:],
            hidden_steps=view.hidden_steps + over,
            status=f"{event.line}…",
            # A sub-agent in the background calls tools while the answer is being written.
            stream=view.stream if event.parent else "",
            thinking=view.thinking if event.parent else "",
        )
    state = StepState.DONE if isinstance(event, e.ToolFinished) else StepState.FAILED
    steps = tuple(
        replace(step, state=state, output=event.output[-500:]) if step.id == event.id else step for step in view.steps
    )
    return replace(view, steps=steps, status="Working…")


def _fold_approval(view: View, event: e.ApprovalAsked | e.ApprovalSettled) -> View:
    if isinstance(event, e.ApprovalAsked):
        asks = (*(ask for ask in view.asks if ask != event.approval_id), event.approval_id)
        return replace(view, asks=asks, status="Waiting for your answer")
    asks = tuple(ask for ask in view.asks if ask != event.approval_id)
    status = "Waiting for your answer" if asks else "Working…"
    if event.state is ApprovalState.WITHDRAWN:
        status = view.status if asks else "Working…"
    return replace(view, asks=asks, status=status)


def _fold_news(
    view: View,
    event: e.TurnStarted
    | e.AgentReady
    | e.MessageSteered
    | e.ModelRetried
    | e.ContextCompacted
    | e.AgentRestarted
    | e.Noticed
    | e.FileShared
    | e.FileKept,
) -> View:
    match event:
        case e.TurnStarted():
            return replace(view, turn_number=event.number, status="Starting…")
        case e.AgentReady():
            return replace(view, model=event.model, status="Thinking…")
        case e.ModelRetried():
            return replace(
                view, status=f"The model did not answer ({event.why}); asking again, attempt {event.attempt + 1}…"
            )
        case e.FileShared():
            return replace(view, files=(*view.files, event))
        case _:
            return replace(view, notices=(*view.notices, _notice(event))[-20:])


def _finished(view: View, event: e.TurnFinished) -> View:
    words = {TurnState.DONE: "Done", TurnState.STOPPED: "Stopped", TurnState.FAILED: "Failed"}
    written = "\n\n".join(part for part in (*view.texts, view.stream) if part.strip())
    steps = tuple(
        replace(step, state=StepState.FAILED) if step.state is StepState.RUNNING else step for step in view.steps
    )
    return replace(
        view,
        state=event.state,
        status=words.get(event.state, "Done"),
        final=event.text or written,
        stream="",
        thinking="",
        steps=steps,
        asks=(),
        error=event.error,
        usage=event.usage,
        cost_usd=event.cost_usd,
        duration_s=event.duration_s,
        model=event.model or view.model,
    )


def _merged(old: tuple[e.Task, ...], event: e.TasksChanged) -> tuple[e.Task, ...]:
    if event.is_whole:
        return event.tasks
    tasks = {task.id: task for task in old}
    for task in event.tasks:
        before = tasks.get(task.id)
        text = task.text or (before.text if before else task.id)
        tasks[task.id] = replace(task, text=text, state=task.state or (before.state if before else "pending"))
    return tuple(task for task in tasks.values() if task.state != "deleted")


def _notice(
    event: e.MessageSteered | e.ContextCompacted | e.AgentRestarted | e.Noticed | e.FileKept,
) -> str:
    match event:
        case e.MessageSteered():
            return f"{event.author or 'Someone'} added: {_short(event.text)}"
        case e.ContextCompacted():
            return "The conversation grew long; the agent summarised the earlier part."
        case e.FileKept():
            return f"Not shared: {event.name}: {event.why}."
        case e.AgentRestarted() | e.Noticed():
            return event.words
        case _:
            assert_never(event)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:79] + "…"
