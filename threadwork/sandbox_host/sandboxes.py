"""The sandboxes of this host: made, found, paused, resumed, ended; and what of them outlives the host.

A sandbox is a folder (`home`, `tmp`, `sandbox.json`); while it runs it has a holder too. Its processes end with the
host; its files do not, so after a restart it counts as paused, and connecting gives it a new holder without processes.
Next: `control.py` and `data.py`, which speak E2B's protocol.
"""

import asyncio
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from core.errors import NotFound, SandboxError, Unavailable
from threadwork.sandbox_host import bwrap
from threadwork.sandbox_host.holder import Holder

log = structlog.get_logger(__name__)
LONGEST_LIFE_S: Final = 30 * 86_400
_ID: Final = re.compile(r"[a-z0-9]{20}\Z")


@dataclass(slots=True)
class Record:
    """What is kept of a sandbox. Times are seconds since the epoch."""

    id: str
    template: str
    metadata: dict[str, str]
    envs: dict[str, str]
    started_at: float
    end_at: float
    is_running: bool = True
    is_frozen: bool = False
    pauses_at_end: bool = False
    token: str = field(default_factory=lambda: secrets.token_hex(16))


class Sandboxes:
    """All sandboxes. `bwrap_path` None: no isolation, plain processes."""

    def __init__(self, data_dir: Path, gateway_dir: Path | None, bwrap_path: str | None) -> None:
        self._dir = data_dir
        self._gateway = gateway_dir
        self._bwrap = bwrap_path
        self._records: dict[str, Record] = {}
        self._holders: dict[str, Holder] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._by_idempotency: dict[str, str] = {}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Sandboxes"]:
        """Load what is on disk, watch deadlines, and end all processes at the end."""
        self._dir.mkdir(parents=True, exist_ok=True)
        bwrap.write_etc(self._dir / "etc")
        if self._gateway is not None:
            self._gateway.mkdir(parents=True, exist_ok=True)
        for path in self._dir.glob("*/sandbox.json"):
            with suppress(ValueError, TypeError):
                record = Record(**json.loads(path.read_text()))
                record.is_running = record.is_frozen = False
                self._records[record.id] = record
        watching = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            watching.cancel()
            await asyncio.gather(*(holder.close() for holder in self._holders.values()), return_exceptions=True)

    # ------------------------------------------------------------ finding

    def get(self, sandbox_id: str) -> Record:
        """A sandbox by id. Raises `NotFound`."""
        record = self._records.get(sandbox_id) if _ID.match(sandbox_id) else None
        if record is None:
            raise NotFound(f"sandbox {sandbox_id} was not found")
        return record

    def holder(self, sandbox_id: str) -> Holder:
        """The holder of a sandbox that runs and is not paused. Raises `NotFound`, as E2B does for both."""
        record = self.get(sandbox_id)
        holder = self._holders.get(sandbox_id)
        if holder is None or not record.is_running:
            raise NotFound(f"sandbox {sandbox_id} was not found")
        return holder

    def home(self, sandbox_id: str) -> str:
        """A sandbox's home folder on the host: its HOME where there is no isolation."""
        return str(self._dir / sandbox_id / "home")

    def all(self) -> list[Record]:
        """Every sandbox, newest first."""
        return sorted(self._records.values(), key=lambda record: record.started_at, reverse=True)

    # ------------------------------------------------------------ steps

    async def create(
        self,
        template: str,
        metadata: Mapping[str, str],
        envs: Mapping[str, str],
        life_s: float,
        *,
        pauses_at_end: bool,
        idempotency: str | None,
    ) -> Record:
        """Make a sandbox and start it; the same idempotency key gives the same one."""
        if idempotency is not None and self._by_idempotency.get(idempotency) in self._records:
            return self._records[self._by_idempotency[idempotency]]
        now = time.time()
        record = Record(
            id="".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(20)),
            template=template,
            metadata=dict(metadata),
            envs=dict(envs),
            started_at=now,
            end_at=now + min(life_s, LONGEST_LIFE_S),
            pauses_at_end=pauses_at_end,
        )
        if idempotency is not None:
            self._by_idempotency[idempotency] = record.id
        self._records[record.id] = record
        async with self._lock(record.id):
            try:
                await self._open(record)
            except (Unavailable, OSError):
                self._records.pop(record.id, None)
                await asyncio.to_thread(shutil.rmtree, self._dir / record.id, ignore_errors=True)
                raise
        return record

    async def connect(self, sandbox_id: str, life_s: float) -> tuple[Record, bool]:
        """Make a sandbox run, and let it live `life_s` more; whether it had to be resumed."""
        async with self._lock(sandbox_id):
            record = self.get(sandbox_id)
            end_at = time.time() + min(life_s, LONGEST_LIFE_S)
            record.end_at = max(record.end_at, end_at) if record.is_running else end_at
            was_running = record.is_running
            if not was_running:
                holder = self._holders.get(sandbox_id)
                record.is_running = True
                if holder is None:
                    await self._open(record)
                else:
                    await holder.thaw()
                    record.is_frozen = False
            self._write(record)
        return record, not was_running

    async def pause(self, sandbox_id: str) -> bool:
        """Stop everything in a sandbox where it stands; False when it was paused already."""
        async with self._lock(sandbox_id):
            record = self.get(sandbox_id)
            if not record.is_running:
                return False
            holder = self._holders.get(sandbox_id)
            record.is_running = False
            if holder is not None:
                await holder.freeze()
                record.is_frozen = True
            self._write(record)
        return True

    async def kill(self, sandbox_id: str) -> None:
        """End a sandbox for good, with its files. Raises `NotFound`."""
        async with self._lock(sandbox_id):
            record = self.get(sandbox_id)
            record.is_running = False
            holder = self._holders.pop(sandbox_id, None)
            del self._records[sandbox_id]
            if holder is not None:
                await holder.close()
            await asyncio.to_thread(shutil.rmtree, self._dir / sandbox_id, ignore_errors=True)

    def set_end(self, sandbox_id: str, life_s: float) -> None:
        """Let a sandbox live `life_s` seconds from now."""
        record = self.get(sandbox_id)
        record.end_at = time.time() + min(life_s, LONGEST_LIFE_S)
        self._write(record)

    # ------------------------------------------------------------ inside

    def _lock(self, sandbox_id: str) -> asyncio.Lock:
        return self._locks.setdefault(sandbox_id, asyncio.Lock())

    async def _open(self, record: Record) -> None:
        folder = self._dir / record.id
        home, tmp = folder / "home", folder / "tmp"
        for place in (home, tmp):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._write(record)
        holder = Holder(lambda: self._gone(record.id))
        if self._bwrap is None:
            env = {**bwrap.ENVIRONMENT, "PATH": os.environ.get("PATH", bwrap.PATH), "HOME": str(home)}
            supervisor = str(Path(__file__).with_name("supervisor.py"))
            await holder.open(lambda fd: ["/usr/bin/env", "python3", "-I", supervisor, str(fd)], env, str(home))
        else:
            path, etc, gateway = self._bwrap, self._dir / "etc", self._gateway
            await holder.open(lambda fd: bwrap.command(path, fd, etc=etc, home=home, tmp=tmp, gateway=gateway), {}, "/")
        self._holders[record.id] = holder
        record.is_running, record.is_frozen = True, False

    def _gone(self, sandbox_id: str) -> None:
        """A holder died by itself: the sandbox is as after a restart of the host."""
        log.warning("holder_died", sandbox=sandbox_id)
        self._holders.pop(sandbox_id, None)
        record = self._records.get(sandbox_id)
        if record is not None:
            record.is_running = record.is_frozen = False
            self._write(record)

    def _write(self, record: Record) -> None:
        path = self._dir / record.id / "sandbox.json"
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(record)))
        part.chmod(0o600)
        part.replace(path)

    async def _watch(self) -> None:
        """End or pause what has lived its time."""
        while True:
            await asyncio.sleep(0.5)
            now = time.time()
            for record in list(self._records.values()):
                if record.is_running and record.end_at <= now:
                    try:
                        if record.pauses_at_end:
                            await self.pause(record.id)
                        else:
                            await self.kill(record.id)
                    except (SandboxError, Unavailable, NotFound, OSError) as error:
                        log.warning("deadline_missed", sandbox=record.id, why=str(error))


def details(record: Record) -> dict[str, Any]:
    """A sandbox as E2B's control plane describes it."""
    return {
        "templateID": record.template,
        "sandboxID": record.id,
        "clientID": "local",
        "envdVersion": "0.6.13",
        "envdAccessToken": record.token,
        "startedAt": iso(record.started_at),
        "endAt": iso(record.end_at),
        "cpuCount": os.cpu_count() or 1,
        "memoryMB": 1024,
        "diskSizeMB": 10_240,
        "state": "running" if record.is_running else "paused",
        "metadata": record.metadata,
    }


def iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
