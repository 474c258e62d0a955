"""One sandbox: its record, its holder while it has one, and the processes in it. Next: `sandboxes.py`, all of them.

It is running, or paused with its processes stopped where they stand, or paused without processes (the host was
restarted, or its first process died): connecting to that gives it a fresh holder over the same files.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from core.errors import Unavailable
from threadwork.sandbox_host.background import Background
from threadwork.sandbox_host.connect_protocol import ConnectError
from threadwork.sandbox_host.holder import Holder, open_holder
from threadwork.sandbox_host.process import EXIT_KEPT_S, Command, Process
from threadwork.sandbox_host.record import Record
from threadwork.sandbox_host.walls import Walls

_EARLY_KEPT: Final = 1024
log = structlog.get_logger(__name__)


class Sandbox:
    """One sandbox. Steps that change its state hold `lock`."""

    def __init__(self, record: Record, folder: Path, walls: Walls, background: Background) -> None:
        self.record = record
        self.folder = folder
        self.lock = asyncio.Lock()
        self._walls = walls
        self._background = background
        self._holder: Holder | None = None
        self._processes: dict[int, Process] = {}
        self._early: dict[int, int] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What every process in it starts with."""
        return {**self._walls.environment(self.folder), **self.record.envs}

    @property
    def has_processes(self) -> bool:
        """Whether there is something that could go on."""
        return self._holder is not None

    @property
    def disk_bytes(self) -> int | None:
        """The most one file may hold; None: no limit."""
        return self._walls.settings.limits.disk_bytes

    def save(self) -> None:
        """Put its record on disk."""
        self.record.write(self.folder)

    # ------------------------------------------------------------ steps

    async def open(self) -> None:
        """Make it run with a fresh holder and no processes. Raises `Unavailable`."""
        await asyncio.to_thread(self._walls.furnish, self.folder, self.record.uid)
        environment: dict[str, str] = {}

        def command(descriptor: int) -> Sequence[str]:
            line, mine = self._walls.command(self.folder, self.record.uid, descriptor)
            environment.update(mine)
            return line

        self._early.clear()
        self._holder = await open_holder(command, environment, self.folder / "holder.log", self)
        self.record.is_running = True
        self.save()

    async def pause(self, *, keeps_processes: bool) -> None:
        """Stop every process where it stands, those in the background too; or end them all."""
        self.record.is_running = False
        holder = self._holder
        if holder is not None and keeps_processes:
            await holder.ask("freeze")
        elif holder is not None:
            await self.close()
        self._tell(self._missing())
        self.save()

    async def resume(self, *, keeps_processes: bool) -> None:
        """Let them go on; or start without processes when there are none, or none are wanted."""
        if self._holder is not None and not keeps_processes:
            await self.close()
        if self._holder is None:
            await self.open()
            return
        try:
            await self._holder.ask("thaw")
        except Unavailable:
            await self.close()
            await self.open()
            return
        self.record.is_running = True
        self.save()

    async def close(self) -> None:
        """End everything in it and wait until it is over."""
        holder, self._holder = self._holder, None
        if holder is not None:
            await holder.close()
            self._walls.cgroups.leave(self.record.id)
        self._end_processes()

    def _end_processes(self) -> None:
        self._tell(self._missing())
        for process in list(self._processes.values()):
            process.exited(-9)
        self._processes.clear()

    def _tell(self, error: ConnectError) -> None:
        for process in self._processes.values():
            process.tell(error)

    def _missing(self) -> ConnectError:
        # The SDK looks for these words to tell a sandbox that does not run from a broken connection.
        return ConnectError("unavailable", f"The sandbox {self.record.id} was not found")

    # ------------------------------------------------------------ what the holder tells

    def exited(self, pid: int, status: int) -> None:
        """A process ended."""
        process = self._processes.get(pid)
        if process is not None and process.ended_at is None:
            process.exited(status)
            return
        # It may have ended before the task that started it was told so.
        self._early[pid] = status
        while len(self._early) > _EARLY_KEPT:
            self._early.pop(next(iter(self._early)))

    def limited(self, what: str, pid: int) -> None:
        """A process was killed for using too much."""
        log.warning("sandbox_over_its_limit", sandbox=self.record.id, what=what, pid=pid)

    def gone(self) -> None:
        """It ended by itself: as after a restart of the host."""
        log.warning("sandbox_ended_by_itself", sandbox=self.record.id)
        if self._holder is not None:
            self._background.spawn(self._holder.close())
        self._holder = None
        self.record.is_running = False
        self._end_processes()
        if self.folder.is_dir():
            self.save()

    # ------------------------------------------------------------ inside

    async def ask(self, operation: str, **arguments: Any) -> tuple[dict[str, Any], list[int]]:
        """Give the supervisor an order. Raises `Refused`, `Unavailable`."""
        if self._holder is None or not self.record.is_running:
            raise Unavailable("the sandbox", str(self._missing()))
        return await self._holder.ask(operation, **arguments)

    async def start(self, command: Command, is_heard: "asyncio.Future[None]") -> Process:
        """Start a process; its output waits until `is_heard`. Raises `Refused`, `Unavailable`."""
        # The process runs whether or not the client is still there to hear of it.
        return await self._background.to_its_end(self._start(command, is_heard))

    async def _start(self, command: Command, is_heard: "asyncio.Future[None]") -> Process:
        answer, descriptors = await self.ask(
            "start",
            argv=[self._meant(word) for word in command.argv],
            env={**self.environment, **{name: self._meant(value) for name, value in command.envs.items()}},
            cwd=command.cwd,
            stdin=command.has_stdin,
            pty=command.size,
        )
        process = Process(command, int(answer["pid"]), descriptors, self._background)
        self._processes[process.pid] = process
        process.begin(is_heard, self._ended)
        if process.pid in self._early:
            process.exited(self._early.pop(process.pid))
        return process

    def _meant(self, text: str) -> str:
        return self._walls.meant(text, self.folder)

    def _ended(self) -> None:
        now = time.monotonic()
        for pid, one in list(self._processes.items()):
            if one.ended_at is not None and now - one.ended_at > EXIT_KEPT_S:
                del self._processes[pid]

    def processes(self) -> list[Process]:
        """Those that run."""
        return [process for process in self._processes.values() if process.ended_at is None]

    def find(self, pid: int | None, tag: str | None) -> Process | None:
        """The process with this pid or tag, also for half a minute after its end."""
        for process in reversed(self._processes.values()):
            is_meant = process.pid == pid if tag is None else process.command.tag == tag
            if is_meant and (process.ended_at is None or time.monotonic() - process.ended_at <= EXIT_KEPT_S):
                return process
        return None
