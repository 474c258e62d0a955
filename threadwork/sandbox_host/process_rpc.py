"""envd's process service: start, connect to, feed, signal and list processes. Next: `process.py`, their rules.

The deadline of a Start is the process's own, that of a Connect only the stream's; a client that goes away changes
nothing; stdin is closed unless asked for.
"""

import asyncio
import base64
import binascii
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from core.errors import Unavailable
from threadwork.sandbox_host.background import Background
from threadwork.sandbox_host.connect_protocol import ConnectError, Stream, deadline_s, envelope, messages, one_message
from threadwork.sandbox_host.holder import Refused
from threadwork.sandbox_host.process import Command, Process
from threadwork.sandbox_host.sandbox import Sandbox

_KEEPALIVE: Final = envelope({"event": {"keepalive": {}}})
_SIGNALS: Final = {
    "SIGNAL_SIGKILL": signal.SIGKILL,
    "SIGNAL_SIGTERM": signal.SIGTERM,
    9: signal.SIGKILL,
    15: signal.SIGTERM,
}
Handler = Callable[[web.Request, Sandbox, Background], Awaitable[web.StreamResponse]]


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ConnectError("invalid_argument", "a text without NUL bytes is needed")
    return value


def _command(asked: Mapping[str, Any]) -> Command:
    config = asked.get("process") or {}
    size = (asked.get("pty") or {}).get("size")
    argv = [_text(one) for one in (config.get("cmd") or "", *(config.get("args") or ()))]
    if not argv[0]:
        raise ConnectError("invalid_argument", "a process needs a command")
    return Command(
        argv,
        {_text(name): _text(value) for name, value in (config.get("envs") or {}).items()},
        config.get("cwd") or None,
        asked.get("tag"),
        # Clients older than the field expect an open stdin; the SDK always sends it.
        has_stdin=size is None and bool(asked.get("stdin", True)),
        size=(int(size.get("rows") or 24), int(size.get("cols") or 80)) if size else None,
    )


async def start(request: web.Request, sandbox: Sandbox, background: Background) -> web.StreamResponse:
    """Start a process and stream what it prints until it ends."""
    command = _command(await one_message(request))
    seconds = deadline_s(request)
    is_heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    try:
        process = await sandbox.start(command, is_heard)
        if seconds is not None:
            background.spawn(_kill_after(sandbox, process, seconds))
        return await _follow(request, process, is_heard)
    except Refused as error:
        raise ConnectError("invalid_argument", f"error starting process: {error}") from error
    finally:
        # A client that left early changes nothing for the process.
        if not is_heard.done():
            is_heard.set_result(None)


async def connect(request: web.Request, sandbox: Sandbox, _background: Background) -> web.StreamResponse:
    """Stream what a process prints from now on."""
    process = _selected(sandbox, await one_message(request))
    return await _follow(request, process, asyncio.get_running_loop().create_future())


async def _follow(request: web.Request, process: Process, is_heard: "asyncio.Future[None]") -> web.StreamResponse:
    loop = asyncio.get_running_loop()
    listener = Stream(request)
    over: asyncio.Future[None] = loop.create_future()
    seconds = deadline_s(request)
    until = None if seconds is None else loop.time() + seconds
    pause = min(max(float(_number(request.headers.get("Keepalive-Ping-Interval"), 50)), 1.0), 600.0)
    try:
        await listener.open()
        await listener.send(envelope({"event": {"start": {"pid": process.pid}}}))
        process.listen(listener, over)
        is_heard.set_result(None)
        while not over.done():
            left = pause if until is None else min(pause, until - loop.time())
            if left <= 0:
                raise ConnectError("deadline_exceeded", "the deadline of this stream is over")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await asyncio.shield(over)
            if not over.done() and (until is None or loop.time() < until):
                await listener.send(_KEEPALIVE)
        over.result()
        await listener.send(envelope({"event": {"end": _ending(process.status or 0)}}))
        return await listener.end()
    except ConnectError as error:
        process.leave(listener)
        return await listener.end(error)
    finally:
        process.leave(listener)


