"""The first process of a sandbox: starts, feeds, stops and reaps processes, and touches files, all from inside.

It is the only file of the host that runs in a sandbox, alone, with nothing but the standard library. Being inside is
the point: it sees what the sandbox sees, so no path and no link leads it out, and as process 1 it sees every process that
is to be paused. The host speaks to it over one socket, in frames: a length, a JSON header, a newline, raw bytes.
Output waits here until the host has passed on what it got (`credit`), so a slow reader slows the process, and
nothing piles up. Next: `holder.py`, the host's end.
"""

import asyncio
import ctypes
import fcntl
import json
import os
import pty
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
from typing import Any

PIECE = 64 << 10
WINDOW = 1 << 20
MINE = os.getpid()


class Process:
    """A process the host asked for."""

    def __init__(self, number: int, popen: "subprocess.Popen[bytes]", terminal: int | None) -> None:
        self.number = number
        self.popen = popen
        self.terminal = terminal
        self.unpaid = 0
        self.room = asyncio.Event()
        self.room.set()
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.to_write: asyncio.Queue[bytes | None] = asyncio.Queue()


class Supervisor:
    """Serves the host's requests until the host is gone, and then ends, and with it everything here."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.processes: dict[int, Process] = {}
        self.by_pid: dict[int, Process] = {}
        self.early: dict[int, int] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self.reap)
        self.send({"op": "ready"})
        while True:
            try:
                size = struct.unpack("!I", await self.reader.readexactly(4))[0]
                frame = await self.reader.readexactly(size)
            except (asyncio.IncompleteReadError, ConnectionError):
                os._exit(0)
            head, _, body = frame.partition(b"\n")
            self.take(json.loads(head), body)

    def send(self, head: dict[str, Any], body: bytes = b"") -> None:
        raw = json.dumps(head).encode() + b"\n" + body
        self.writer.write(struct.pack("!I", len(raw)) + raw)

    def spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def take(self, head: dict[str, Any], body: bytes) -> None:
        operation = head["op"]
        process = self.processes.get(head.get("id", -1))
        if operation == "start":
            self.start(head)
        elif operation == "credit" and process is not None:
            process.unpaid -= head["bytes"]
            if process.unpaid < WINDOW:
                process.room.set()
        elif operation == "input" and process is not None:
            process.to_write.put_nowait(body)
        elif operation == "eof" and process is not None:
            process.to_write.put_nowait(None)
        elif operation == "resize" and process is not None and process.terminal is not None:
            resize(process.terminal, head["rows"], head["cols"])
        else:
            self.spawn(self.answer(head, body, process))

    async def answer(self, head: dict[str, Any], body: bytes, process: "Process | None") -> None:
        try:
            if head["op"] == "signal":
                found = process is not None and not process.exited.done()
                if found and process is not None:
                    os.kill(process.popen.pid, head["signal"])
                result: dict[str, Any] = {"found": found}
                data = b""
            elif head["op"] in {"freeze", "thaw"}:
                result, data = await self.freeze(frozen=head["op"] == "freeze"), b""
            else:
                result, data = await asyncio.get_running_loop().run_in_executor(None, file_operation, head, body)
            self.send({"op": "answer", "call": head["call"], **result}, data)
        except FileNotFoundError:
            self.send({"op": "answer", "call": head["call"], "error": "not_found", "message": missing(head)})
        except OSError as error:
            kind = "no_space" if error.errno in {28, 122, 27} else "invalid"
            message = f"{error.strerror or error}: {head.get('path', '')}"
            self.send({"op": "answer", "call": head["call"], "error": kind, "message": message})

    def start(self, head: dict[str, Any]) -> None:
        terminal = None
        try:
            cwd = head.get("cwd") or os.environ["HOME"]
            if head.get("pty"):
                terminal, inner = pty.openpty()
                resize(terminal, head["pty"]["rows"], head["pty"]["cols"])
                popen = subprocess.Popen(
                    head["argv"],
                    stdin=inner,
                    stdout=inner,
                    stderr=inner,
                    cwd=cwd,
                    env=head["env"],
                    start_new_session=True,
                    preexec_fn=lambda: own_terminal(inner),
                )
                os.close(inner)
            else:
                stdin = subprocess.PIPE if head.get("stdin") else subprocess.DEVNULL
                popen = subprocess.Popen(
                    head["argv"],
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=cwd,
                    env=head["env"],
                    start_new_session=True,
                )
        except OSError as error:
            message = f"{error.strerror}: {error.filename}"
            self.send({"op": "failed", "id": head["id"], "message": message})
            return
        process = Process(head["id"], popen, terminal)
        self.processes[process.number] = self.by_pid[popen.pid] = process
        if popen.pid in self.early:
            process.exited.set_result(self.early.pop(popen.pid))
        self.send({"op": "started", "id": process.number, "pid": popen.pid})
        self.spawn(self.look_after(process))

    async def look_after(self, process: Process) -> None:
        """Pass on what a process prints until it is gone, then say how it ended."""
        popen = process.popen
        if process.terminal is not None:
            writing = asyncio.ensure_future(self.feed(process, process.terminal))
            streams = [self.pass_on(process, process.terminal, "pty")]
        else:
            assert popen.stdout is not None and popen.stderr is not None
            writing = asyncio.ensure_future(self.feed(process, popen.stdin.fileno() if popen.stdin else -1))
            streams = [
                self.pass_on(process, popen.stdout.fileno(), "stdout"),
                self.pass_on(process, popen.stderr.fileno(), "stderr"),
            ]
        reading = asyncio.gather(*streams)
        status = await process.exited
        # A child left behind may hold the pipes open for ever; what is in them by now is the process's own.
        await asyncio.wait((reading,), timeout=0.05 if reading.done() else 0.3)
        writing.cancel()
        reading.cancel()
        self.send({"op": "exited", "id": process.number, "status": status})
        self.processes.pop(process.number, None)
        self.by_pid.pop(popen.pid, None)
        for pipe in (popen.stdin, popen.stdout, popen.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass
        if process.terminal is not None:
            os.close(process.terminal)

    async def pass_on(self, process: Process, descriptor: int, name: str) -> None:
        os.set_blocking(descriptor, False)
        while True:
            await process.room.wait()
            await readable(descriptor)
            try:
                piece = os.read(descriptor, PIECE)
            except BlockingIOError:
                continue
            except OSError:
                return
            if not piece:
                return
            process.unpaid += len(piece)
            if process.unpaid >= WINDOW:
                process.room.clear()
            self.send({"op": "output", "id": process.number, "stream": name}, piece)
            await self.writer.drain()

    async def feed(self, process: Process, descriptor: int) -> None:
        while True:
            data = await process.to_write.get()
            if descriptor < 0:
                continue
            if data is None:
                if process.popen.stdin is not None:
                    process.popen.stdin.close()
                elif process.terminal is not None:
                    os.write(descriptor, b"\x04")
                return
            os.set_blocking(descriptor, False)
            view = memoryview(data)
            while view:
                try:
                    view = view[os.write(descriptor, view) :]
                except BlockingIOError:
                    await writable(descriptor)
                except OSError:
                    return

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            process = self.by_pid.get(pid)
            if process is None:
                self.early[pid] = code
                if len(self.early) > 1000:
                    self.early.pop(next(iter(self.early)))
            elif not process.exited.done():
                process.popen.returncode = code
                process.exited.set_result(code)

    async def freeze(self, *, frozen: bool) -> dict[str, Any]:
        """Stop or continue every process but this one, as often as it takes until no new one is found."""
        number = signal.SIGSTOP if frozen else signal.SIGCONT
        done: set[int] = set()
        for _ in range(50):
            new = members() - done
            if not new:
                break
            for pid in new:
                try:
                    os.kill(pid, number)
                except (ProcessLookupError, PermissionError):
                    pass
            done |= new
            await asyncio.sleep(0)
        return {"count": len(done)}


def members() -> set[int]:
    """Every process of the sandbox but this one. Without a pid namespace (no isolation): our descendants."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
    if MINE == 1:
        return set(parents) - {1}
    found: set[int] = set()
    ring = {MINE}
    while ring:
        ring = {pid for pid, parent in parents.items() if parent in ring} - found
        found |= ring
    return found - {MINE}


