"""Which walls this machine allows, and the folders and command of one sandbox. Next: `bwrap.py`, the command line.

As root each sandbox gets a user id of its own outside, so that not even two sandboxes that broke out could touch each
other's files. As a plain user, or as a root that may not change its user, it gets a user namespace of its own.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import Misconfigured
from threadwork.sandbox_host import bwrap
from threadwork.sandbox_host.bwrap import CLI, GATEWAY, HOME, USER_ID, bundled_cli
from threadwork.sandbox_host.cgroup import Cgroups, find_cgroups
from threadwork.sandbox_host.record import Record
from threadwork.sandbox_host.settings import HostSettings

# systemd gives out ids up to 1879048191 to containers and leaves those after it alone:
# https://systemd.io/UIDS-GIDS/
_FIRST_UID: Final = 1_879_100_000
_UIDS: Final = 100_000
_FOLDERS: Final = ("home", "tmp", "shm")
_PATH: Final = "/home/user/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PLACES: Final = re.compile("|".join(rf"(?<![\w./-]){re.escape(place)}(?![\w.-])" for place in (HOME, GATEWAY, CLI)))


@dataclass(frozen=True, slots=True)
class Walls:
    """How sandboxes are closed in here. `bwrap` None: not at all. `first_uid` None: a user namespace for each."""

    bwrap: str | None
    first_uid: int | None
    settings: HostSettings
    cgroups: Cgroups

    @property
    def system(self) -> Path:
        """The folder of files that all sandboxes see."""
        return self.settings.data_dir / "system"

    def prepare(self) -> None:
        """Make what all sandboxes share."""
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        if self.settings.gateway_dir is not None:
            self.settings.gateway_dir.mkdir(parents=True, exist_ok=True)
        bwrap.write_etc(self.system)

    def free_uid(self, records: Iterable[Record]) -> int | None:
        """A user id that no sandbox has."""
        if self.first_uid is None:
            return None
        taken = {record.uid for record in records}
        return next(uid for uid in range(self.first_uid, self.first_uid + _UIDS) if uid not in taken)

    def home(self, folder: Path) -> str:
        """HOME as a sandbox's processes have it."""
        return HOME if self.bwrap else str(folder / "home")

    def environment(self, folder: Path) -> dict[str, str]:
        """What a process in a sandbox starts with; nothing of the host's."""
        path = _PATH if self.bwrap else os.environ.get("PATH", _PATH)
        mine = {"PATH": path, "HOME": self.home(folder), "USER": "user", "LOGNAME": "user", "LANG": "C.UTF-8"}
        if not self.bwrap:
            mine["TMPDIR"] = str(folder / "tmp")
        return {**mine, **self.settings.environment}

    def meant(self, text: str, folder: Path) -> str:
        """A text of a command with the places of a sandbox put where they are here, when there are no walls."""
        if self.bwrap:
            return text
        places = {HOME: self.home(folder), GATEWAY: str(self.settings.gateway_dir), CLI: str(bundled_cli() or CLI)}
        return _PLACES.sub(lambda found: places[found[0]], text)

    def furnish(self, folder: Path, uid: int | None) -> None:
        """Make a sandbox's own folders, owned by its user."""
        folder.mkdir(mode=0o700, exist_ok=True)
        owner = os.geteuid() if uid is None else uid
        for name in _FOLDERS:
            place = folder / name
            place.mkdir(mode=0o700, exist_ok=True)
            if place.stat().st_uid != owner:
                _give(place, owner)
        bwrap.write_users(folder, USER_ID if uid is None else uid)

    def command(self, folder: Path, uid: int | None, descriptor: int) -> tuple[list[str], Mapping[str, str]]:
        """The command of a sandbox's first process, and its environment."""
        limits = self.settings.limits
        inside = ("/home/user", "/tmp", "/dev/shm") if self.bwrap else [str(folder / name) for name in _FOLDERS]  # noqa: S108 - inside
        orders = {
            "uid": uid,
            "memory_bytes": limits.memory_bytes,
            "disk_bytes": limits.disk_bytes,
            "processes": limits.processes if self.bwrap else None,
            "folders": list(inside),
        }
        tail = [str(descriptor), json.dumps(orders)]
        if self.bwrap is None:
            root = str(Path(__file__).parents[2])
            return [sys.executable, *bwrap.supervisor(root), *tail], self.environment(folder)
        line = bwrap.command(self.bwrap, self.system, folder, self.settings.gateway_dir, has_own_uid=uid is not None)
        return self.cgroups.entered(folder.name, [*line, *tail]), {}


def find_walls(settings: HostSettings) -> Walls:
    """The strongest walls there are. Raises `Misconfigured` with the command that mends it when there are none."""
    if not settings.is_isolated:
        return Walls(None, None, settings, Cgroups(None, settings.limits))
    found = shutil.which("bwrap")
    if found is None:
        raise Misconfigured(
            "Sandboxes need bubblewrap, which is not installed. Install it: sudo apt-get install -y bubblewrap "
            "(or your system's package of that name). Running agents without walls must be asked for by name: "
            "--unsafe-no-isolation"
        )
    first = _own_uids()
    if first is not None and not bwrap.refusal(found, has_own_uid=True):
        return Walls(found, first, settings, find_cgroups(settings.limits))
    why = bwrap.refusal(found, has_own_uid=False)
    if why:
        raise Misconfigured(
            f"bubblewrap cannot make a sandbox here: {why}. User namespaces must be allowed: "
            "sudo sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0 "
            "(in a container: start it with --security-opt seccomp=unconfined, or --privileged)"
        )
    return Walls(found, None, settings, find_cgroups(settings.limits))


def _own_uids() -> int | None:
    """The first of the user ids that sandboxes may have, if we may give them any."""
    if os.geteuid() != 0:
        return None
    ends = [sum(map(int, line.split()[::2])) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    end = max(ends, default=0)
    if end >= _FIRST_UID + _UIDS:
        return _FIRST_UID
    return end - 2_000 if end >= 60_000 else None


def _give(place: Path, owner: int) -> None:
    """Hand a tree to another user: the machine's root may be another one than last time."""
    os.chown(place, owner, owner, follow_symlinks=False)
    for at, folders, files, descriptor in os.fwalk(place, follow_symlinks=False):
        del at
        for name in (*folders, *files):
            os.chown(name, owner, owner, dir_fd=descriptor, follow_symlinks=False)
