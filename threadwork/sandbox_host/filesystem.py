"""envd's filesystem service and its /files route; every path is resolved inside the sandbox, by its supervisor.

Watching is polling: a folder is listed a few times a second and compared. Next: `data.py`, which routes here.
"""

import asyncio
import itertools
import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from threadwork.sandbox_host.connect_protocol import ConnectError, Stream, deadline_s
from threadwork.sandbox_host.holder import Holder, OperationFailed
from threadwork.sandbox_host.sandboxes import iso

PIECE: Final = 1 << 20
POLL_S: Final = 0.2
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)\Z")
_CODES: Final = {"not_found": "not_found", "no_space": "resource_exhausted", "invalid": "invalid_argument"}


def entry(found: Mapping[str, Any]) -> dict[str, Any]:
    """A file as the service describes it."""
    described = {key: found[key] for key in ("name", "type", "path", "mode", "permissions", "owner", "group")}
    described["size"] = str(found["size"])
    described["modifiedTime"] = iso(found["mtime"])
    if "target" in found:
        described["symlinkTarget"] = found["target"]
    return described


async def asked(holder: Holder, operation: str, **arguments: Any) -> dict[str, Any]:
    """Ask the supervisor; its refusals become Connect's errors."""
    try:
        answer, _ = await holder.call(operation, **arguments)
    except OperationFailed as error:
        raise ConnectError(_CODES[error.kind], str(error)) from error
    return answer


async def unary(  # noqa: PLR0911 - one answer a method
    holder: Holder, method: str, message: Mapping[str, Any], watchers: "Watchers"
) -> dict[str, Any]:
    """Answer one of the service's simple calls."""
    path = str(message.get("path") or "")
    match method:
        case "Stat":
            return {"entry": entry((await asked(holder, "stat", path=path))["entry"])}
        case "MakeDir":
            made = await asked(holder, "mkdir", path=path)
            if made["existed"]:
                raise ConnectError("already_exists", f"directory already exists: {path}")
            return {"entry": entry(made["entry"])}
        case "Move":
            moved = await asked(holder, "move", path=message.get("source"), to=message.get("destination"))
            return {"entry": entry(moved["entry"])}
        case "ListDir":
            found = await asked(holder, "list", path=path, depth=int(message.get("depth") or 1))
            return {"entries": [entry(one) for one in found["entries"]]}
        case "Remove":
            await asked(holder, "remove", path=path)
            return {}
        case "CreateWatcher":
            return {"watcherId": await watchers.create(holder, path, is_deep=bool(message.get("recursive")))}
        case "GetWatcherEvents":
            return {"events": await watchers.events(str(message.get("watcherId")))}
        case "RemoveWatcher":
            watchers.remove(str(message.get("watcherId")))
            return {}
        case _:
            raise ConnectError("unimplemented", f"filesystem.Filesystem/{method} is not served here")


# ---------------------------------------------------------------- watching


Snapshot = dict[str, tuple[float, int, int]]


async def _snapshot(holder: Holder, path: str, *, is_deep: bool) -> Snapshot:
    found = await asked(holder, "list", path=path, depth=64 if is_deep else 1)
    return {one["path"]: (one["mtime"], one["size"], one["mode"]) for one in found["entries"]}


def _changes(base: str, before: Snapshot, after: Snapshot) -> list[dict[str, str]]:
    kinds = [("EVENT_TYPE_REMOVE", path) for path in before.keys() - after.keys()]
    kinds += [("EVENT_TYPE_CREATE", path) for path in after.keys() - before.keys()]
    kinds += [("EVENT_TYPE_WRITE", path) for path in after.keys() & before.keys() if after[path] != before[path]]
    return [{"name": path.removeprefix(base).lstrip("/"), "type": kind} for kind, path in sorted(kinds)]


