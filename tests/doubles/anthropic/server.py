"""The double itself: an HTTP server on loopback that plays scripts, keeps records and holds gates.

What it answers to `POST /v1/messages`, in this order: 401 without the credential it was told to require, 400 for
a request that breaks a rule (kept in `violations`), a title for the CLI's naming request, the next of `queue`, the
next part of the script in the conversation, and else `otherwise`. Next: `fixtures.py`, `__main__.py`.
"""

import asyncio
import contextlib
import hashlib
import itertools
import json
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.doubles.anthropic.rules import broken_rules
from tests.doubles.anthropic.script import (
    Cut,
    Gate,
    Hang,
    Refusal,
    Reply,
    ToolUse,
    Wait,
    find_place,
    parse_reply,
    text_reply,
)
from tests.doubles.anthropic.stream import frames, message_of

WITHIN_S = 30.0


@dataclass(slots=True)
class Seen:
    """One request as it came, and how its answer ended (`answer` is empty while it runs)."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any
    raw: bytes
    at: float
    answer: str = ""

    @property
    def is_naming(self) -> bool:
        """Whether this is the CLI's own request for a session title."""
        form = (self.body or {}).get("output_config", {}).get("format", {}) if isinstance(self.body, dict) else {}
        return list(form.get("schema", {}).get("properties", {})) == ["title"]

    @property
    def credential(self) -> str:
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(slots=True)
class AnthropicDouble:
    """A scripted Messages API; an async context manager that listens on 127.0.0.1 while it is open."""

    credential: str | None = None
    port: int = 0
    otherwise: Reply = field(default_factory=lambda: text_reply("Nothing was scripted."))
    queue: deque[Reply | Refusal] = field(default_factory=deque)
    requests: list[Seen] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    _gates: dict[str, asyncio.Event] = field(default_factory=dict)
    _reached: Counter[str] = field(default_factory=Counter)
    _attempts: Counter[str] = field(default_factory=Counter)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def messages(self) -> list[Seen]:
        """The requests for an answer of the model, without the CLI's naming requests."""
        return [s for s in self.requests if s.path == "/v1/messages" and s.method == "POST" and not s.is_naming]

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_get("/_requests", self._control_requests)
        app.router.add_get("/_violations", self._control_violations)
        app.router.add_get("/_gate/{name}", self._control_wait)
        app.router.add_post("/_gate/{name}/open", self._control_open)
        app.router.add_post("/_queue", self._control_queue)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        # Cancelled handlers are how the double knows that its client left.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for gate in self._gates.values():
            gate.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def open(self, name: str) -> None:
        """Lets every response that waits at this gate go on, now and later."""
        self._gates.setdefault(name, asyncio.Event()).set()

    async def wait_at(self, name: str) -> None:
        """Returns once a response has come to this gate."""
        await self.wait_until(lambda: self._reached[name] > 0)

    async def wait_until(self, holds: Callable[[], bool]) -> None:
        """Returns once the claim holds; it is asked again after every request, answer and gate."""
        async with asyncio.timeout(WITHIN_S), self._changed:
            await self._changed.wait_for(holds)

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        seen = Seen(
            method=request.method,
            path=request.path,
            query=request.rel_url.raw_query_string,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=_json_or_none(raw),
            raw=raw,
            at=time.time(),
        )
        self.requests.append(seen)
        await self._note()
        try:
            response = await self._answer(request, seen)
        except (asyncio.CancelledError, ConnectionError):
            seen.answer = "client left"
            raise
        finally:
            seen.answer = seen.answer or "complete"
            # A cancelled handler may not wait for the lock, so whoever waits is told by a task of the loop's own.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self._note())
        return response

    async def _answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        if request.method in {"HEAD", "GET"} and request.path in {"/", "/api/hello"}:
            return web.json_response({})
        if self.credential is not None and seen.credential != self.credential:
            return _refuse(Refusal(401, "invalid x-api-key"), seen)
        match (request.method, request.path):
            case ("GET", "/v1/models"):
                return web.json_response({"data": [{"type": "model", "id": "claude-double"}], "has_more": False})
            case ("POST", "/v1/messages" | "/v1/messages/count_tokens"):
                counting = request.path.endswith("count_tokens")
                broken = broken_rules(seen.headers, seen.body, counting=counting)
                self.violations.extend(broken)
                if broken:
                    return _refuse(Refusal(400, broken[0]), seen)
                if counting:
                    return web.json_response({"input_tokens": len(seen.raw) // 4})
                return await self._play(request, seen)
            case _:
                return _refuse(Refusal(404, f"no such path: {request.path}"), seen)

    def _choose(self, seen: Seen) -> Reply | Refusal:
        if seen.is_naming:
            return text_reply('{"title": "A scripted session"}')
        if self.queue:
            return self.queue.popleft()
        place = find_place(seen.body["messages"])
        if place is None:
            return self.otherwise
        try:
            script = json.loads(place.script)
            reply = parse_reply(script[place.number])
        except ValueError as error:
            self.violations.append(f"the script in the prompt cannot be read: {error}")
            return Refusal(400, f"bad script: {error}")
        except IndexError:
            self.violations.append(f"the script has no response {place.number + 1}: {place.script[:200]}")
            return text_reply("The script is over.")
        owner = json.dumps([seen.body.get("metadata"), place.at, place.number, place.script])
        key = hashlib.sha256(owner.encode()).hexdigest()
        self._attempts[key] += 1
        reply = reply.at_attempt(self._attempts[key])
        first = reply.steps[0] if reply.steps else None
        return first if isinstance(first, Refusal) else reply

    async def _play(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        chosen = self._choose(seen)
        if isinstance(chosen, Refusal):
            return _refuse(chosen, seen)
        number = next(self._numbers)
        reply = replace(chosen, steps=tuple(_with_id(s, f"toolu_{number}_{n}") for n, s in enumerate(chosen.steps)))
        model = seen.body["model"]
        streamed = bool(seen.body.get("stream"))
        for step in reply.opening if streamed else reply.steps:
            if isinstance(step, Cut):
                return _cut_connection(request, seen)
            await self._pause(step)
        if not streamed:
            return web.json_response(message_of(reply, f"msg_{number}", model))
        response = web.StreamResponse(
            headers={"content-type": "text/event-stream; charset=utf-8", "request-id": f"req_{number}"}
        )
        await response.prepare(request)
        rest = replace(reply, steps=reply.steps[len(reply.opening) :])
        for frame in frames(rest, f"msg_{number}", model):
            match frame:
                case bytes():
                    await response.write(frame)
                    if reply.delay_s:
                        await asyncio.sleep(reply.delay_s)
                case Cut():
                    return _cut_connection(request, seen, response)
                case _:
                    await self._pause(frame)
        return response

    async def _pause(self, step: object) -> None:
        match step:
            case Gate(name):
                self._reached[name] += 1
                await self._note()
                await self._gates.setdefault(name, asyncio.Event()).wait()
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Hang():
                await asyncio.Event().wait()
            case _:
                pass

    async def _control_requests(self, request: web.Request) -> web.Response:
        kept = ("method", "path", "query", "headers", "body", "at", "answer", "is_naming")
        return web.json_response([{name: getattr(s, name) for name in kept} for s in self.requests])

    async def _control_violations(self, request: web.Request) -> web.Response:
        return web.json_response(self.violations)

    async def _control_wait(self, request: web.Request) -> web.Response:
        await self.wait_at(request.match_info["name"])
        return web.json_response({"reached": True})

    async def _control_open(self, request: web.Request) -> web.Response:
        self.open(request.match_info["name"])
        return web.json_response({"open": True})

    async def _control_queue(self, request: web.Request) -> web.Response:
        for blocks in await request.json():
            reply = parse_reply(blocks)
            first = reply.steps[0] if reply.steps else None
            self.queue.append(first if isinstance(first, Refusal) else reply)
        return web.json_response({"queued": len(self.queue)})


def _with_id(step: Any, tool_id: str) -> Any:
    return replace(step, id=step.id or tool_id) if isinstance(step, ToolUse) else step


def _refuse(refusal: Refusal, seen: Seen) -> web.Response:
    seen.answer = f"refused {refusal.status}"
    headers = {} if refusal.retry_after_s is None else {"retry-after": f"{refusal.retry_after_s:g}"}
    return web.json_response(refusal.body(), status=refusal.status, headers=headers)


def _cut_connection(request: web.Request, seen: Seen, response: web.StreamResponse | None = None) -> web.StreamResponse:
    seen.answer = "cut"
    if request.transport is not None:
        request.transport.abort()
    return response or web.Response()


def _json_or_none(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None
