"""A server's folder: its one owner, and a short place for its socket.

The path of a unix socket may have 107 bytes at most, so a folder deep down gets a short runtime folder instead.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from core.errors import Misconfigured

_LONGEST: Final = 80


@contextmanager
def owned(folder: Path, what: str) -> Iterator[None]:
    """Own a folder. Raises `Misconfigured` naming the process that does already."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder.parent / f"{folder.name}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Misconfigured(f"{what} on {folder} belongs to process {lock.read().strip() or 'unknown'}.") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def socket_folder(folder: Path) -> Path:
    """Where the server of `folder` has its socket: there, or in a short runtime folder that is always the same."""
    if len(os.fsencode(folder)) <= _LONGEST:
        place = folder / "s"
    else:
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        if len(os.fsencode(runtime)) > _LONGEST - 30:
            runtime = Path("/tmp")  # noqa: S108 - a folder of our own, below
        place = runtime / f"threadwork-{os.geteuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    place.mkdir(mode=0o700, exist_ok=True)
    found = place.lstat()
    if not place.is_dir() or place.is_symlink() or found.st_uid != os.geteuid():
        raise Misconfigured(f"{place} belongs to somebody else; remove it, or choose a shorter data folder.")
    return place
