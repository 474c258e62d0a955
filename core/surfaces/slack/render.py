"""A view as Slack posts: one that is edited while the turn runs, and the whole answer once it is over. Pure.

While it runs: status with a Stop button, task list, last steps, the end of what was written. Once it is over: the
answer in `markdown` blocks, cut into as many posts as it takes, and a footer. Next: `client.py`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from core.domain.events import Task
from core.domain.states import TurnState
from core.domain.view import ShownStep, StepState, View
from core.ports import Payload
from core.surfaces.facts import footer, task_list
from core.surfaces.markdown import balance
from core.surfaces.presses import Press, Verb
from core.surfaces.slack.blocks import (
    MARKDOWN,
    SECTION,
    Block,
    button,
    context,
    cut,
    cut_escaped,
    markdown,
    one_line,
    post,
    section,
)
from core.surfaces.slack.escaping import code, escape, inert
from core.surfaces.slack.pieces import end_of, inert_pieces

_TAIL: Final = 3_000
_TASKS: Final = 10
_STEPS: Final = 5
_NOTICES: Final = 3
_TASK_ICONS: Final = {"completed": "✅", "in_progress": "▶️"}
_STEP_ICONS: Final = {StepState.RUNNING: "⏳", StepState.DONE: "✓", StepState.FAILED: "✗"}
_END_ICONS: Final = {TurnState.DONE: "✅", TurnState.FAILED: "❌", TurnState.STOPPED: "🛑"}


def render(view: View) -> Sequence[Payload]:
    """The posts of a turn, in order: one while it runs, at least one when it is over."""
    return _final(view) if view.is_over else [_live(view)]


# ---------------------------------------------------------------- while it runs


def _live(view: View) -> Payload:
    status = cut_escaped(escape(view.status), 300)
    icon = "✋" if view.asks or view.state is TurnState.WAITING else "⏳"
    stop = button("Stop", Press(Verb.STOP, view.turn_id)) if view.turn_id else None
    blocks = [section(f"{icon} {status}", stop)]
    if view.tasks:
        blocks.append(section(task_list(view.tasks, _TASKS, "*{}*", _task)))
    if view.steps:
        blocks.append(context(_steps(view)))
    if tail := _tail(view.answer):
        blocks.append(markdown(tail))
    blocks += _notices(view)
    if view.model:
        blocks.append(context(escape(cut(view.model, 100))))
    return post(blocks, f"{icon} {status}")


def _task(task: Task) -> str:
    return f"{_TASK_ICONS.get(task.state, '▫️')} {_line(task.text, 150)}"


def _steps(view: View) -> str:
    shown = view.steps[-_STEPS:]
    before = view.hidden_steps + len(view.steps) - len(shown)
    lines = [f"… {before} earlier {'step' if before == 1 else 'steps'}"] if before else []
    return "\n".join([*lines, *map(_step, shown)])


def _step(step: ShownStep) -> str:
    indent = "    ↳ " if step.parent else ""
    line = f"{indent}{_STEP_ICONS[step.state]} {_line(step.line, 160)}"
    last = [words for words in step.output.splitlines() if words.strip()][-1:]
    if step.state is StepState.FAILED and last:
        line += f" — {code(one_line(last[0], 120))}"
    return line


def _tail(answer: str) -> str:
    """The end of what was written so far, as Markdown that is whole in itself."""
    start, opening = end_of(answer, _TAIL)
    return ("…\n\n" if start else "") + balance(inert(opening + answer[start:])).strip()


# ---------------------------------------------------------------- once it is over


def _final(view: View) -> Sequence[Payload]:
    parts = inert_pieces(view.answer, MARKDOWN)
    if not parts and not view.error:
        parts = ["_There is no text in the answer._" if view.state is TurnState.DONE else "_It wrote nothing._"]
    posts = [[markdown(part)] for part in parts] or [[]]
    posts[-1] += _ending(view)
    return [post(blocks, _fallback(view, part)) for blocks, part in zip(posts, parts or [""], strict=True)]


def _ending(view: View) -> Iterator[Block]:
    if view.error:
        head = "Stopped." if view.state is TurnState.STOPPED else "This did not work."
        yield section(f"{_END_ICONS[view.state]} *{head}* {cut_escaped(escape(view.error), SECTION - 100)}")
    yield from _notices(view)
    yield context(footer(view, _END_ICONS.get(view.state, "✅"), _cut_and_escaped))


def _cut_and_escaped(text: str, limit: int) -> str:
    return escape(cut(text, limit))


def _fallback(view: View, part: str) -> str:
    if part:
        return escape(part)
    return f"{_END_ICONS.get(view.state, '✅')} {escape(view.error or view.status)}"


def _notices(view: View) -> Iterator[Block]:
    lines = [f"ℹ️ {_line(words, 300)}" for words in view.notices[-_NOTICES:]]
    if lines:
        yield context("\n".join(lines))


def _line(text: str, limit: int) -> str:
    return escape(one_line(text, limit))
