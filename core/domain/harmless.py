"""Which shell commands only look: a short list, and for each what would make it write.

Everything that is not on it counts as changing something. Next: `policy.py`.
"""

import re
from collections.abc import Callable
from typing import Final

from core.domain.commands import Simple
from core.domain.places import is_free


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_GIT_LOOKS: Final = _names(
    "status log diff show rev-parse ls-files ls-tree blame describe shortlog cat-file rev-list name-rev merge-base "
    "grep whatchanged diff-tree count-objects check-ignore version for-each-ref show-ref"
)
_GIT_LISTS: Final = {
    "branch": re.compile(r"-a|-r|-v+|--list|--show-current|--all|--remotes|--contains|--merged|--no-merged"),
    "tag": re.compile(r"-l|--list|-n\d*"),
    "remote": re.compile(r"-v|--verbose"),
    "stash": re.compile(r"list"),
    "worktree": re.compile(r"list"),
    "config": re.compile(r"--list|-l|--get|--get-all|user\.(?:name|email)"),
}
_VERSION: Final = re.compile(r"--version|-V|-v|version")


def _without(pattern: str) -> Callable[[tuple[str, ...]], bool]:
    bad = re.compile(pattern)
    return lambda words: not any(bad.match(word) for word in words)


def _at_most(count: int) -> Callable[[tuple[str, ...]], bool]:
    return lambda words: len([word for word in words if not word.startswith("-")]) <= count


_LOOKS: Final[dict[str, Callable[[tuple[str, ...]], bool]]] = {
    **dict.fromkeys(
        _names(
            "ls cat head tail wc grep egrep fgrep pwd echo stat du df cut tr diff cmp comm whoami id uname which type "
            "true false basename dirname realpath readlink seq nl tac rev column md5sum sha1sum sha256sum sha512sum "
            "cksum od hexdump strings cd printf : fold expand tsort paste join sleep nproc free uptime ps lsb_release "
            "arch groups getconf locale exit return break continue wait shift"
        ),
        _without(r"\Z\A"),
    ),
    # Their arithmetic runs a command that is written in a subscript, quoted or not.
    **dict.fromkeys(("test", "[", "[["), _without(r"(?s).*(?:\$\(|`)")),
    "file": _without(r"-[a-zA-Z]*C|--compile"),
    "jq": _without(r"(?s).*\benv\b|.*\$ENV"),
    "rg": _without(r"--pre|--hostname-bin"),
    "sort": _without(r"-[a-zA-Z]*o|--output|--compress-program|-T|--temporary"),
    "tree": _without(r"-[a-zA-Z]*o|--output"),
    "uniq": _at_most(1),
    "xxd": _at_most(1),
    "date": _without(r"-[a-zA-Z]*s|--set|\d"),
    "find": _without(r"-(?:delete|exec|execdir|ok|okdir|fprint|fprintf|fls|fprint0)"),
    "sed": lambda words: (
        len(words) > 1
        and words[0] == "-n"
        and bool(re.fullmatch(r"[\d$]+(?:,[\d$]+)?p", words[1]))
        and not _options(words[2:])
    ),
    "command": lambda words: words[:1] in (("-v",), ("-V",)),
    "git": lambda words: _git(words),  # noqa: PLW0108 - it stands below
}


def is_harmless(command: Simple) -> bool:  # noqa: PLR0911 - one return per kind of command
    """Whether a simple command changes nothing, wherever it is run."""
    if not _reads_only(command) or command.assignments:
        return False
    if not command.words:
        return True
    first = command.words[0]
    name = command.name
    if not name or ("/" in first.text and not re.fullmatch(r"(?:/usr)?/bin/[\w\[-]+", first.text)):
        return False
    if name == "printf" and "-v" in command.texts[1:2]:
        return False
    looks = _LOOKS.get(name)
    if looks is not None:
        # An expanded word may turn out to be an option, which matters only where options can write.
        if name in ("sort", "tree", "rg", "find", "date", "sed", "git", "uniq", "xxd") and any(
            not word.is_literal for word in command.words
        ):
            return False
        return looks(command.texts[1:])
    return len(command.words) == 2 and command.words[1].is_literal and bool(_VERSION.fullmatch(command.texts[1]))


def _options(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in words if word.startswith("-"))


def _reads_only(command: Simple) -> bool:
    for item in command.redirects:
        is_copy = item.op in (">&", "<&") and re.fullmatch(r"\d+|-", item.target.text)
        into_nothing = item.target.is_literal and item.target.text in ("/dev/null", "/dev/stderr", "/dev/stdout")
        is_read = item.body is not None or (
            item.op == "<" and not item.target.text.startswith(("/dev/tcp", "/dev/udp"))
        )
        if not (is_copy or into_nothing or is_read):
            return False
    return True


def _git(words: tuple[str, ...]) -> bool:
    rest = list(words)
    while rest and rest[0] in ("--no-pager", "-C", "-P", "--no-optional-locks"):
        if rest[0] == "-C" and not (len(rest) > 1 and is_free(rest[1])):
            return False
        rest = rest[2:] if rest[0] == "-C" else rest[1:]
    if not rest or any(
        re.match(r"--output|--ext-diff|--textconv|-O|--open-files-in-pager|--exec|--upload-pack", word) for word in rest
    ):
        return False
    if rest[0] in _GIT_LOOKS:
        return True
    lists = _GIT_LISTS.get(rest[0])
    return (
        lists is not None
        and all(lists.fullmatch(word) for word in rest[1:])
        and (len(rest) > 1 or rest[0] in ("branch", "tag", "remote"))
    )
