"""What about a shell command reaches out of the sandbox, or cannot be undone in it.

`risks(line)` gives every risky word with a reason; an ordinary command gives none. The line is drawn where the
throw-away sandbox ends: building, testing and editing in the workspace is free; the network, other people's
systems, secrets, other rights, and deleting what was not made here are not. What cannot be read raises
`Unreadable`. Next: `policy.py`, which makes a decision of it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from core.domain.commands import Redirect, Simple, Word
from core.domain.places import WORKSPACE, is_free, is_guarded, is_secret, is_secret_name, is_within, resolve
from core.domain.risky import (
    ALWAYS,
    CODE_FLAGS,
    CODE_HINTS,
    DELETES,
    DISCARDS,
    INNER,
    INSTALLS,
    INTERPRETERS,
    NETWORK,
    OPTIONS_WITH_VALUE,
    OUTSIDE,
    RIGHTS,
    SAME,
    SECRETS,
    STOPS,
    UNCLEAR,
)
from core.domain.wrappers import SHELLS, commands_run

MAX_CWDS: Final = 16
_SAYS: Final = frozenset(("echo", "printf", "grep", "rg", "sed", "test", "[", "[[", "jq"))
_SHOWS: Final = frozenset(("cat", "head", "tail", "less", "more", "grep", "cp", "strings"))
_ELSEWHERE: Final = "/some/place/that/is/not/known"

_WRITES: Final = frozenset(
    {
        *("rm", "rmdir", "unlink", "mv", "cp", "tee", "ln", "install", "touch", "mkdir", "chmod", "chown", "chgrp"),
        *("truncate", "dd", "patch", "tar", "unzip", "gunzip", "gzip", "rename", "split", "csplit", "mkfifo", "mknod"),
        *("setfacl", "xxd"),
    }
)


@dataclass(frozen=True, slots=True)
class Risk:
    """A risky stretch of a command line, and what is risky about it. `what` is the command or path."""

    start: int
    end: int
    why: str
    what: str


def risks(line: str) -> tuple[Risk, ...]:
    """Every risk of a shell line, in its order. Raises `Unreadable`."""
    return risks_of(commands_run(line))


def risks_of(commands: tuple[Simple, ...]) -> tuple[Risk, ...]:
    """Every risk of commands that run one after the other, in the order they are written."""
    return tuple(risk for _, found in judged(commands) for risk in found)


def judged(commands: tuple[Simple, ...]) -> tuple[tuple[Simple, tuple[Risk, ...]], ...]:
    """Each command with its risks. A `cd` counts for all: a later one may run in either folder."""
    cwds = {WORKSPACE}
    for command in commands:
        if command.name in ("cd", "pushd", "popd"):
            cwds = _after_cd(command, cwds)
    return tuple((command, tuple(_risks(command, frozenset(cwds)))) for command in commands)


def _after_cd(command: Simple, cwds: set[str]) -> set[str]:
    targets = [word for word in command.words[1:] if word.text not in ("-L", "-P", "--")]
    if not targets:
        return cwds | {resolve("~")}
    if len(targets) > 1 or not targets[0].is_literal or targets[0].has_glob or targets[0].text == "-":
        return cwds | {_ELSEWHERE}
    cwds = cwds | {resolve(targets[0].text, cwd) for cwd in cwds}
    return cwds if len(cwds) <= MAX_CWDS else {_ELSEWHERE}


def _risks(command: Simple, cwds: frozenset[str]) -> Iterator[Risk]:
    yield from _assigned(command)
    for item in command.redirects:
        yield from _redirected(item, cwds)
    if not command.words:
        return
    first = command.words[0]
    name = command.name
    if not name or name.startswith("-"):
        yield _risk(first, UNCLEAR)
        return
    if why := ALWAYS.get(name, ALWAYS.get(name.rstrip("0123456789."))):
        yield _risk(first, why, name)
    elif "." in first.text and is_secret(first.text):
        yield _risk(first, SECRETS)
    yield from _words(command)
    yield from _inner(command, name if name in INNER else SAME.get(name, name.rstrip("0123456789.")))
    yield from _code(command)
    if name in _WRITES:
        yield from _written(command, cwds)
    yield from _special(command)


def _risk(word: Word, why: str, what: str = "") -> Risk:
    return Risk(word.start, word.end, why, what or word.text)


def _assigned(command: Simple) -> Iterator[Risk]:
    for word in command.assignments:
        if any(is_secret_name(name) for name in word.variables):
            yield _risk(word, SECRETS)
        if word.is_literal and re.search(r"\$\(|`", word.text):
            yield _risk(word, UNCLEAR)
        if (
            re.match(r"(?:LD_|DYLD_|GIT_|BASH_ENV=|ENV=|IFS=|PROMPT_COMMAND=|SHELLOPTS=|PS4=)", word.text)
            and command.words
        ):
            yield _risk(word, UNCLEAR)


def _redirected(item: Redirect, cwds: frozenset[str]) -> Iterator[Risk]:
    target = item.target
    if item.body is not None or (item.op in (">&", "<&") and re.fullmatch(r"\d+|-|\d+-", target.text)):
        if item.op == "<<<" and any(is_secret_name(name) for name in target.variables):
            yield _risk(target, SECRETS)
        return
    if re.match(r"/dev/(?:tcp|udp)/", target.text):
        yield _risk(target, NETWORK)
    elif item.op == "<":
        if is_secret(target.text):
            yield _risk(target, SECRETS)
    elif not target.is_literal or target.has_glob or not is_free(target.text, cwds) or is_guarded(target.text):
        yield _risk(target, OUTSIDE)


def _words(command: Simple) -> Iterator[Risk]:
    """What any command's words may give away."""
    for word in command.words[1:]:
        tail = word.text.split("=", 1)[-1]
        is_hidden_glob = word.has_glob and re.search(r"(?:^|/)\.\S*[*?\[]", word.text) and command.name in _SHOWS
        names_secret = any(is_secret(text) for text in (word.text, tail, tail.lstrip("@:")))
        if names_secret or is_hidden_glob or any(is_secret_name(name) for name in word.variables):
            yield _risk(word, SECRETS)
        elif re.match(r"/dev/(?:tcp|udp)/", word.text) or (
            command.name not in _SAYS and re.match(r"(?:https?|ftp|ssh|git|wss?)://|git@[\w.-]+:", word.text)
        ):
            yield _risk(word, NETWORK)


