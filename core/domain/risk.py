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

from core.domain.places import WORKSPACE, is_free, is_guarded, is_secret, is_secret_name, is_within, resolve
from core.domain.shell import Redirect, Simple, Unreadable, Word
from core.domain.wrappers import SHELLS, commands_run

MAX_CWDS: Final = 16

NETWORK: Final = "reaches the network"
INSTALLS: Final = "downloads and installs software"
SERVICES: Final = "acts on systems outside the sandbox"
PUSHES: Final = "pushes to a remote"
PUBLISHES: Final = "publishes a package"
DELETES: Final = "deletes files"
DISCARDS: Final = "throws away changes"
SECRETS: Final = "may show secrets"
RIGHTS: Final = "takes other rights"
OUTSIDE: Final = "touches files outside the workspace"
UNCLEAR: Final = "runs something that cannot be read here"
STOPS: Final = "stops other programs"
LATER: Final = "runs something later, on its own"


def _names(names: str, why: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), why)


_ALWAYS: Final[dict[str, str]] = {
    **_names(
        "curl wget wget2 ssh scp sftp ssh-copy-id rsync nc ncat netcat socat telnet ftp lftp tftp aria2c dig nslookup host "
        "ping ping6 traceroute tracepath mtr whois nmap http https xh httpie w3m lynx links elinks cloudflared ngrok "
        "tailscale mail mailx sendmail mutt msmtp swaks youtube-dl yt-dlp rclone s3cmd ab wrk hey k6 websocat grpcurl",
        NETWORK,
    ),
    **_names(
        "aws gcloud gsutil bq az kubectl helm terraform tofu pulumi ansible ansible-playbook docker docker-compose podman "
        "nerdctl buildah skopeo gh glab hub heroku fly flyctl vercel netlify wrangler railway supabase firebase doctl linode-cli "
        "eksctl vault psql mysql mysqldump pg_dump mongosh mongo redis-cli sqlcmd stripe twilio sentry-cli claude codex",
        SERVICES,
    ),
    **_names(
        "apt apt-get aptitude dpkg dnf yum rpm apk pacman zypper brew port snap flatpak pipx conda mamba micromamba npx bunx "
        "pnpx easy_install nvm rustup sdk asdf mise corepack nix-env nix-shell nix",
        INSTALLS,
    ),
    **_names("twine gem-push", PUBLISHES),
    **_names(
        "sudo su doas pkexec chroot nsenter unshare mount umount setcap insmod modprobe useradd usermod userdel adduser passwd "
        "chpasswd visudo systemctl service shutdown reboot halt poweroff init iptables nft sysctl gdb strace ltrace ptrace "
        "mkfs fdisk parted losetup",
        RIGHTS,
    ),
    **_names("shred wipe", DELETES),
    **_names("pkill killall fuser", STOPS),
    **_names("crontab at batch", LATER),
    **_names("alias enable watch parallel entr script screen tmux expect ssh-agent", UNCLEAR),
    **_names("printenv pass gpg security secret-tool ssh-keygen ssh-add", SECRETS),
}

