"""The Connect protocol, as much of it as E2B's SDK speaks: JSON, uncompressed, unary and streams.

A stream is a row of envelopes: one byte of flags, four of length, JSON; the last one has flag 2 and holds `{}` or an
error. See https://connectrpc.com/docs/protocol. Next: `data.py`.
"""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import web

END: Final = 2
LARGEST: Final = 64 << 20
CLOSING_S: Final = 5.0
STREAM_TYPE: Final = "application/connect+json"
_STATUS: Final = {
    "invalid_argument": 400,
    "unauthenticated": 401,
    "not_found": 404,
    "already_exists": 409,
    "resource_exhausted": 429,
    "canceled": 499,
    "internal": 500,
    "unimplemented": 501,
    "unavailable": 503,
    "deadline_exceeded": 504,
}


class ConnectError(Exception):
    """An error with one of Connect's codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def body(self) -> dict[str, str]:
        """As it stands in an answer."""
        return {"code": self.code, "message": str(self)}

    @property
    def status(self) -> int:
        """The HTTP status of a unary answer with it."""
        return _STATUS.get(self.code, 500)


def envelope(message: dict[str, Any], flags: int = 0) -> bytes:
    """One message of a stream."""
    return sealed(json.dumps(message).encode(), flags)


def sealed(raw: bytes, flags: int = 0) -> bytes:
    """One message of a stream that is JSON already."""
    return struct.pack("!BI", flags, len(raw)) + raw


async def messages(request: web.Request) -> AsyncIterator[dict[str, Any]]:
    """The messages a client streams, until it ends or is gone. Raises `ConnectError` for what is no stream."""
    while True:
        try:
            flags, size = struct.unpack("!BI", await request.content.readexactly(5))
            if size > LARGEST:
                raise ConnectError("resource_exhausted", f"a message of {size} bytes is too large")
            raw = await request.content.readexactly(size)
        except asyncio.IncompleteReadError:
            return
        if flags & END:
            return
        yield parsed(raw)


def parsed(raw: bytes) -> dict[str, Any]:
    """A message from JSON. Raises `ConnectError`."""
    try:
        message = json.loads(raw or b"{}")
    except ValueError as error:
        raise ConnectError("invalid_argument", "the message is not JSON") from error
    if not isinstance(message, dict):
        raise ConnectError("invalid_argument", "the message is not an object")
    return message


async def one_message(request: web.Request) -> dict[str, Any]:
    """The only message of a request, whether sent alone or as a stream of one."""
    if request.content_type == STREAM_TYPE:
        async for message in messages(request):
            return message
        return {}
    return parsed(await request.read())


def deadline_s(request: web.Request) -> float | None:
    """The client's deadline in seconds, if it set one."""
    number = request.headers.get("Connect-Timeout-Ms", "")
    return int(number) / 1000 if number.isdigit() and int(number) > 0 else None


class Stream:
    """A stream of answers to one client, who may be slow: `send` waits until there is room for more."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={"Content-Type": STREAM_TYPE})

    async def open(self) -> None:
        """Begin to answer."""
        await self._response.prepare(self._request)

    async def send(self, frame: bytes) -> None:
        """Send one envelope. Raises `ConnectionError` when the client is gone."""
        await self._response.write(frame)

    async def end(self, error: ConnectError | None = None) -> web.StreamResponse:
        """End the stream; a client that does not read any more is cut off."""
        try:
            async with asyncio.timeout(CLOSING_S):
                await self._response.write(envelope({"error": error.body()} if error else {}, END))
                await self._response.write_eof()
        except TimeoutError:
            self.cut()
        return self._response

    def cut(self) -> None:
        """Drop the connection."""
        if self._request.transport is not None:
            self._request.transport.abort()
