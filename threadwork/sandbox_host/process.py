"""A process in a sandbox as the host has it: its pipes, who listens, its end.

The rules are envd's (0.6.13, internal/services/process): output goes to whoever listens and is dropped when nobody
does; the slowest listener sets the pace, so nothing piles up here and the process waits in the end; the exit code is
kept for half a minute; a process counts as ended when it has exited and its output is closed.
Next: `process_rpc.py`, which serves this.
"""

import asyncio
import base64
import errno
import fcntl
import os
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from threadwork.sandbox_host.background import Background
from threadwork.sandbox_host.connect_protocol import ConnectError, Stream, sealed

EXIT_KEPT_S: Final = 30.0
PIECE: Final = 1 << 16
_DROPPING_PAUSE_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Command:
    """What was asked to run. `size` is (rows, columns) of a terminal."""

    argv: Sequence[str]
    envs: Mapping[str, str]
    cwd: str | None
    tag: str | None
    has_stdin: bool
    size: tuple[int, int] | None

    def described(self) -> dict[str, Any]:
        """As process.ProcessConfig."""
        config: dict[str, Any] = {"cmd": self.argv[0], "args": list(self.argv[1:]), "envs": dict(self.envs)}
        if self.cwd is not None:
            config["cwd"] = self.cwd
        return config


class Process:
    """One process. `descriptors`: a terminal, or stdout, stderr and perhaps stdin; they are closed at its end."""

    def __init__(self, command: Command, pid: int, descriptors: list[int], background: Background) -> None:
        self.command = command
        self.pid = pid
        self.listeners: dict[Stream, asyncio.Future[None]] = {}
        self.status: int | None = None
        self.ended_at: float | None = None
        self._background = background
        self._exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        for descriptor in descriptors:
            os.set_blocking(descriptor, False)
        self._outputs = (
            {"pty": descriptors[0]} if command.size else {"stdout": descriptors[0], "stderr": descriptors[1]}
        )
        self._input = descriptors[0] if command.size else descriptors[2] if command.has_stdin else None
        self._writing = asyncio.Lock()

    def begin(self, is_heard: "asyncio.Future[None]", on_end: Callable[[], None]) -> None:
        """Let output flow once `is_heard`: not before who started it listens. `on_end` is called when it has ended."""
        self._background.spawn(self._run(is_heard, on_end))

    def listen(self, listener: Stream, over: "asyncio.Future[None]") -> None:
        """Send a listener all output from now on. `over` is settled at the end, with an error if it is no good one."""
        if self.ended_at is None:
            self.listeners[listener] = over
        elif not over.done():
            over.set_result(None)

    def leave(self, listener: Stream) -> None:
        """Send it no more."""
        self.listeners.pop(listener, None)

    async def over(self) -> None:
        """Wait until it has exited."""
        await asyncio.shield(self._exited)

    def exited(self, status: int) -> None:
        """The supervisor saw it exit."""
        if not self._exited.done():
            self._exited.set_result(status)

    def tell(self, error: ConnectError) -> None:
        """End every listener's stream with an error: the sandbox is paused or gone."""
        for over in self.listeners.values():
            if not over.done():
                over.set_exception(error)

    async def _run(self, is_heard: "asyncio.Future[None]", on_end: Callable[[], None]) -> None:
        try:
            await is_heard
            await asyncio.gather(*(self._pass_on(name, descriptor) for name, descriptor in self._outputs.items()))
            self.status = await self._exited
        finally:
            self.ended_at = time.monotonic()
            self._close()
            on_end()
        for over in self.listeners.values():
            if not over.done():
                over.set_result(None)

    async def _pass_on(self, name: str, descriptor: int) -> None:
        head = b'{"event":{"data":{"%s":"' % name.encode()
        while piece := await _read(descriptor):
            if not self.listeners:
                # Nobody listens: a process that only prints shall not keep the host busy.
                await asyncio.sleep(_DROPPING_PAUSE_S if len(piece) == PIECE else 0)
                continue
            frame = sealed(head + base64.b64encode(piece) + b'"}}}')
            for listener, over in list(self.listeners.items()):
                if not over.done():
                    try:
                        await listener.send(frame)
                    except ConnectionError:
                        self.listeners.pop(listener, None)
            await asyncio.sleep(0)

    def _close(self) -> None:
        descriptors = {*self._outputs.values(), *([] if self._input is None else [self._input])}
        loop = asyncio.get_running_loop()
        for descriptor in descriptors:
            loop.remove_reader(descriptor)
            loop.remove_writer(descriptor)
            os.close(descriptor)
        self._input = None

    async def write(self, data: bytes) -> None:
        """Give it input, all of it, in the order of the calls. Raises `ConnectError`."""
        await self._writing.acquire()
        # Half a message is worse than one whose sender has left.
        await self._background.to_its_end(self._write(data))

    async def _write(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                if self._input is None:
                    raise ConnectError("internal", "stdin not enabled or closed")
                try:
                    left = left[os.write(self._input, left) :]
                except BlockingIOError:
                    await _writable(self._input, self._exited)
                except OSError as error:
                    raise ConnectError("internal", f"error writing to stdin: {error.strerror}") from error
        finally:
            self._writing.release()

    async def close_stdin(self) -> None:
        """End its input once what was given is written. Raises `ConnectError`."""
        if self.command.size is not None:
            raise ConnectError("failed_precondition", "cannot close stdin of a terminal; send it a Ctrl-D")
        async with self._writing:
            if self._input is None:
                raise ConnectError("internal", "stdin not enabled or closed")
            os.close(self._input)
            self._input = None

    def resize(self, rows: int, cols: int) -> None:
        """Change the size of its terminal. Raises `ConnectError` when it has none."""
        if self.command.size is None or self.ended_at is not None:
            raise ConnectError("failed_precondition", "the process has no terminal")
        fcntl.ioctl(self._outputs["pty"], termios.TIOCSWINSZ, struct.pack("HHHH", rows & 0xFFFF, cols & 0xFFFF, 0, 0))


async def _read(descriptor: int) -> bytes:
    """The next piece of output; empty at its end."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return os.read(descriptor, PIECE)
        except BlockingIOError:
            ready = loop.create_future()
            loop.add_reader(descriptor, _settle, ready)
            try:
                await ready
            finally:
                loop.remove_reader(descriptor)
        except OSError as error:
            # A terminal whose last process is gone answers EIO.
            if error.errno != errno.EIO:
                raise
            return b""


async def _writable(descriptor: int, exited: "asyncio.Future[int]") -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(descriptor, _settle, ready)
    try:
        await asyncio.wait((ready, exited), return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_writer(descriptor)
    if exited.done() and not ready.done():
        raise ConnectError("internal", "the process has exited")


def _settle(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
