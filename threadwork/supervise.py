"""Keeping the programs of a stack alive: started in order, restarted when they die, stopped in the reverse order.

A child dies with this process, also after kill -9. Its stdout says when it is ready; its stderr is passed on with its
name in front. Restarts wait longer each time, and are told. Next: `up.py`.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from core.errors import Unavailable

log = structlog.get_logger(__name__)
STOP_S: Final = 8.0
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class Program:
    """A program of the stack. `ready` is the beginning of the line by which it says it is ready."""

    name: str
    argv: Sequence[str]
    ready: str
    env: Mapping[str, str] = field(default_factory=dict)
    ready_s: float = 40.0


def _leashed() -> Callable[[], None]:
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:
            os._exit(97)

    return prepare


class Child:
    """One program, as often as it had to be started. `said` is the rest of its ready line."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.said: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopping = False

    async def keep(self) -> None:
        """Run the program until stopped, starting it again when it ends."""
        delay = 0.2
        while True:
            started = asyncio.get_running_loop().time()
            code = await self._once()
            if self._is_told_to_stop():
                return
            if not self.said.done():
                self.said.set_exception(Unavailable(self.program.name, f"it ended with {code} before it was ready"))
                return
            lived = asyncio.get_running_loop().time() - started
            delay = 0.2 if lived > 30 else min(delay * 2, 10.0)
            log.warning("program_died", program=self.program.name, code=code, again_in_s=delay)
            await asyncio.sleep(delay)

    def _is_told_to_stop(self) -> bool:
        return self._is_stopping

    async def _once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *self.program.argv,
            env={**os.environ, **self.program.env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=1 << 20,
            preexec_fn=_leashed(),
        )
        self._process = process
        if self._is_stopping:
            process.terminate()
        assert process.stdout is not None  # noqa: S101 - asked for above
        assert process.stderr is not None  # noqa: S101 - as above
        await asyncio.gather(self._hear(process.stdout), self._pass_on(process.stderr))
        return await process.wait()

    async def _hear(self, out: asyncio.StreamReader) -> None:
        async for raw in out:
            line = raw.decode(errors="replace").rstrip("\n")
            if line.startswith(self.program.ready) and not self.said.done():
                self.said.set_result(line.removeprefix(self.program.ready).strip())

    async def _pass_on(self, err: asyncio.StreamReader) -> None:
        while True:
            try:
                raw = await err.readline()
            except ValueError:
                continue
            if not raw:
                return
            sys.stderr.write(f"{self.program.name:>12} | {raw.decode(errors='replace').rstrip()}\n")
            sys.stderr.flush()

    @property
    def pid(self) -> int | None:
        """The program's process id, while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and running else None

    def stop(self, number: signal.Signals) -> None:
        """Send it a signal, and do not start it again."""
        self._is_stopping = True
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


class Supervisor:
    """The programs of a stack, under way."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._children: list[tuple[Child, asyncio.Task[None]]] = []

    def start(self, program: Program) -> "Child":
        """Start a program; `ready` waits for it."""
        child = Child(program)
        self._children.append((child, self._tasks.create_task(child.keep(), name=program.name)))
        return child

    async def ready(self, child: "Child") -> str:
        """What the program said behind its ready word. Raises `Unavailable` when it does not come."""
        try:
            async with asyncio.timeout(child.program.ready_s):
                return await asyncio.shield(child.said)
        except TimeoutError as error:
            raise Unavailable(child.program.name, f"not ready after {child.program.ready_s:.0f} s") from error

    async def stop(self) -> None:
        """Stop all, the last started first, within `STOP_S` seconds."""
        for child, _task in reversed(self._children):
            child.stop(signal.SIGTERM)
        waiting = [task for _child, task in self._children]
        if waiting:
            _done, late = await asyncio.wait(waiting, timeout=STOP_S)
            for child, task in self._children:
                if task in late:
                    log.warning("program_killed", program=child.program.name)
                    child.stop(signal.SIGKILL)
            if late:
                await asyncio.wait(late, timeout=2)
        for task in waiting:
            task.cancel()


@asynccontextmanager
async def supervised() -> AsyncIterator[Supervisor]:
    """A supervisor whose programs are stopped at the end."""
    async with asyncio.TaskGroup() as tasks:
        supervisor = Supervisor(tasks)
        try:
            yield supervisor
        finally:
            await supervisor.stop()