def _inner(command: Simple, name: str) -> Iterator[Risk]:
    """Commands with commands of their own: the first word that is no option decides."""
    table = INNER.get(name)
    if table is None:
        return
    valued, rest = OPTIONS_WITH_VALUE.get(name, frozenset()), list(command.words[1:])
    while rest and rest[0].text.startswith("-") and rest[0].is_literal:
        if name == "git" and rest[0].text in ("-c", "--config-env", "--exec-path"):
            yield _risk(rest[0], UNCLEAR, "git -c")
        rest = rest[2:] if rest[0].text in valued else rest[1:]
    if not rest:
        if name == "yarn":
            yield _risk(command.words[0], INSTALLS, name)
        return
    sub = rest[0]
    if not sub.is_literal:
        yield _risk(sub, UNCLEAR)
        return
    if why := table.get(sub.text, table.get("*", "")):
        yield Risk(command.words[0].start, sub.end, why, f"{name} {sub.text}")
    if name == "git":
        yield from _git(sub, rest[1:])


def _git(sub: Word, rest: list[Word]) -> Iterator[Risk]:
    texts = [word.text for word in rest]
    if sub.text == "remote" and texts and texts[0] in ("update", "show", "prune", "add", "set-url"):
        yield _risk(rest[0], NETWORK, f"git remote {texts[0]}")
    if sub.text == "archive" and any(text.startswith("--remote") for text in texts):
        yield _risk(sub, NETWORK, "git archive --remote")
    forced = any(re.fullmatch(r"-[a-zA-Z]*[fdx][a-zA-Z]*|--force", text) for text in texts)
    if (sub.text == "reset" and "--hard" in texts) or (sub.text == "clean" and forced):
        yield _risk(sub, DISCARDS, f"git {sub.text}")
    if sub.text in ("checkout", "restore") and any(text in (".", "--", "-f", "--force") for text in texts):
        yield _risk(sub, DISCARDS, f"git {sub.text}")
    if sub.text == "stash" and texts and texts[0] in ("drop", "clear"):
        yield _risk(sub, DISCARDS, f"git stash {texts[0]}")
    if sub.text == "branch" and "-D" in texts:
        yield _risk(sub, DISCARDS, "git branch -D")
    if sub.text == "config" and any(
        re.match(r"(?i)(?:alias|credential|core\.(?:hookspath|sshcommand|pager|editor|fsmonitor))", text)
        for text in texts
    ):
        yield _risk(sub, UNCLEAR, "git config")
    if sub.text in ("bisect", "rebase") and any(text in ("run", "-x", "--exec") for text in texts):
        yield _risk(sub, UNCLEAR, f"git {sub.text}")


