"""Listens on loopback and answers the CLI as the Messages API would, with the script's words.

Requests that are not part of a session, such as the CLI's naming of it, get a short plain answer.
Next: `__main__.py`.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from threadwork.offline_model import MODEL
from threadwork.offline_model.answer import Answer, Say
from threadwork.offline_model.conversation import read_conversation
from threadwork.offline_model.plays import answer_to
from threadwork.offline_model.wire import CHARS_PER_TOKEN, stream, usage_of, whole_message

DELAY_S = 1 / 60
LARGEST_REQUEST = 64 << 20


@contextlib.asynccontextmanager
async def serve_offline_model(port: int = 0, *, delay_s: float = DELAY_S) -> AsyncIterator[str]:
    """A scripted model on 127.0.0.1 while the context is open; yields its base URL.

    `delay_s` is the time between two pieces of a streamed answer, 0 for as fast as it goes.
    """
    app = web.Application(client_max_size=LARGEST_REQUEST)
    model = OfflineModel(delay_s)
    app.router.add_post("/v1/messages", model.answer)
    app.router.add_post("/v1/messages/count_tokens", model.count)
    app.router.add_get("/v1/models", model.models)
    app.router.add_get("/api/hello", model.hello)
    app.router.add_get("/", model.hello)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@dataclass(frozen=True, slots=True)
class OfflineModel:
    """The routes; without state, since a conversation carries its own."""

    delay_s: float

    async def hello(self, request: web.Request) -> web.Response:  # noqa: ARG002 - the shape of a handler
        return web.json_response({"model": MODEL})

    async def models(self, request: web.Request) -> web.Response:  # noqa: ARG002 - the shape of a handler
        listed = [{"type": "model", "id": MODEL, "display_name": "Scripted, offline"}]
        return web.json_response({"data": listed, "has_more": False, "first_id": MODEL, "last_id": MODEL})

    async def count(self, request: web.Request) -> web.Response:
        return web.json_response({"input_tokens": len(await request.read()) // CHARS_PER_TOKEN})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
            error = {"type": "invalid_request_error", "message": "messages: Field required"}
            return web.json_response({"type": "error", "error": error}, status=400)
        conversation = read_conversation(body)
        answer = answer_to(conversation) if body.get("tools") else _beside_the_session(body)
        usage = usage_of(answer, len(raw), is_first=conversation.is_first)
        if not body.get("stream"):
            return web.json_response(whole_message(answer, usage))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for piece in stream(answer, usage):
            await response.write(piece)
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
        await response.write_eof()
        return response


def _beside_the_session(body: Mapping[str, Any]) -> Answer:
    """Without tools the CLI asks for itself: a title as JSON, a summary, or whether the model is there."""
    wanted = (body.get("output_config") or {}).get("format") or {}
    fields = (wanted.get("schema") or {}).get("properties") or {}
    if fields:
        return [Say(json.dumps(dict.fromkeys(fields, "Scripted session")))]
    return [Say("This is a scripted model, not Claude; it has no summary to give.")]
