"""The lasting permissions of a chat: which calls a `Rule` covers, and which rule "Always in this thread" makes.

A rule covers only what its own words say: each simple command of a line needs its rule, and a risk outside the
words a person saw is asked about all the same. Next: `policy.py`, which applies them.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from core.domain.approval import Rule
from core.domain.commands import Simple, Unreadable
from core.domain.harmless import is_harmless
from core.domain.places import HOME, is_free, is_guarded, is_secret, resolve
from core.domain.risk import Risk, judged, risks
from core.domain.wrappers import commands_run, is_wrapper

COMMANDS: Final = frozenset(("Bash", "Monitor"))
EDITS: Final = frozenset(("Edit", "Write", "MultiEdit", "NotebookEdit"))
LOOKS: Final = frozenset(("Read", "NotebookRead", "Glob", "Grep", "LS"))


def path_of(tool_input: Mapping[str, Any]) -> str | None:
    """The path a file tool works on, absolute and normal; None when there is none."""
    for name in ("file_path", "notebook_path", "path"):
        if isinstance(value := tool_input.get(name), str) and value:
            return resolve(value)
    return None


def is_exact(rules: Sequence[Rule], tool: str, line: str) -> bool:
    """Whether a rule names this very command line, or the whole of its tool."""
    return any(rule.tool == tool and (rule.pattern is None or rule.pattern.strip() == line.strip()) for rule in rules)


def covers_command(rules: Sequence[Rule], tool: str, command: Simple, found: Sequence[Risk]) -> bool:
    """Whether a rule covers a simple command with its risks: by the same words, or by a prefix that holds them all."""
    return any(rule.tool == tool and rule.pattern and _covers(rule.pattern, command, found) for rule in rules)


def covers_file(rules: Sequence[Rule], tool: str, path: str) -> bool:
    """Whether a rule covers a file: by a path pattern, or any free file for a rule on the whole tool."""
    family = EDITS if tool in EDITS else LOOKS if tool in LOOKS else frozenset((tool,))
    for rule in rules:
        if rule.tool not in family:
            continue
        if rule.pattern is None:
            if not is_secret(path) and (tool in LOOKS or (is_free(path) and not is_guarded(path))):
                return True
        elif _path_pattern(rule.pattern).fullmatch(path):
            return True
    return False


def covers_call(rules: Sequence[Rule], tool: str, tool_input: Mapping[str, Any]) -> bool:
    """Whether a rule covers a call of any other tool; a web page by its host."""
    return any(
        rule.tool == tool and (rule.pattern is None or (tool == "WebFetch" and rule.pattern == _domain(tool_input)))
        for rule in rules
    )


def rule_from(tool: str, tool_input: Mapping[str, Any], suggestions: Sequence[Mapping[str, Any]] = ()) -> Rule:
    """The rule that "Always in this thread" makes of a call.

    For a command it is the agent's own suggestion where that is one narrow rule which covers the call, else this
    very line; for a file in the workspace the tool, elsewhere that file; for a page its host; else the tool.
    """
    if tool in COMMANDS:
        return _command_rule(tool, str(tool_input.get("command") or ""), suggestions)
    if tool in EDITS or tool in LOOKS:
        path = path_of(tool_input)
        whole = Rule(tool)
        if path is None or covers_file((whole,), tool, path):
            return whole
        return Rule(tool, "/" + re.sub(r"([*?\\])", r"\\\1", path))
    if tool == "WebFetch" and (domain := _domain(tool_input)):
        return Rule(tool, domain)
    return Rule(tool)


def _command_rule(tool: str, line: str, suggestions: Sequence[Mapping[str, Any]]) -> Rule:
    offered = [
        rule
        for suggestion in suggestions
        if suggestion.get("type") == "addRules"
        for rule in suggestion.get("rules") or ()
        if isinstance(rule, Mapping) and suggestion.get("behavior", "allow") == "allow"
    ]
    if len(offered) == 1 and offered[0].get("toolName") == tool and isinstance(offered[0].get("ruleContent"), str):
        rule = Rule(tool, offered[0]["ruleContent"])
        if _is_narrow(rule) and _covers_line(rule, line):
            return rule
    # A space at the end keeps a line that ends in a star from being read as a prefix.
    line = line.strip()
    return Rule(tool, line + " " if line.endswith("*") else line)


def _covers_line(rule: Rule, line: str) -> bool:

    try:
        commands = judged(commands_run(line))
    except Unreadable:
        return False
    return all(
        (not found and is_harmless(command)) or covers_command((rule,), rule.tool, command, found)
        for command, found in commands
    )


def _is_narrow(rule: Rule) -> bool:
    prefix = _prefix(rule.pattern or "")
    if prefix is None:
        return True
    words = shlex.split(prefix)
    if len(words) > 1:
        return True
    try:
        return bool(words) and not risks(prefix) and not any(is_wrapper(command) for command in commands_run(prefix))
    except Unreadable:
        return False


def _prefix(pattern: str) -> str | None:
    """`touch planned` of `touch planned *`, and of the older `touch planned:*`; None for a pattern without a star."""
    for tail in (" *", ":*"):
        if pattern.endswith(tail):
            return pattern[: -len(tail)]
    return None


def _covers(pattern: str, command: Simple, found: Sequence[Risk]) -> bool:
    prefix = _prefix(pattern)
    try:
        wanted = shlex.split(pattern if prefix is None else prefix)
    except ValueError:
        return False
    if not wanted or command.assignments or len(command.words) < len(wanted):
        return False
    head = command.words[: len(wanted)]
    if [word.text for word in head] != wanted or not all(word.is_literal and not word.has_glob for word in head):
        return False
    if prefix is None:
        return len(command.words) == len(wanted) and not command.redirects
    is_moved = len(command.words) > 1 and command.words[0].start == command.words[1].start
    if is_moved or is_wrapper(command):
        return not found
    return all(head[0].start <= risk.start and risk.end <= head[-1].end for risk in found)


def _path_pattern(pattern: str) -> re.Pattern[str]:
    """The agent's path patterns: `//` is the root, `~/` the home, anything else is taken from the workspace."""
    if pattern.startswith("//"):
        pattern = pattern[1:]
    elif pattern.startswith("~/"):
        pattern = HOME + pattern[1:]
    else:
        pattern = resolve(pattern.lstrip("/"))
    out, at = "", 0
    while at < len(pattern):
        if pattern[at] == "\\" and at + 1 < len(pattern):
            out, at = out + re.escape(pattern[at + 1]), at + 2
        elif pattern.startswith("**", at):
            out, at = out + ".*", at + 2
        else:
            out, at = out + {"*": "[^/]*", "?": "[^/]"}.get(pattern[at], re.escape(pattern[at])), at + 1
    return re.compile(out, re.DOTALL)


def _domain(tool_input: Mapping[str, Any]) -> str | None:
    try:
        host = urlsplit(str(tool_input.get("url") or "")).hostname
    except ValueError:
        return None
    return f"domain:{host}" if host else None
