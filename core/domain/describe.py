"""What a tool call does, said to people: a line for the list of steps, and the whole of it for a question.

Works from the agent's own tool names and inputs, which are untrusted and may lack anything. Lines are plain text;
the surfaces escape them. Next: `policy.py`, which says what is asked at all.
"""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from core.domain.commands import Unreadable
from core.domain.places import shortened
from core.domain.risk import risks

MAX_LINE: Final = 120
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """The same text with characters that show nothing, or turn its order round, written as escapes."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def line_of(tool: str, tool_input: Mapping[str, Any]) -> str:
    """A tool call in one line of at most `MAX_LINE` characters: `` Runs `python3 fizzbuzz.py` ``."""
    say = _LINES.get(tool)
    if say is not None:
        line = say(tool_input)
    elif tool.startswith("mcp__"):
        line = _mcp(tool)
    else:
        line = f"Uses {_spaced(tool)}" + _detail(tool_input)
    return _cut(" ".join(visible(line).split()) or tool, MAX_LINE)


def command_of(tool: str, tool_input: Mapping[str, Any]) -> str | None:
    """The whole of what a question is about, never cut: the command, path, address or input; None if there is none."""
    if tool in ("AskUserQuestion", "ExitPlanMode"):
        return None
    for name in _WHOLE.get(tool, ("command",)):
        if isinstance(value := tool_input.get(name), str) and value:
            return value
    if tool in _WHOLE or not tool_input:
        return None
    return json.dumps(dict(tool_input), indent=2, ensure_ascii=False, default=str)


def risky_spans(command: str) -> list[tuple[int, int, str]]:
    """The stretches of a shell command that want attention, as (start, end, why), in order and not overlapping.

    A command that cannot be taken apart is one such stretch as a whole.
    """
    found = [(hit.start(), hit.end(), "a character that does not show") for hit in _HIDDEN.finditer(command)]
    try:
        found += [(risk.start, risk.end, risk.why) for risk in risks(command)]
    except Unreadable as error:
        if command.strip():
            found.append((0, len(command), f"cannot be read with certainty: {error}"))
    spans = list[tuple[int, int, str]]()
    for start, end, why in sorted(found, key=lambda span: (span[0], -span[1])):
        if start < end and (not spans or start >= spans[-1][1]):
            spans.append((start, end, why))
    return spans


def diff_of(tool: str, tool_input: Mapping[str, Any]) -> str | None:
    """What an Edit, MultiEdit or Write would change, as a unified diff; None for another tool or an odd input.

    The file itself is not read, so an edit's lines are numbered from its own first line, and a write is all plus.
    """
    path = shortened(_text(tool_input, "file_path") or "file")
    if tool == "Write":
        return _diff(path, "", _text(tool_input, "content"), is_new=True)
    if tool == "Edit":
        return _diff(path, _text(tool_input, "old_string"), _text(tool_input, "new_string"))
    if tool == "MultiEdit" and isinstance(edits := tool_input.get("edits"), list):
        parts = [
            _diff(path, _text(edit, "old_string"), _text(edit, "new_string"), has_names=number == 0)
            for number, edit in enumerate(edit for edit in edits if isinstance(edit, Mapping))
        ]
        return "\n".join(part for part in parts if part) or None
    return None


def _diff(path: str, before: str, after: str, *, is_new: bool = False, has_names: bool = True) -> str:
    old, new = before.splitlines(), after.splitlines()
    names = ("/dev/null" if is_new else f"a/{path}", f"b/{path}")
    lines = list(difflib.unified_diff(old, new, *names, lineterm=""))
    if not lines and before != after:
        lines = [f"--- {names[0]}", f"+++ {names[1]}", "@@ the end of the last line changes @@"]
    if not lines and is_new:
        lines = [f"--- {names[0]}", f"+++ {names[1]}"]
    return "\n".join(lines if has_names else lines[2:])


def _text(source: Mapping[str, Any], name: str) -> str:
    value = source.get(name)
    return value if isinstance(value, str) else ""


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _code(text: str, limit: int = 90) -> str:
    """A command within a line: its first line, in backticks unless it has some itself."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()] or [""]
    shown = " ".join(lines[0].split())
    if len(lines) > 1 or len(shown) > limit:
        shown = _cut(shown, limit - 1).rstrip("…") + "…"
    return shown if "`" in shown or not shown else f"`{shown}`"


