"""Sandbox hosts as programs of their own, started as root or as a plain user, for tests that drive them from outside."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

API_KEY = "e2b_0123456789abcdef0123456789abcdef01234567"
NOBODY = 65534
WHO = ("root", "plain user") if os.geteuid() == 0 else ("plain user",)
_ROOT = Path(__file__).parents[2]
# The interpreter and its libraries may lie where nobody can read: load first, then become nobody.
_AS_NOBODY = f"""
import os, sys
sys.path.insert(0, sys.argv.pop(1))
import encodings.idna, concurrent.futures.thread, threadwork.sandbox_host.__main__ as host
os.setgroups([]); os.setresgid({NOBODY}, {NOBODY}, {NOBODY}); os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
raise SystemExit(host.main())
"""
# Mounts of its own, so that they go with it. A plain user may mount in a user namespace, with rights that bubblewrap
# does not want to be started with.
_IS_PLAIN = os.geteuid() != 0
_APART = ["unshare", "--mount", *(("--user", "--map-current-user", "--keep-caps") if _IS_PLAIN else ()), "--"]
_WITHOUT_RIGHTS = "setpriv --ambient-caps -all --inh-caps -all " if _IS_PLAIN else ""
_MOUNTING = """#!/bin/sh -e
for one; do
    case "$one" in {data}/*/home)
        if ! mountpoint -q "$one"; then
            cp -a "$one" "$one.first"
            mount -t tmpfs -o size={disk_mb}m,mode=755 tmpfs "$one"
            chown --reference="$one.first" "$one"
            cp -a "$one.first/." "$one"
        fi
    esac
done
exec {bwrap} "$@"
"""


@dataclass
class Host:
    url: str
    process: subprocess.Popen[str]
    folder: Path

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def gateway_dir(self) -> Path:
        return self.folder / "gateway"

    @property
    def sdk(self) -> dict[str, Any]:
        return {"api_key": API_KEY, "api_url": self.url, "sandbox_url": self.url}

    def end(self, number: int = signal.SIGKILL) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


def start(folder: Path, *options: str, who: str = WHO[0], disk_mb: int = 0) -> Host:
    """A host, up. With `disk_mb` the home of each of its sandboxes is a disk of its own, of that size."""
    arguments = ["--data-dir", str(folder / "data"), "--gateway-dir", str(folder / "gateway"), "--die-with-parent"]
    arguments += ["--api-key", API_KEY, *options]
    line = [sys.executable, "-m", "threadwork.sandbox_host", *arguments]
    if who == "plain user" and os.geteuid() == 0:
        line = [sys.executable, "-c", _AS_NOBODY, str(_readable_copy(folder)), *arguments]
    environment = dict(os.environ)
    if disk_mb:
        line = [*_APART, *line]
        environment["PATH"] = f"{_small_disks(folder, disk_mb)}:{environment['PATH']}"
    process = subprocess.Popen(line, cwd=_ROOT, stdout=subprocess.PIPE, stderr=_log(folder), text=True, env=environment)
    assert process.stdout is not None
    said = process.stdout.readline()
    if not said.startswith("sandbox-host http://127.0.0.1:"):
        process.kill()
        process.wait(10)
        raise RuntimeError((folder / "host.log").read_text())
    return Host(said.split()[1], process, folder)


def _log(folder: Path) -> Any:
    with (folder / "host.log").open("a") as log:
        return os.fdopen(os.dup(log.fileno()), "a")


def _small_disks(folder: Path, disk_mb: int) -> Path:
    """A folder with a `bwrap` that first puts a small disk where a sandbox's home is."""
    shim = folder / "bin" / "bwrap"
    shim.parent.mkdir()
    bwrap = f"{_WITHOUT_RIGHTS}{shutil.which('bwrap')}"
    shim.write_text(_MOUNTING.format(data=folder / "data", disk_mb=disk_mb, bwrap=bwrap))
    shim.chmod(0o755)
    return shim.parent


def _readable_copy(folder: Path) -> Path:
    copy = folder / "code"
    if not copy.exists():
        for package in ("core", "threadwork"):
            shutil.copytree(_ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.chown(folder, NOBODY, NOBODY)
    return copy


@contextmanager
def a_folder() -> Iterator[Path]:
    """A short one that a plain user can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="tw"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def a_host(*options: str, who: str = WHO[0]) -> Iterator[Host]:
    with a_folder() as folder:
        host = start(folder, *options, who=who)
        try:
            yield host
        finally:
            host.end(signal.SIGTERM)


async def until(look: Callable[[], Any], seconds: float = 30) -> Any:
    """What `look` gives once that is true."""
    async with asyncio.timeout(seconds):
        while True:
            found = look()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)


def running(*marks: str) -> list[int]:
    """Processes of this machine with all of these in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode() if entry.name.isdigit() else ""
        except OSError:
            continue
        if line and all(mark in line for mark in marks):
            found.append(int(entry.name))
    return found


def python(code: str) -> str:
    """A shell command that runs Python code in a sandbox."""
    return f"exec python3 - <<'PYTHON'\n{code}\nPYTHON"


def lines(text: str) -> Sequence[str]:
    return text.strip().splitlines()
