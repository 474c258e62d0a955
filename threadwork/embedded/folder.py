"""A server's folder: its one owner, and a short place for its socket.

Two locks guard it. One is the owner's: a second owner is refused. The other is inherited by the server, so that
after a kill -9 of the owner the next one waits until the last of the old server's processes is gone, instead of
starting a second server on the same files. The kernel drops both with their holders. Next: `child.py`.
"""

import asyncio
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

from core.errors import Misconfigured

# A killed owner holds its lock until the kernel has taken it apart.
HANDOVER_S: Final = 1.0
LEFTOVER_S: Final = 20.0
# The path of a unix socket may have 107 bytes: this leaves room for the longest name, `.s.PGSQL.5432.lock`.
_LONGEST: Final = 80
# What needs no quoting in an address, nor in Postgres's list of socket folders.
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._-]+")


@asynccontextmanager
async def owned(folder: Path, what: str) -> AsyncIterator[int]:
    """Own a folder, and yield the descriptor of the lock that its server must inherit.

    Raises `Misconfigured` naming the process that owns it already, or that its last server does not end.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _lock_file(folder, "lock") as owner, _lock_file(folder, "server.lock") as server:
        if not await _take_within(owner, HANDOVER_S):
            owner.seek(0)
            raise Misconfigured(
                f"{what} on {folder} belongs to process {owner.read().strip() or 'unknown'}. "
                "Stop it, or choose another data folder."
            )
        owner.truncate(0)
        owner.write(str(os.getpid()))
        owner.flush()
        if not await _take_within(server, LEFTOVER_S):
            raise Misconfigured(
                f"{what} on {folder} lost its owner and does not end. Stop its processes, then try again."
            )
        yield server.fileno()


async def _take_within(lock: IO[str], seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            while True:
                if _take(lock):
                    return True
                await asyncio.sleep(0.02)
    except TimeoutError:
        return False


def _lock_file(folder: Path, ending: str) -> IO[str]:
    return folder.with_name(f"{folder.name}.{ending}").open("a+")


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def socket_folder(data_dir: Path) -> Path:
    """Where the servers of `data_dir` (absolute) have their sockets: in it, or in a short runtime folder of its own.

    The latter when the path is too long, or has characters that an address or Postgres would need quoted.
    """
    if _fits(data_dir):
        place = data_dir / "s"
    else:
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        if not _fits(runtime, 40):
            runtime = Path("/tmp")  # noqa: S108 - a folder of our own, below
        place = runtime / f"threadwork-{os.geteuid()}-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]}"
    place.mkdir(mode=0o700, exist_ok=True)
    if place.is_symlink() or not place.is_dir() or place.lstat().st_uid != os.geteuid():
        raise Misconfigured(f"{place} belongs to somebody else; remove it, or choose a shorter data folder.")
    return place


def _fits(path: Path, longest: int = _LONGEST) -> bool:
    return len(os.fsencode(path)) <= longest and _PLAIN.fullmatch(str(path)) is not None
