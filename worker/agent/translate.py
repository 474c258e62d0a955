"""Translates the agent's journal, line by line, into the events of a turn and the signals a run acts on.

It reads the program's own JSON, since the SDK's objects leave out what is needed here. A reader may begin at any
line, as one does that takes over from another, and nothing that stands in a line raises. `results.py` reads the
end of a turn, `clip.py` makes things fit for storing; `worker/run_chat.py` feeds the lines.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.domain import events as e
from core.domain.describe import line_of
from worker.agent.clip import clipped_input, output_text, storable
from worker.agent.results import ResultSeen, read_result

_CREATED: Final = re.compile(r"Task #(\S+) created successfully: (.*)")
_TASK_STATES: Final = frozenset(("pending", "in_progress", "completed", "deleted"))
_MAX_TASK: Final = 300
_MAX_REMEMBERED: Final = 500


@dataclass(frozen=True, slots=True)
class AgentInit:
    """What the program says of itself at the start of every turn; `mode` is its own permission mode."""

    session_id: str
    model: str
    mode: str


@dataclass(frozen=True, slots=True)
class Translated:
    """What one journal line says. `lifecycle` is a message's uuid and its state: queued, started, completed, cancelled.

    `session_state` is running, requires_action or idle.
    """

    events: tuple[e.RunEvent, ...] = ()
    result: ResultSeen | None = None
    lifecycle: tuple[str, str] | None = None
    session_state: str | None = None
    init: AgentInit | None = None


_NOTHING: Final = Translated()


class Translator:
    """Reads lines in order. What it remembers is only for live text and task names; a fresh one loses no fact."""

    def __init__(self) -> None:
        self._is_live = False
        self._task_calls: dict[str, dict[str, Any]] = {}

    def feed(self, line: object) -> Translated:  # noqa: PLR0911 - one return per kind of line
        """Translate one parsed line; anything that is not understood is `Translated()`."""
        if not isinstance(line, dict):
            return _NOTHING
        match line.get("type"):
            case "stream_event":
                return Translated(tuple(self._streamed(line)))
            case "assistant":
                return Translated(tuple(self._said(line)))
            case "user":
                return Translated(tuple(self._came_back(line)))
            case "system":
                return self._system(line)
            case "result":
                self._is_live = False
                return Translated(result=read_result(line))
            case "command_lifecycle":
                uuid, state = _text(line.get("command_uuid")), _text(line.get("state"))
                return Translated(lifecycle=(uuid, state)) if uuid and state else _NOTHING
            case _:
                return _NOTHING

    def _streamed(self, line: Mapping[str, Any]) -> Iterator[e.RunEvent]:
        event = line.get("event")
        if line.get("parent_tool_use_id") is not None or not isinstance(event, dict):
            return
        if event.get("type") == "message_start":
            yield from self._dropped()
            return
        delta = event.get("delta")
        if event.get("type") != "content_block_delta" or not isinstance(delta, dict):
            return
        kind = delta.get("type")
        if kind == "text_delta" and (text := _text(delta.get("text"))):
            self._is_live = True
            yield e.TextStreamed(text)
        elif kind == "thinking_delta" and (text := _text(delta.get("thinking"))):
            self._is_live = True
            yield e.ThinkingStreamed(text)

    def _dropped(self) -> Iterator[e.RunEvent]:
        """Live text whose block never came is void once the model begins again."""
        if self._is_live:
            self._is_live = False
            yield e.LiveTextDropped()

    def _said(self, line: Mapping[str, Any]) -> Iterator[e.RunEvent]:
        parent = _parent(line)
        for block in _blocks(line):
            match block.get("type"):
                # The words of a failed request come again, better, with the result.
                case "text" if parent is None and not line.get("error"):
                    self._is_live = False
                    if (text := _text(block.get("text"))).strip():
                        yield e.TextWritten(text)
                case "thinking" if parent is None:
                    self._is_live = False
                    if (text := _text(block.get("thinking"))).strip():
                        yield e.ThinkingDone(text)
                case "tool_use" | "server_tool_use":
                    yield from self._called(block, parent)

    def _called(self, block: Mapping[str, Any], parent: str | None) -> Iterator[e.RunEvent]:
        call, tool = _text(block.get("id")), _text(block.get("name"))
        if not call or not tool:
            return
        given = block.get("input")
        given = given if isinstance(given, dict) else {}
        yield e.ToolStarted(call, tool, line_of(tool, given), clipped_input(given), parent)
        if parent is None and tool in ("TodoWrite", "TaskCreate", "TaskUpdate"):
            if len(self._task_calls) >= _MAX_REMEMBERED:
                self._task_calls.pop(next(iter(self._task_calls)))
            self._task_calls[call] = given

    def _came_back(self, line: Mapping[str, Any]) -> Iterator[e.RunEvent]:
        if line.get("isReplay") is True:
            return
        parent = _parent(line)
        for block in _blocks(line):
            call = _text(block.get("tool_use_id"))
            if block.get("type") != "tool_result" or not call:
                continue
            output = output_text(block.get("content"))
            if block.get("is_error") is True:
                self._task_calls.pop(call, None)
                yield e.ToolFailed(call, output, parent)
                continue
            yield e.ToolFinished(call, output, parent)
            if parent is None:
                yield from self._task(self._task_calls.pop(call, {}), line.get("tool_use_result"), output)

    def _task(self, given: Mapping[str, Any], outcome: object, output: str) -> Iterator[e.RunEvent]:
        """The task list made or changed: only now is it known that it worked, and which number a task has."""
        told = outcome if isinstance(outcome, dict) else {}
        todos = told.get("newTodos", given.get("todos"))
        if isinstance(todos, list):
            yield e.TasksChanged(tuple(_todos(todos)))
            return
        made = told.get("task")
        if isinstance(made, dict) and _text(made.get("id")) and isinstance(made.get("subject"), str):
            yield _changed(_text(made["id"]), _text(made["subject"]), "pending")
        elif found := _CREATED.match(output) if "subject" in given or not told else None:
            yield _changed(found[1], found[2], "pending")
        elif number := _text(told.get("taskId")) if told.get("success") is True else "":
            change = told.get("statusChange")
            state = _text(change.get("to")) if isinstance(change, dict) else _text(given.get("status"))
            subject = _text(given.get("subject"))
            if state in _TASK_STATES or subject:
                yield _changed(number, subject, state if state in _TASK_STATES else "")

    def _system(self, line: Mapping[str, Any]) -> Translated:
        match line.get("subtype"):
            case "init":
                ready = AgentInit(
                    _text(line.get("session_id")), _text(line.get("model")), _text(line.get("permissionMode"))
                )
                if not ready.session_id:
                    return _NOTHING
                return Translated((e.AgentReady(ready.session_id, ready.model),), init=ready)
            case "session_state_changed":
                return Translated(session_state=_text(line.get("state")) or None)
            case "api_retry":
                return Translated((*self._dropped(), _retry(line)))
            case "compact_boundary":
                told = line.get("compact_metadata")
                told = told if isinstance(told, dict) else {}
                before = int(_number(told.get("pre_tokens")))
                return Translated((e.ContextCompacted(_text(told.get("trigger")) or "auto", before),))
            case _:
                return _NOTHING


def _retry(line: Mapping[str, Any]) -> e.ModelRetried:
    status = line.get("error_status")
    why = _text(line.get("error")).replace("_", " ")
    why = "no answer" if why in ("", "unknown") else why
    if isinstance(status, int) and not isinstance(status, bool):
        why = f"{status} {why}" if str(status) not in why else why
    return e.ModelRetried(int(_number(line.get("attempt"))), _number(line.get("retry_delay_ms")) / 1000, why[:200])


def _changed(number: str, text: str, state: str) -> e.TasksChanged:
    return e.TasksChanged((e.Task(number, _short(text), state),), is_whole=False)


def _todos(todos: list[Any]) -> Iterator[e.Task]:
    for number, todo in enumerate(todos, 1):
        if isinstance(todo, dict) and (text := _text(todo.get("content")) or _text(todo.get("activeForm"))):
            state = _text(todo.get("status"))
            yield e.Task(str(number), _short(text), state if state in _TASK_STATES else "pending")


def _blocks(line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    message = line.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        yield from (block for block in content if isinstance(block, dict))


def _parent(line: Mapping[str, Any]) -> str | None:
    return _text(line.get("parent_tool_use_id")) or None


def _text(value: object) -> str:
    return storable(value) if isinstance(value, str) else ""


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        return 0.0
    return float(value)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_TASK else line[: _MAX_TASK - 1] + "…"
