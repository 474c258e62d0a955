"""The double's HTTP server: Web API calls with faults, rates and rules in front, files, response URLs, the socket.

Each call is recorded; a refusal that a correct program never meets is a violation. Methods are in `web_api/`.
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from tests.doubles.slack import rules
from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.faults import Fault, Faults
from tests.doubles.slack.rates import Rates
from tests.doubles.slack.record import JSON, Call
from tests.doubles.slack.responding import respond
from tests.doubles.slack.sign_ins import page_of
from tests.doubles.slack.sockets import Sockets
from tests.doubles.slack.store import Team, Token
from tests.doubles.slack.web_api.request import Request, World
from tests.doubles.slack.web_api.table import METHODS

_LOGIN = "<!DOCTYPE html><html><head><title>Slack</title></head><body><h1>Sign in to your workspace</h1></body></html>"
_NOBODY = "-"
Serve = Callable[[web.Request, Call], Awaitable[web.Response]]


class Server:
    """Listens on loopback from `start` to `stop`."""

    def __init__(self, world: World, sockets: Sockets, rates: Rates, faults: Faults, *, app_token: str) -> None:
        self.world = world
        self.sockets = sockets
        self.rates = rates
        self.faults = faults
        self.app_token = app_token
        self.more: Sequence[web.AbstractRouteDef] = ()
        self._runner: web.AppRunner | None = None
        self._stopping = asyncio.Event()

    async def start(self, port: int) -> int:
        app = web.Application(client_max_size=200 * 1024 * 1024)
        app.add_routes(
            [
                web.route("*", "/api/{method}", self._api),
                web.get("/link/", self.sockets.serve),
                web.post("/upload/v1/{team}/{file}", self._entry("upload", self._upload)),
                web.get("/files-pri/{key}/{name}", self._entry("download", self._download)),
                web.get("/files-pri/download/{key}/{name}", self._entry("download", self._download)),
                web.post("/response/{key:.+}", self._entry("response_url", self._respond)),
                page_of(self.world),
                *self.more,
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        assert site._server is not None
        bound: int = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        return bound

    async def stop(self) -> None:
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()

    # -- one call ----------------------------------------------------------------------------------------------

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        call = Call(method, None, {}, self.world.store.clock.now())
        self.world.record.calls.append(call)
        try:
            args, value = await _arguments(request)
        except SlackError as error:
            return self._refuse(call, error)
        call.args = args
        token = self.world.store.tokens.get(value)
        call.team = token.team if token else None
        fault = self.faults.next(call)
        if fault is not None and fault.kind not in {"ambiguous", "delay"}:
            return await self._fail(request, call, fault)
        wait = self.rates.wait_for(method, call.team or _NOBODY, args)
        if wait:
            self.world.record.broke("ratelimited", method, f"wait {wait} s")
            return _throttled(call, wait)
        try:
            answer = self._do(call, value, token)
        except SlackError as error:
            response = self._refuse(call, error)
        else:
            call.status, call.answer = 200, answer
            response = web.json_response(answer, headers=self._headers(call))
        if fault is not None and fault.kind == "ambiguous":
            call.is_lost = True
            return await _drop(request)
        if fault is not None:
            await self._pause(fault.seconds)
        return response

    def _do(self, call: Call, value: str, token: Token | None) -> JSON:
        method = METHODS.get(call.method)
        if method is None:
            raise SlackError("unknown_method", call.method)
        team = self._team_for(call.method, value, token)
        for name in rules.unknown_arguments(call.method, call.args):
            self.world.record.broke("unknown_argument", call.method, name)
        call.args = rules.decode(call.args)
        rules.check_arguments(call.method, call.args)
        request = Request(call.method, dict(call.args), team, token, self.world)
        self._check_scope(request)
        return {"ok": True, **method(request)}

    def _team_for(self, method: str, value: str, token: Token | None) -> Team:
        teams = self.world.store.teams
        if method in rules.WITHOUT_TOKEN or method in rules.WITH_APP_TOKEN:
            if method in rules.WITH_APP_TOKEN and value != self.app_token:
                raise SlackError("not_allowed_token_type" if token else "invalid_auth")
            return next(iter(teams.values()))
        if not value:
            raise SlackError("not_authed")
        if value == self.app_token:
            raise SlackError("not_allowed_token_type")
        if token is None:
            raise SlackError("invalid_auth")
        if (token.user is not None) != (method in rules.WITH_PERSONS_TOKEN):
            raise SlackError("not_allowed_token_type")
        if token.user is not None:
            return teams[token.team]
        if not teams[token.team].is_installed:
            raise SlackError("account_inactive")
        if token.is_revoked:
            raise SlackError("token_revoked")
        if token.expires_at is not None and token.expires_at <= self.world.store.clock.now():
            raise SlackError("token_expired")
        return teams[token.team]

    def _check_scope(self, request: Request) -> None:
        kind = None
        if request.method in rules.BY_KIND:
            kind = request.channel().kind
        needed = rules.scope_for(request.method, kind)
        if needed is not None and needed not in request.team.scopes:
            raise SlackError("missing_scope", needed=needed, provided=",".join(sorted(request.team.scopes)))

    def _refuse(self, call: Call, error: SlackError) -> web.Response:
        if error.is_violation:
            self.world.record.broke(error.code, call.method, "; ".join(error.messages))
        call.status, call.error, call.answer = 200, error.code, error.body()
        return web.json_response(call.answer, headers=self._headers(call))

    def _headers(self, call: Call) -> dict[str, str]:
        if call.team is None:
            return {}
        return {"X-OAuth-Scopes": ",".join(sorted(self.world.store.teams[call.team].scopes))}

    async def _fail(self, request: web.Request, call: Call, fault: Fault) -> web.StreamResponse:
        call.error = fault.error if fault.kind == "error" else fault.kind
        match fault.kind:
            case "error":
                call.status = 200
                return web.json_response({"ok": False, "error": fault.error})
            case "http":
                call.status = fault.status
                return web.Response(status=fault.status, text="<html>Server Error</html>", content_type="text/html")
            case "throttle":
                return _throttled(call, max(1, round(fault.seconds)))
            case "hang":
                await self._pause(fault.seconds)
        return await _drop(request)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    # -- files and response URLs -------------------------------------------------------------------------------

    def _entry(self, name: str, serve: Serve) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A route that is recorded and may be ordered to fail, as methods are."""

        async def enter(request: web.Request) -> web.StreamResponse:
            call = Call(name, None, {"path": request.path}, self.world.store.clock.now())
            if name == "response_url":
                call.args |= json.loads(await request.text() or "{}")
            self.world.record.calls.append(call)
            fault = self.faults.next(call)
            if fault is not None and fault.kind not in {"ambiguous", "delay"}:
                return await self._fail(request, call, fault)
            response = await serve(request, call)
            call.status = response.status
            if fault is not None and fault.kind == "ambiguous":
                call.is_lost = True
                return await _drop(request)
            if fault is not None:
                await self._pause(fault.seconds)
            return response

        return enter

    async def _upload(self, request: web.Request, call: Call) -> web.Response:
        team = self.world.store.teams.get(request.match_info["team"])
        file = team.files.get(request.match_info["file"]) if team else None
        if file is None or file.content is not None:
            self.world.record.broke("upload_url_reused", "upload", request.path)
            return web.Response(status=404, text="this URL is not good (any more)")
        content = await request.read()
        if request.content_type.startswith("multipart/"):
            self.world.record.broke("upload_not_raw", "upload", "the double takes raw bytes only")
        if len(content) != file.length:
            self.world.record.broke(
                "upload_length", "upload", f"{len(content)} bytes came, {file.length} were announced"
            )
            return web.Response(status=400, text="length mismatch")
        file.content = content
        return web.Response(text=f"OK - {len(content)}")

    async def _download(self, request: web.Request, call: Call) -> web.Response:
        team_id, _, number = request.match_info["key"].partition("-")
        value = request.headers.get("Authorization", "").removeprefix("Bearer ")
        token = self.world.store.tokens.get(value)
        team = self.world.store.teams.get(team_id)
        may = token is not None and not token.is_revoked and token.team == team_id
        if not may or team is None or "files:read" not in team.scopes:
            return web.Response(text=_LOGIN, content_type="text/html")
        file = team.files.get(number)
        if file is None or file.content is None:
            return web.Response(status=404, text="not found")
        return web.Response(body=file.content, content_type=file.mimetype)

    async def _respond(self, request: web.Request, call: Call) -> web.Response:
        try:
            respond(self.world, request.match_info["key"], call.args)
        except SlackError as error:
            self.world.record.broke(error.code, "response_url", "; ".join(error.messages))
            call.error = error.code
            return web.json_response(error.body(), status=404)
        return web.Response(text="ok")


def _throttled(call: Call, seconds: int) -> web.Response:
    call.status, call.error = 429, "ratelimited"
    body = {"ok": False, "error": "ratelimited"}
    return web.json_response(body, status=429, headers={"Retry-After": str(seconds)})


async def _drop(request: web.Request) -> web.StreamResponse:
    """Cut the connection under a request."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _arguments(request: web.Request) -> tuple[JSON, str]:
    """Arguments from query, form and JSON body, and the token; the workspace a client adds is ignored."""
    args: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.text() or "{}")
        except ValueError:
            raise SlackError("invalid_json") from None
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        args |= body
    elif request.method == "POST":
        form = await request.post()
        args |= {name: value for name, value in form.items() if isinstance(value, str)}
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind == "Basic":
        args["client_id"], _, args["client_secret"] = base64.b64decode(value).decode().partition(":")
        value = ""
    token = str(args.pop("token", "") or value)
    args.pop("team_id", None)
    return args, token