def _code(command: Simple) -> Iterator[Risk]:
    """Interpreters: a file in the workspace is a program like any other; code from elsewhere is looked at."""
    name = command.name
    if name in SHELLS:
        scripts = [word for word in command.words[1:] if not re.match(r"[-+]", word.text) or not word.is_literal]
        if not scripts or not scripts[0].is_literal or scripts[0].text.startswith("/dev/"):
            yield _risk(scripts[0] if scripts else command.words[0], UNCLEAR, name)
        return
    if name in (".", "source"):
        if len(command.words) < 2 or not command.words[1].is_literal or command.words[1].text.startswith("/dev/"):
            yield _risk(command.words[0], UNCLEAR, name)
        return
    if name in ("awk", "gawk", "mawk", "nawk"):
        for word in command.words[1:]:
            if re.search(r"system\s*\(|\||/inet|ENVIRON", word.text):
                yield _risk(word, UNCLEAR, name)
        return
    if not INTERPRETERS.match(name):
        return
    flags = next((flags for start, flags in CODE_FLAGS.items() if name.startswith(start)), "ep")
    yield from _interpreted(command, re.compile(rf"-[a-zA-Z]*[{flags}]\Z|--eval\Z|--print\Z"))


def _interpreted(command: Simple, takes_code: re.Pattern[str]) -> Iterator[Risk]:
    rest = command.words[1:]
    # Wherever it stands: which options take a value differs, and one must not hide the code behind it.
    for at, word in enumerate(rest):
        if takes_code.match(word.text):
            given = rest[at + 1] if at + 1 < len(rest) else word
            yield from _given(given, command.name, has_code=given is not word)
            return
        if word.text == "-m" and at + 1 < len(rest):
            yield from _module(command, list(rest[at + 1 :]))
            return
    for word in rest:
        is_option = word.text.startswith("-")
        if not word.is_literal or word.text.startswith("/dev/"):
            yield _risk(word, UNCLEAR, command.name)
            return
        if is_option and not word.text.startswith("--") and takes_code.match(word.text[:2]):
            yield from _hinted(word, word.text[2:], command.name)
            return
        if word.text == "-":
            break
        if not is_option:
            return
    yield from _read_from_stdin(command)


def _given(word: Word, name: str, *, has_code: bool) -> Iterator[Risk]:
    if has_code and word.is_literal:
        yield from _hinted(word, word.text, name)
    else:
        yield _risk(word, UNCLEAR, name)


def _read_from_stdin(command: Simple) -> Iterator[Risk]:
    if any(word.text in ("--version", "-V", "-v", "--help", "-h", "-VV") for word in command.words[1:]):
        return
    bodies = [item for item in command.redirects if item.body is not None]
    if not bodies:
        yield _risk(command.words[0], UNCLEAR, command.name)
    for item in bodies:
        if not item.is_fixed:
            yield _risk(item.target, UNCLEAR, command.name)
        yield from _hinted(item.target, item.body or "", command.name)


def _module(command: Simple, rest: list[Word]) -> Iterator[Risk]:
    module = rest[0]
    inner = Simple((Word(module.text, module.start, module.end), *rest[1:]))
    if not module.is_literal:
        yield _risk(module, UNCLEAR)
    elif module.text in ("pip", "pipx", "uv", "poetry", "twine", "ensurepip"):
        yield from _inner(inner, module.text)
        if why := ALWAYS.get(module.text, INSTALLS if module.text == "ensurepip" else ""):
            yield _risk(module, why, f"{command.name} -m {module.text}")
    elif module.text in ("smtplib", "ftplib", "telnetlib", "webbrowser", "code", "pdb"):
        yield _risk(module, NETWORK if module.text != "pdb" else UNCLEAR, f"{command.name} -m {module.text}")


