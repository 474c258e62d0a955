# ruff: noqa: PTH112, PTH114, PTH116, PTH118, PTH119, PTH208
# pathlib would cost every sandbox ten milliseconds of its start
"""Files as the sandbox sees them: paths, what is told of an entry, listings, and descriptors handed to the host.

All of it runs inside, as the sandbox's user: a link that leads out of the sandbox leads nowhere. Next: `supervisor.py`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from typing import Any

Answer = tuple[dict[str, Any], list[int]]
MOST_SCANNED = 20_000
_MOST_COPIED = 8 << 20
_KERNELS = {0x9FA0, 0x62656572, 0x63677270, 0x27E0EB, 0x64626720, 0x74726163}


def opened(path: str, flags: int) -> Answer:
    """A regular file's descriptor for the host; never one that could block it, or answer to the host's rights."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o644)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is a directory" if stat.S_ISDIR(mode) else "it is not a file", path)
        if is_of_kernel(descriptor):
            # The kernel makes these up for whoever reads or writes: that must be us.
            if flags & os.O_WRONLY:
                raise OSError(errno.EACCES, "it is the kernel's", path)
            return {"entry": entry(path)}, [copied(descriptor)]
        if flags & os.O_WRONLY:
            os.ftruncate(descriptor, 0)
        answer = {"entry": entry(path)}, [os.dup(descriptor)]
    finally:
        os.close(descriptor)
    return answer


def is_of_kernel(descriptor: int) -> bool:
    """Whether a file is not on a disk: proc, sysfs, cgroups (statfs(2), linux/magic.h)."""
    figures = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None).fstatfs(descriptor, figures) != 0:
        return True
    return ctypes.c_long.from_buffer(figures).value in _KERNELS


def copied(descriptor: int) -> int:
    copy = os.memfd_create("copy", os.MFD_CLOEXEC)
    while os.fstat(copy).st_size < _MOST_COPIED and (piece := os.read(descriptor, 1 << 16)):
        os.write(copy, piece)
    return copy


def place(path: str) -> str:
    """A path as the sandbox's user means it: relative ones and `~` are of the home folder."""
    home = os.environ["HOME"]
    if "\0" in path:
        raise ValueError("a path with a NUL byte in it")
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    path = os.path.normpath(os.path.join(home, path))
    if home != "/home/user" and (path + "/").startswith("/home/user/"):
        # Without isolation there is no such folder; the home is meant.
        path = home + path[len("/home/user") :]
    return path


def text(name: str) -> str:
    return os.fsencode(name).decode(errors="replace")


def entry(path: str) -> dict[str, Any]:
    """What the host tells of a file: the link's own figures, and the kind of what it leads to."""
    found = seen = os.lstat(path)
    is_link = stat.S_ISLNK(found.st_mode)
    if is_link:
        try:
            seen = os.stat(path)
        except OSError:
            seen = found
    kind = "DIRECTORY" if stat.S_ISDIR(seen.st_mode) else "FILE"
    owner = {os.getuid(): "user", 0: "root"}.get(found.st_uid, str(found.st_uid))
    return {
        "name": text(os.path.basename(path)) or "/",
        "type": kind,
        "path": text(path),
        "size": found.st_size,
        "mode": stat.S_IMODE(found.st_mode),
        "permissions": stat.filemode(found.st_mode),
        "owner": owner,
        "mtime_ns": found.st_mtime_ns,
        "target": text(os.path.realpath(path)) if is_link else None,
    }


def collect(path: str, depth: int, into: list[dict[str, Any]]) -> None:
    for name in sorted(os.listdir(path)):
        full = os.path.join(path, name)
        try:
            into.append(entry(full))
        except OSError:
            continue
        if depth > 1 and os.path.isdir(full) and not os.path.islink(full):
            try:
                collect(full, depth - 1, into)
            except OSError:
                continue


def scan(root: str, *, is_recursive: bool) -> dict[str, list[int]]:
    """A folder's fingerprint, for who watches it: each path under it, and what changes when the file does."""
    if not os.path.isdir(root):
        os.stat(root)
        raise NotADirectoryError(errno.ENOTDIR, "it is not a directory", root)
    seen: dict[str, list[int]] = {}
    folders = [""]
    while folders and len(seen) < MOST_SCANNED:
        under = folders.pop()
        try:
            listing = list(os.scandir(os.path.join(root, under)))
        except OSError:
            continue
        for one in listing:
            try:
                found = one.stat(follow_symlinks=False)
            except OSError:
                continue
            path = os.path.join(under, one.name)
            is_folder = stat.S_ISDIR(found.st_mode)
            changes = [0, 0] if is_folder else [found.st_mtime_ns, found.st_size]
            seen[text(path)] = [found.st_ino, *changes]
            if is_folder and is_recursive:
                folders.append(path)
    return seen
