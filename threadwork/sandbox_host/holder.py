"""The host's end of one running sandbox: its bubblewrap process, and the conversation with the supervisor in it.

A process's output goes to its subscribers and nowhere else, as envd does: with nobody there it is dropped. The
supervisor gets credit for output once every subscriber took it, so a slow one slows the process. Next: `sandboxes.py`.
"""

import asyncio
import ctypes
import itertools
import json
import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from core.errors import SandboxError, Unavailable

START_S: Final = 20.0
CALL_S: Final = 60.0
EXIT_KEPT_S: Final = 30.0
_SUBSCRIBER_PIECES: Final = 32
_PR_SET_PDEATHSIG: Final = 1
LARGEST_FILE: Final = 16 << 30


class OperationFailed(SandboxError):
    """The supervisor refused: `kind` is not_found, no_space or invalid."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of output. `stream`: stdout, stderr or pty."""

    stream: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """A process is over; `status` is its exit code, negative for a signal."""

    status: int


@dataclass(slots=True, eq=False)
class Process:
    """A process in a sandbox, as the host knows it."""

    number: int
    argv: Sequence[str]
    envs: Mapping[str, str]
    cwd: str | None
    has_stdin: bool
    pid: int = 0
    status: int | None = None
    ended_at: float = 0.0
    subscribers: "set[asyncio.Queue[Output | Ended]]" = field(default_factory=set)
    incoming: "asyncio.Queue[Output | Ended]" = field(default_factory=asyncio.Queue)
    started: "asyncio.Future[int]" = field(default_factory=asyncio.Future)
    deadline: asyncio.TimerHandle | None = None

    def subscribe(self) -> "asyncio.Queue[Output | Ended]":
        """A queue with everything from now on; a process that is over says so at once."""
        queue: asyncio.Queue[Output | Ended] = asyncio.Queue(_SUBSCRIBER_PIECES)
        if self.status is not None:
            queue.put_nowait(Ended(self.status))
        else:
            self.subscribers.add(queue)
        return queue


