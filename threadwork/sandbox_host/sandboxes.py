"""The sandboxes of this host: made, found, paused, resumed, ended, in time and on order.

A sandbox is a folder (`home`, `tmp`, `shm`, `sandbox.json`) that outlives the host; its processes do not.
Next: `control.py` and `data.py`, which speak E2B's protocol.
"""

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from core.errors import NotFound, Unavailable
from threadwork.sandbox_host.background import Background
from threadwork.sandbox_host.holder import Refused
from threadwork.sandbox_host.record import ID, Record, new_id, read_all
from threadwork.sandbox_host.sandbox import Sandbox
from threadwork.sandbox_host.walls import Walls

LONGEST_LIFE_S: Final = 30 * 86_400.0
_TRASH: Final = ".gone-"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a new sandbox shall be."""

    template: str
    metadata: Mapping[str, str]
    envs: Mapping[str, str]
    life_s: float
    pauses_at_end: bool
    resumes_on_use: bool
    idempotency: str | None


class Sandboxes:
    """All sandboxes. Each step runs to its end even when the client who asked has left."""

    def __init__(self, walls: Walls, background: Background) -> None:
        self._dir = walls.settings.data_dir
        self._walls = walls
        self._background = background
        self._all: dict[str, Sandbox] = {}
        self._alarms: dict[str, asyncio.TimerHandle] = {}
        self._removals: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Sandboxes"]:
        """Load what is on disk; at the end, end all processes and keep all files."""
        self._walls.prepare()
        for remnant in self._dir.glob(f"{_TRASH}*"):
            self._throw_away(remnant)
        for record in read_all(self._dir):
            record.is_running = False
            if (record.uid is None) != (self._walls.first_uid is None):
                record.uid = self._walls.free_uid(one.record for one in self._all.values())
            self._all[record.id] = Sandbox(record, self._dir / record.id, self._walls, self._background)
        try:
            yield self
        finally:
            for alarm in self._alarms.values():
                alarm.cancel()
            await asyncio.gather(*(sandbox.close() for sandbox in self._all.values()), return_exceptions=True)
            await asyncio.gather(*self._removals, return_exceptions=True)

    def get(self, sandbox_id: str) -> Sandbox:
        """A sandbox by id. Raises `NotFound`."""
        sandbox = self._all.get(sandbox_id) if ID.match(sandbox_id) else None
        if sandbox is None:
            raise NotFound(f"The sandbox {sandbox_id[:40]} was not found")
        return sandbox

    async def running(self, sandbox_id: str) -> Sandbox:
        """A sandbox that runs, resumed if it is one that resumes on use. Raises `NotFound`, for paused ones too."""
        sandbox = self.get(sandbox_id)
        if not sandbox.record.is_running and sandbox.record.resumes_on_use:
            await self.connect(sandbox_id, 300)
        if not sandbox.record.is_running:
            raise NotFound(f"The sandbox {sandbox_id} was not found")
        return sandbox

    def all(self) -> list[Record]:
        """Every record."""
        return [sandbox.record for sandbox in self._all.values()]

    async def create(self, wanted: Wanted) -> Record:
        """Make a sandbox and start it; the same idempotency key gives the same one. Raises `Unavailable`."""
        return await self._background.to_its_end(self._create(wanted))

    async def _create(self, wanted: Wanted) -> Record:
        now = time.time()
        for sandbox in list(self._all.values()):
            if wanted.idempotency is not None and sandbox.record.idempotency == wanted.idempotency:
                async with sandbox.lock:
                    if sandbox.record.id in self._all:
                        return sandbox.record
        record = Record(
            id=new_id(),
            template=wanted.template,
            metadata=dict(wanted.metadata),
            envs=dict(wanted.envs),
            started_at=now,
            end_at=now + min(wanted.life_s, LONGEST_LIFE_S),
            uid=self._walls.free_uid(self.all()),
            pauses_at_end=wanted.pauses_at_end,
            resumes_on_use=wanted.resumes_on_use,
            idempotency=wanted.idempotency,
        )
        sandbox = Sandbox(record, self._dir / record.id, self._walls, self._background)
        self._all[record.id] = sandbox
        async with sandbox.lock:
            try:
                await sandbox.open()
            except (Unavailable, OSError):
                del self._all[record.id]
                await asyncio.to_thread(_remove, sandbox.folder)
                raise
            self._set_alarm(sandbox)
        return record

    async def connect(self, sandbox_id: str, life_s: float, *, keeps_processes: bool = True) -> tuple[Record, bool]:
        """Make a sandbox run and live at least `life_s` more; whether it had to be resumed."""
        return await self._background.to_its_end(self._connect(sandbox_id, life_s, keeps_processes))

    async def _connect(self, sandbox_id: str, life_s: float, keeps_processes: bool) -> tuple[Record, bool]:  # noqa: FBT001 - its public twin names it
        async with self.get(sandbox_id).lock:
            sandbox = self.get(sandbox_id)
            record = sandbox.record
            was_running = record.is_running
            end_at = time.time() + min(life_s, LONGEST_LIFE_S)
            if not was_running:
                await sandbox.resume(keeps_processes=keeps_processes)
            record.end_at = max(record.end_at, end_at) if was_running else end_at
            sandbox.save()
            self._set_alarm(sandbox)
            return record, not was_running

    async def pause(self, sandbox_id: str, *, keeps_processes: bool = True) -> bool:
        """Stop everything in a sandbox; False when it was paused already."""
        return await self._background.to_its_end(self._pause(sandbox_id, keeps_processes))

    async def _pause(self, sandbox_id: str, keeps_processes: bool) -> bool:  # noqa: FBT001 - its public twin names it
        async with self.get(sandbox_id).lock:
            sandbox = self.get(sandbox_id)
            if not sandbox.record.is_running:
                return False
            await sandbox.pause(keeps_processes=keeps_processes)
            self._set_alarm(sandbox)
            return True

    async def kill(self, sandbox_id: str) -> None:
        """End a sandbox for good, with its files. Raises `NotFound`."""
        await self._background.to_its_end(self._kill(sandbox_id))

    async def _kill(self, sandbox_id: str) -> None:
        async with self.get(sandbox_id).lock:
            sandbox = self.get(sandbox_id)
            del self._all[sandbox_id]
            sandbox.record.is_running = False
            self._set_alarm(sandbox)
            await sandbox.close()
            trash = self._dir / f"{_TRASH}{sandbox_id}"
            sandbox.folder.rename(trash)
        self._throw_away(trash)

    def _throw_away(self, folder: Path) -> None:
        removal = self._background.spawn(asyncio.to_thread(_remove, folder))
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)

    def set_end(self, sandbox_id: str, life_s: float) -> None:
        """Let a sandbox live `life_s` seconds from now."""
        sandbox = self.get(sandbox_id)
        sandbox.record.end_at = time.time() + min(life_s, LONGEST_LIFE_S)
        sandbox.save()
        self._set_alarm(sandbox)

    # ------------------------------------------------------------ deadlines

    def _set_alarm(self, sandbox: Sandbox) -> None:
        record = sandbox.record
        alarm = self._alarms.pop(record.id, None)
        if alarm is not None:
            alarm.cancel()
        if record.is_running:
            left = max(0.0, record.end_at - time.time())
            self._alarms[record.id] = asyncio.get_running_loop().call_later(left, self._ring, record.id)

    def _ring(self, sandbox_id: str) -> None:
        self._alarms.pop(sandbox_id, None)
        self._background.spawn(self._expire(sandbox_id))

    async def _expire(self, sandbox_id: str) -> None:
        with contextlib.suppress(NotFound):
            record = self.get(sandbox_id).record
            if record.is_running and record.end_at > time.time():
                self._set_alarm(self.get(sandbox_id))
                return
            try:
                await (self._pause(sandbox_id, True) if record.pauses_at_end else self._kill(sandbox_id))
            except (Unavailable, Refused, OSError) as error:
                log.warning("sandbox_outlived_its_end", sandbox=sandbox_id, why=str(error))


def _remove(folder: Path) -> None:
    """Remove a sandbox's folder, also where something in it took away our right to."""

    def open_up(function: object, path: str, _why: object) -> None:
        del function
        with contextlib.suppress(OSError):
            for one in (Path(path).parent, Path(path)):
                if not one.is_symlink() and one.is_relative_to(folder):
                    one.chmod(0o700)

    for _ in range(3):
        if folder.is_dir():
            shutil.rmtree(folder, onerror=open_up)