def _path(source: Mapping[str, Any], *names: str) -> str:
    for name in names:
        if text := _text(source, name):
            path = shortened(" ".join(text.split()))
            return path if len(path) <= 70 else "…" + path[-69:]
    return "a file"


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ").strip()


def _lines(count: int) -> str:
    return f"{count} line" if count == 1 else f"{count:,} lines"


def _mcp(tool: str) -> str:
    parts = tool.split("__")
    server, name = (parts[1], "__".join(parts[2:])) if len(parts) > 2 else ("", parts[-1])
    return " · ".join(part for part in (_spaced(server), _spaced(name).lower()) if part)


def _detail(tool_input: Mapping[str, Any]) -> str:
    for name in ("description", "subject", "command", "query", "url", "file_path", "path", "prompt", "name", "message"):
        if text := _text(tool_input, name):
            return f": {_cut(' '.join(text.split()), 80)}"
    return ""


def _bash(source: Mapping[str, Any]) -> str:
    command = _text(source, "command")
    if not command.strip():
        return "Runs a command"
    if source.get("run_in_background") is True:
        return f"Starts {_code(command, 80)} in the background"
    return f"Runs {_code(command)}"


def _read(source: Mapping[str, Any]) -> str:
    offset, limit = source.get("offset"), source.get("limit")
    part = ""
    if isinstance(offset, int) and isinstance(limit, int):
        part = f" (lines {offset}–{offset + limit - 1})"
    elif isinstance(offset, int):
        part = f" (from line {offset})"
    elif isinstance(limit, int):
        part = f" (first {_lines(limit)})"
    return f"Reads {_path(source, 'file_path', 'path', 'notebook_path')}{part}"


def _write(source: Mapping[str, Any]) -> str:
    content = _text(source, "content")
    return f"Writes {_path(source, 'file_path', 'path')} ({_lines(len(content.splitlines()))})"


def _edit(source: Mapping[str, Any]) -> str:
    edits = source.get("edits")
    pairs = [edit for edit in edits if isinstance(edit, Mapping)] if isinstance(edits, list) else [source]
    plus = minus = 0
    for pair in pairs:
        for line in _diff("", _text(pair, "old_string"), _text(pair, "new_string"), has_names=False).splitlines():
            plus, minus = plus + line.startswith("+"), minus + line.startswith("-")
    count = f" (+{plus} −{minus})" if plus or minus else ""
    return f"Edits {_path(source, 'file_path', 'path')}{count}"


def _grep(source: Mapping[str, Any]) -> str:
    place = _text(source, "path") or _text(source, "glob")
    return f"Searches for {_code(_text(source, 'pattern'), 60) or 'something'}" + (
        f" in {_cut(shortened(place), 40)}" if place else ""
    )


def _glob(source: Mapping[str, Any]) -> str:
    place = _text(source, "path")
    return f"Looks for files {_code(_text(source, 'pattern'), 60)}" + (
        f" in {_cut(shortened(place), 40)}" if place else ""
    )


def _fetch(source: Mapping[str, Any]) -> str:
    url = _text(source, "url")
    try:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path.rstrip("/")
    except ValueError:
        host, path = "", ""
    return f"Fetches {_cut(host + path, 100) if host else _cut(url, 100) or 'a page'}"


def _agent(source: Mapping[str, Any]) -> str:
    what = _text(source, "description") or _text(source, "prompt")
    return f"Hands work to a sub-agent: {_cut(' '.join(what.split()), 80)}" if what else "Hands work to a sub-agent"


def _question(source: Mapping[str, Any]) -> str:
    questions = source.get("questions")
    count = len(questions) if isinstance(questions, list) else 1
    return "Asks you something" if count < 2 else f"Asks you {count} things"


