"""What happens in a turn: a closed union, in the past tense.

Deltas (`TextStreamed`, `ThinkingStreamed`) are shown and forgotten; all other events are stored, numbered
within their turn. `to_json` and `from_json` are the one wire form, used by the database, the bus, `--json` and the
admin page: `{"type": "tool_started", …fields}`. Next: `view.py`, which folds them.
"""

import re
from dataclasses import MISSING, asdict, dataclass, fields
from decimal import Decimal
from types import UnionType
from typing import Any, Final, get_args, get_type_hints

from core.domain.approval import ApprovalKind
from core.domain.states import ApprovalState, TurnState
from core.domain.turn import Usage


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The worker took messages up. `message_ids` are ours, as text; `number` counts the chat's turns."""

    number: int
    message_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgentReady:
    """The agent's program said what it is; it does so at the start of every turn."""

    session_id: str
    model: str


@dataclass(frozen=True, slots=True)
class MessageSteered:
    """A message that came while the turn ran was handed to the agent."""

    message_id: str
    author: str
    text: str


@dataclass(frozen=True, slots=True)
class TextStreamed:
    """A piece of the answer, as the model wrote it. Not stored."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingStreamed:
    """A piece of the model's thinking. Not stored."""

    text: str


@dataclass(frozen=True, slots=True)
class LiveTextDropped:
    """The model's answer began anew: what was streamed since the last finished block no longer counts. Not stored."""


@dataclass(frozen=True, slots=True)
class TextWritten:
    """A whole block of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDone:
    """A whole block of thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """The agent called a tool. `line` says it in a few words; `parent` is the sub-agent's call it belongs to."""

    id: str
    tool: str
    line: str
    input: dict[str, Any]
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool call came back. `output` is cut to a few thousand characters."""

    id: str
    output: str
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class ToolFailed:
    """A tool call came back with an error, a refusal included."""

    id: str
    output: str
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One line of the agent's task list. `state`: pending, in_progress, completed, or deleted to take it away.

    In a change that is not whole, an empty `text` or `state` means: as before.
    """

    id: str
    text: str
    state: str


@dataclass(frozen=True, slots=True)
class TasksChanged:
    """The agent rewrote its task list (`is_whole`), or added and changed some of it."""

    tasks: tuple[Task, ...]
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    """The agent waits for a person. The question itself is the approval's row."""

    approval_id: str
    kind: ApprovalKind
    line: str
    tool: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalSettled:
    """A question is no longer open, and why."""

    approval_id: str
    state: ApprovalState
    by: str | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class ModelRetried:
    """The model did not answer and is asked again."""

    attempt: int
    delay_s: float
    why: str


@dataclass(frozen=True, slots=True)
class ContextCompacted:
    """The agent summarised its memory to make room."""

    trigger: str
    tokens_before: int


@dataclass(frozen=True, slots=True)
class AgentRestarted:
    """The agent's program was gone in mid-turn and was started again on its memory."""

    words: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something a person should know, in one line."""

    words: str


@dataclass(frozen=True, slots=True)
class FileShared:
    """A file that the agent left for people is in the thread.

    `path` is below the outbox, `name` what people see. `stamp` tells versions of the file apart without reading it,
    `digest` is of its bytes: together they say later whether it changed.
    """

    path: str
    name: str
    size: int
    digest: str
    stamp: str


@dataclass(frozen=True, slots=True)
class FileKept:
    """A file that the agent left for people stays in the sandbox; `why` fits behind a colon."""

    path: str
    name: str
    size: int
    stamp: str
    why: str


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The end of a turn, whatever kind of end. Nothing of this turn follows it."""

    state: TurnState
    text: str
    usage: Usage
    cost_usd: Decimal
    duration_s: float
    error: str | None = None
    model: str | None = None


RunEvent = (
    TurnStarted
    | AgentReady
    | MessageSteered
    | TextStreamed
    | ThinkingStreamed
    | LiveTextDropped
    | TextWritten
    | ThinkingDone
    | ToolStarted
    | ToolFinished
    | ToolFailed
    | TasksChanged
    | ApprovalAsked
    | ApprovalSettled
    | ModelRetried
    | ContextCompacted
    | AgentRestarted
    | Noticed
    | FileShared
    | FileKept
    | TurnFinished
)

Fleeting = TextStreamed | ThinkingStreamed | LiveTextDropped
FLEETING: Final = (TextStreamed, ThinkingStreamed, LiveTextDropped)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


_TYPES: Final[dict[str, type[Any]]] = {_snake(kind.__name__): kind for kind in get_args(RunEvent)}
_HINTS: Final = {kind: get_type_hints(kind) for kind in (*_TYPES.values(), Task, Usage)}


def kind_of(event: RunEvent) -> str:
    """The event's stable name: `tool_started` for `ToolStarted`."""
    return _snake(type(event).__name__)


def to_json(event: RunEvent) -> dict[str, Any]:
    """The event as plain JSON values, `type` first; decimals become text."""
    body = asdict(event)
    return {"type": kind_of(event), **{name: _plain(value) for name, value in body.items()}}


def from_json(body: dict[str, Any]) -> RunEvent:
    """Read what `to_json` wrote; fields it does not know are left out, so older programs read newer events.

    Raises `KeyError` for a type it does not know and `ValueError` for a missing field.
    """
    event: RunEvent = _build(_TYPES[body["type"]], body)
    return event


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return str(value)
        case tuple() | list():
            return [_plain(item) for item in value]
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case _:
            return value


def _build(kind: type[Any], body: dict[str, Any]) -> Any:
    values = {}
    for field in fields(kind):
        if field.name in body:
            values[field.name] = _read(_HINTS[kind][field.name], body[field.name])
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{kind.__name__} without {field.name}")
    return kind(**values)


def _read(hint: Any, value: Any) -> Any:
    if isinstance(hint, UnionType):
        if value is None:
            return None
        hint = next(part for part in get_args(hint) if part is not type(None))
    if hint in (Usage, Task):
        return _build(hint, value)
    if hint is Decimal:
        return Decimal(value)
    if isinstance(hint, type) and issubclass(hint, str):
        return hint(value)
    if getattr(hint, "__origin__", None) is tuple:
        item = get_args(hint)[0]
        return tuple(_read(item, part) for part in value)
    return value
