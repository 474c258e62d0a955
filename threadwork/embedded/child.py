"""Starting a server as a child that dies with us, also after kill -9, and that is never root.

Postgres refuses to run as root. Instead of making a user and handing it our folders, root starts it in a user namespace
in which root itself carries another number: to Postgres it is uid 1000, to the files it is still their owner. So no
folder's owner or mode changes, and a data folder below a closed one (/root) works. Linux only, as are the sandboxes.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from core.errors import Misconfigured

_PR_SET_PDEATHSIG: Final = 1
_CLONE_NEWUSER: Final = 0x10000000
_INNER_ID: Final = 1000


def _leash(death_signal: signal.Signals, *, hides_root: bool) -> Callable[[], None]:
    """What the child does between fork and exec: stop being root if asked, and ask to die with its parent."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()
    uid, gid = os.geteuid(), os.getegid()

    def prepare() -> None:
        os.setsid()
        if hides_root and uid == 0:
            if libc.unshare(_CLONE_NEWUSER) != 0:
                os._exit(96)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{_INNER_ID} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{_INNER_ID} {gid} 1")
        # A change of credentials clears this, so it comes last.
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:
            os._exit(97)

    return prepare


def run_hidden(argv: Sequence[str], log: Path) -> None:
    """Run a command to its end as somebody who is not root. Raises `Misconfigured` with its last line."""
    with log.open("ab") as out:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            check=False,
            preexec_fn=_leash(signal.SIGKILL, hides_root=True),
        )
    if done.returncode != 0:
        raise Misconfigured(f"{Path(argv[0]).name} failed with {done.returncode}: {tail(log)}")


@asynccontextmanager
async def child(
    argv: Sequence[str], log: Path, *, stop: signal.Signals, stop_s: float, hides_root: bool
) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """Run a server while the context is open; `stop` ends it, SIGKILL after `stop_s` seconds."""
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 - asyncio's own cannot be waited for while its loop closes
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            preexec_fn=_leash(stop, hides_root=hides_root),  # noqa: PLW1509 - no threads touch what it uses
        )
    try:
        yield process
    finally:
        await _end(process, stop, stop_s)


async def _end(process: "subprocess.Popen[bytes]", stop: signal.Signals, stop_s: float) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(stop)
    for _ in range(max(1, int(stop_s / 0.02))):
        if process.poll() is not None:
            return
        await asyncio.sleep(0.02)
    process.kill()
    await asyncio.to_thread(process.wait, 5)


def tail(log: Path) -> str:
    """The last line of a log that says something."""
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except FileNotFoundError:
        return "no log"
    return lines[-1] if lines else "no output"
