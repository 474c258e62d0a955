"""Up- and downloads: `GET /files` with ranges, `POST /files` as octet-stream or multipart.

The file is opened inside the sandbox, by its user, and comes here as a descriptor: no path is followed out here, and a
link that leads out of the sandbox leads nowhere. Next: `data.py`, the routes.
"""

import asyncio
import errno
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import BodyPartReader, web

from threadwork.sandbox_host.connect_protocol import CLOSING_S
from threadwork.sandbox_host.holder import Refused, is_missing
from threadwork.sandbox_host.sandbox import Sandbox

PIECE: Final = 1 << 18
_IDLE_S: Final = 300.0
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)\Z")


class HttpRefusal(Exception):
    """An answer with an HTTP status and a message, as envd gives them."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _refusal(error: Refused | OSError) -> HttpRefusal:
    number = error.number if isinstance(error, Refused) else error.errno
    if isinstance(error, Refused) and is_missing(error):
        return HttpRefusal(404, f"path not found: {error}")
    if number in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return HttpRefusal(507, "not enough disk space available")
    if number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return HttpRefusal(403, f"permission denied: {error}")
    return HttpRefusal(400, str(error))


@asynccontextmanager
async def _opened(sandbox: Sandbox, operation: str, path: str) -> AsyncIterator[tuple[int, dict[str, Any]]]:
    try:
        answer, descriptors = await sandbox.ask(operation, path=path)
    except Refused as error:
        raise _refusal(error) from error
    try:
        yield descriptors[0], answer["entry"]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


async def download(request: web.Request, sandbox: Sandbox) -> web.StreamResponse:
    """Send a file, or the part of it that was asked for."""
    async with _opened(sandbox, "read", request.query.get("path", "")) as (descriptor, _):
        size = os.fstat(descriptor).st_size
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        try:
            status, at, end = part(request.headers.get("Range"), size)
        except ValueError:
            raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"}) from None
        if status == 206:
            headers["Content-Range"] = f"bytes {at}-{end - 1}/{size}"
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = end - at
        await response.prepare(request)
        while at < end:
            piece = await asyncio.to_thread(os.pread, descriptor, min(PIECE, end - at), at)
            if not piece:
                # It shrank while it was sent: better a broken answer than one that hangs.
                if request.transport is not None:
                    request.transport.abort()
                break
            at += len(piece)
            async with asyncio.timeout(_IDLE_S):
                await response.write(piece)
        async with asyncio.timeout(CLOSING_S):
            await response.write_eof()
        return response


def part(header: str | None, size: int) -> tuple[int, int, int]:
    """Status, begin and end of what a Range header asks for. Raises `ValueError` when that is outside."""
    found = _RANGE.match(header or "")
    if found is None or found[0] == "bytes=-":
        # No range, several of them, or another unit: a server may answer with the whole.
        return 200, 0, size
    first, last = found[1], found[2]
    at = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if at >= size or end <= at:
        raise ValueError(header)
    return 206, at, end


async def upload(request: web.Request, sandbox: Sandbox) -> web.StreamResponse:
    """Write one file from the body, or one for each part of a form."""
    path = request.query.get("path")
    written = []
    if request.content_type == "multipart/form-data":
        reader = await request.multipart()
        while (field := await reader.next()) is not None:
            if isinstance(field, BodyPartReader) and field.name == "file":
                name = path or field.filename
                if not name:
                    raise HttpRefusal(400, "a part without a file name, and no path")
                written.append(await _write(sandbox, name, _pieces(field)))
        if not written:
            raise HttpRefusal(400, "no part is called file")
    elif path:
        written.append(await _write(sandbox, path, request.content.iter_chunked(PIECE)))
    else:
        raise HttpRefusal(400, "path is missing")
    return web.json_response(written)


async def _pieces(field: BodyPartReader) -> AsyncIterator[bytes]:
    while piece := await field.read_chunk(PIECE):
        yield piece


async def _write(sandbox: Sandbox, path: str, pieces: AsyncIterator[bytes]) -> dict[str, str]:
    async with _opened(sandbox, "write", path) as (descriptor, entry):
        room = sandbox.disk_bytes
        async for piece in pieces:
            if room is not None:
                room -= len(piece)
                if room < 0:
                    raise HttpRefusal(507, "not enough disk space available: the sandbox's limit is reached")
            try:
                await asyncio.to_thread(_write_all, descriptor, piece)
            except OSError as error:
                raise _refusal(error) from error
        return {"name": entry["name"], "type": "file", "path": entry["path"]}


def _write_all(descriptor: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(descriptor, left) :]