async def _kill_after(sandbox: Sandbox, process: Process, seconds: float) -> None:
    """A Start's deadline: its process is killed, as exec.CommandContext does, and no other."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await process.over()
            return
    with contextlib.suppress(Refused, Unavailable):
        await sandbox.ask("signal", pid=process.pid, signal=int(signal.SIGKILL))


def _ending(status: int) -> dict[str, Any]:
    """How Go's os/exec words an end; the exit code of a process that a signal ended is -1."""
    if status >= 0:
        ending: dict[str, Any] = {"exitCode": status, "exited": True, "status": f"exit status {status}"}
        return {**ending, "error": ending["status"]} if status else ending
    try:
        name = {9: "killed", 15: "terminated", 2: "interrupt"}.get(-status) or signal.Signals(-status).name.lower()
    except ValueError:
        name = str(-status)
    return {"exitCode": -1, "exited": False, "status": f"signal: {name}", "error": f"signal: {name}"}


def _number(value: object, default: int) -> int:
    try:
        return int(str(value))
    except ValueError:
        return default


def _selected(sandbox: Sandbox, asked: Mapping[str, Any]) -> Process:
    wanted = asked.get("process") or {}
    process = sandbox.find(_number(wanted.get("pid"), -1), wanted.get("tag"))
    if process is None:
        raise ConnectError("not_found", f"process with pid {wanted.get('pid', wanted.get('tag'))} not found")
    return process


async def list_(_request: web.Request, sandbox: Sandbox, _background: Background) -> web.StreamResponse:
    """The processes that run."""
    found = []
    for process in sandbox.processes():
        info: dict[str, Any] = {"config": process.command.described(), "pid": process.pid}
        if process.command.tag is not None:
            info["tag"] = process.command.tag
        found.append(info)
    return web.json_response({"processes": found})


def _input(asked: Mapping[str, Any]) -> bytes:
    given = asked.get("input") or {}
    try:
        return base64.b64decode(given.get("stdin") or given.get("pty") or "", validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise ConnectError("invalid_argument", "the input is not base64") from error


async def send_input(request: web.Request, sandbox: Sandbox, _background: Background) -> web.StreamResponse:
    """Write to a process."""
    asked = await one_message(request)
    await _selected(sandbox, asked).write(_input(asked))
    return web.json_response({})


async def stream_input(request: web.Request, sandbox: Sandbox, _background: Background) -> web.StreamResponse:
    """Write to a process for as long as the client sends."""
    process: Process | None = None
    stream = Stream(request)
    try:
        async for message in messages(request):
            event = message.get("event", message)
            if "start" in event:
                process = _selected(sandbox, event["start"])
            elif "data" in event:
                if process is None:
                    raise ConnectError("invalid_argument", "input before the process was named")
                await process.write(_input(event["data"]))
    except ConnectError as error:
        await stream.open()
        return await stream.end(error)
    await stream.open()
    await stream.send(envelope({}))
    return await stream.end()


async def send_signal(request: web.Request, sandbox: Sandbox, _background: Background) -> web.StreamResponse:
    """Send a process SIGTERM or SIGKILL."""
    asked = await one_message(request)
    process = _selected(sandbox, asked)
    number = _SIGNALS.get(asked.get("signal", ""))
    if number is None:
        raise ConnectError("unimplemented", "only SIGTERM and SIGKILL can be sent")
    try:
        await sandbox.ask("signal", pid=process.pid, signal=int(number))
    except Refused as error:
        raise ConnectError("not_found", f"process with pid {process.pid} not found") from error
    return web.json_response({})


async def close_stdin(request: web.Request, sandbox: Sandbox, _background: Background) -> web.StreamResponse:
    """End a process's input."""
    await _selected(sandbox, await one_message(request)).close_stdin()
    return web.json_response({})


async def update(request: web.Request, sandbox: Sandbox, _background: Background) -> web.StreamResponse:
    """Change a terminal's size."""
    asked = await one_message(request)
    size = (asked.get("pty") or {}).get("size")
    if size:
        _selected(sandbox, asked).resize(_number(size.get("rows"), 24), _number(size.get("cols"), 80))
    return web.json_response({})


SERVICE: Final[Mapping[str, Handler]] = {
    "List": list_,
    "Start": start,
    "Connect": connect,
    "Update": update,
    "StreamInput": stream_input,
    "SendInput": send_input,
    "SendSignal": send_signal,
    "CloseStdin": close_stdin,
}
