"""envd's filesystem service. Every operation is done inside the sandbox, by its supervisor. Next: `watching.py`."""

import asyncio
import contextlib
import errno
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from core.errors import Unavailable
from threadwork.sandbox_host.connect_protocol import ConnectError, Stream, deadline_s, envelope, one_message
from threadwork.sandbox_host.holder import Refused, is_missing
from threadwork.sandbox_host.sandbox import Sandbox
from threadwork.sandbox_host.watching import Watchers, watch

_KEEPALIVE_S: Final = 50.0
Handler = Callable[[web.Request, Sandbox, Watchers], Awaitable[web.StreamResponse]]


def entry_info(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A supervisor's entry as filesystem.EntryInfo."""
    at = datetime.fromtimestamp(entry["mtime_ns"] / 1e9, UTC)
    info = {
        "name": entry["name"],
        "type": f"FILE_TYPE_{entry['type']}",
        "path": entry["path"],
        "size": str(entry["size"]),
        "mode": entry["mode"],
        "permissions": entry["permissions"],
        "owner": entry["owner"],
        "group": entry["owner"],
        "modifiedTime": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
    }
    if entry.get("target") is not None:
        info |= {"symlinkTarget": entry["target"], "isSymlink": True}
    return info


def connect_error(error: Refused) -> ConnectError:
    """What the supervisor refused, in Connect's codes, as envd gives them."""
    if is_missing(error):
        return ConnectError("not_found", f"path not found: {error}")
    if error.number == errno.EEXIST:
        return ConnectError("already_exists", str(error))
    if error.number in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return ConnectError("resource_exhausted", f"not enough disk space available: {error}")
    if error.number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return ConnectError("permission_denied", str(error))
    return ConnectError("invalid_argument", str(error))


async def _ask(sandbox: Sandbox, operation: str, path: object, **arguments: Any) -> dict[str, Any]:
    if not isinstance(path, str):
        raise ConnectError("invalid_argument", "path must be a text")
    try:
        answer, _ = await sandbox.ask(operation, path=path, **arguments)
    except Refused as error:
        raise connect_error(error) from error
    return answer


async def stat(request: web.Request, sandbox: Sandbox, _watchers: Watchers) -> web.StreamResponse:
    """One entry."""
    answer = await _ask(sandbox, "stat", (await one_message(request)).get("path", ""))
    return web.json_response({"entry": entry_info(answer["entry"])})


async def make_dir(request: web.Request, sandbox: Sandbox, _watchers: Watchers) -> web.StreamResponse:
    """Make a folder and its parents."""
    answer = await _ask(sandbox, "mkdir", (await one_message(request)).get("path", ""))
    return web.json_response({"entry": entry_info(answer["entry"])})


async def move(request: web.Request, sandbox: Sandbox, _watchers: Watchers) -> web.StreamResponse:
    """Rename."""
    asked = await one_message(request)
    answer = await _ask(sandbox, "move", asked.get("source", ""), to=str(asked.get("destination", "")))
    return web.json_response({"entry": entry_info(answer["entry"])})


async def list_dir(request: web.Request, sandbox: Sandbox, _watchers: Watchers) -> web.StreamResponse:
    """What is in a folder, `depth` levels deep."""
    asked = await one_message(request)
    depth = asked.get("depth") or 1
    if not isinstance(depth, int):
        raise ConnectError("invalid_argument", "depth must be a number")
    answer = await _ask(sandbox, "list", asked.get("path", ""), depth=depth)
    return web.json_response({"entries": [entry_info(entry) for entry in answer["entries"]]})


async def remove(request: web.Request, sandbox: Sandbox, _watchers: Watchers) -> web.StreamResponse:
    """Remove a file or a tree."""
    await _ask(sandbox, "remove", (await one_message(request)).get("path", ""))
    return web.json_response({})


async def watch_dir(request: web.Request, sandbox: Sandbox, _watchers: Watchers) -> web.StreamResponse:
    """Stream what changes in a folder until the client leaves or its deadline is over."""
    asked = await one_message(request)
    stream = Stream(request)
    seconds = deadline_s(request)
    is_detailed = bool(asked.get("includeEntry"))
    changes = watch(sandbox, str(asked.get("path", "")), is_recursive=bool(asked.get("recursive")))
    try:
        # The first answer of the watch says that it has begun; until then a refusal is the whole answer.
        await anext(changes)
    except Refused as error:
        raise connect_error(error) from error
    try:
        await stream.open()
        await stream.send(envelope({"start": {}}))
        loop = asyncio.get_running_loop()
        spoke_at = loop.time()
        async with asyncio.timeout(seconds):
            async for found in changes:
                for event in found:
                    await stream.send(envelope({"filesystem": await _detailed(sandbox, event, is_detailed, asked)}))
                if not found and loop.time() - spoke_at > _KEEPALIVE_S:
                    await stream.send(envelope({"keepalive": {}}))
                    spoke_at = loop.time()
        return await stream.end()
    except TimeoutError:
        return await stream.end(ConnectError("deadline_exceeded", "the deadline of this watch is over"))
    except Refused as error:
        return await stream.end(connect_error(error))
    except Unavailable as error:
        return await stream.end(ConnectError("unavailable", str(error)))
    finally:
        await changes.aclose()


async def _detailed(
    sandbox: Sandbox,
    event: dict[str, Any],
    is_detailed: bool,  # noqa: FBT001 - internal
    asked: Mapping[str, Any],
) -> dict[str, Any]:
    if is_detailed and event["type"] != "EVENT_TYPE_REMOVE":
        with contextlib.suppress(Refused):
            answer, _ = await sandbox.ask("stat", path=f"{asked.get('path', '')}/{event['name']}")
            return {**event, "entry": entry_info(answer["entry"])}
    return event


async def create_watcher(request: web.Request, sandbox: Sandbox, watchers: Watchers) -> web.StreamResponse:
    """Begin a watch whose events are fetched."""
    asked = await one_message(request)
    try:
        made = await watchers.add(sandbox, str(asked.get("path", "")), is_recursive=bool(asked.get("recursive")))
    except Refused as error:
        raise connect_error(error) from error
    return web.json_response({"watcherId": made})


async def get_watcher_events(request: web.Request, sandbox: Sandbox, watchers: Watchers) -> web.StreamResponse:
    """What changed since the last time."""
    found = watchers.take(sandbox.record.id, str((await one_message(request)).get("watcherId", "")))
    if found is None:
        raise ConnectError("not_found", "there is no such watcher")
    return web.json_response({"events": found})


async def remove_watcher(request: web.Request, sandbox: Sandbox, watchers: Watchers) -> web.StreamResponse:
    """End such a watch."""
    if not watchers.remove(sandbox.record.id, str((await one_message(request)).get("watcherId", ""))):
        raise ConnectError("not_found", "there is no such watcher")
    return web.json_response({})


SERVICE: Final[Mapping[str, Handler]] = {
    "Stat": stat,
    "MakeDir": make_dir,
    "Move": move,
    "ListDir": list_dir,
    "Remove": remove,
    "WatchDir": watch_dir,
    "CreateWatcher": create_watcher,
    "GetWatcherEvents": get_watcher_events,
    "RemoveWatcher": remove_watcher,
}
