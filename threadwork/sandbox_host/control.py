"""The control plane: making, listing, pausing and ending sandboxes, in E2B's words."""

import hmac
import json
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from core.errors import NotFound, SandboxError, Unavailable
from threadwork.sandbox_host.sandboxes import Record, Sandboxes, details

DEFAULT_LIFE_S = 300.0
MOST_A_PAGE = 100


class ControlPlane:
    """Routes of the control plane. `api_key` None: anybody on this machine may call."""

    def __init__(self, sandboxes: Sandboxes, api_key: str | None) -> None:
        self._sandboxes = sandboxes
        self._api_key = api_key

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application; older and newer SDKs differ in the `/v2`."""
        made: list[web.RouteDef] = []
        for prefix in ("", "/v2"):
            made += [
                web.post(f"{prefix}/sandboxes", self.create),
                web.get(f"{prefix}/sandboxes", self.list),
                web.get(f"{prefix}/sandboxes/{{id}}", self.get),
                web.delete(f"{prefix}/sandboxes/{{id}}", self.kill),
                web.post(f"{prefix}/sandboxes/{{id}}/connect", self.connect),
                web.post(f"{prefix}/sandboxes/{{id}}/resume", self.connect),
                web.post(f"{prefix}/sandboxes/{{id}}/pause", self.pause),
                web.post(f"{prefix}/sandboxes/{{id}}/timeout", self.timeout),
                web.post(f"{prefix}/sandboxes/{{id}}/refreshes", self.timeout),
                web.get(f"{prefix}/sandboxes/{{id}}/metrics", self.metrics),
            ]
        return made

    def _check(self, request: web.Request) -> None:
        given = request.headers.get("X-API-KEY", "")
        if self._api_key is not None and not hmac.compare_digest(given.encode(), self._api_key.encode()):
            raise _refusal(401, "the API key is wrong")

    async def _body(self, request: web.Request) -> dict[str, Any]:
        self._check(request)
        raw = await request.read()
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            raise _refusal(400, "the body is not JSON") from None
        if not isinstance(body, dict):
            raise _refusal(400, "the body is not an object")
        return body

    async def create(self, request: web.Request) -> web.Response:
        """Make a sandbox."""
        body = await self._body(request)
        if not isinstance(body.get("templateID"), str):
            raise _refusal(400, "templateID is missing")
        try:
            record = await self._sandboxes.create(
                body["templateID"],
                {str(key): str(value) for key, value in (body.get("metadata") or {}).items()},
                {str(key): str(value) for key, value in (body.get("envVars") or {}).items()},
                _seconds(body, DEFAULT_LIFE_S),
                pauses_at_end=bool(body.get("autoPause", False)),
                idempotency=request.headers.get("Idempotency-Key"),
            )
        except (Unavailable, SandboxError, OSError) as error:
            raise _refusal(500, str(error)) from error
        return web.json_response(details(record), status=201)

    async def connect(self, request: web.Request) -> web.Response:
        """Make a sandbox run that may be paused."""
        body = await self._body(request)
        try:
            record, was_resumed = await self._sandboxes.connect(
                request.match_info["id"], _seconds(body, DEFAULT_LIFE_S)
            )
        except NotFound as error:
            raise _refusal(404, str(error)) from error
        except (Unavailable, SandboxError, OSError) as error:
            raise _refusal(500, str(error)) from error
        return web.json_response(details(record), status=201 if was_resumed else 200)

    async def list(self, request: web.Request) -> web.Response:
        """A page of sandboxes that match. The SDK encodes metadata twice."""
        self._check(request)
        wanted = dict(parse_qsl(unquote(request.query.get("metadata", ""))))
        states = {state for text in request.query.getall("state", []) for state in text.split(",")}
        found = [details(record) for record in self._sandboxes.all() if wanted.items() <= record.metadata.items()]
        found = [one for one in found if not states or one["state"] in states]
        limit = min(int(request.query.get("limit", MOST_A_PAGE)), MOST_A_PAGE)
        at = int(request.query.get("nextToken") or 0)
        headers = {"x-next-token": str(at + limit)} if at + limit < len(found) else {}
        return web.json_response(found[at : at + limit], headers=headers)

    def _record(self, request: web.Request) -> Record:
        self._check(request)
        try:
            return self._sandboxes.get(request.match_info["id"])
        except NotFound as error:
            raise _refusal(404, str(error)) from error

    async def get(self, request: web.Request) -> web.Response:
        """One sandbox."""
        return web.json_response(details(self._record(request)))

    async def metrics(self, request: web.Request) -> web.Response:
        """Nothing is measured here."""
        self._record(request)
        return web.json_response([])

    async def kill(self, request: web.Request) -> web.Response:
        """End a sandbox."""
        record = self._record(request)
        try:
            await self._sandboxes.kill(record.id)
        except NotFound as error:
            raise _refusal(404, str(error)) from error
        return web.Response(status=204)

    async def pause(self, request: web.Request) -> web.Response:
        """Pause a sandbox; 409 when it is paused."""
        record = self._record(request)
        try:
            was_running = await self._sandboxes.pause(record.id)
        except NotFound as error:
            raise _refusal(404, str(error)) from error
        except (Unavailable, SandboxError) as error:
            raise _refusal(500, str(error)) from error
        if not was_running:
            raise _refusal(409, f"sandbox {record.id} is paused already")
        return web.Response(status=204)

    async def timeout(self, request: web.Request) -> web.Response:
        """Change how long a sandbox lives from now on."""
        body = await self._body(request)
        record = self._record(request)
        self._sandboxes.set_end(record.id, _seconds(body, DEFAULT_LIFE_S))
        return web.Response(status=204)


def _seconds(body: dict[str, Any], default: float) -> float:
    value = body.get("timeout", body.get("duration", default))
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise _refusal(400, "timeout must be a number of seconds")
    return float(value)


def _refusal(status: int, message: str) -> web.HTTPException:
    kinds: dict[int, type[web.HTTPException]] = {
        400: web.HTTPBadRequest,
        401: web.HTTPUnauthorized,
        404: web.HTTPNotFound,
        409: web.HTTPConflict,
    }
    kind = kinds.get(status, web.HTTPInternalServerError)
    return kind(text=json.dumps({"code": status, "message": message}), content_type="application/json")
