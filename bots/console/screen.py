"""Drawing a turn for a terminal, with rich: pure, from a view to a text with colours for a width.

`turn` draws what goes on or the end of it, `question` a card with all that a person must see to decide, `keys` what may
be pressed. What the model wrote is Markdown from a stranger: control characters are taken out, links show their
address. Next: `terminal.py`.
"""

import textwrap
from collections.abc import Sequence
from io import StringIO
from typing import Final

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from bots.console.safe import plain
from core.domain.approval import Approval, ApprovalKind, Question, decided_words, questions_of
from core.domain.attachment import size_words
from core.domain.describe import command_of, diff_of, risky_spans
from core.domain.states import ApprovalState, TurnState
from core.domain.view import ShownStep, StepState, View

_MARKS: Final = {StepState.RUNNING: ("◌", "yellow"), StepState.DONE: ("✓", "green"), StepState.FAILED: ("✗", "red")}
_TASKS: Final = {"completed": ("✓", "green"), "in_progress": ("▸", "yellow"), "pending": ("○", "dim")}
SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_STEPS_SHOWN: Final = 6
_BETWEEN: Final = " · "


def to_text(what: RenderableType, width: int, *, colour: bool) -> str:
    """Render for a terminal of so many columns; without colour there is no escape sequence in it at all."""
    out = StringIO()
    console = Console(
        file=out,
        width=max(20, width),
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        soft_wrap=False,
        legacy_windows=False,
    )
    console.print(what)
    return out.getvalue().rstrip("\n")


def turn(view: View, *, tick: int = 0) -> RenderableType:
    """A turn as it stands: tasks, steps, text, and a line that says what goes on."""
    parts: list[RenderableType] = []
    parts += [Text(f"ℹ {plain(words)}", style="dim italic") for words in view.notices[-3:]]
    parts += [_task(task.text, task.state) for task in view.tasks]
    parts += _steps(view)
    if view.thinking and not view.is_over:
        parts.append(Text(plain(view.thinking).strip().splitlines()[-1][-200:], style="dim italic"))
    if view.answer.strip():
        parts.append(Padding(Markdown(plain(view.answer), hyperlinks=False), (1 if parts else 0, 0, 0, 0)))
    parts += [Text(f"⇪ {plain(file.name)} ({size_words(file.size)})", style="cyan") for file in view.files]
    if view.error:
        style = "yellow" if view.state is TurnState.STOPPED else "red"
        parts.append(Text(plain(view.error), style=style))
    parts.append(footer(view) if view.is_over else _status(view, tick))
    return Group(*parts)


def _steps(view: View) -> list[RenderableType]:
    top = [step for step in view.steps if step.parent is None]
    shown = top if view.is_over and len(top) <= 2 * _STEPS_SHOWN else top[-_STEPS_SHOWN:]
    hidden = view.hidden_steps + len(top) - len(shown)
    lines: list[RenderableType] = []
    if hidden:
        lines.append(Text(f"  … {hidden} earlier step{'s' if hidden > 1 else ''}", style="dim"))
    for step in shown:
        lines += _step(step, nested=sum(1 for other in view.steps if other.parent == step.id))
    return lines


def _step(step: ShownStep, *, nested: int) -> list[RenderableType]:
    mark, style = _MARKS[step.state]
    line = Text.assemble((f"{mark} ", style), plain(step.line), (f"  ({nested} steps)" if nested else "", "dim"))
    lines: list[RenderableType] = [line]
    if step.state is StepState.FAILED and step.output.strip():
        last = plain(step.output).strip().splitlines()[-1]
        lines.append(Padding(Text(last[:300], style="dim red"), (0, 0, 0, 2)))
    return lines


def _task(text: str, state: str) -> Text:
    mark, style = _TASKS.get(state, _TASKS["pending"])
    return Text.assemble((f"{mark} ", style), (plain(text), "dim strike" if state == "completed" else ""))


def _status(view: View, tick: int) -> Text:
    return Text.assemble((f"{SPINNER[tick % len(SPINNER)]} ", "cyan"), (plain(view.status), "cyan"))


def footer(view: View) -> Text:
    """How the turn ended, in one line: state, model, time, tokens, cost."""
    mark, style = {
        TurnState.DONE: ("✓ Done", "green"),
        TurnState.STOPPED: ("■ Stopped", "yellow"),
    }.get(view.state, ("✗ Failed", "red"))
    facts = [plain(view.model), f"{view.duration_s:.1f} s", f"{view.usage.total:,} tokens", f"${view.cost_usd:.4f}"]
    return Text.assemble((mark, style), ("  ·  " + "  ·  ".join(fact for fact in facts if fact), "dim"))


def question(approval: Approval, *, index: int = 0, chosen: Sequence[int] = ()) -> RenderableType:
    """A question as a card. `index`: which part of a question with several; `chosen`: options picked so far."""
    parts: list[RenderableType] = []
    asked = questions_of(approval.input)
    match approval.kind:
        case ApprovalKind.QUESTION if index < len(asked):
            parts += _options(asked[index], chosen)
            title = f"Question {index + 1} of {len(asked)}" if len(asked) > 1 else "The agent asks"
        case ApprovalKind.PLAN:
            parts.append(Markdown(plain(str(approval.input.get("plan") or "The plan is above.")), hyperlinks=False))
            title = "Do you agree with this plan?"
        case _:
            parts += _call(approval)
            title = "May I?"
    if approval.state is not ApprovalState.PENDING:
        parts.append(Text(plain(decided_words(approval)), style="dim"))
    return Panel(Group(*parts), title=title, title_align="left", border_style="yellow")


def _call(approval: Approval) -> list[RenderableType]:
    parts: list[RenderableType] = []
    diff = diff_of(approval.tool, approval.input)
    command = command_of(approval.tool, approval.input)
    if diff or not command:
        parts.append(Text(plain(approval.line), style="bold"))
    if diff:
        parts.append(Syntax(plain(diff), "diff", theme="ansi_dark", word_wrap=True, background_color="default"))
    elif command:
        parts.append(_command(command))
    if approval.why:
        parts.append(Text(plain(approval.why), style="yellow"))
    return parts


def _command(command: str) -> Text:
    """The whole command, its risky parts in red."""
    text = Text()
    at = 0
    for start, end, _why in sorted(risky_spans(command)):
        if start < at:
            continue
        text.append(plain(command[at:start]))
        text.append(plain(command[start:end]), style="bold red")
        at = end
    text.append(plain(command[at:]))
    return text


def _options(asked: Question, chosen: Sequence[int]) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(plain(asked.text), style="bold")]
    for number, option in enumerate(asked.options, 1):
        mark = ("■ " if number - 1 in chosen else "□ ") if asked.is_multiple else ""
        parts.append(
            Text.assemble(
                (f" {number} ", "bold cyan"), mark, plain(option.label), (f"  {plain(option.description)}", "dim")
            )
        )
    return parts


def keys(words: str, width: int) -> list[str]:
    """Lines of at most `width` columns with all the keys; within a key's name only where that alone is too long."""
    lines = [""]
    for key in plain(words).split(_BETWEEN):
        joined = f"{lines[-1]}{_BETWEEN}{key}" if lines[-1] else key
        if cell_len(joined) <= width:
            lines[-1] = joined
        else:
            lines += textwrap.wrap(key, max(1, width))
    return [line for line in lines if line] or [""]