def _task(source: Mapping[str, Any]) -> str:
    status, subject = _text(source, "status"), _text(source, "subject")
    words = {"completed": "Finishes", "in_progress": "Begins", "deleted": "Drops"}.get(status, "Changes")
    number = _text(source, "taskId")
    return f"{words} task {number}".rstrip() + (f": {subject}" if subject else "")


def _fixed(words: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda _: words


def _quoting(words: str, name: str) -> Callable[[Mapping[str, Any]], str]:
    def say(source: Mapping[str, Any]) -> str:
        text = " ".join(_text(source, name).split())
        return f"{words}: {_cut(text, 90)}" if text else words

    return say


_LINES: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "Bash": _bash,
    "PowerShell": _bash,
    "REPL": lambda source: f"Runs {_code(_text(source, 'code')) or 'code'}",
    "Monitor": lambda source: f"Watches {_code(_text(source, 'command')) or 'a program'}",
    "BashOutput": _fixed("Looks at a background command"),
    "TaskOutput": _fixed("Looks at background work"),
    "KillShell": _fixed("Stops a background command"),
    "TaskStop": _fixed("Stops background work"),
    "Read": _read,
    "NotebookRead": _read,
    "Write": _write,
    "Edit": _edit,
    "MultiEdit": _edit,
    "NotebookEdit": lambda source: f"Edits {_path(source, 'notebook_path', 'file_path')}",
    "Grep": _grep,
    "Glob": _glob,
    "LS": lambda source: f"Lists {_path(source, 'path')}",
    "LSP": _quoting("Looks through the code", "operation"),
    "WebFetch": _fetch,
    "WebSearch": _quoting("Searches the web", "query"),
    "Agent": _agent,
    "Task": _agent,
    "Workflow": _quoting("Starts a workflow", "name"),
    "Skill": _quoting("Uses a skill", "skill"),
    "AskUserQuestion": _question,
    "ExitPlanMode": _fixed("Shows you its plan"),
    "EnterPlanMode": _fixed("Makes a plan first"),
    "EnterWorktree": _fixed("Makes a working copy"),
    "ExitWorktree": _fixed("Leaves its working copy"),
    "TodoWrite": _fixed("Updates its task list"),
    "TaskCreate": _quoting("Adds a task", "subject"),
    "TaskUpdate": _task,
    "TaskList": _fixed("Looks at its task list"),
    "TaskGet": _fixed("Looks at a task"),
    "ToolSearch": _quoting("Looks for a tool", "query"),
    "SendMessage": _quoting("Writes to another agent", "message"),
    "ListAgents": _fixed("Looks which agents there are"),
    "ScheduleWakeup": _fixed("Sets itself an alarm"),
    "CronCreate": _quoting("Schedules work", "cron"),
    "CronDelete": _fixed("Cancels scheduled work"),
    "CronList": _fixed("Looks at scheduled work"),
    "ReportFindings": _fixed("Reports what it found"),
    "StructuredOutput": _fixed("Gives its answer as data"),
    "PushNotification": _quoting("Sends a notification", "message"),
    "ListMcpResourcesTool": _fixed("Looks at connected resources"),
    "ReadMcpResourceTool": _quoting("Reads a connected resource", "uri"),
}

_WHOLE: Final[dict[str, tuple[str, ...]]] = {
    "Bash": ("command",),
    "PowerShell": ("command",),
    "Monitor": ("command",),
    "REPL": ("code",),
    "Read": ("file_path", "path"),
    "Write": ("file_path", "path"),
    "Edit": ("file_path", "path"),
    "MultiEdit": ("file_path", "path"),
    "NotebookEdit": ("notebook_path", "file_path"),
    "Glob": ("pattern",),
    "Grep": ("pattern",),
    "WebFetch": ("url",),
    "WebSearch": ("query",),
    "Agent": ("prompt", "description"),
    "Task": ("prompt", "description"),
}