# The first word after the command's own options, and what it means. `*`: any other; "" : none.
_OK: Final = ""
_INNER: Final[dict[str, dict[str, str]]] = {
    "git": {
        **_names("push send-email send-pack", PUSHES),
        **_names("clone fetch pull ls-remote remote-https fetch-pack svn p4 lfs request-pull daemon instaweb", NETWORK),
        **_names("submodule", NETWORK),
        **_names("credential credential-store credential-cache", SECRETS),
        **_names("filter-branch gc prune reflog", DISCARDS),
    },
    "pip": {**_names("install download wheel search index", INSTALLS), "uninstall": DELETES},
    "uv": {
        **_names("add sync tool python self init", INSTALLS),
        "publish": PUBLISHES,
        "pip": INSTALLS,
        "lock": INSTALLS,
    },
    "poetry": {**_names("add install update lock self", INSTALLS), "publish": PUBLISHES},
    "pdm": {**_names("add install update sync lock", INSTALLS), "publish": PUBLISHES},
    "pipenv": {**_names("install update sync lock", INSTALLS)},
    "hatch": {"publish": PUBLISHES},
    "npm": {
        **_names("run run-script test t tst start stop ls list version help pkg explain root prefix bin", _OK),
        **_names("publish unpublish deprecate dist-tag access owner", PUBLISHES),
        **_names("config token login adduser whoami", SECRETS),
        "*": INSTALLS,
    },
    "pnpm": {**_names("run test t start ls list", _OK), "publish": PUBLISHES, "*": INSTALLS},
    "yarn": {
        **_names("run test start list build lint dev", _OK),
        "publish": PUBLISHES,
        "npm": PUBLISHES,
        "*": INSTALLS,
    },
    "bun": {**_names("add install i create x update upgrade", INSTALLS), "publish": PUBLISHES},
    "deno": {**_names("install add upgrade publish", INSTALLS)},
    "cargo": {**_names("install add fetch update search", INSTALLS), **_names("publish login owner yank", PUBLISHES)},
    "go": {**_names("get install", INSTALLS), "mod": INSTALLS},
    "gem": {**_names("install update fetch", INSTALLS), **_names("push yank signin", PUBLISHES)},
    "bundle": {**_names("install update add", INSTALLS)},
    "composer": {**_names("install update require global create-project", INSTALLS)},
    "dotnet": {**_names("add restore tool nuget", INSTALLS)},
    "openssl": {**_names("s_client s_server ocsp", NETWORK), **_names("rsa pkey pkcs12 ec", SECRETS)},
}
_SAME: Final = {"pip3": "pip", "pip2": "pip", "gofmt": "gofmt", "bundler": "bundle"}
_OPTIONS_WITH_VALUE: Final = {
    "git": frozenset(("-C", "--git-dir", "--work-tree", "--namespace")),
    "npm": frozenset(("--prefix", "-w", "--workspace", "-C")),
    "pnpm": frozenset(("--filter", "-C", "--dir", "-F")),
    "yarn": frozenset(("--cwd",)),
    "cargo": frozenset(("--manifest-path", "-C", "--color")),
    "uv": frozenset(("--directory", "--project")),
}
_WRITES: Final = frozenset(
    "rm rmdir unlink mv cp tee ln install touch mkdir chmod chown chgrp truncate dd patch tar unzip gunzip gzip rename split "
    "csplit mkfifo mknod setfacl xxd".split()
)
_CODE: Final = re.compile(r"(?:python|pypy|node|nodejs|perl|ruby|php|lua|deno|bun|Rscript|osascript|tclsh)[\d.]*\Z")
_CODE_FLAGS: Final = {"python": "c", "pypy": "c", "perl": "eE", "ruby": "e", "php": "r", "lua": "e", "Rscript": "e"}
_CODE_HINTS: Final = (
    (
        re.compile(
            r"https?:|\bsockets?\b|urllib|requests|httpx|aiohttp|http\.client|smtplib|ftplib|paramiko|\bfetch\(|XMLHttpRequest"
            r"|\bnet\b|['\"]https?['\"]|LWP|Net::|open-uri|TCPSocket|fsockopen|file_get_contents|curl|wget",
            re.IGNORECASE,
        ),
        NETWORK,
    ),
    (
        re.compile(r"environ|getenv|process\.env|\bENV\b|\.env\b|id_rsa|\.ssh|\.aws|credentials|_KEY\b|TOKEN|SECRET"),
        SECRETS,
    ),
    (re.compile(r"rmtree|unlink|rmdir|\bremove\(|rmSync|rm_rf|rm -r|\bdelete\b"), DELETES),
    (
        re.compile(
            r"os\.system|subprocess|popen|pty\.|child_process|exec\w*\s*\(|spawn|\bsystem\b|`|eval|compile\(|__import__|importlib"
            r"|base64|b64decode|getattr|marshal|pickle|shell_exec|passthru|proc_open|ctypes|builtins",
            re.IGNORECASE,
        ),
        UNCLEAR,
    ),
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
        return cwds | {"/"}
    # Applied twice, so that two `cd ..` in a row cannot be mistaken for one.
    for _ in range(2):
        cwds = cwds | {resolve(targets[0].text, cwd) for cwd in cwds}
    return cwds if len(cwds) <= MAX_CWDS else {"/"}


def _risks(command: Simple, cwds: frozenset[str]) -> Iterator[Risk]:
    yield from _assigned(command)
    for item in command.redirects:
        yield from _redirected(item, cwds)
    if not command.words:
        return
    first = command.words[0]
    name = command.name
    if not name:
        yield _risk(first, UNCLEAR)
        return
    if why := _ALWAYS.get(name):
        yield _risk(first, why, name)
    elif "." in first.text and is_secret(first.text):
        yield _risk(first, SECRETS)
    yield from _words(command)
    yield from _inner(command, _SAME.get(name, name))
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
    elif not target.is_literal or target.has_glob or not is_free(target.text, cwds):
        yield _risk(target, OUTSIDE)
    elif is_guarded(target.text):
        yield _risk(target, OUTSIDE)


def _words(command: Simple) -> Iterator[Risk]:
    """What any command's words may give away."""
    for word in command.words[1:]:
        tail = word.text.split("=", 1)[-1]
        if is_secret(word.text) or is_secret(tail) or is_secret(tail.lstrip("@:")):
            yield _risk(word, SECRETS)
        elif any(is_secret_name(name) for name in word.variables):
            yield _risk(word, SECRETS)
        elif (
            word.has_glob
            and re.search(r"(?:^|/)\.\S*[*?\[]", word.text)
            and command.name in ("cat", "head", "tail", "less")
        ):
            yield _risk(word, SECRETS)
        elif re.match(r"/dev/(?:tcp|udp)/", word.text):
            yield _risk(word, NETWORK)


def _inner(command: Simple, name: str) -> Iterator[Risk]:
    """Commands with commands of their own: the first word that is no option decides."""
    table = _INNER.get(name)
    if table is None:
        return
    valued, rest = _OPTIONS_WITH_VALUE.get(name, frozenset()), list(command.words[1:])
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
    if why := table.get(sub.text, table.get("*", _OK)):
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
    if not _CODE.match(name):
        return
    flags = next((flags for start, flags in _CODE_FLAGS.items() if name.startswith(start)), "ep")
    yield from _interpreted(command, re.compile(rf"-[a-zA-Z]*[{flags}]\Z|--eval\Z|--print\Z"))


def _interpreted(command: Simple, takes_code: re.Pattern[str]) -> Iterator[Risk]:
    rest = list(command.words[1:])
    while rest:
        word = rest.pop(0)
        if not word.is_literal:
            yield _risk(word, UNCLEAR, command.name)
            return
        if word.text == "-m" and rest:
            yield from _module(command, rest)
            return
        if takes_code.match(word.text):
            if not rest or not rest[0].is_literal:
                yield _risk(rest[0] if rest else word, UNCLEAR, command.name)
            else:
                yield from _hinted(rest[0], rest[0].text, command.name)
            return
        attached = takes_code.match(word.text[:2]) if len(word.text) > 2 and not word.text.startswith("--") else None
        if attached:
            yield from _hinted(word, word.text[2:], command.name)
            return
        if word.text == "-":
            break
        if not word.text.startswith("-"):
            if word.text.startswith("/dev/"):
                yield _risk(word, UNCLEAR, command.name)
            return
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
        if why := _ALWAYS.get(module.text, INSTALLS if module.text == "ensurepip" else ""):
            yield _risk(module, why, f"{command.name} -m {module.text}")
    elif module.text in ("smtplib", "ftplib", "telnetlib", "webbrowser", "code", "pdb"):
        yield _risk(module, NETWORK if module.text != "pdb" else UNCLEAR, f"{command.name} -m {module.text}")


def _hinted(word: Word, code: str, name: str) -> Iterator[Risk]:
    for pattern, why in _CODE_HINTS:
        if pattern.search(code):
            yield _risk(word, why, f"{name} code")


def _written(command: Simple, cwds: frozenset[str]) -> Iterator[Risk]:
    """Commands that write to the paths in their words."""
    name = command.name
    texts = command.texts[1:]
    recursive = any(re.fullmatch(r"-[a-zA-Z]*[rR][a-zA-Z]*|--recursive", text) for text in texts)
    is_past = False
    for word in command.words[1:]:
        if word.text == "--":
            is_past = True
            continue
        if word.text.startswith("-") and not is_past and word.is_literal and "/" not in word.text:
            continue
        path = word.text.split("=", 1)[-1] if name == "dd" or word.text.startswith("-") else word.text
        if name == "rm" and not word.is_literal:
            yield _risk(word, DELETES)
        elif name == "rm" and recursive and _is_sweeping(word, cwds):
            yield _risk(word, DELETES)
        elif name in ("chmod", "chown", "chgrp") and re.fullmatch(r"[0-7]{4}|[ugoa]*\+[rwxX]*s.*", path):
            if re.fullmatch(r"[1-7][0-7]{3}|.*s.*", path):
                yield _risk(word, RIGHTS)
        elif word.is_literal and not is_free(path, cwds) and _is_pathlike(path, cwds):
            yield _risk(word, DELETES if name in ("rm", "rmdir", "unlink") else OUTSIDE)
        elif is_guarded(path) and name not in ("rm", "rmdir"):
            yield _risk(word, OUTSIDE)
        elif not word.is_literal and re.match(r"\$(?:HOME\b|\{HOME\}|OLDPWD|\()|~", word.text):
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


def _special(command: Simple) -> Iterator[Risk]:
    name, texts = command.name, command.texts[1:]
    first = command.words[0]
    if name == "env" or (name in ("set", "export", "declare", "typeset") and (not texts or "-p" in texts)):
        yield _risk(first, SECRETS, name)
    elif name == "ps" and any(re.fullmatch(r"[a-zA-Z]*e[a-zA-Z]*", text) for text in texts):
        yield _risk(first, SECRETS, name)
    elif name == "compgen":
        yield _risk(first, SECRETS, name)
    elif name == "find":
        for word in command.words[1:]:
            if word.text in ("-delete", "-fprint", "-fprintf", "-fls", "-fprint0"):
                yield _risk(word, DELETES if word.text == "-delete" else OUTSIDE, f"find {word.text}")
    elif name == "kill" and any(re.fullmatch(r"-?[01]", text) for text in texts[-1:]):
        yield _risk(first, STOPS, name)
    elif name in ("export", "declare", "typeset", "readonly", "local"):
        for word in command.words[1:]:
            if re.match(r"(?:PATH|LD_\w+|BASH_ENV|ENV|IFS|GIT_\w+|PROMPT_COMMAND)=", word.text):
                yield _risk(word, UNCLEAR)
    elif name == "sed" and any(re.fullmatch(r"-[a-zA-Z]*i.*|--in-place.*", text) for text in texts):
        for word in command.words[2:]:
            if (
                word.text.startswith(("/", "~"))
                and word.text.count("/") > 1
                and not is_free(word.text)
                and not re.search(r"[{};]|/[dpq]$", word.text)
            ):
                yield _risk(word, OUTSIDE)
    elif name == "tar" and any(
        text.startswith(("--to-command", "--use-compress", "-I", "--checkpoint-action")) for text in texts
    ):
        yield _risk(first, UNCLEAR, name)


__all__ = ["Risk", "Unreadable", "judged", "risks", "risks_of"]
