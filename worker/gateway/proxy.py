"""Carries one request of a sandbox to the model API and its answer back, as it comes, byte for byte.

The sandbox's token is checked and taken out, the real credential put in; the rest of the request goes on as it is,
except that a compressed answer is not asked for, since the meter reads along. Each piece of the answer is passed on
before it is metered. A client that leaves takes the upstream request with it (the server cancels this handler), and
an answer that breaks off upstream breaks off here, which the CLI retries. Next: `refusals.py`, `meter.py`.
"""

import asyncio
import io
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from worker.gateway import refusals
from worker.gateway.credential import Credential
from worker.gateway.meter import Meter, Metered
from worker.gateway.tokens import verify_token

PASSED_ON = frozenset(
    {("POST", "/v1/messages"), ("POST", "/v1/messages/count_tokens"), ("GET", "/v1/models"), ("HEAD", "/v1/models")}
)
PROBES = frozenset({"/", "/api/hello"})
# RFC 9110 section 7.6.1, and what belongs to one connection or to one side only.
NOT_PASSED_ON = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "host", "expect", "content-length", "accept-encoding",
        "x-api-key", "authorization", "cookie",
    }
)  # fmt: skip
NOT_PASSED_BACK = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "trailer", "transfer-encoding", "upgrade", "set-cookie"}
)

Allow = Callable[[str, str], Awaitable[str | None]]
OnMetered = Callable[[Metered], None]

log = structlog.get_logger("worker.gateway")


@dataclass(frozen=True, slots=True)
class Proxy:
    """Handles every request the gateway gets.

    `allow(chat_id, model)` answers None, or why this chat may not use this model now; it has `allow_within_s`
    seconds. `on_metered` is called once for each request that reached the model API; it must not block.
    """

    session: aiohttp.ClientSession
    upstream: URL
    credential: Credential
    secret: bytes
    allow: Allow
    on_metered: OnMetered
    outbound_proxy: str | None = None
    allow_within_s: float = 5.0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request; every error is an answer in the API's form, never an exception of ours."""
        started = time.monotonic()
        if request.method in {"GET", "HEAD"} and request.path in PROBES:
            return web.json_response({})
        chat_id = verify_token(self.secret, _token_of(request.headers))
        if (request.method, request.path) not in PASSED_ON:
            response: web.StreamResponse = refusals.no_such_path(request.path)
        elif chat_id is None:
            response = refusals.wrong_token()
        else:
            try:
                response = await self._checked(request, chat_id, started)
            except asyncio.CancelledError:
                _log_access(request, "left", chat_id, started)
                raise
        _log_access(request, str(response.status), chat_id, started)
        return response

    async def _checked(self, request: web.Request, chat_id: str, started: float) -> web.StreamResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return refusals.too_large()
        asked: Any = {}
        if request.method == "POST":
            try:
                asked = json.loads(body)
            except ValueError:
                return refusals.bad_request("the request's body is not JSON")
            if not isinstance(asked, dict) or not isinstance(asked.get("model"), str):
                return refusals.bad_request("model: Field required")
            try:
                async with asyncio.timeout(self.allow_within_s):
                    reason = await self.allow(chat_id, asked["model"])
            except Exception:
                log.exception("budget_not_checked", chat=chat_id)
                return refusals.not_ready()
            if reason is not None:
                return refusals.not_allowed(reason)
        return await self._forward(request, body, asked, chat_id, started)

    async def _forward(
        self, request: web.Request, body: bytes, asked: Mapping[str, Any], chat_id: str, started: float
    ) -> web.StreamResponse:
        host = self.upstream.host or "?"
        query = request.rel_url.raw_query_string
        url = f"{str(self.upstream).rstrip('/')}{request.path}{'?' if query else ''}{query}"
        sending = self.session.request(
            request.method,
            URL(url, encoded=True),
            # In pieces: aiohttp warns of bytes past a megabyte, which it would send in one go.
            data=io.BytesIO(body) if body else None,
            headers=self._headers_for(request),
            allow_redirects=False,
            proxy=self.outbound_proxy,
        )
        try:
            answer = await sending
        except TimeoutError:
            return refusals.silent(host)
        except (aiohttp.ClientError, OSError) as failure:
            log.warning("upstream_failed", chat=chat_id, host=host, error=type(failure).__name__)
            return refusals.unreachable(host)
        meter = Meter(streaming=answer.content_type == "text/event-stream", model=str(asked.get("model", "")))
        try:
            return await _pass_back(request, answer, meter)
        finally:
            answer.close()
            if request.method == "POST":
                self._report(meter.result(chat_id, answer.status, time.monotonic() - started))

    def _report(self, metered: Metered) -> None:
        try:
            self.on_metered(metered)
        except Exception:
            log.exception("not_metered", chat=metered.chat_id)

    def _headers_for(self, request: web.Request) -> CIMultiDict[str]:
        named = {name.strip().lower() for name in request.headers.get("Connection", "").split(",")}
        headers: CIMultiDict[str] = CIMultiDict(
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in NOT_PASSED_ON and name.lower() not in named
        )
        headers["Accept-Encoding"] = "identity"
        self.credential.put_into(headers)
        return headers


async def _pass_back(request: web.Request, answer: aiohttp.ClientResponse, meter: Meter) -> web.StreamResponse:
    headers = CIMultiDict(
        (name, value) for name, value in answer.headers.items() if name.lower() not in NOT_PASSED_BACK
    )
    if answer.status == web.HTTPUnauthorized.status_code:
        # Our own credential is wrong: trying again does not help, and the CLI would for minutes.
        headers.update(refusals.FINAL)
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
            meter.feed(chunk)
    except (aiohttp.ClientError, TimeoutError) as failure:
        log.warning("upstream_broke_off", error=type(failure).__name__)
        # A clean end would look like a whole answer.
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _log_access(request: web.Request, outcome: str, chat_id: str | None, started: float) -> None:
    """One line a request: no query, no body, no header; the path as it was sent, so that it stays one line."""
    path = request.rel_url.raw_path[:200]
    took_ms = round(1000 * (time.monotonic() - started))
    log.info("request", method=request.method, path=path, outcome=outcome, chat=chat_id, took_ms=took_ms)


def _token_of(headers: Mapping[str, str]) -> str:
    return headers.get("x-api-key") or headers.get("Authorization", "").removeprefix("Bearer ")
