"""Looks inside commands that run other commands: `bash -c`, `env`, `timeout`, `xargs`, `find -exec`, `eval`.

`commands_run(line)` gives the commands that would really run, as `shell.py` read them, with the wrappers taken off.
A wrapper used in a way that is not known here raises `Unreadable`. Next: `risk.py`, which judges what is left.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from core.domain.commands import Simple, Unreadable, Word, moved
from core.domain.shell import MAX_DEPTH, simple_commands

SHELLS: Final = frozenset(("sh", "bash", "zsh", "dash", "ksh", "ash", "fish"))


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """How a wrapper's own words end: options with a value, options without, and words before the command."""

    valued: frozenset[str] = frozenset()
    flags: str = ""
    before: int = 0


def _wrapper(valued: str = "", flags: str = "", before: int = 0) -> _Wrapper:
    return _Wrapper(frozenset(valued.split()), flags, before)


_WRAPPERS: Final = {
    "nohup": _wrapper(),
    "nice": _wrapper("-n --adjustment"),
    "ionice": _wrapper("-c -n --class --classdata", "t"),
    "timeout": _wrapper("-s -k --signal --kill-after", "v", before=1),
    "stdbuf": _wrapper("-i -o -e --input --output --error"),
    "setsid": _wrapper("", "cfw"),
    "time": _wrapper("-f --format", "pv"),
    "command": _wrapper("", "p"),
    "builtin": _wrapper(),
    "exec": _wrapper("-a", "cl"),
    "chronic": _wrapper("", "ve"),
    "busybox": _wrapper(),
    "toybox": _wrapper(),
    "xargs": _wrapper("-I -n -P -L -d -s -E --max-args --max-procs --max-lines --delimiter --replace", "0rtx"),
}
_LONG_FLAGS: Final = frozenset(
    ("--null", "--no-run-if-empty", "--foreground", "--preserve-status", "--verbose", "--fork", "--wait", "--ctty")
)
# Programs that run another one by a word of theirs.
_RUNNERS: Final = {
    **dict.fromkeys(("uv", "poetry", "pipenv", "pdm", "hatch", "rye"), "run"),
    "bundle": "exec",
}
_RUNNER_FLAGS: Final = frozenset(("--no-sync", "--frozen", "--locked", "--offline", "-q", "--quiet", "--"))
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=")
_EXECS: Final = frozenset(("-exec", "-execdir", "-ok", "-okdir"))


def commands_run(line: str, depth: int = 0) -> tuple[Simple, ...]:
    """The simple commands that a shell line would run, wrappers opened. Raises `Unreadable`."""
    if depth > MAX_DEPTH:
        raise Unreadable("nested too deep")
    return tuple(inner for command in simple_commands(line) for inner in _opened(command, depth))


def is_wrapper(command: Simple) -> bool:
    """Whether this command runs another one that is written in its words."""
    return command.name in _WRAPPERS or command.name in SHELLS or command.name in ("env", "eval", "trap", "find")


def _opened(command: Simple, depth: int) -> Iterator[Simple]:
    if depth > MAX_DEPTH:
        raise Unreadable("nested too deep")
    name = command.name
    if name in SHELLS:
        yield from _shell(command, depth)
    elif name == "env":
        yield from _env(command, depth)
    elif name == "command" and {"-v", "-V"} & set(command.texts[1:2]):
        yield command
    elif name in _RUNNERS and command.texts[1:2] == (_RUNNERS[name],):
        yield from _ran(command, depth)
    elif name in _WRAPPERS:
        yield from _wrapped(command, depth)
    elif name == "find":
        yield from _find(command, depth)
    elif name == "eval":
        yield from _text(command, command.words[1:], depth)
    elif name == "trap" and len(command.words) > 1:
        yield from _text(command, command.words[1:2], depth)
    else:
        yield command


def _ran(command: Simple, depth: int) -> Iterator[Simple]:
    """`uv run …`: the program in the project's own environment."""
    rest = command.words[2:]
    while rest and rest[0].text in _RUNNER_FLAGS:
        rest = rest[1:]
    if not rest or rest[0].text.startswith("-"):
        raise Unreadable(f"`{command.name} {command.texts[1]}` with options")
    if rest[0].text.endswith(".py"):
        yield command
    else:
        yield from _opened(replace(command, words=rest), depth + 1)


