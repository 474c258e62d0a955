"""Keeping the programs of a stack alive: started in order, restarted when they die, stopped in the reverse order.

A child dies with this process, also after kill -9. Its stdout says when it is ready; its stderr is passed on with its
name in front. Restarts wait longer each time, and are told. What a program started in its own process group ends with
it. Next: `up.py`.
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

# All programs together have this long to stop; the last second is for killing those that do not.
STOP_S: Final = 8.0
_KILL_S: Final = 1.0
# How long the pipes of a dead program may stay open, held by something that it left behind.
_DRAIN_S: Final = 1.0
_FIRST_DELAY_S: Final = 0.2
_LONGEST_DELAY_S: Final = 10.0
_STEADY_S: Final = 30.0
_LAST_WORDS: Final = 400
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
        self.log = structlog.get_logger(__name__, program=program.name)
        self.said: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._last_words = ""

    async def keep(self) -> None:
        """Run the program until stopped, starting it again when it ends.

        One that ends before it was ready, or cannot be started at all, is given up: `said` raises `Unavailable`, with
        the last line that the program wrote on stderr.
        """
        clock = asyncio.get_running_loop().time
        delay = _FIRST_DELAY_S
        while not self._stopping.is_set():
            started = clock()
            try:
                why = f"it ended with {await self._once()}"
            except OSError as error:
                why = f"it cannot be started: {error.strerror}"
            if not self.said.done():
                reason = ": ".join(filter(None, (f"{why} before it was ready", self._last_words)))
                self.said.set_exception(Unavailable(self.program.name, reason))
                # Whoever asks learns it; when nobody does, the loop need not complain.
                self.said.exception()
                return
            if not self._stopping.is_set():
                delay = _FIRST_DELAY_S if clock() - started > _STEADY_S else min(delay * 2, _LONGEST_DELAY_S)
                self.log.warning("program_died", why=why, again_in_s=delay)
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._stopping.wait()

    async def _once(self) -> int | None:
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
        if self._stopping.is_set():
            self.stop(signal.SIGTERM)
        assert process.stdout is not None  # noqa: S101 - asked for above
        assert process.stderr is not None  # noqa: S101 - as above
        is_over = False
        try:
            async with asyncio.TaskGroup() as tasks:
                readers = [
                    tasks.create_task(self._hear(process.stdout)),
                    tasks.create_task(self._pass_on(process.stderr)),
                ]
                await _ended(process.pid)
                is_over = True
                _kill_group(process.pid)
                _done, late = await asyncio.wait(readers, timeout=_DRAIN_S)
                for reader in late:
                    reader.cancel()
        finally:
            if not is_over:  # cancelled: it must not be left behind
                _kill_group(process.pid)
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await process.wait()
        return process.returncode

    async def _hear(self, out: asyncio.StreamReader) -> None:
        async for line in _lines(out):
            if line.startswith(self.program.ready) and not self.said.done():
                self.said.set_result(line.removeprefix(self.program.ready).strip())

    async def _pass_on(self, err: asyncio.StreamReader) -> None:
        async for line in _lines(err):
            sys.stderr.write(f"{self.program.name:>12} | {line}\n")
            sys.stderr.flush()
            self._last_words = line[:_LAST_WORDS] or self._last_words

    @property
    def pid(self) -> int | None:
        """The program's process id, while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and running else None

    def stop(self, number: signal.Signals) -> None:
        """Send it a signal, and do not start it again."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """The lines of a stream, without one that is longer than anything a program of ours says."""
    while True:
        try:
            raw = await stream.readline()
        except ValueError:
            continue
        if not raw:
            return
        yield raw.decode(errors="replace").rstrip()


async def _ended(pid: int) -> None:
    """Wait for a child's end. asyncio's own `wait` may wait for its pipes, too, which others may hold open."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


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
        """Stop all within `STOP_S` seconds: the last started first, since it may need the others for its last words.

        One that takes long holds up the next for its share of the time only.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + STOP_S - _KILL_S
        for left, (child, task) in zip(range(len(self._children), 0, -1), reversed(self._children), strict=True):
            child.stop(signal.SIGTERM)
            await asyncio.wait((task,), timeout=max(0.0, until - clock()) / left)
        waiting = [task for _child, task in self._children]
        if waiting:
            _done, late = await asyncio.wait(waiting, timeout=max(0.0, until - clock()))
            for child, task in self._children:
                if task in late:
                    child.log.warning("program_killed")
                    child.stop(signal.SIGKILL)
            if late:
                await asyncio.wait(late, timeout=_KILL_S)
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
