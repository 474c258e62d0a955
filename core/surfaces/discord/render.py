"""A view as Discord posts: one that is edited while the turn runs, and the whole answer once it is over. Pure.

While it runs: status with a Stop button, task list, last steps, the end of what was written. Once it is over: the
answer, cut into as many posts as it takes, and a footer; a very long one as a file, below how it begins. Next:
`client.py`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from core.domain.events import Task
from core.domain.states import TurnState
from core.domain.view import ShownStep, StepState, View
from core.ports import Payload
from core.surfaces.discord.components import (
    TEXTS,
    Component,
    attached,
    button,
    container,
    context,
    cut,
    cut_escaped,
    line,
    markdown,
    post,
    section,
    units,
    weight,
)
from core.surfaces.discord.escaping import cleaned, code, inert
from core.surfaces.discord.pieces import beginning, pieces
from core.surfaces.facts import footer, task_list
from core.surfaces.markdown import balance, fence_after
from core.surfaces.presses import Press, Verb

POSTS: Final = 5  # more would push everything else off the screen
BEGINNING: Final = 1_500
_TAIL: Final = 2_000
_TASKS: Final = 10
_STEPS: Final = 5
_NOTICES: Final = 3
_ERROR: Final = 1_200
_TASK_ICONS: Final = {"completed": "✅", "in_progress": "▶️"}
_STEP_ICONS: Final = {StepState.RUNNING: "⏳", StepState.DONE: "✓", StepState.FAILED: "✗"}
_END_ICONS: Final = {TurnState.DONE: "✅", TurnState.FAILED: "❌", TurnState.STOPPED: "🛑"}
_AT_WORK: Final = 0x5865F2
_WAITING: Final = 0xF0B232


def render(view: View) -> Sequence[Payload]:
    """The posts of a turn, in order: one while it runs, at least one when it is over."""
    return _final(view) if view.is_over else [_live(view)]


# ---------------------------------------------------------------- while it runs


def _live(view: View) -> Payload:
    is_waiting = bool(view.asks) or view.state is TurnState.WAITING
    stop = button("Stop", Press(Verb.STOP, view.turn_id)) if view.turn_id else None
    parts = [section(f"{'✋' if is_waiting else '⏳'} {line(view.status, 300)}", stop)]
    if view.tasks:
        parts.append(markdown(task_list(view.tasks, _TASKS, "**{}**", _task)))
    if view.steps:
        parts.append(context(_steps(view)))
    after = [*_notices(view), *([context(line(view.model, 100))] if view.model else [])]
    if tail := _tail(view.answer, TEXTS - sum(map(weight, [*parts, *after]))):
        parts.append(markdown(tail))
    return post([container([*parts, *after], _WAITING if is_waiting else _AT_WORK)])


def _task(task: Task) -> str:
    return f"{_TASK_ICONS.get(task.state, '▫️')} {line(task.text, 80)}"


def _steps(view: View) -> str:
    shown = view.steps[-_STEPS:]
    before = view.hidden_steps + len(view.steps) - len(shown)
    lines = [f"… {before} earlier {'step' if before == 1 else 'steps'}"] if before else []
    return "\n".join([*lines, *map(_step, shown)])


def _step(step: ShownStep) -> str:
    indent = "↳ " if step.parent else ""
    words = f"{indent}{_STEP_ICONS[step.state]} {line(step.line, 150)}"
    last = [output for output in step.output.splitlines() if output.strip()][-1:]
    if step.state is StepState.FAILED and last:
        words += f" — {code(cut(' '.join(last[0].split()), 80))}"
    return words


def _tail(answer: str, limit: int) -> str:
    """The end of what was written so far, as Markdown that is whole in itself, within a limit."""
    room = min(_TAIL, limit)
    while room > 0 and units(shown := _ending_of(answer, room)) > limit:
        room = room * 2 // 3
    return shown if room > 0 else ""


def _ending_of(answer: str, room: int) -> str:
    if units(answer) <= room:
        return inert(balance(answer)).strip()
    start = len(answer) - room
    if (end := answer.find("\n", start, start + room // 3)) >= 0:
        start = end + 1
    fence = fence_after(answer[:start].rstrip("\n")) if "```" in answer or "~~~" in answer else None
    opening = fence.opening if fence and len(fence.language) < 40 else "```\n" if fence else ""
    return "…\n\n" + inert(balance(opening + answer[start:])).strip()


# ---------------------------------------------------------------- once it is over


def _final(view: View) -> Sequence[Payload]:
    ending = list(_ending(view))
    room = TEXTS - sum(map(weight, ending))
    answer = cleaned(view.answer)
    # What surely fills more posts is not cut to find out.
    parts = pieces(answer, room) if len(answer) <= room * (POSTS + 1) else None
    if parts is None or len(parts) > POSTS:
        return [_as_file(answer, ending)]
    if not parts and not view.error:
        parts = ["*There is no text in the answer.*" if view.state is TurnState.DONE else "*It wrote nothing.*"]
    posts = [[markdown(part)] for part in parts] or [[]]
    posts[-1] += ending
    return [post(components) for components in posts]


def _as_file(answer: str, ending: Sequence[Component]) -> Payload:
    words = f"This is how it begins; the whole answer, {len(answer):,} characters, is in the file."
    components = [markdown(beginning(answer, BEGINNING)), context(words), attached("answer.md"), *ending]
    return post(components, {"answer.md": answer.encode()})


def _ending(view: View) -> Iterator[Component]:
    if view.error:
        head = "Stopped." if view.state is TurnState.STOPPED else "This did not work."
        yield markdown(f"{_END_ICONS[view.state]} **{head}** {cut_escaped(view.error, _ERROR)}")
    yield from _notices(view)
    yield context(footer(view, _END_ICONS.get(view.state, "✅"), line))


def _notices(view: View) -> Iterator[Component]:
    lines = [f"ℹ️ {line(words, 250)}" for words in view.notices[-_NOTICES:]]
    if lines:
        yield context("\n".join(lines))
