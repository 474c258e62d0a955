"""What the measurements share: a stack without moods, a model that tells the time, and the CLI on a plain pipe."""

import asyncio
import json
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from bench.report import STAMP
from tests.faults.drive import People, people
from tests.faults.stack import Stack, running
from worker.sandbox.bootstrap import bundled_cli


class Clock:
    """A model whose every delta is the time it was written at: `deltas` of them, `pause_s` apart."""

    def __init__(self) -> None:
        self.deltas = 100
        self.pause_s = 0.05
        self.asked_at: list[float] = []
        self.first_delta_at: list[float] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        asked = time.time()
        body = await request.json()
        if not body.get("stream") or request.path.endswith("count_tokens"):
            return web.json_response({"input_tokens": 1})
        # The CLI also asks for a title; that has no tools.
        is_main = bool(body.get("tools"))
        if is_main:
            self.asked_at.append(asked)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        usage = {"input_tokens": 10, "output_tokens": 1}
        message: dict[str, Any] = {"id": f"msg_{uuid.uuid4().hex}", "type": "message", "role": "assistant"}
        message |= {"model": body["model"], "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        await _event(response, {"type": "message_start", "message": message})
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        await _event(response, block)
        for number in range(self.deltas if is_main else 1):
            now = time.time()
            if is_main and number == 0:
                self.first_delta_at.append(now)
            delta = {"type": "text_delta", "text": f"<{now:.6f}> "}
            await _event(response, {"type": "content_block_delta", "index": 0, "delta": delta})
            await asyncio.sleep(self.pause_s)
        await _event(response, {"type": "content_block_stop", "index": 0})
        end = {"stop_reason": "end_turn", "stop_sequence": None}
        await _event(response, {"type": "message_delta", "delta": end, "usage": {"output_tokens": 9}})
        await _event(response, {"type": "message_stop"})
        return response


async def _event(response: web.StreamResponse, body: dict[str, Any]) -> None:
    await response.write(f"event: {body['type']}\ndata: {json.dumps(body)}\n\n".encode())


@asynccontextmanager
async def clock() -> AsyncIterator[Clock]:
    model = Clock()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", model.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    model.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield model
    finally:
        await runner.cleanup()


@asynccontextmanager
async def stage(model_url: str, **settings: str) -> AsyncIterator[tuple[Stack, People]]:
    """One worker without moods, on the settings that production has. It notes how late it folds in `data_dir/notes`."""
    folder = Path(tempfile.mkdtemp(prefix="twb"))
    calm = {"FAULTS_SHARE": "0", "THREADWORK_LEASE_S": "8", "THREADWORK_LINGER_S": "20"}
    calm |= {"THREADWORK_LOOK_EVERY_S": "5", **settings}
    calm["BENCH_NOTES"] = str(folder / "notes")
    try:
        async with (
            running(
                folder, 1, workers=1, settings=calm, model_url=model_url, can_cut=False, worker="bench.noting_worker"
            ) as stack,
            people(stack.postgres.url, stack.valkey.url) as crowd,
        ):
            yield stack, crowd
    finally:
        shutil.rmtree(folder, ignore_errors=True)


Ask = Callable[[], Awaitable[list[float]]]


@asynccontextmanager
async def pipe(model_url: str, home: Path) -> AsyncIterator[Ask]:
    """The CLI on a plain pipe: asks it the same, and tells how late each delta came out of it, in ms."""
    home.mkdir(parents=True)
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "ANTHROPIC_BASE_URL": model_url,
        "ANTHROPIC_API_KEY": "bench",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "IS_SANDBOX": "1",
    }
    flags = ["--output-format", "stream-json", "--input-format", "stream-json", "--verbose"]
    flags += ["--include-partial-messages", "--setting-sources="]
    process = await asyncio.create_subprocess_exec(
        str(bundled_cli()),
        *flags,
        cwd=home,
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=64 << 20,
    )

    async def ask() -> list[float]:
        assert process.stdin is not None
        assert process.stdout is not None
        said = {"type": "user", "message": {"role": "user", "content": "What time is it?"}, "parent_tool_use_id": None}
        process.stdin.write(json.dumps({**said, "session_id": "default", "uuid": str(uuid.uuid4())}).encode() + b"\n")
        late: list[float] = []
        async with asyncio.timeout(90):
            while raw := await process.stdout.readline():
                now = time.time()
                line = json.loads(raw)
                if line.get("type") == "stream_event":
                    text = line["event"].get("delta", {}).get("text", "")
                    late += [(now - float(stamp)) * 1000 for stamp in STAMP.findall(text)]
                if line.get("type") == "result":
                    return late
        raise EOFError("the CLI on a pipe ended before its answer did")

    try:
        yield ask
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
