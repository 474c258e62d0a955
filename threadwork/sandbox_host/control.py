"""The control plane: E2B's REST API over sandboxes, as its SDK 2.63 and older ones use it. Next: `sandboxes.py`."""

import base64
import binascii
import hmac
import json
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from core.errors import NotFound, Unavailable
from threadwork.sandbox_host.holder import Refused
from threadwork.sandbox_host.record import iso
from threadwork.sandbox_host.sandboxes import Sandboxes, Wanted
from threadwork.sandbox_host.settings import HostSettings

DEFAULT_LIFE_S: Final = 300.0
MOST_A_PAGE: Final = 100
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlPlane:
    """E2B's routes."""

    def __init__(self, sandboxes: Sandboxes, settings: HostSettings) -> None:
        self._sandboxes = sandboxes
        self._api_key = settings.api_key
        memory, disk = settings.limits.memory_mb, settings.limits.disk_mb
        self._figures = {"cpuCount": os.cpu_count() or 1, "memoryMB": memory or 0, "diskSizeMB": disk or 0}

    def routes(self) -> list[web.RouteDef]:
        """What it serves; SDKs before 2.51 use the paths without v2."""
        made = []
        for prefix in ("", "/v2"):
            for method, path, handler in (
                ("POST", "", self.create),
                ("GET", "", self.list),
                ("GET", "/{id}", self.get),
                ("DELETE", "/{id}", self.kill),
                ("POST", "/{id}/connect", self.connect),
                ("POST", "/{id}/resume", self.connect),
                ("POST", "/{id}/pause", self.pause),
                ("POST", "/{id}/timeout", self.timeout),
                ("POST", "/{id}/refreshes", self.timeout),
                ("GET", "/{id}/metrics", self.metrics),
            ):
                made.append(web.route(method, f"{prefix}/sandboxes{path}", self._guarded(handler)))
        return made

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("X-API-KEY", "")
            if self._api_key is not None and not hmac.compare_digest(given.encode(), self._api_key.encode()):
                return _answer(401, "the API key is wrong")
            try:
                return await handler(request)
            except _BadRequest as error:
                return _answer(400, str(error))
            except NotFound as error:
                return _answer(404, str(error))
            except (Unavailable, Refused, OSError) as error:
                return _answer(500, str(error))

        return guarded

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Make a sandbox."""
        body = await _body(request)
        resumes = body.get("autoResume")
        record = await self._sandboxes.create(
            Wanted(
                template=_text(body.get("templateID"), "templateID"),
                metadata=_texts(body, "metadata"),
                envs=_texts(body, "envVars"),
                life_s=_seconds(body),
                pauses_at_end=bool(body.get("autoPause", False)),
                resumes_on_use=isinstance(resumes, dict) and bool(resumes.get("enabled")),
                idempotency=request.headers.get("Idempotency-Key"),
            )
        )
        return web.json_response(record.described(self._figures), status=201)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Make a sandbox run that may be paused. `memory` false: without the processes it had."""
        body = await _body(request)
        record, was_resumed = await self._sandboxes.connect(
            request.match_info["id"], _seconds(body), keeps_processes=body.get("memory") is not False
        )
        return web.json_response(record.described(self._figures), status=201 if was_resumed else 200)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page of sandboxes that match, newest first. The SDK encodes metadata twice."""
        query = request.query
        metadata = {unquote(name): unquote(value) for name, value in parse_qsl(query.get("metadata", ""))}
        states = {state for value in query.getall("state", []) for state in value.split(",")}
        after = query.get("startedAfter")
        found = [
            record
            for record in self._sandboxes.all()
            if metadata.items() <= record.metadata.items()
            and (not states or ("running" if record.is_running else "paused") in states)
            and query.get("template", record.template) == record.template
            and (after is None or record.started_at > _time(after))
        ]
        found.sort(key=lambda record: (record.started_at, record.id), reverse=query.get("order") != "asc")
        limit = min(_count(query.get("limit"), MOST_A_PAGE), MOST_A_PAGE)
        at = _page(query.get("nextToken"))
        page = [record.described(self._figures) for record in found[at : at + limit]]
        headers = {"x-next-token": _token(at + limit)} if at + limit < len(found) else {}
        return web.json_response(page, headers=headers)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """One sandbox."""
        return web.json_response(self._sandboxes.get(request.match_info["id"]).record.described(self._figures))

    async def kill(self, request: web.Request) -> web.StreamResponse:
        """End a sandbox and remove its files."""
        await self._sandboxes.kill(request.match_info["id"])
        return web.Response(status=204)

    async def pause(self, request: web.Request) -> web.StreamResponse:
        """Pause a sandbox; 409 when it is paused. `memory` false: end its processes and keep the files."""
        body = await _body(request)
        sandbox_id = request.match_info["id"]
        if not await self._sandboxes.pause(sandbox_id, keeps_processes=body.get("memory") is not False):
            return _answer(409, f"sandbox {sandbox_id} is already paused")
        return web.Response(status=204)

    async def timeout(self, request: web.Request) -> web.StreamResponse:
        """Change how long a sandbox lives from now on."""
        body = await _body(request)
        self._sandboxes.set_end(request.match_info["id"], _seconds(body))
        return web.Response(status=204)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """What a sandbox uses now: one figure, no history."""
        sandbox = self._sandboxes.get(request.match_info["id"])
        if not sandbox.record.is_running:
            return web.json_response([])
        answer, _ = await sandbox.ask("usage")
        now = datetime.now(UTC).timestamp()
        figures = {
            "timestamp": iso(now),
            "timestampUnix": int(now),
            "cpuCount": self._figures["cpuCount"],
            "cpuUsedPct": 0.0,
            "memUsed": sum(answer["memory"].values()),
            "memTotal": self._figures["memoryMB"] << 20,
            "memCache": 0,
            "diskUsed": answer["disk"],
            "diskTotal": self._figures["diskSizeMB"] << 20,
        }
        return web.json_response([figures])


class _BadRequest(Exception):
    """What was asked cannot be meant."""


def _answer(status: int, message: str) -> web.Response:
    body = json.dumps({"code": status, "message": message})
    return web.Response(status=status, text=body, content_type="application/json")


async def _body(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError as error:
        raise _BadRequest("the body is not JSON") from error
    if not isinstance(body, dict):
        raise _BadRequest("the body is not an object")
    return body


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise _BadRequest(f"{name} must be a text")
    return value


def _texts(body: dict[str, Any], name: str) -> dict[str, str]:
    value = body.get(name) or {}
    if not isinstance(value, dict):
        raise _BadRequest(f"{name} must be an object of texts")
    return {_text(key, name): _text(one, name) for key, one in value.items()}


def _seconds(body: dict[str, Any]) -> float:
    value = body.get("timeout", body.get("duration"))
    if value is None:
        return DEFAULT_LIFE_S
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise _BadRequest("timeout must be a number of seconds")
    return float(value)


def _time(value: str) -> float:
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError as error:
        raise _BadRequest("startedAfter is not a time") from error


def _count(value: str | None, default: int) -> int:
    if value is None:
        return default
    if not value.isdigit() or int(value) < 1:
        raise _BadRequest("limit must be a number from 1 on")
    return int(value)


def _token(at: int) -> str:
    return base64.urlsafe_b64encode(str(at).encode()).decode()


def _page(token: str | None) -> int:
    try:
        return max(0, int(base64.urlsafe_b64decode(token or "MA==")))
    except (binascii.Error, ValueError) as error:
        raise _BadRequest("nextToken is not one of ours") from error
