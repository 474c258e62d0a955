"""Reads a Messages API request of the CLI: what is asked in this turn, and what happened in it so far.

The script keeps no state: everything it decides follows from the messages, so a resumed, repeated or retried
request gets the right answer. The phrases looked for are those of CLI 2.1.329. Next: `plays.py`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# How the CLI puts a person's words into a running turn, as a message of the system or beside a tool's result.
STEERED = re.compile(
    r"The user sent a new message while you were working:\n(.*?)"
    r"(?=\n\nThis is how Claude Code|\n\n?</system-reminder>|\Z)",
    re.DOTALL,
)
DEFERRED = re.compile(r"deferred tools are now available via ToolSearch[^\n]*\n((?:\w+\n?)+)")
FOLDER = re.compile(r"Primary working directory: (\S[^\n]*)")
PLAN_FILE = re.compile(r"(/\S+/plans/\S+?\.md)")
PLAN_MODE = re.compile(r"(Plan mode (?:is|still) active)|Exited Plan Mode")
INTERRUPTED = "[Request interrupted by user"
OWN_WORDS = ("<system-reminder>", "Tool loaded", "Your response above was cut off mid-stream", INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call of this turn and what came of it."""

    name: str
    input: Mapping[str, Any]
    result: str
    is_error: bool

    @property
    def was_refused(self) -> bool:
        """Whether it did not run at all; a command that ran and failed starts with its exit code."""
        return self.is_error and not self.result.startswith(("Exit code", "<tool_use_error>"))


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request as the script sees it. `rounds` are the answers with tool calls of this turn, oldest first."""

    asked: str
    rounds: Sequence[Sequence[Call]] = ()
    steered: Sequence[str] = ()
    earlier: Sequence[str] = ()
    tools: frozenset[str] = frozenset()
    deferred: frozenset[str] = frozenset()
    folder: str = "."
    plan_file: str = ""
    is_planning: bool = False
    is_first: bool = True
    thinks: bool = False

    @property
    def calls(self) -> Sequence[Call]:
        return [call for group in self.rounds for call in group]

    def offers(self, *names: str) -> bool:
        """Whether the model may call these tools, at once or after loading them."""
        return all(name in self.tools or name in self.deferred for name in names)


def read_conversation(body: Mapping[str, Any]) -> Conversation:
    """A request's body as a Conversation; unknown parts are passed over."""
    messages: Sequence[Mapping[str, Any]] = body.get("messages") or []
    starts = [n for n in range(len(messages)) if _begins_turn(messages, n)]
    start = starts[-1] if starts else 0
    everything = "\n".join(text for message in messages for text in _texts(message))
    plan_marks = list(PLAN_MODE.finditer(everything))
    plan_files = PLAN_FILE.findall(everything)
    folder = FOLDER.search(everything)
    last_answer = max((n for n, m in enumerate(messages) if m.get("role") == "assistant"), default=-1)
    fresh = [text for message in messages[max(last_answer, start) + 1 :] for text in _texts(message)]
    return Conversation(
        asked=_request_in(messages[start]) if messages else "",
        rounds=_rounds(messages[start:]),
        steered=[words.strip() for text in fresh for words in STEERED.findall(text)],
        earlier=[_request_in(messages[n]) for n in starts[:-1]],
        tools=frozenset(t.get("name", "") for t in body.get("tools") or []),
        deferred=frozenset(name for listed in DEFERRED.findall(everything) for name in listed.split()),
        folder=folder[1].strip() if folder else ".",
        plan_file=plan_files[-1] if plan_files else "",
        is_planning=bool(plan_marks) and plan_marks[-1][1] is not None,
        is_first=last_answer < 0,
        thinks=(body.get("thinking") or {}).get("type") in {"adaptive", "enabled"},
    )


def _begins_turn(messages: Sequence[Mapping[str, Any]], n: int) -> bool:
    """Whether a person's request stands here, rather than answers to tools, reminders or steering."""
    message = messages[n]
    if message.get("role") != "user" or not _request_in(message):
        return False
    results = [b for b in _blocks(message) if b.get("type") == "tool_result"]
    broken_off = any(INTERRUPTED in text for text in _texts(message)) or any(
        "interrupted" in _result_text(b).lower() for b in results
    )
    return not results or broken_off


def _request_in(message: Mapping[str, Any]) -> str:
    words = [t for t in _texts(message) if t.strip() and not t.lstrip().startswith(OWN_WORDS) and not STEERED.search(t)]
    return "\n".join(words).strip()


def _rounds(messages: Sequence[Mapping[str, Any]]) -> Sequence[Sequence[Call]]:
    results = {
        b.get("tool_use_id"): b for message in messages for b in _blocks(message) if b.get("type") == "tool_result"
    }
    rounds = []
    for message in messages:
        if message.get("role") != "assistant":
            continue
        used = [b for b in _blocks(message) if b.get("type") == "tool_use"]
        if used:
            rounds.append([_call(b, results.get(b.get("id"), {})) for b in used])
    return rounds


def _call(used: Mapping[str, Any], result: Mapping[str, Any]) -> Call:
    return Call(used.get("name", ""), used.get("input") or {}, _result_text(result), bool(result.get("is_error")))


def _result_text(result: Mapping[str, Any]) -> str:
    content = result.get("content", "")
    if isinstance(content, str):
        return content
    return "\n".join(str(b.get("text", "")) for b in content if isinstance(b, dict))


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    return (str(b.get("text", "")) for b in _blocks(message) if b.get("type") == "text")


def _blocks(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    content = message.get("content", "")
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    elif isinstance(content, list):
        yield from (b for b in content if isinstance(b, dict))
