"""Starting a server as a child that dies with us, also after kill -9, and that is never root.

Postgres refuses to run as root, and as somebody whom the system has no name for. Instead of making a user and handing
it our folders, it is started in a user namespace in which we carry the number of somebody who has a name: daemon's, to
Postgres; to the files it is still their owner. So no folder's owner or mode changes, and a data folder below a closed
one (/root) works. What that loses is root's right to pass through other people's closed folders; `reach.py` gives it
back. Linux only, as are the sandboxes.
"""

import asyncio
import ctypes
import os
import pwd
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import Misconfigured
from threadwork.embedded.reach import open_ways

_PR_SET_PDEATHSIG: Final = 1
_CLONE_NEWUSER: Final = 0x10000000
# Files of owners that a user namespace does not know seem to be this one's.
_OVERFLOW_ID: Final = 65534
_NO_NAMESPACE: Final = 96
_ORPHANED: Final = 97
_KEPT: Final = frozenset({"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH"})


@dataclass(frozen=True, slots=True)
class Seat:
    """How a server sits: its log, the lock it inherits, and, for one that minds who it is, what it has to reach."""

    log: Path
    lock: int
    reaches: tuple[Path, ...] = ()


def assumed_id(uid: int) -> int | None:
    """The number that a server which minds who it is has to carry when `uid` starts it; None where that will do."""
    if uid != 0 and _has_name(uid):
        return None
    return min({entry.pw_uid for entry in pwd.getpwall()} - {0, _OVERFLOW_ID}, default=_OVERFLOW_ID)


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _leash(death_signal: signal.Signals, reaches: tuple[Path, ...]) -> Callable[[], None]:
    """What the child does between fork and exec: be somebody fit for it, and ask to die with its parent."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()
    uid, gid = os.geteuid(), os.getegid()
    assumed = assumed_id(uid) if reaches else None

    def prepare() -> None:
        os.setsid()
        if assumed is not None:
            if uid == 0:
                open_ways(reaches, libc)
            if libc.unshare(_CLONE_NEWUSER) != 0:
                os._exit(_NO_NAMESPACE)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{assumed} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{assumed} {gid} 1")
        # A change of credentials clears this, so it comes last.
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:
            os._exit(_ORPHANED)

    return prepare


def _environment() -> dict[str, str]:
    """What a server starts with: no credential of ours, and nothing that means something to Postgres."""
    return {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")}


def run_to_end(argv: Sequence[str], seat: Seat) -> None:
    """Run a command to its end in the server's seat. Raises `Misconfigured` with its last line."""
    with seat.log.open("ab") as out:
        done = subprocess.run(
            argv,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            check=False,
            pass_fds=(seat.lock,),
            preexec_fn=_leash(signal.SIGKILL, seat.reaches),
        )
    if done.returncode != 0:
        raise Misconfigured(f"{Path(argv[0]).name} failed: {why_ended(done.returncode, seat.log)}")


@asynccontextmanager
async def child(
    argv: Sequence[str], seat: Seat, *, stop: signal.Signals, stop_s: float
) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """Run a server while the context is open; `stop` ends it, SIGKILL after `stop_s` seconds.

    To be opened in a thread that lives as long as the server: the kernel's parent is the thread, not the process.
    """
    with seat.log.open("ab") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 - asyncio's own cannot be waited for while its loop closes
            argv,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=(seat.lock,),
            preexec_fn=_leash(stop, seat.reaches),  # noqa: PLW1509 - no threads touch what it uses
        )
    try:
        yield process
    finally:
        await _end(process, stop, stop_s)


async def _end(process: "subprocess.Popen[bytes]", stop: signal.Signals, stop_s: float) -> None:
    """Stop a server within `stop_s` seconds, also while the task that asks is cancelled again and again."""
    until = time.monotonic() + stop_s
    with suppress(ProcessLookupError):
        process.send_signal(stop)
    try:
        while time.monotonic() < until:
            if process.poll() is not None:
                return
            await asyncio.sleep(0.02)
    finally:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
        if process.poll() is None:
            process.kill()
            process.wait(5)


def why_ended(code: int | None, log: Path) -> str:
    """Why a child ended with `code`, for a person: what the kernel refused, or the last line of its log."""
    if code == _NO_NAMESPACE:
        return (
            "Postgres refuses to run as root or as a user without a name, and this system allows no user namespace. "
            "Run Threadwork as a plain user, or set DATABASE_URL to a server of yours."
        )
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except FileNotFoundError:
        return "no log"
    return lines[-1] if lines else "no output"
