"""The Connect protocol, as much of it as E2B's SDK speaks: JSON, uncompressed, unary and streams.

A stream is a row of envelopes: one byte of flags, four of length, JSON; the last one has flag 2 and holds `{}` or an
error. See https://connectrpc.com/docs/protocol. Next: `data.py`.
"""

import json
import struct
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import web

END: Final = 2
LARGEST: Final = 64 << 20
_STATUS: Final = {
    "invalid_argument": 400,
    "unauthenticated": 401,
    "not_found": 404,
    "already_exists": 409,
    "resource_exhausted": 429,
    "canceled": 499,
    "internal": 500,
    "unimplemented": 501,
    "unavailable": 502,
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
    raw = json.dumps(message).encode()
    return struct.pack("!BI", flags, len(raw)) + raw


async def messages(request: web.Request) -> AsyncIterator[dict[str, Any]]:
    """The messages a client streams."""
    while True:
        head = await request.content.read(5)
        while head and len(head) < 5:
            more = await request.content.read(5 - len(head))
            if not more:
                return
            head += more
        if not head:
            return
        flags, size = struct.unpack("!BI", head)
        if size > LARGEST:
            raise ConnectError("resource_exhausted", f"a message of {size} bytes is too large")
        raw = await request.content.readexactly(size)
        if flags & END:
            return
        yield json.loads(raw or b"{}")


async def one_message(request: web.Request) -> dict[str, Any]:
    """The only message of a request, whether sent alone or as a stream of one."""
    if request.content_type == "application/connect+json":
        async for message in messages(request):
            return message
        return {}
    body: dict[str, Any] = json.loads(await request.read() or b"{}")
    return body


class Stream:
    """A stream of answers."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={"Content-Type": "application/connect+json"})

    async def open(self) -> None:
        """Begin to answer."""
        await self._response.prepare(self._request)

    async def send(self, message: dict[str, Any]) -> None:
        """Send one message, waiting for a slow client."""
        await self._response.write(envelope(message))

    async def end(self, error: ConnectError | None = None) -> web.StreamResponse:
        """End the stream."""
        await self._response.write(envelope({"error": error.body()} if error else {}, END))
        await self._response.write_eof()
        return self._response


def deadline_s(request: web.Request) -> float | None:
    """The client's deadline in seconds, if it set one."""
    text = request.headers.get("Connect-Timeout-Ms", "")
    return int(text) / 1000 if text.isdigit() and int(text) > 0 else None
