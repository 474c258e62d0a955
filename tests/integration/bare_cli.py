"""The real CLI as a bare process, spoken to in its JSON lines: no SDK, no sandbox, a home of its own.

For tests of what stands between the CLI and a model. Every question is answered by `on_ask`, which gets the
request and returns the CLI's permission answer. The process dies with the test, and with the test runner.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

WITHIN_S = 60.0
LONGEST_LINE = 64 << 20

Line = dict[str, Any]


def allow_all(request: Mapping[str, Any]) -> Line:
    return {"behavior": "allow", "updatedInput": request["input"]}


def cli_path() -> Path:
    spec = find_spec("claude_agent_sdk")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "_bundled" / "claude"


@dataclass(slots=True)
class BareCli:
    process: asyncio.subprocess.Process
    on_ask: Callable[[Mapping[str, Any]], Line]
    lines: list[Line] = field(default_factory=list)
    asked: list[Line] = field(default_factory=list)

    async def say(self, text: str) -> None:
        message = {"role": "user", "content": text}
        await self._write({"type": "user", "message": message, "parent_tool_use_id": None, "client_composed": True})

    async def interrupt(self) -> None:
        await self._write({"type": "control_request", "request_id": "stop", "request": {"subtype": "interrupt"}})

    async def wait_for(self, matches: Callable[[Line], bool]) -> Line:
        """Reads on, answering questions, until a line matches."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            while raw := await self.process.stdout.readline():
                line: Line = json.loads(raw)
                self.lines.append(line)
                if line["type"] == "control_request":
                    await self._reply(line)
                if matches(line):
                    return line
        raise AssertionError("the CLI ended before the line came")

    async def turn(self, text: str) -> Line:
        """Says something, and returns the result line of the turn."""
        await self.say(text)
        return await self.wait_for(lambda line: line["type"] == "result")

    async def _reply(self, line: Line) -> None:
        self.asked.append(line["request"])
        answer = {"subtype": "success", "request_id": line["request_id"], "response": self.on_ask(line["request"])}
        await self._write({"type": "control_response", "response": answer})

    async def _write(self, line: Line) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        await self.process.stdin.drain()


@contextlib.asynccontextmanager
async def bare_cli(
    folder: Path,
    environment: Mapping[str, str],
    *arguments: str,
    on_ask: Callable[[Mapping[str, Any]], Line] = allow_all,
) -> AsyncIterator[BareCli]:
    """A CLI that works in `folder/work` with its home in `folder/home`."""
    for name in ("work", "home"):
        (folder / name).mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL", "--", str(cli_path())),
        *("--output-format", "stream-json", "--input-format", "stream-json", "--verbose"),
        *("--permission-prompt-tool", "stdio", "--setting-sources=", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=folder / "work",
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "IS_SANDBOX": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            **environment,
        },
        limit=LONGEST_LINE,
    )
    try:
        yield BareCli(process, on_ask)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
