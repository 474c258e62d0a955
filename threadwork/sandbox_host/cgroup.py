"""Memory and process limits kept by the kernel, where cgroups of version 2 can be written to.

Only root on a machine of its own may (a container or a plain user rarely has a part of the tree): everywhere else
`inside/limits.py` and resource limits are all there is, and nothing here complains. Next: `holder.py`.
See https://docs.kernel.org/admin-guide/cgroup-v2.html.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from threadwork.sandbox_host.settings import Limits

ROOT: Final = Path("/sys/fs/cgroup")
_NAME: Final = "threadwork"
_CONTROLLERS: Final = ("memory", "pids")
# The shell puts itself in before it becomes the sandbox: a process forked earlier would stay outside.
_ENTER: Final = 'echo $$ > "$0"; exec "$@"'
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Cgroups:
    """A folder of the cgroup tree with one folder in it for each sandbox. None: there are no cgroups to be had."""

    folder: Path | None
    limits: Limits

    def entered(self, sandbox_id: str, command: Sequence[str]) -> list[str]:
        """The command, in a cgroup of the sandbox's own where that can be had."""
        if self.folder is None:
            return list(command)
        mine = self.folder / sandbox_id
        wanted = {
            "memory.max": self.limits.memory_bytes,
            "memory.swap.max": 0 if self.limits.memory_bytes else None,
            "pids.max": self.limits.processes,
        }
        try:
            mine.mkdir(exist_ok=True)
            for name, value in wanted.items():
                # Not every kernel counts swap.
                with contextlib.suppress(FileNotFoundError):
                    _set(mine / name, "max" if value is None else str(value))
        except OSError as error:
            log.warning("cgroup_refused", why=str(error))
            return list(command)
        return ["/bin/sh", "-c", _ENTER, str(mine / "cgroup.procs"), *command]

    def leave(self, sandbox_id: str) -> None:
        """Remove a sandbox's cgroup once it is empty."""
        if self.folder is not None:
            with contextlib.suppress(OSError):
                (self.folder / sandbox_id).rmdir()


def find_cgroups(limits: Limits, root: Path = ROOT) -> Cgroups:
    """The part of the cgroup tree that is ours, made if it can be."""
    folder = root / _NAME
    try:
        available = (root / "cgroup.controllers").read_text().split()
        if os.geteuid() != 0 or not set(_CONTROLLERS) <= set(available):
            return Cgroups(None, limits)
        folder.mkdir(exist_ok=True)
        for place in (root, folder):
            _set(place / "cgroup.subtree_control", " ".join(f"+{name}" for name in _CONTROLLERS))
    except OSError:
        return Cgroups(None, limits)
    return Cgroups(folder, limits)


def _set(path: Path, value: str) -> None:
    # A file that is not there is not to be made: in a cgroup the kernel makes them.
    with path.open("r+") as file:
        file.write(value)
