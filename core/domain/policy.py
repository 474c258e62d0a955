"""What is allowed, what is denied and what is asked: `decide(mode, tool, input, rules)`, pure.

`ask`: everything that changes anything asks. `auto`: what stays inside the throw-away sandbox runs, what reaches
out of it or cannot be undone in it asks. `plan`: nothing that changes anything runs, whatever the rules say.
`bypass`: nothing asks but what only a person can answer. A doubt is always a question. `risk.py` and `harmless.py`
read commands, `rules.py` applies a chat's rules; `worker/agent/questions.py` asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from core.domain.approval import Rule
from core.domain.chat import Mode
from core.domain.commands import Unreadable
from core.domain.harmless import is_harmless
from core.domain.places import HOME, WORKSPACE, is_free, is_guarded, is_secret, is_within, shortened
from core.domain.risk import judged
from core.domain.rules import (
    COMMANDS,
    EDITS,
    LOOKS,
    covers_call,
    covers_command,
    covers_file,
    is_exact,
    path_of,
    rule_from,
)
from core.domain.wrappers import commands_run

PLAN_MODE: Final = (
    "You are in plan mode: nothing may be changed yet, and this call might change something. Read and search as much "
    "as you need, then present your plan with ExitPlanMode; once a person approves it you can do this."
)
_PERSONS: Final = {"AskUserQuestion": "The agent has a question", "ExitPlanMode": "The agent has a plan"}
# The agent's own business: its lists, its sub-agents (whose calls are judged one by one), its background work.
_OWN: Final = frozenset(
    {
        *("TodoWrite", "TaskCreate", "TaskUpdate", "TaskList", "TaskGet", "TaskOutput", "TaskStop", "BashOutput"),
        *("KillShell", "ToolSearch", "ListAgents", "EnterPlanMode", "ReportFindings", "StructuredOutput", "CronList"),
        *("ListMcpResourcesTool", "Skill", "Agent", "Task", "LSP", "SendMessage"),
    }
)
_INSIDE: Final = frozenset(("EnterWorktree", "ExitWorktree"))
_PLANS: Final = HOME + "/.claude/plans"
_WHY: Final = {
    "WebFetch": "It reads a page on the network",
    "WebSearch": "It searches the web",
    "Workflow": "It may start many sub-agents, which costs",
    "ReadMcpResourceTool": "It reads from a connected service",
}
_MAX_REASONS: Final = 3


@dataclass(frozen=True, slots=True)
class Allow:
    """It runs. `by_rule`: because a person gave a lasting permission."""

    by_rule: bool = False


@dataclass(frozen=True, slots=True)
class Deny:
    """It does not run; `message` is for the agent."""

    message: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A person decides; `why` is for them, in a sentence without its full stop."""

    why: str


Ruling = Allow | Deny | Ask


def decide(  # noqa: PLR0911 - one return per kind of tool
    mode: Mode,
    tool: str,
    tool_input: Mapping[str, Any],
    rules: Sequence[Rule] = (),
    *,
    blocked_path: str | None = None,
) -> Ruling:
    """Whether a tool call runs, is denied, or is asked about.

    `blocked_path` is the path for which the agent's program itself would ask; it settles a doubt about commands.
    """
    if why := _PERSONS.get(tool):
        return Ask(why)
    match mode:
        case Mode.BYPASS:
            return Allow()
        case Mode.ASK | Mode.AUTO | Mode.PLAN:
            pass
        case _:
            assert_never(mode)
    if tool in COMMANDS:
        return _command(mode, tool, tool_input.get("command"), rules, blocked_path)
    if tool in _OWN:
        return Allow()
    if tool in LOOKS:
        return _look(tool, tool_input, rules)
    if tool in EDITS:
        return _edit(mode, tool, tool_input, rules)
    return _other(mode, tool, tool_input, rules)


