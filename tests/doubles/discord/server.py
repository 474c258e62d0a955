"""The listening side: one port for REST under /api/v10, the gateway at /, and files under /attachments.

Every request goes the same way: read, record, check the credential, spend a fault, ask the rate limits, act. Answers
carry exactly `application/json`, which discord.py compares letter by letter.
"""

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import BodyPartReader, web

from tests.doubles.discord import errors
from tests.doubles.discord.content_rules import Upload
from tests.doubles.discord.errors import ApiError
from tests.doubles.discord.faults import Fault, Faults
from tests.doubles.discord.gateway import Gateway
from tests.doubles.discord.rate_limits import RateLimits, Verdict
from tests.doubles.discord.record import Call, Record
from tests.doubles.discord.routes import Route
from tests.doubles.discord.sign_ins import SignIns
from tests.doubles.discord.world import World

API = "/api/v10"
_VIA = {"Via": "1.1 google"}
_BODY_LIMIT = 110 * 1024 * 1024
_BROKEN_JSON = object()


class Server:
    """Serves one double. `page` answers a plain GET of /, `more` are routes beside Discord's."""

    def __init__(
        self, world: World, gateway: Gateway, limits: RateLimits, faults: Faults, record: Record, *, token: str
    ) -> None:
        self.world = world
        self.gateway = gateway
        self.limits = limits
        self.faults = faults
        self.record = record
        self.token = token
        self.page: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        self.more: list[web.RouteDef] = []
        self.sign_ins = SignIns(world, record)
        self._runner: web.AppRunner | None = None

    async def start(self, routes: list[Route], port: int) -> int:
        """Listen on loopback; 0 picks a free port, which is returned."""
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.router.add_get("/", self._root)
        app.router.add_get("/attachments/{channel}/{attachment}/{name}", self._attachment)
        app.add_routes([*self.more, web.get("/oauth2/authorize", self.sign_ins.page)])
        routes = [*routes, *self.sign_ins.table()]
        for route in routes:
            app.router.add_route(route.method, API + route.template, self._entry(route))
        app.router.add_route("*", API + "/{rest:.*}", self._unknown)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        address: tuple[str, int] = self._runner.addresses[0]
        return address[1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _root(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.gateway.handle(request)
        return await self.page(request) if self.page else web.Response(text="discord double")

    async def _attachment(self, request: web.Request) -> web.Response:
        found = self.world.attachments.get(request.match_info["attachment"])
        if found is None:
            return web.Response(status=404)
        return web.Response(body=found.content, content_type=found.content_type or "application/octet-stream")

    async def _unknown(self, request: web.Request) -> web.Response:
        call = await _read(request, Route(request.method, request.match_info["rest"], lambda _: None), self.world)
        self.record.calls.append(call)
        self.record.add("unknown-route", "the double has no such route", call)
        return self._json(call, 404, {"message": "404: Not Found", "code": 0})

    # -- one request -------------------------------------------------------------------------------------------

    def _entry(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def enter(request: web.Request) -> web.StreamResponse:
            call = await _read(request, route, self.world)
            self.record.calls.append(call)
            if not route.by_token and not self._may(call, request.headers.get("Authorization", "")):
                return self._refuse(call, errors.unauthorized())
            fault = self.faults.next(call)
            if fault is not None and (answer := await self._fail(request, call, fault)) is not None:
                return answer
            verdict = self.limits.admit(call.method, call.template, _major(call))
            if not verdict.admitted:
                self.record.add("429", f"over the limit {verdict.headers}", call)
                return self._limited(call, verdict)
            response = self._act(route, call, verdict)
            if fault is not None and fault.kind == "ambiguous":
                return _torn(request)
            return response

        return enter

    def _may(self, call: Call, credential: str) -> bool:
        call.person = self.sign_ins.person_of(call.template, credential)
        return call.person is not None or credential == f"Bot {self.token}"

    def _act(self, route: Route, call: Call, verdict: Verdict) -> web.Response:
        self.record.judge(call)
        try:
            if call.body is _BROKEN_JSON:
                raise ApiError(400, 50109, "The request body contains invalid JSON.")
            answer = route.handler(call)
        except ApiError as error:
            self.record.refused(call, error)
            return self._refuse(call, error, verdict.headers)
        except Exception as error:  # the double did not foresee this request: say so, where the test will see it
            self.record.add("double-failed", "".join(traceback.format_exception(error)), call)
            return self._json(call, 400, {"code": 0, "message": f"the double failed: {error!r}"})
        return self._json(call, 204 if answer is None else 200, answer, verdict.headers)

    async def _fail(self, request: web.Request, call: Call, fault: Fault) -> web.Response | None:
        if fault.kind == "error":
            return self._json(call, fault.status, {"message": fault.message, "code": fault.code})
        if fault.kind == "throttle":
            verdict = Verdict(False, {}, fault.seconds, fault.everywhere)
            return self._limited(call, verdict, via=fault.via)
        if fault.kind in {"hang", "delay"}:
            await asyncio.sleep(fault.seconds)
        return _torn(request) if fault.kind in {"drop", "hang"} else None

    def _limited(self, call: Call, verdict: Verdict, *, via: bool = True) -> web.Response:
        body = {
            "message": "You are being rate limited.",
            "retry_after": verdict.retry_after,
            "global": verdict.everywhere,
        }
        headers = verdict.headers | {"Retry-After": str(int(verdict.retry_after) + 1)}
        return self._json(call, 429, body, headers, via=via)

    def _refuse(self, call: Call, error: ApiError, headers: dict[str, str] | None = None) -> web.Response:
        return self._json(call, error.status, error.body(), headers)

    def _json(
        self, call: Call, status: int, body: Any, headers: dict[str, str] | None = None, *, via: bool = True
    ) -> web.Response:
        call.status, call.answer = status, body
        call.code = body.get("code", 0) if isinstance(body, dict) and status >= 400 else 0
        every = dict(headers or {}) | (_VIA if via else {})
        if status == 204:
            return web.Response(status=204, headers=every)
        every["Content-Type"] = "application/json"
        return web.Response(status=status, body=json.dumps(body).encode(), headers=every)


def _torn(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _major(call: Call) -> str:
    return call.params.get("channel") or call.params.get("guild") or call.params.get("token") or ""


async def _read(request: web.Request, route: Route, world: World) -> Call:
    body: Any = None
    uploads: list[Upload] = []
    if request.content_type.startswith("multipart/"):
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            if part.name == "payload_json":
                body = json.loads(await part.text())
            elif part.name and part.name.startswith("files["):
                index = int(part.name[len("files[") : -1])
                uploads.append(
                    Upload(
                        index, part.filename or "unnamed", bytes(await part.read()), part.headers.get("Content-Type")
                    )
                )
    elif request.content_type == "application/x-www-form-urlencoded":
        body = dict(await request.post())
    elif text := await request.text():
        try:
            body = json.loads(text)
        except ValueError:
            body = _BROKEN_JSON
    params = dict(request.match_info)
    return Call(
        route.method, route.template, request.path, params, dict(request.query), body, uploads, world.clock.now()
    )
