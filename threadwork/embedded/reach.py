"""Letting a child that gives up root's powers still pass through folders that are closed to it.

Root may read everything; root's number without its capabilities may not pass through, say, `/home/ann` with mode 0750,
where the program itself may be installed. In a mount namespace of the child's own, such a folder is covered with an
empty one that holds nothing but the ways asked for, at the same paths. Outside, nothing changes.
"""

import ctypes
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_CLONE_NEWNS: Final = 0x00020000
_MS_BIND: Final = 4096
_MS_REC: Final = 16384
_MS_PRIVATE: Final = 1 << 18


def closed_folder(path: Path, uid: int = 0, gid: int = 0) -> Path | None:
    """The topmost folder on the way to `path` that `uid` and `gid` without capabilities cannot pass through."""
    for folder in [*reversed(path.parents), path]:
        found = folder.stat()
        passable = stat.S_IXUSR if found.st_uid == uid else stat.S_IXGRP if found.st_gid == gid else stat.S_IXOTH
        if not found.st_mode & passable:
            return folder
    return None


def open_ways(paths: Sequence[Path], libc: ctypes.CDLL, uid: int = 0, gid: int = 0) -> None:
    """Make `paths` reachable for this process as `uid` and `gid` without capabilities, and for its children.

    Called by root, between fork and exec.

    Where the system refuses mounts, nothing is done, and the server itself will say what it cannot reach.
    """
    closed = {path: folder for path in (path.resolve() for path in paths) if (folder := closed_folder(path, uid, gid))}
    if not closed or libc.unshare(_CLONE_NEWNS) != 0:
        return
    libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    held = {path: os.open(path, os.O_PATH | os.O_DIRECTORY) for path in closed}
    for folder in sorted(set(closed.values())):
        libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"mode=0755,size=1m")
    for path, descriptor in held.items():
        path.mkdir(parents=True, exist_ok=True)
        libc.mount(f"/proc/self/fd/{descriptor}".encode(), os.fsencode(path), None, _MS_BIND | _MS_REC, None)
        os.close(descriptor)