def _command(  # noqa: PLR0911 - one return per reason
    mode: Mode, tool: str, line: object, rules: Sequence[Rule], blocked_path: str | None
) -> Ruling:
    if not isinstance(line, str) or not line.strip():
        return Deny(PLAN_MODE) if mode is Mode.PLAN else Ask("It does not say what it runs")
    if mode is not Mode.PLAN and is_exact(rules, tool, line):
        return Allow(by_rule=True)
    try:
        commands = judged(commands_run(line))
    except (Unreadable, RecursionError) as error:
        return Deny(PLAN_MODE) if mode is Mode.PLAN else Ask(f"It cannot be taken apart with certainty ({error})")
    if mode is Mode.PLAN and not all(is_harmless(command) for command, _ in commands):
        return Deny(PLAN_MODE)
    reasons = list[str]()
    by_rule = False
    for command, found in commands:
        if not found and (mode is Mode.AUTO or is_harmless(command)):
            continue
        if mode is not Mode.PLAN and covers_command(rules, tool, command, found):
            by_rule = True
            continue
        reasons += [f"`{risk.what}` {risk.why}" for risk in found] or [
            f"`{command.name or line.strip()}` may change something"
        ]
    if reasons:
        return Ask(_sentence(reasons))
    if (
        blocked_path
        and not by_rule
        and not is_free(blocked_path)
        and not all(is_harmless(each) for each, _ in commands)
    ):
        return Ask(f"It touches {shortened(blocked_path)}, outside the workspace")
    return Allow(by_rule)


def _look(tool: str, tool_input: Mapping[str, Any], rules: Sequence[Rule]) -> Ruling:
    path = path_of(tool_input) or WORKSPACE
    named = (path, *(value for name in ("glob", "pattern") if isinstance(value := tool_input.get(name), str)))
    if not any(is_secret(text) for text in (named if tool in ("Glob", "Grep") else (path,))):
        return Allow()
    if covers_file(rules, tool, path) and is_secret(path):
        return Allow(by_rule=True)
    return Ask(f"It reads {shortened(path)}, where secrets may be kept")


def _edit(  # noqa: PLR0911 - one return per reason
    mode: Mode, tool: str, tool_input: Mapping[str, Any], rules: Sequence[Rule]
) -> Ruling:
    path = path_of(tool_input)
    if mode is Mode.PLAN:
        is_plan = path is not None and is_within(path, _PLANS) and path.endswith(".md")
        return Allow() if is_plan else Deny(PLAN_MODE)
    if path is None:
        return Ask("It does not say which file it changes")
    if covers_file(rules, tool, path):
        return Allow(by_rule=True)
    if not is_free(path):
        return Ask(f"It changes {shortened(path)}, outside the workspace")
    if is_guarded(path):
        return Ask(f"It changes {shortened(path)}, which makes other programs run something")
    if is_secret(path):
        return Ask(f"It changes {shortened(path)}, where secrets may be kept")
    return Allow() if mode is Mode.AUTO else Ask(f"It changes {shortened(path)}")


def _other(mode: Mode, tool: str, tool_input: Mapping[str, Any], rules: Sequence[Rule]) -> Ruling:
    is_reading = tool in ("WebFetch", "WebSearch", "ReadMcpResourceTool")
    if mode is Mode.PLAN and not is_reading:
        return Deny(PLAN_MODE)
    if covers_call(rules, tool, tool_input):
        return Allow(by_rule=True)
    if mode is Mode.AUTO and tool in _INSIDE:
        return Allow()
    if tool.startswith("mcp__"):
        return Ask("It acts on a connected service")
    return Ask(_WHY.get(tool, "It may change something"))


def _sentence(reasons: Sequence[str]) -> str:
    different = list(dict.fromkeys(reasons))
    shown = "; ".join(" ".join(reason.split())[:160] for reason in different[:_MAX_REASONS])
    return shown if len(different) <= _MAX_REASONS else f"{shown}; and {len(different) - _MAX_REASONS} more"


__all__ = ["PLAN_MODE", "Allow", "Ask", "Deny", "Ruling", "decide", "rule_from"]
