"""Looking for a secret, from inside a sandbox and from outside it.

What is run in the sandbox holds the secret backwards, so that looking for it does not bring it there.
"""

import shlex
from collections.abc import Iterable
from pathlib import Path

from tests.acceptance.program import command_of

_LOOK = """
import glob, os
secret = {backwards!r}[::-1].encode()
found, environments, tokens = [], 0, 0

def look(path):
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return b""
    if secret in data:
        found.append(path)
    return data

for path in glob.glob("/proc/[0-9]*/environ"):
    data = look(path)
    environments += bool(data)
    tokens += b"ANTHROPIC_API_KEY=" in data
for pattern in ("/proc/[0-9]*/cmdline", "/proc/[0-9]*/task/*/comm", "/proc/self/mountinfo"):
    for path in glob.glob(pattern):
        look(path)
if secret in repr(dict(os.environ)).encode():
    found.append("env")
files = 0
for top in ("/home", "/tmp", "/run", "/etc", "/var", "/dev/shm", "/mnt", "/srv"):
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                files += 1
                look(path)
# These say that the looking works.
print("looked at", "environments" if environments > 1 else "NO ENVIRONMENT", "with",
      "placeholders" if tokens else "NO PLACEHOLDER", "and", "files" if files > 20 else "NO FILES")
print("FOUND " + ", ".join(found) if found else "none")
"""
NONE = "looked at environments with placeholders and files\nnone"


def look_inside(secret: str) -> str:
    """A shell command for the sandbox that looks everywhere there; it prints `NONE` when nothing is found."""
    return f"python3 -c {shlex.quote(_LOOK.format(backwards=secret[::-1]))}"


def files_with(secret: str, *folders: Path) -> list[Path]:
    """The files under these folders that hold the secret, links not followed."""
    return [path for folder in folders for path in folder.rglob("*") if secret.encode() in _content(path)]


def processes_with(secret: str, pids: Iterable[int]) -> list[str]:
    """The command lines of those processes that have the secret in their environment or command line."""
    return [
        line
        for pid in pids
        if secret in (line := command_of(pid)) or secret.encode() in _content(Path(f"/proc/{pid}/environ"))
    ]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    except OSError:
        return b""
