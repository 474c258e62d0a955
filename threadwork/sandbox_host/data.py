"""The data plane: everything that is said to one sandbox, which a header names.

One port serves all sandboxes: the SDK sends `E2b-Sandbox-Id` when it is given a sandbox address of its own. A sandbox
that is paused or gone answers 502 in the words that the SDK takes for "not running".
"""

import hmac
from typing import Final

from aiohttp import web

from core.errors import NotFound, Unavailable
from threadwork.sandbox_host import filesystem, processes
from threadwork.sandbox_host.connect_protocol import ConnectError, one_message
from threadwork.sandbox_host.filesystem import Watchers
from threadwork.sandbox_host.sandboxes import Sandboxes

_PROCESS_UNARY: Final = {
    "Update": processes.update,
    "SendInput": processes.send_input,
    "SendSignal": processes.send_signal,
}


class DataPlane:
    """Routes of the data plane."""

    def __init__(self, sandboxes: Sandboxes, home: str | None) -> None:
        self._sandboxes = sandboxes
        self._home = home
        self._watchers = Watchers()

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        return [
            web.get("/health", self.health),
            web.get("/files", self.files),
            web.post("/files", self.files),
            web.post("/process.Process/{method}", self.process),
            web.post("/filesystem.Filesystem/{method}", self.filesystem),
        ]

    def _sandbox(self, request: web.Request) -> str:
        sandbox_id = request.headers.get("E2b-Sandbox-Id", "")
        try:
            record = self._sandboxes.get(sandbox_id)
            self._sandboxes.holder(sandbox_id)
        except NotFound as error:
            raise web.HTTPBadGateway(
                text=f'{{"sandboxId":"{sandbox_id}","message":"The sandbox was not found","code":502}}',
                content_type="application/json",
            ) from error
        token = request.headers.get("X-Access-Token", "")
        if not hmac.compare_digest(token.encode(), record.token.encode()):
            raise web.HTTPUnauthorized(
                text='{"code":"unauthenticated","message":"the access token is wrong"}', content_type="application/json"
            )
        return sandbox_id

    async def health(self, request: web.Request) -> web.Response:
        """Whether the sandbox runs."""
        self._sandbox(request)
        return web.Response(status=204)

    async def files(self, request: web.Request) -> web.StreamResponse:
        """Read or write a file."""
        holder = self._sandboxes.holder(self._sandbox(request))
        handle = filesystem.download if request.method == "GET" else filesystem.upload
        return await handle(request, holder)

    async def process(self, request: web.Request) -> web.StreamResponse:
        """Envd's process service."""
        sandbox_id = self._sandbox(request)
        holder, method = self._sandboxes.holder(sandbox_id), request.match_info["method"]
        try:
            match method:
                case "Start":
                    record = self._sandboxes.get(sandbox_id)
                    home = self._home or self._sandboxes.home(sandbox_id)
                    return await processes.start(request, holder, record.envs, home)
                case "Connect":
                    return await processes.connect(request, holder)
                case "StreamInput":
                    return await processes.stream_input(request, holder)
                case "List":
                    return web.json_response(await processes.listing(holder))
                case "CloseStdin":
                    holder.close_stdin(processes.alive(holder, await one_message(request)))
                case _ if method in _PROCESS_UNARY:
                    await _PROCESS_UNARY[method](holder, await one_message(request))
                case _:
                    raise ConnectError("unimplemented", f"process.Process/{method} is not served here")
        except (ConnectError, Unavailable) as error:
            return _refusal(request, error)
        return web.json_response({})

    async def filesystem(self, request: web.Request) -> web.StreamResponse:
        """Envd's filesystem service."""
        holder, method = self._sandboxes.holder(self._sandbox(request)), request.match_info["method"]
        try:
            message = await one_message(request)
            if method == "WatchDir":
                return await filesystem.watch(request, holder, message)
            return web.json_response(await filesystem.unary(holder, method, message, self._watchers))
        except (ConnectError, Unavailable) as error:
            return _refusal(request, error)


def _refusal(request: web.Request, error: ConnectError | Unavailable) -> web.Response:
    refused = error if isinstance(error, ConnectError) else ConnectError("unavailable", f"{error}: port is not open")
    if request.content_type == "application/connect+json":
        from threadwork.sandbox_host.connect_protocol import END, envelope

        body = envelope({"error": refused.body()}, END)
        return web.Response(body=body, content_type="application/connect+json")
    return web.json_response(refused.body(), status=refused.status)