def _hinted(word: Word, code: str, name: str) -> Iterator[Risk]:
    for pattern, why in CODE_HINTS:
        if pattern.search(code):
            yield _risk(word, why, f"{name} code")


def _written(command: Simple, cwds: frozenset[str]) -> Iterator[Risk]:
    """Commands that write to the paths in their words."""
    name = command.name
    is_recursive = any(re.fullmatch(r"-[a-zA-Z]*[rR][a-zA-Z]*|--recursive", text) for text in command.texts[1:])
    is_past = False
    for word in command.words[1:]:
        is_option = word.text.startswith("-") and word.is_literal and "/" not in word.text and not is_past
        is_past = is_past or word.text == "--"
        if is_option:
            continue
        path = word.text.split("=", 1)[-1] if name == "dd" or word.text.startswith("-") else word.text
        if name == "rm" and (not word.is_literal or (is_recursive and _is_sweeping(word, cwds))):
            yield _risk(word, DELETES)
        elif name == "chmod" and re.fullmatch(r"[1-7][0-7]{3}|[ugoa]*[+=][rwxXt]*s.*", path):
            yield _risk(word, RIGHTS)
        elif word.is_literal and not is_free(path, cwds) and _is_pathlike(path, cwds):
            yield _risk(word, DELETES if name in ("rm", "rmdir", "unlink") else OUTSIDE)
        elif (is_guarded(path) and name not in ("rm", "rmdir")) or (
            not word.is_literal and re.match(r"\$(?:HOME\b|\{HOME\}|OLDPWD|\()", word.text)
        ):
            yield _risk(word, OUTSIDE)


def _is_pathlike(path: str, cwds: frozenset[str]) -> bool:
    return "/" in path or path.startswith(("~", "..")) or any(not is_free(cwd) for cwd in cwds)


def _is_sweeping(word: Word, cwds: frozenset[str]) -> bool:
    """Whether a recursive `rm` of this takes the whole workspace, its history, or what is above it."""
    if word.text in ("*", ".", "./", "./*", ".*") or word.text.startswith((".*", "./.*")):
        return True
    for cwd in cwds:
        place = resolve(word.text.rstrip("*") if word.has_glob else word.text, cwd)
        if is_within(WORKSPACE, place) or is_within(place, WORKSPACE + "/.git"):
            return True
    return False


def _special(command: Simple) -> Iterator[Risk]:  # noqa: C901 - a list of cases
    """What single commands do under single options."""
    name, texts = command.name, command.texts[1:]
    first = command.words[0]
    if _shows_variables(name, texts):
        yield _risk(first, SECRETS, name)
    elif name == "find":
        for word in command.words[1:]:
            if word.text in ("-delete", "-fprint", "-fprintf", "-fls", "-fprint0"):
                yield _risk(word, DELETES if word.text == "-delete" else OUTSIDE, f"find {word.text}")
    elif name == "kill" and any(re.fullmatch(r"-?[01]", text) for text in texts[-1:]):
        yield _risk(first, STOPS, name)
    elif name in ("export", "declare", "typeset", "readonly", "local"):
        for word in command.words[1:]:
            if re.match(r"(?:LD_\w+|BASH_ENV|ENV|IFS|GIT_\w+|PROMPT_COMMAND)=", word.text):
                yield _risk(word, UNCLEAR)
    elif name == "sed" and any(re.fullmatch(r"-[a-zA-Z]*i.*|--in-place.*", text) for text in texts):
        for word in command.words[-1:]:
            if not is_free(word.text):
                yield _risk(word, OUTSIDE)
    elif name == "tar" and any(re.match(r"--to-command|--use-compress|-I|--checkpoint-action", text) for text in texts):
        yield _risk(first, UNCLEAR, name)


def _shows_variables(name: str, texts: tuple[str, ...]) -> bool:
    if name in ("set", "export", "declare", "typeset"):
        return not texts or "-p" in texts
    if name == "ps":
        return any(re.fullmatch(r"[a-zA-Z]*e[a-zA-Z]*", text) for text in texts)
    return name in ("env", "compgen")
