"""The data plane: what envd serves in a sandbox, for all sandboxes on one port, told apart by a header.

Next: `process_rpc.py`, `filesystem_rpc.py`, `files.py`.
"""

import hmac
import json
import re
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from core.errors import NotFound, Unavailable
from threadwork.sandbox_host import filesystem_rpc, process_rpc
from threadwork.sandbox_host.background import Background
from threadwork.sandbox_host.connect_protocol import STREAM_TYPE, ConnectError, Stream
from threadwork.sandbox_host.files import HttpRefusal, download, upload
from threadwork.sandbox_host.sandbox import Sandbox
from threadwork.sandbox_host.sandboxes import Sandboxes
from threadwork.sandbox_host.watching import Watchers

_HOST: Final = re.compile(r"\d+-([a-z0-9]+)\.")
log = structlog.get_logger(__name__)
Work = Callable[[web.Request, Sandbox], Awaitable[web.StreamResponse]]


class DataPlane:
    """envd's routes."""

    def __init__(self, sandboxes: Sandboxes, background: Background) -> None:
        self._sandboxes = sandboxes
        self._background = background
        self._watchers = Watchers(background)

    def routes(self) -> list[web.RouteDef]:
        """What it serves."""
        return [
            web.get("/health", self.health),
            web.get("/files", self.get_file, allow_head=False),
            web.post("/files", self.post_file),
            web.post("/process.Process/{method}", self.process),
            web.post("/filesystem.Filesystem/{method}", self.filesystem),
        ]

    async def _sandbox(self, request: web.Request) -> Sandbox:
        """Which sandbox a request is for. Raises `NotFound`, `PermissionError`."""
        named = _HOST.match(request.host or "")
        sandbox = await self._sandboxes.running(request.headers.get("E2b-Sandbox-Id") or (named[1] if named else ""))
        given = request.headers.get("X-Access-Token", "")
        if not hmac.compare_digest(given.encode(), sandbox.record.token.encode()):
            raise PermissionError("the access token is wrong")
        return sandbox

    async def health(self, request: web.Request) -> web.StreamResponse:
        """Whether a sandbox runs; the SDK asks without a token too."""
        named = _HOST.match(request.host or "")
        sandbox_id = request.headers.get("E2b-Sandbox-Id") or (named[1] if named else "")
        try:
            is_running = self._sandboxes.get(sandbox_id).record.is_running
        except NotFound:
            is_running = False
        return web.Response(status=204) if is_running else _gone(f"The sandbox {sandbox_id[:40]} was not found")

    async def get_file(self, request: web.Request) -> web.StreamResponse:
        """Download."""
        return await self._plainly(request, download)

    async def post_file(self, request: web.Request) -> web.StreamResponse:
        """Upload."""
        return await self._plainly(request, upload)

    async def _plainly(self, request: web.Request, work: Work) -> web.StreamResponse:
        try:
            return await work(request, await self._sandbox(request))
        except HttpRefusal as error:
            return _answer(error.status, str(error))
        except PermissionError as error:
            return _answer(401, str(error))
        except (NotFound, Unavailable) as error:
            return _gone(str(error))

    async def process(self, request: web.Request) -> web.StreamResponse:
        """process.Process."""
        handler = process_rpc.SERVICE.get(request.match_info["method"])

        async def work(request: web.Request, sandbox: Sandbox) -> web.StreamResponse:
            if handler is None:
                raise ConnectError("unimplemented", "there is no such method")
            return await handler(request, sandbox, self._background)

        return await self._connectly(request, work)

    async def filesystem(self, request: web.Request) -> web.StreamResponse:
        """filesystem.Filesystem."""
        handler = filesystem_rpc.SERVICE.get(request.match_info["method"])

        async def work(request: web.Request, sandbox: Sandbox) -> web.StreamResponse:
            if handler is None:
                raise ConnectError("unimplemented", "there is no such method")
            return await handler(request, sandbox, self._watchers)

        return await self._connectly(request, work)

    async def _connectly(self, request: web.Request, work: Work) -> web.StreamResponse:
        try:
            return await work(request, await self._sandbox(request))
        except ConnectError as error:
            failure = error
        except PermissionError as error:
            failure = ConnectError("unauthenticated", str(error))
        except NotFound as error:
            return _gone(str(error))
        except Unavailable as error:
            failure = ConnectError("unavailable", str(error))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            log.warning("request_not_understood", path=request.path, why=repr(error))
            failure = ConnectError("invalid_argument", "the message is not what this method takes")
        if request.content_type == STREAM_TYPE:
            stream = Stream(request)
            await stream.open()
            return await stream.end(failure)
        return web.json_response(failure.body(), status=failure.status)


def _answer(status: int, message: str) -> web.Response:
    body = json.dumps({"code": status, "message": message})
    return web.Response(status=status, text=body, content_type="application/json")


def _gone(message: str) -> web.Response:
    """As E2B's edge answers for a sandbox that does not run; the SDK looks for these words."""
    return _answer(502, message)