def _text(command: Simple, words: tuple[Word, ...], depth: int) -> Iterator[Simple]:
    """The commands of words that are a shell text themselves."""
    if not all(word.is_literal for word in words):
        raise Unreadable("a command that is put together while it runs")
    if not words:
        return
    text = " ".join(word.text for word in words)
    for inner in commands_run(text, depth + 1):
        yield moved(replace(inner, assignments=command.assignments + inner.assignments), words[0].start, words[-1].end)
    if command.redirects:
        yield Simple((), (), command.redirects)


def _shell(command: Simple, depth: int) -> Iterator[Simple]:
    rest = command.words[1:]
    while rest and re.match(r"[-+]", rest[0].text):
        option = rest[0].text
        if not rest[0].is_literal or not re.fullmatch(
            r"-[celxuivfn]+|[-+]o|-|--norc|--noprofile|--login|--posix", option
        ):
            raise Unreadable(f"`{command.name}` with `{option}`")
        rest = rest[1:]
        if option[-1] == "o":
            rest = rest[1:]
        elif "c" in option and not option.startswith("--"):
            if not rest:
                raise Unreadable(f"`{command.name} -c` without a command")
            yield from _text(command, rest[:1], depth)
            return
    bodies = [item for item in command.redirects if item.body is not None]
    if rest or not bodies:
        yield command
        return
    others = tuple(item for item in command.redirects if item.body is None)
    if others:
        yield Simple((), (), others)
    for item in bodies:
        if not item.is_fixed:
            raise Unreadable("a command that is put together while it runs")
        for inner in commands_run(item.body or "", depth + 1):
            yield moved(inner, item.target.start, item.target.end)


def _env(command: Simple, depth: int) -> Iterator[Simple]:
    rest, given = command.words[1:], command.assignments
    while rest:
        text = rest[0].text
        if text in ("-u", "--unset"):
            rest = rest[2:]
        elif text in ("-i", "-", "--ignore-environment", "-0", "--null") or text.startswith("--unset="):
            rest = rest[1:]
        elif _ASSIGNMENT.match(text):
            given, rest = (*given, rest[0]), rest[1:]
        elif text.startswith("-"):
            raise Unreadable(f"`env` with `{text}`")
        else:
            break
    if rest:
        yield from _opened(replace(command, words=rest, assignments=given), depth + 1)
    else:
        yield command


def _wrapped(command: Simple, depth: int) -> Iterator[Simple]:
    spec, rest, before, holder = _WRAPPERS[command.name], command.words[1:], 0, ""
    while rest:
        text = rest[0].text
        if text == "--":
            rest = rest[1:]
        elif text in spec.valued:
            holder = rest[1].text if text in ("-I", "--replace") and len(rest) > 1 else holder
            rest = rest[2:]
        elif text.startswith("-") and len(text) > 1:
            holder = text[2:] if text.startswith("-I") else holder
            if not _is_own_option(text, spec):
                raise Unreadable(f"`{command.name}` with `{text}`")
            rest = rest[1:]
        elif before < spec.before:
            before, rest = before + 1, rest[1:]
        else:
            break
    if not rest:
        yield replace(command, words=())
        return
    if command.name == "xargs":
        given = Word("…", rest[0].start, rest[-1].end, is_literal=False)
        kept = (replace(word, is_literal=word.is_literal and not (holder and holder in word.text)) for word in rest)
        rest = (*kept, given)
    yield from _opened(replace(command, words=rest), depth + 1)


def _is_own_option(text: str, spec: _Wrapper) -> bool:
    if text in _LONG_FLAGS or text.split("=", 1)[0] in spec.valued:
        return True
    if text.startswith("--"):
        return False
    attached = text[:2] in spec.valued
    number = re.fullmatch(r"-\d+", text) and "-n" in spec.valued and spec.before == 0
    return attached or bool(number) or all(flag in spec.flags for flag in text[1:])


def _find(command: Simple, depth: int) -> Iterator[Simple]:
    kept, rest = list[Word](), list(command.words)
    while rest:
        word = rest.pop(0)
        if word.text not in _EXECS:
            kept.append(word)
            continue
        inner = list[Word]()
        while rest and rest[0].text not in (";", "+"):
            part = rest.pop(0)
            inner.append(replace(part, is_literal=part.is_literal and "{}" not in part.text))
        if not rest or not inner:
            raise Unreadable("`find -exec` without its end")
        rest.pop(0)
        yield from _opened(Simple(tuple(inner)), depth + 1)
    yield replace(command, words=tuple(kept))
