"""envd's process service: start, watch, feed, signal and list processes in a sandbox.

The rules are envd's (0.6.13): output goes to whoever listens and is dropped otherwise; the deadline of a Start is the
process's own, that of a Connect only the stream's; a client that goes away changes nothing; an end is remembered for
half a minute; stdin is closed unless asked for. Next: `filesystem.py`.
"""

import asyncio
import base64
import signal
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from threadwork.sandbox_host.bwrap import ENVIRONMENT
from threadwork.sandbox_host.connect_protocol import ConnectError, Stream, deadline_s, messages, one_message
from threadwork.sandbox_host.holder import Ended, Holder, OperationFailed, Output, Process

KEEPALIVE_S: Final = 50.0
_SIGNALS: Final = {"SIGNAL_SIGKILL": signal.SIGKILL, "SIGNAL_SIGTERM": signal.SIGTERM}


async def start(request: web.Request, holder: Holder, envs: Mapping[str, str], home: str) -> web.StreamResponse:
    """Start a process and stream what it prints until it ends."""
    asked = await one_message(request)
    config = asked.get("process") or {}
    argv = [str(config.get("cmd") or "")] + [str(argument) for argument in config.get("args") or ()]
    if not argv[0]:
        raise ConnectError("invalid_argument", "a process needs a command")
    environment = {**ENVIRONMENT, "HOME": home, **envs, **(config.get("envs") or {})}
    size = (asked.get("pty") or {}).get("size")
    seconds = deadline_s(request)
    queues: list[asyncio.Queue[Output | Ended]] = []
    try:
        process = await holder.start(
            argv,
            environment,
            config.get("cwd") or None,
            has_stdin=bool(asked.get("stdin", False)),
            size=(int(size.get("rows", 24)), int(size.get("cols", 80))) if size else None,
            before=lambda made: queues.append(made.subscribe()),
        )
    except OperationFailed as error:
        raise ConnectError("invalid_argument", str(error)) from error
    if seconds is not None:
        holder.limit(process, seconds)
    return await _stream(request, process, queues[0], seconds)


async def connect(request: web.Request, holder: Holder) -> web.StreamResponse:
    """Stream what a process prints from now on."""
    process = selected(holder, await one_message(request))
    return await _stream(request, process, process.subscribe(), deadline_s(request))


async def _stream(
    request: web.Request, process: Process, queue: "asyncio.Queue[Output | Ended]", seconds: float | None
) -> web.StreamResponse:
    stream = Stream(request)
    await stream.open()
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds if seconds is not None else None
    try:
        await stream.send({"event": {"start": {"pid": process.pid}}})
        while True:
            left = KEEPALIVE_S if until is None else min(KEEPALIVE_S, until - loop.time())
            if left <= 0:
                return await stream.end(ConnectError("deadline_exceeded", "the deadline of this stream is over"))
            try:
                async with asyncio.timeout(left):
                    item = await queue.get()
            except TimeoutError:
                if until is None or loop.time() < until:
                    await stream.send({"event": {"keepalive": {}}})
                continue
            if isinstance(item, Ended):
                if until is not None and loop.time() >= until and item.status == -signal.SIGKILL:
                    return await stream.end(ConnectError("deadline_exceeded", "the process ran past its deadline"))
                await stream.send({"event": {"end": _ending(item.status)}})
                return await stream.end()
            data = base64.b64encode(item.data).decode()
            await stream.send({"event": {"data": {item.stream: data}}})
    finally:
        process.subscribers.discard(queue)
        while not queue.empty():
            queue.get_nowait()


def _ending(status: int) -> dict[str, Any]:
    if status >= 0:
        return {"exitCode": status, "exited": True, "status": f"exit status {status}"}
    name = signal.Signals(-status).name.removeprefix("SIG").lower()
    words = f"signal: {'killed' if name == 'kill' else name}"
    # Go's exit code of a process that a signal ended is -1.
    return {"exitCode": -1, "exited": False, "status": words, "error": words}


def selected(holder: Holder, message: Mapping[str, Any]) -> Process:
    """The process a message means. Raises `ConnectError` not_found."""
    pid = (message.get("process") or {}).get("pid")
    process = holder.find(int(pid)) if pid is not None else None
    if process is None:
        raise ConnectError("not_found", f"process with pid {pid} not found")
    return process


def alive(holder: Holder, message: Mapping[str, Any]) -> Process:
    """The process a message means, running still."""
    process = selected(holder, message)
    if process.status is not None:
        raise ConnectError("not_found", f"process with pid {process.pid} not found")
    return process


async def listing(holder: Holder) -> dict[str, Any]:
    """Every running process that was started through the service."""
    return {
        "processes": [
            {
                "config": {
                    "cmd": process.argv[0],
                    "args": list(process.argv[1:]),
                    "envs": {},
                    **({"cwd": process.cwd} if process.cwd else {}),
                },
                "pid": process.pid,
            }
            for process in holder.processes()
        ]
    }


async def send_input(holder: Holder, message: Mapping[str, Any]) -> None:
    """Write to a process's stdin or terminal."""
    process = alive(holder, message)
    given = message.get("input") or {}
    data = base64.b64decode(given.get("stdin") or given.get("pty") or "")
    if not process.has_stdin:
        raise ConnectError("internal", "stdin is not enabled for this process")
    await holder.write(process, data)


async def stream_input(request: web.Request, holder: Holder) -> web.StreamResponse:
    """Write what a client streams, in order."""
    process: Process | None = None
    async for message in messages(request):
        if "start" in message:
            process = alive(holder, message["start"])
        elif "data" in message and process is not None:
            await send_input(holder, {"process": {"pid": process.pid}, "input": message["data"].get("input")})
    stream = Stream(request)
    await stream.open()
    await stream.send({})
    return await stream.end()


async def send_signal(holder: Holder, message: Mapping[str, Any]) -> None:
    """Send SIGKILL or SIGTERM to the one process."""
    number = _SIGNALS.get(str(message.get("signal")))
    if number is None:
        raise ConnectError("invalid_argument", f"unknown signal {message.get('signal')}")
    if not await holder.signal(alive(holder, message), number):
        raise ConnectError("not_found", "the process is gone")


async def update(holder: Holder, message: Mapping[str, Any]) -> None:
    """Resize a terminal."""
    size = (message.get("pty") or {}).get("size") or {}
    holder.resize(alive(holder, message), int(size.get("rows", 24)), int(size.get("cols", 80)))