def missing(head: dict[str, Any]) -> str:
    return f"path not found: {head.get('path', '')}"


def own_terminal(inner: int) -> None:
    fcntl.ioctl(inner, termios.TIOCSCTTY, 0)


def resize(terminal: int, rows: int, cols: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


async def readable(descriptor: int) -> None:
    await _ready(descriptor, asyncio.get_running_loop().add_reader, asyncio.get_running_loop().remove_reader)


async def writable(descriptor: int) -> None:
    await _ready(descriptor, asyncio.get_running_loop().add_writer, asyncio.get_running_loop().remove_writer)


async def _ready(descriptor: int, add: Any, remove: Any) -> None:
    event = asyncio.Event()
    add(descriptor, event.set)
    try:
        await event.wait()
    finally:
        remove(descriptor)


# ---------------------------------------------------------------- files


def home_path(path: str) -> str:
    """A path as the sandbox's user means it: relative ones and `~` are of the home folder."""
    home = os.environ["HOME"]
    if path.startswith("~"):
        path = home + path[1:]
    return os.path.normpath(os.path.join(home, path))


def entry(path: str) -> dict[str, Any]:
    found = os.lstat(path)
    is_link = stat.S_ISLNK(found.st_mode)
    seen = found
    if is_link:
        try:
            seen = os.stat(path)
        except OSError:
            pass
    kind = "FILE_TYPE_DIRECTORY" if stat.S_ISDIR(seen.st_mode) else "FILE_TYPE_FILE"
    described: dict[str, Any] = {
        "name": os.path.basename(path),
        "type": kind,
        "path": path,
        "size": found.st_size,
        "mode": stat.S_IMODE(found.st_mode),
        "permissions": stat.filemode(found.st_mode),
        "owner": "user",
        "group": "user",
        "mtime": found.st_mtime,
    }
    if is_link:
        described["target"] = os.path.realpath(path)
    return described


def file_operation(head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    path = home_path(head["path"])
    match head["op"]:
        case "stat":
            return {"entry": entry(path)}, b""
        case "list":
            return {"entries": listed(path, head.get("depth", 1))}, b""
        case "mkdir":
            existed = os.path.isdir(path)
            os.makedirs(path, exist_ok=True)
            return {"entry": entry(path), "existed": existed}, b""
        case "move":
            os.rename(path, home_path(head["to"]))
            return {"entry": entry(home_path(head["to"]))}, b""
        case "remove":
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
            return {}, b""
        case "size":
            if os.path.isdir(path):
                raise IsADirectoryError(21, "is a directory", path)
            return {"size": os.stat(path).st_size}, b""
        case "read":
            with open(path, "rb") as file:
                file.seek(head["at"])
                return {}, file.read(head["bytes"])
        case "write":
            if head["at"] == 0:
                os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb" if head["at"] == 0 else "r+b") as file:
                file.seek(head["at"])
                file.write(body)
            return {"entry": entry(path)}, b""
    raise OSError(22, f"unknown operation {head['op']}")


def listed(path: str, depth: int) -> list[dict[str, Any]]:
    if not os.path.isdir(path):
        os.stat(path)
        raise NotADirectoryError(20, "not a directory", path)
    found = []
    for name in sorted(os.listdir(path)):
        inner = os.path.join(path, name)
        try:
            described = entry(inner)
        except FileNotFoundError:
            continue
        found.append(described)
        if depth > 1 and described["type"] == "FILE_TYPE_DIRECTORY" and "target" not in described:
            try:
                found += listed(inner, depth - 1)
            except OSError:
                continue
    return found


async def main(descriptor: int) -> None:
    sock = socket.socket(fileno=descriptor)
    reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 22)
    await Supervisor(reader, writer).serve()


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if MINE != 1:
        # Without a namespace of our own, orphans must still come to us: PR_SET_CHILD_SUBREAPER.
        ctypes.CDLL(None).prctl(36, 1)
    asyncio.run(main(int(sys.argv[1])))