class Holder:
    """One running sandbox."""

    def __init__(self, on_gone: Callable[[], None]) -> None:
        self._on_gone = on_gone
        self._numbers = itertools.count(1)
        self._calls: dict[int, asyncio.Future[tuple[dict[str, Any], bytes]]] = {}
        self._processes: dict[int, Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._child: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._is_closing = False

    async def open(self, command: Callable[[int], Sequence[str]], env: Mapping[str, str] | None, cwd: str) -> None:
        """Start the sandbox and wait for its supervisor. Raises `Unavailable` with its last words."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = await asyncio.create_subprocess_exec(
                *command(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                env=env,
                cwd=cwd,
                preexec_fn=_leashed(os.getpid()),
            )
        said: list[bytes] = []
        self._spawn(_keep_last(self._child.stderr, said))
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=1 << 22)
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._spawn(self._hear(reader, ready))
        try:
            async with asyncio.timeout(START_S):
                await ready
        except (TimeoutError, ConnectionError) as error:
            await self.close()
            words = b"".join(said).decode(errors="replace").strip()
            raise Unavailable("the sandbox", words or "it did not start") from error

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End the sandbox and everything in it."""
        self._is_closing = True
        if self._child is not None and self._child.returncode is None:
            with suppress(ProcessLookupError):
                self._child.kill()
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self._child.wait()
        if self._writer is not None:
            self._writer.close()
        for process in list(self._processes.values()):
            self._end(process, -signal.SIGKILL)

    # ------------------------------------------------------------ the conversation

    async def _hear(self, reader: asyncio.StreamReader, ready: "asyncio.Future[None]") -> None:
        try:
            while True:
                size = struct.unpack("!I", await reader.readexactly(4))[0]
                head, _, body = (await reader.readexactly(size)).partition(b"\n")
                message = json.loads(head)
                if message["op"] == "ready":
                    if not ready.done():
                        ready.set_result(None)
                else:
                    self._take(message, body)
        except (asyncio.IncompleteReadError, ConnectionError):
            if not ready.done():
                ready.set_exception(ConnectionError("the supervisor is gone"))
            for call in self._calls.values():
                if not call.done():
                    call.set_exception(Unavailable("the sandbox", "it is gone"))
            for process in list(self._processes.values()):
                self._end(process, -signal.SIGKILL)
            if not self._is_closing:
                self._on_gone()

    def _take(self, message: dict[str, Any], body: bytes) -> None:
        if message["op"] == "answer":
            call = self._calls.pop(message["call"], None)
            if call is not None and not call.done():
                if "error" in message:
                    call.set_exception(OperationFailed(message["error"], message["message"]))
                else:
                    call.set_result((message, body))
            return
        process = self._processes.get(message["id"])
        if process is None:
            return
        match message["op"]:
            case "started":
                process.pid = message["pid"]
                process.started.set_result(process.pid)
                self._spawn(self._distribute(process))
            case "failed":
                process.started.set_exception(OperationFailed("invalid", message["message"]))
                self._processes.pop(process.number, None)
            case "output":
                process.incoming.put_nowait(Output(message["stream"], body))
            case "exited":
                process.incoming.put_nowait(Ended(message["status"]))

    async def _distribute(self, process: Process) -> None:
        while True:
            item = await process.incoming.get()
            if isinstance(item, Ended):
                self._end(process, item.status)
                return
            for queue in list(process.subscribers):
                while queue in process.subscribers:
                    try:
                        async with asyncio.timeout(1):
                            await queue.put(item)
                        break
                    except TimeoutError:
                        continue
            self._send({"op": "credit", "id": process.number, "bytes": len(item.data)})

    def _end(self, process: Process, status: int) -> None:
        if process.status is not None:
            return
        process.status, process.ended_at = status, time.monotonic()
        if process.deadline is not None:
            process.deadline.cancel()
        if not process.started.done():
            process.started.set_exception(Unavailable("the sandbox", "it is gone"))
        for queue in process.subscribers:
            if queue.full():
                self._spawn(queue.put(Ended(status)))
            else:
                queue.put_nowait(Ended(status))
        process.subscribers.clear()

    def _send(self, head: dict[str, Any], body: bytes = b"") -> None:
        if self._writer is not None and not self._writer.is_closing():
            raw = json.dumps(head).encode() + b"\n" + body
            self._writer.write(struct.pack("!I", len(raw)) + raw)

    async def call(self, operation: str, body: bytes = b"", **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """Ask the supervisor something. Raises `OperationFailed`, `Unavailable`."""
        number = next(self._numbers)
        answer: asyncio.Future[tuple[dict[str, Any], bytes]] = asyncio.get_running_loop().create_future()
        self._calls[number] = answer
        self._send({"op": operation, "call": number, **arguments}, body)
        try:
            async with asyncio.timeout(CALL_S):
                return await answer
        except TimeoutError as error:
            raise Unavailable("the sandbox", "it does not answer") from error
        finally:
            self._calls.pop(number, None)

    # ------------------------------------------------------------ processes

    async def start(
        self,
        argv: Sequence[str],
        envs: Mapping[str, str],
        cwd: str | None,
        *,
        has_stdin: bool,
        size: tuple[int, int] | None = None,
        before: "Callable[[Process], None]" = lambda _process: None,
    ) -> Process:
        """Start a process. `before` is called with it before it can have printed anything."""
        process = Process(next(self._numbers), list(argv), dict(envs), cwd, has_stdin or size is not None)
        self._processes[process.number] = process
        before(process)
        terminal = {"rows": size[0], "cols": size[1]} if size else None
        self._send(
            {
                "op": "start",
                "id": process.number,
                "argv": process.argv,
                "env": dict(envs),
                "cwd": cwd,
                "stdin": has_stdin,
                "pty": terminal,
            }
        )
        async with asyncio.timeout(CALL_S):
            await process.started
        return process

    def processes(self) -> list[Process]:
        """Those that run."""
        return [process for process in self._processes.values() if process.status is None and process.pid]

    def find(self, pid: int) -> Process | None:
        """The process with this pid inside, also for half a minute after its end."""
        now = time.monotonic()
        for number, process in list(self._processes.items()):
            if process.status is not None and now - process.ended_at > EXIT_KEPT_S:
                del self._processes[number]
        return next((process for process in reversed(self._processes.values()) if process.pid == pid), None)

    async def write(self, process: Process, data: bytes) -> None:
        """Give a process input."""
        self._send({"op": "input", "id": process.number}, data)
        if self._writer is not None:
            await self._writer.drain()

    def close_stdin(self, process: Process) -> None:
        """End a process's input."""
        self._send({"op": "eof", "id": process.number})

    def resize(self, process: Process, rows: int, cols: int) -> None:
        """Change the size of a process's terminal."""
        self._send({"op": "resize", "id": process.number, "rows": rows, "cols": cols})

    async def signal(self, process: Process, number: int) -> bool:
        """Send a process a signal; whether it was there."""
        answer, _ = await self.call("signal", id=process.number, signal=number)
        return bool(answer["found"])

    def limit(self, process: Process, seconds: float) -> None:
        """Kill a process after so many seconds."""
        loop = asyncio.get_running_loop()
        process.deadline = loop.call_later(seconds, lambda: self._spawn(self._kill(process)))

    async def _kill(self, process: Process) -> None:
        with suppress(SandboxError, Unavailable):
            await self.signal(process, signal.SIGKILL)

    async def freeze(self) -> None:
        """Stop every process in the sandbox, those that went into the background too."""
        await self.call("freeze")

    async def thaw(self) -> None:
        """Let them go on."""
        await self.call("thaw")


async def _keep_last(stream: asyncio.StreamReader | None, said: list[bytes]) -> None:
    """Read what the sandbox's own programs complain of, keeping the last few pieces."""
    while stream is not None and (piece := await stream.read(4096)):
        said.append(piece)
        del said[:-4]


def _leashed(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if os.getppid() != parent:
            os._exit(97)

    return prepare
