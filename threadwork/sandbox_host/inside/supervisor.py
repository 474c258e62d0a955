# ruff: noqa: PTH103, PTH104, PTH108, PTH112, PTH114, PTH120
# pathlib would cost every sandbox ten milliseconds of its start
"""The first process inside a sandbox: starts, signals and reaps processes, and opens files, on the host's orders.

It runs alone, with the standard library only, and being inside is its point: it sees what the sandbox sees, so no path
and no link leads it out, and as process 1 of its namespace it can stop everything there at once. It relays nothing:
pipes, terminals and opened files go to the host as file descriptors, so output and file contents flow past it.
Orders and answers are frames on one unix socket: four bytes of length, then JSON. When the host is gone, so is the
sandbox. Next: `files.py`, `limits.py` and `rights.py` beside it; `../holder.py`, the host's end.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import select
import shutil
import signal
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable
from typing import Any, NoReturn

from threadwork.sandbox_host.inside import files, limits
from threadwork.sandbox_host.inside.rights import drop_rights

_SIGNALS_TO_RESET = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT)

IS_INIT = os.getpid() == 1


class Supervisor:
    """Serves one host over one socket, one order at a time."""

    def __init__(self, host: socket.socket, settings: dict[str, Any]) -> None:
        self.host = host
        self.settings = settings
        self.received = bytearray()
        self.running: set[int] = set()
        self.is_busy = False
        self.waiting: dict[int, int] = {}
        self.stopped_before: set[int] | None = None
        self.wake, wake_writer = socket.socketpair()
        wake_writer.setblocking(False)
        signal.set_wakeup_fd(wake_writer.fileno(), warn_on_full_buffer=False)
        self.wake_writer = wake_writer
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.watch = limits.Watch(settings, members, lambda news: self.send({"event": "limit", **news}))

    def serve(self) -> NoReturn:
        poll = select.epoll()
        poll.register(self.host, select.EPOLLIN)
        poll.register(self.wake, select.EPOLLIN)
        self.send({"event": "ready"})
        while True:
            is_busy = self.is_busy and self.stopped_before is None
            for descriptor, _ in poll.poll(limits.PERIOD_S if is_busy else -1):
                if descriptor == self.wake.fileno():
                    self.wake.recv(4096)
                    self.reap()
                else:
                    self.hear()
            if is_busy:
                self.look()

    def look(self) -> None:
        # What went into the background counts as well; with nothing left there is nothing to wake up for.
        if self.watch.look(time.monotonic()):
            self.is_busy = bool(members())

    def hear(self) -> None:
        piece = self.host.recv(1 << 18)
        if not piece:
            leave()
        self.received += piece
        while len(self.received) >= 4:
            (size,) = struct.unpack_from("!I", self.received)
            if len(self.received) < 4 + size:
                return
            order = json.loads(self.received[4 : 4 + size])
            del self.received[: 4 + size]
            self.obey(order)

    def send(self, head: dict[str, Any], descriptors: list[int] | None = None) -> None:
        raw = json.dumps({**head, "fds": len(descriptors or ())}).encode()
        frame = struct.pack("!I", len(raw)) + raw
        try:
            sent = socket.send_fds(self.host, [frame], descriptors) if descriptors else 0
            self.host.sendall(frame[sent:])
        except OSError:
            leave()
        for descriptor in descriptors or ():
            os.close(descriptor)

    def obey(self, order: dict[str, Any]) -> None:
        act: Callable[[dict[str, Any]], files.Answer | None] = getattr(self, f"do_{order['op']}")
        try:
            answer = act(order)
        except OSError as error:
            answer = {"errno": error.errno or errno.EIO, "message": words(error)}, []
        except ValueError as error:
            answer = {"errno": errno.EINVAL, "message": str(error)}, []
        if answer is not None:
            self.send({"call": order["call"], **answer[0]}, answer[1])

    # ------------------------------------------------------------ processes

    def do_start(self, order: dict[str, Any]) -> files.Answer:
        ours, theirs = terminal(order["pty"]) if order["pty"] else pipes(has_stdin=order["stdin"])
        report, failed = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                self.become(order, theirs)
            except BaseException as error:  # noqa: BLE001 - this is another process by now
                number = getattr(error, "errno", None) or errno.EINVAL
                os.write(failed, json.dumps({"errno": number, "message": words(error)}).encode())
            os._exit(127)
        for descriptor in {*theirs, failed}:
            os.close(descriptor)
        with os.fdopen(report, "rb") as file:
            failure = file.read()
        if failure:
            for descriptor in ours:
                os.close(descriptor)
            return json.loads(failure), []
        self.running.add(pid)
        self.is_busy = True
        return {"pid": pid}, ours

    def become(self, order: dict[str, Any], theirs: list[int]) -> NoReturn:
        os.setsid()
        for number, descriptor in enumerate(theirs):
            os.dup2(descriptor, number)
        if order["pty"]:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for number in _SIGNALS_TO_RESET:
            signal.signal(number, signal.SIG_DFL)
        cap(resource.RLIMIT_CORE, 0)
        cap(resource.RLIMIT_FSIZE, self.settings.get("disk_bytes"))
        cap(resource.RLIMIT_NPROC, self.settings.get("processes"))
        os.chdir(files.place(order["cwd"] or ""))
        os.execvpe(order["argv"][0], order["argv"], order["env"])  # noqa: S606 - what it is for

    def do_signal(self, order: dict[str, Any]) -> files.Answer:
        if order["pid"] not in self.running:
            raise ProcessLookupError(errno.ESRCH, "no such process")
        os.kill(order["pid"], order["signal"])
        return {}, []

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            if pid in self.running:
                self.running.discard(pid)
                self.send({"event": "exit", "pid": pid, "status": code})
            elif pid in self.waiting:
                failure = {"errno": code, "message": os.strerror(code)} if code > 0 else {}
                self.send({"call": self.waiting.pop(pid), **failure})
            self.watch.reaped(pid)

    def do_freeze(self, _order: dict[str, Any]) -> files.Answer:
        """Stop everything. What was stopped before stays so when the rest goes on."""
        if self.stopped_before is None:
            self.stopped_before = {pid for pid in members() if limits.state(pid) == "T"}
        for _ in range(50):
            tell_all(signal.SIGSTOP)
            if all(limits.state(pid) in {"T", "t", "Z", "X", ""} for pid in members()):
                break
            time.sleep(0.002)
        return {}, []

    def do_thaw(self, _order: dict[str, Any]) -> files.Answer:
        for pid in members() - (self.stopped_before or set()):
            try:
                os.kill(pid, signal.SIGCONT)
            except OSError:
                continue
        self.stopped_before = None
        return {}, []

    def do_usage(self, _order: dict[str, Any]) -> files.Answer:
        return {"memory": limits.memory(members()), "disk": self.watch.disk_used()}, []

    # ------------------------------------------------------------ files

    def do_stat(self, order: dict[str, Any]) -> files.Answer:
        return {"entry": files.entry(files.place(order["path"]))}, []

    def do_list(self, order: dict[str, Any]) -> files.Answer:
        found: list[dict[str, Any]] = []
        files.collect(files.place(order["path"]), order["depth"], found)
        return {"entries": found}, []

    def do_scan(self, order: dict[str, Any]) -> files.Answer:
        return {"seen": files.scan(files.place(order["path"]), is_recursive=order["recursive"])}, []

    def do_mkdir(self, order: dict[str, Any]) -> files.Answer:
        path = files.place(order["path"])
        if os.path.lexists(path):
            kind = errno.EEXIST if os.path.isdir(path) else errno.ENOTDIR
            raise OSError(kind, "it exists already" if kind == errno.EEXIST else "a file of that name exists", path)
        os.makedirs(path)
        return {"entry": files.entry(path)}, []

    def do_move(self, order: dict[str, Any]) -> files.Answer:
        source, target = files.place(order["path"]), files.place(order["to"])
        os.lstat(source)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(source, target)
        return {"entry": files.entry(target)}, []

    def do_remove(self, order: dict[str, Any]) -> files.Answer | None:
        path = files.place(order["path"])
        if not os.path.lexists(path):
            return {}, []
        if os.path.islink(path) or not os.path.isdir(path):
            os.unlink(path)
            return {}, []
        # A large tree takes long; nothing else here shall wait for it.
        pid = os.fork()
        if pid == 0:
            try:
                shutil.rmtree(path)
            except OSError as error:
                os._exit(min(error.errno or errno.EIO, 255))
            os._exit(0)
        self.waiting[pid] = order["call"]
        return None

    def do_read(self, order: dict[str, Any]) -> files.Answer:
        return files.opened(files.place(order["path"]), os.O_RDONLY)

    def do_write(self, order: dict[str, Any]) -> files.Answer:
        path = files.place(order["path"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return files.opened(path, os.O_WRONLY | os.O_CREAT)


def pipes(*, has_stdin: bool) -> tuple[list[int], list[int]]:
    out, out_inside = os.pipe()
    err, err_inside = os.pipe()
    if not has_stdin:
        return [out, err], [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), out_inside, err_inside]
    in_inside, into = os.pipe()
    return [out, err, into], [in_inside, out_inside, err_inside]


def terminal(size: list[int]) -> tuple[list[int], list[int]]:
    ours, inside = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    return [ours], [inside] * 3


def members() -> set[int]:
    """Every process of the sandbox but this one. Without a pid namespace: our descendants, however orphaned."""
    everyone = limits.parents()
    if IS_INIT:
        return set(everyone) - {1}
    found: set[int] = set()
    ring = {os.getpid()}
    while ring:
        ring = {pid for pid, parent in everyone.items() if parent in ring} - found
        found |= ring
    return found


def tell_all(number: int) -> None:
    """Signal every member. As process 1 the kernel does it in one step that no fork can slip through."""
    for pid in (-1,) if IS_INIT else members():
        try:
            os.kill(pid, number)
        except OSError:
            continue


def cap(kind: int, limit: int | None) -> None:
    if limit is not None:
        hard = resource.getrlimit(kind)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (limit, limit))


def words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)


def leave() -> NoReturn:
    if not IS_INIT:
        for _ in range(20):
            if not members():
                break
            tell_all(signal.SIGKILL)
            time.sleep(0.005)
    os._exit(0)


def main() -> NoReturn:
    settings = json.loads(sys.argv[2])
    host = socket.socket(fileno=int(sys.argv[1]))
    host.set_inheritable(False)
    drop_rights(settings.get("uid"))
    os.umask(0o022)
    Supervisor(host, settings).serve()