class Watchers:
    """Watchers that are asked for their events, by id."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._watched: dict[str, tuple[Holder, str, bool, Snapshot]] = {}

    async def create(self, holder: Holder, path: str, *, is_deep: bool) -> str:
        """Watch a folder from now on."""
        name = f"w{next(self._numbers)}"
        self._watched[name] = (holder, path, is_deep, await _snapshot(holder, path, is_deep=is_deep))
        return name

    async def events(self, name: str) -> list[dict[str, str]]:
        """What changed since the last time."""
        if name not in self._watched:
            raise ConnectError("not_found", f"watcher {name} not found")
        holder, path, is_deep, before = self._watched[name]
        after = await _snapshot(holder, path, is_deep=is_deep)
        self._watched[name] = (holder, path, is_deep, after)
        return _changes(path, before, after)

    def remove(self, name: str) -> None:
        """Watch no more."""
        self._watched.pop(name, None)


async def watch(request: web.Request, holder: Holder, message: Mapping[str, Any]) -> web.StreamResponse:
    """Stream the changes in a folder."""
    path, is_deep = str(message.get("path") or ""), bool(message.get("recursive"))
    before = await _snapshot(holder, path, is_deep=is_deep)
    stream = Stream(request)
    await stream.open()
    await stream.send({"start": {}})
    seconds = deadline_s(request)
    try:
        async with asyncio.timeout(seconds):
            while True:
                await asyncio.sleep(POLL_S)
                after = await _snapshot(holder, path, is_deep=is_deep)
                for change in _changes(path, before, after):
                    await stream.send({"filesystem": change})
                before = after
    except TimeoutError:
        return await stream.end(ConnectError("deadline_exceeded", "the deadline of this stream is over"))
    except ConnectError as error:
        return await stream.end(error)


# ---------------------------------------------------------------- /files


async def download(request: web.Request, holder: Holder) -> web.StreamResponse:
    """A file's bytes, or the part that a Range header asks for."""
    path = request.query.get("path", "")
    try:
        size = int((await holder.call("size", path=path))[0]["size"])
        first, last = _range(request, size)
        headers = {"Accept-Ranges": "bytes", "Content-Length": str(max(0, last - first + 1))}
        is_part = "Range" in request.headers
        if is_part:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        response = web.StreamResponse(status=206 if is_part else 200, headers=headers)
        response.content_type = "application/octet-stream"
        await response.prepare(request)
        at = first
        while at <= last:
            _, data = await holder.call("read", path=path, at=at, bytes=min(PIECE, last - at + 1))
            if not data:
                break
            await response.write(data)
            at += len(data)
    except OperationFailed as error:
        raise _http_error(error) from error
    await response.write_eof()
    return response


def _range(request: web.Request, size: int) -> tuple[int, int]:
    asked_for = _RANGE.match(request.headers.get("Range", ""))
    if asked_for is None or not any(asked_for.groups()):
        return 0, size - 1
    first, last = asked_for.groups()
    if not first:
        return max(0, size - int(last)), size - 1
    if int(first) >= size:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return int(first), min(int(last), size - 1) if last else size - 1


async def upload(request: web.Request, holder: Holder) -> web.Response:
    """Write one file from the body, or several from a form."""
    written = []
    try:
        if request.content_type.startswith("multipart/"):
            async for part in await request.multipart():
                path = request.query.get("path") or getattr(part, "filename", None) or ""
                written.append(await _write(holder, path, part))
        else:
            written.append(await _write(holder, request.query.get("path", ""), request.content))
    except OperationFailed as error:
        raise _http_error(error) from error
    return web.json_response(
        [{"name": one["name"], "type": "file", "path": one["path"]} for one in written], status=200
    )


async def _write(holder: Holder, path: str, source: Any) -> dict[str, Any]:
    read = source.read_chunk if hasattr(source, "read_chunk") else source.read
    at = 0
    while True:
        data = bytes(await read(PIECE))
        if data or at == 0:
            answer, _ = await holder.call("write", data, path=path, at=at)
            at += len(data)
        if not data:
            described: dict[str, Any] = answer["entry"]
            return described


def _http_error(error: OperationFailed) -> web.HTTPException:
    kind = {"not_found": web.HTTPNotFound, "no_space": web.HTTPInsufficientStorage}.get(error.kind, web.HTTPBadRequest)
    status = {"not_found": 404, "no_space": 507}.get(error.kind, 400)
    return kind(text=f'{{"code":{status},"message":"{str(error)[:200]}"}}', content_type="application/json")
