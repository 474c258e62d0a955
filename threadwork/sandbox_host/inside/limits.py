# ruff: noqa: PTH123, PTH208
# pathlib would cost every sandbox ten milliseconds of its start
"""Memory and disk limits, kept from inside a sandbox: this runs in the supervisor, with the standard library only.

Where the host may make cgroups the kernel keeps the memory limit as well; here it is kept everywhere. What the
processes hold is summed every few seconds, and over the limit the largest is killed, as the kernel would. Disk use is
counted by a forked child, less often the longer it takes; over the limit the process that writes most is killed, and
again only when the use has grown on: who is to make room on a full disk must live.
Next: `supervisor.py`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

PERIOD_S = 2.0
_DISK_PERIOD_S = 5.0
_GROWTH_BYTES = 1 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")


def state(pid: int) -> str:
    """A process's state letter, empty when it is gone."""
    fields = _stat(pid)
    return fields[0] if fields else ""


def parents() -> dict[int, int]:
    """Every visible process and its parent."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))):
            found[int(name)] = int(fields[1])
    return found


def _stat(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode().split()[:2]
    except OSError:
        return []


def memory(pids: set[int]) -> dict[str, int]:
    """Bytes that each process holds for itself (what it shares with others is not counted)."""
    held = {}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                fields = file.read().split()
            held[str(pid)] = max(0, int(fields[1]) - int(fields[2])) * _PAGE
        except (OSError, IndexError):
            continue
    return held


def written(pid: int) -> int:
    """Bytes a process has written so far."""
    try:
        with open(f"/proc/{pid}/io", "rb") as file:
            lines = dict(line.split(b": ") for line in file.read().splitlines())
        return int(lines[b"wchar"])
    except (OSError, KeyError, ValueError):
        return 0


def disk(folders: list[str]) -> int:
    """Bytes on disk under the folders; names that are one file count once."""
    total = 0
    linked = set()
    while folders:
        try:
            listing = list(os.scandir(folders.pop()))
        except OSError:
            continue
        for one in listing:
            try:
                found = one.stat(follow_symlinks=False)
            except OSError:
                continue
            if found.st_nlink > 1 and not one.is_dir(follow_symlinks=False):
                if found.st_ino in linked:
                    continue
                linked.add(found.st_ino)
            total += found.st_blocks * 512
            if one.is_dir(follow_symlinks=False):
                folders.append(one.path)
    return total


class Watch:
    """Looks now and then, and kills what goes too far. `tell` is called with what was done."""

    def __init__(
        self, settings: dict[str, Any], members: Callable[[], set[int]], tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self._memory_bytes: int | None = settings.get("memory_bytes")
        self._disk_bytes: int | None = settings.get("disk_bytes")
        self._folders: list[str] = settings.get("folders") or []
        self._members = members
        self._tell = tell
        self._counter: tuple[int, int, float] | None = None
        self._count_at = 0.0
        self._now = 0.0
        self._used = 0
        self._tolerated: int | None = self._disk_bytes
        self._wrote: dict[int, int] = {}
        self._looked_at = 0.0

    def disk_used(self) -> int:
        """Bytes used when they were last counted."""
        return self._used

    def look(self, now: float) -> bool:
        """Check what is due; whether anything was."""
        self._now = now
        if now - self._looked_at < PERIOD_S / 2:
            return False
        self._looked_at = now
        if self._memory_bytes is not None:
            held = memory(self._members())
            if held and sum(held.values()) > self._memory_bytes:
                self._kill(int(max(held, key=lambda pid: held[pid])), "memory")
        if self._disk_bytes is not None and self._counter is None and now >= self._count_at:
            self._count(now)
        return True

    def _count(self, now: float) -> None:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(writer, str(disk(self._folders)).encode())
            os._exit(0)
        os.close(writer)
        self._counter = pid, reader, now

    def reaped(self, pid: int) -> None:
        """A child ended; if it counted the disk, take its sum."""
        if self._counter is None or self._counter[0] != pid:
            return
        _, reader, since = self._counter
        self._counter = None
        with os.fdopen(reader, "rb") as file:
            self._used = int(file.read() or b"0")
        self._count_at = self._now + max(_DISK_PERIOD_S, 20 * (self._now - since))
        wrote = {one: written(one) for one in self._members()}
        before, self._wrote = self._wrote, wrote
        if self._disk_bytes is None or self._used <= self._disk_bytes:
            self._tolerated = self._disk_bytes
            return
        self._count_at = 0.0
        if self._tolerated is None:
            # What was killed had written on while it was counted.
            self._tolerated = self._used + _GROWTH_BYTES
        elif self._used > self._tolerated and wrote:
            self._tolerated = None
            self._kill(max(wrote, key=lambda one: wrote[one] - before.get(one, 0)), "disk")

    def _kill(self, pid: int, what: str) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            return
        self._tell({"what": what, "pid": pid})
