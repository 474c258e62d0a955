"""What every chat platform says of a turn in the same words: its footer, and which tasks of many are shown. Pure.

The marks of text and the escaping are the platforms': `<platform>/render.py`.
"""

from collections.abc import Callable, Sequence

from core.domain.events import Task
from core.domain.view import View


def footer(view: View, icon: str, escaped: Callable[[str, int], str]) -> str:
    """How it ended, how long it took, what it did and cost. `escaped` makes a text safe, within so many characters."""
    steps = view.hidden_steps + len(view.steps)
    facts = [
        f"{icon} {escaped(view.status, 100)}",
        duration(view.duration_s),
        f"{steps} {'step' if steps == 1 else 'steps'}" if steps else "",
        f"{view.usage.total:,} tokens" if view.usage.total else "",
        f"${view.cost_usd:.2f}" if view.cost_usd >= 1 else f"${view.cost_usd:.4f}" if view.cost_usd else "",
        escaped(view.model, 100),
    ]
    return " · ".join(fact for fact in facts if fact)


def duration(seconds: float) -> str:
    """`12.3 s`, `3 min 20 s`, `1 h 2 min`; nothing for no time."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds else ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def task_list(tasks: Sequence[Task], most: int, heading: str, line_of: Callable[[Task], str]) -> str:
    """The tasks around the one that is being done, at most `most`. `heading` holds `{}` for how many are done."""
    done = sum(task.state == "completed" for task in tasks)
    current = next((at for at, task in enumerate(tasks) if task.state != "completed"), len(tasks))
    start = max(0, min(current - 2, len(tasks) - most))
    shown = tasks[start : start + most]
    lines = [heading.format(f"{done} of {len(tasks)} done"), *map(line_of, shown)]
    if start + len(shown) < len(tasks):
        lines.append(f"… {len(tasks) - start - len(shown)} more")
    return "\n".join(lines)
