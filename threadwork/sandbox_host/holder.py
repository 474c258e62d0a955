"""The host's end of one running sandbox: its bubblewrap process, and the talk with the supervisor in it.

Orders and answers are frames on a unix socket; pipes, terminals and opened files come over it as descriptors
(SCM_RIGHTS). What comes from inside is not trusted: a frame too large or descriptors nobody announced end the sandbox.
Next: `inside/supervisor.py`, the other end; `process.py`, which reads those pipes.
"""

import asyncio
import errno
import json
import os
import signal
import socket
import struct
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from core.errors import Unavailable

START_S: Final = 20.0
ORDER_S: Final = 60.0
_LARGEST_FRAME: Final = 64 << 20
_MOST_DESCRIPTORS: Final = 16
log = structlog.get_logger(__name__)


class Refused(Exception):
    """The supervisor could not do it: `number` is the errno."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


class Listener(Protocol):
    """Who is told what happens inside."""

    def exited(self, pid: int, status: int) -> None:
        """A process ended; `status` is its exit code, negative for a signal."""

    def limited(self, what: str, pid: int) -> None:
        """A process was killed because memory or disk ran over."""

    def gone(self) -> None:
        """The sandbox ended by itself, with everything in it."""


class Holder:
    """One running sandbox. Made by `open_holder`."""

    def __init__(self, ours: socket.socket, child: "subprocess.Popen[bytes]", listener: Listener) -> None:
        self._socket = ours
        self._child = child
        self._listener = listener
        self._received = bytearray()
        self._descriptors: deque[int] = deque()
        self._asked: dict[int, asyncio.Future[tuple[dict[str, Any], list[int]]]] = {}
        self._last = 0
        self._sending = asyncio.Lock()
        self._is_closing = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ours.setblocking(False)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hear)

    def _hear(self) -> None:
        try:
            piece, descriptors, _, _ = socket.recv_fds(self._socket, 1 << 16, _MOST_DESCRIPTORS)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            piece, descriptors = b"", []
        self._descriptors.extend(descriptors)
        self._received += piece
        if not piece or len(self._descriptors) > 4 * _MOST_DESCRIPTORS:
            self._lost()
            return
        while len(self._received) >= 4:
            (size,) = struct.unpack_from("!I", self._received)
            if size > _LARGEST_FRAME:
                self._lost()
                return
            if len(self._received) < 4 + size:
                return
            raw = bytes(self._received[4 : 4 + size])
            del self._received[: 4 + size]
            try:
                self._take(json.loads(raw))
            except (ValueError, KeyError, TypeError, IndexError):
                self._lost()
                return

    def _take(self, message: dict[str, Any]) -> None:
        descriptors = [self._descriptors.popleft() for _ in range(int(message["fds"]))]
        match message.get("event"):
            case "ready":
                if not self.ready.done():
                    self.ready.set_result(None)
            case "exit":
                self._listener.exited(int(message["pid"]), int(message["status"]))
            case "limit":
                self._listener.limited(str(message["what"]), int(message["pid"]))
            case _:
                answer = self._asked.pop(message["call"], None)
                if answer is None or answer.done():
                    for descriptor in descriptors:
                        os.close(descriptor)
                elif "errno" in message:
                    answer.set_exception(Refused(int(message["errno"]), str(message["message"])))
                else:
                    answer.set_result((message, descriptors))

    def _lost(self) -> None:
        """The other end is gone, or talks nonsense."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        while self._descriptors:
            os.close(self._descriptors.popleft())
        if not self.ready.done():
            self.ready.set_exception(Unavailable("the sandbox", "it ended while it started"))
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(Unavailable("the sandbox", "it is gone"))
        self._asked.clear()
        if not self._is_closing:
            self._kill()
            self._listener.gone()

    async def ask(self, operation: str, **arguments: Any) -> tuple[dict[str, Any], list[int]]:
        """Give an order; the answer, with descriptors that are now the caller's. Raises `Refused`, `Unavailable`."""
        if self._socket.fileno() < 0:
            raise Unavailable("the sandbox", "it is gone")
        self._last += 1
        number = self._last
        raw = json.dumps({"op": operation, "call": number, **arguments}).encode()
        answer: asyncio.Future[tuple[dict[str, Any], list[int]]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            async with asyncio.timeout(ORDER_S):
                async with self._sending:
                    # A frame cut in two would end the talk, so a caller that leaves does not stop it.
                    await asyncio.shield(self._send(struct.pack("!I", len(raw)) + raw))
                return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                for descriptor in answer.result()[1]:
                    os.close(descriptor)
            raise
        except TimeoutError as error:
            raise Unavailable("the sandbox", "it does not answer") from error
        except (OSError, ValueError) as error:
            raise Unavailable("the sandbox", "it is gone") from error
        finally:
            self._asked.pop(number, None)

    async def _send(self, frame: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, frame)

    def _kill(self) -> None:
        """End process 1 of the sandbox, and with it, by the kernel, every process in it."""
        with suppress(OSError):
            children = Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children").read_text().split()
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)

    async def close(self) -> None:
        """End the sandbox and wait until nothing of it is left."""
        self._is_closing = True
        if self._socket.fileno() >= 0:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._lost()
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        try:
            self._child.wait(0.25)
        except subprocess.TimeoutExpired:
            self._kill()
            try:
                self._child.wait(2)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()


async def open_holder(
    command: Callable[[int], Sequence[str]], environment: Mapping[str, str], log_path: Path, listener: Listener
) -> Holder:
    """Start a sandbox and wait for its supervisor. `command` is given the number of the supervisor's socket.

    Raises `Unavailable` with the last thing that was said on its stderr.
    """
    ours, theirs = socket.socketpair()
    with theirs, log_path.open("wb") as said:
        child = subprocess.Popen(  # noqa: ASYNC220 - a fork and exec of a millisecond; no thread per sandbox waits for it
            command(theirs.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=(theirs.fileno(),),
            env=dict(environment),
            cwd="/",
        )
    holder = Holder(ours, child, listener)
    holder._is_closing = True  # noqa: SLF001 - until it is ready nobody waits to hear that it is gone
    try:
        async with asyncio.timeout(START_S):
            await holder.ready
    except (TimeoutError, Unavailable) as error:
        await holder.close()
        words = log_path.read_text(errors="replace").strip()[-500:]
        raise Unavailable("the sandbox", words or "it did not start") from error
    except asyncio.CancelledError:
        await holder.close()
        raise
    holder._is_closing = False  # noqa: SLF001 - see above
    return holder


def is_missing(error: Refused) -> bool:
    """Whether it failed because the file or process is not there."""
    return error.number in {errno.ENOENT, errno.ESRCH}
