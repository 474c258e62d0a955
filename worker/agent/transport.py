"""The SDK's `Transport` over a journal in a sandbox.

The CLI writes to a file and lives on without us; this reads that file from an offset, with `tail`, and writes to the
CLI's stdin by pid. Every line goes to the run (`JournalLine`, with the offset behind it). The SDK gets the control
lines only: it answers permission requests and matches control responses, while the run translates everything else
from the raw lines, which hold fields that the SDK's messages drop; so the SDK's queue can never fill up.

Closing only detaches: the CLI, and a question it has open, live on for the next reader. Next: `session.py`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from claude_agent_sdk import CLIConnectionError, Transport

from core.errors import ProcessGone, SandboxError, ThreadworkError, Unavailable
from core.ports import Sandbox
from worker.agent import process

_CONTROL: Final = frozenset({"control_request", "control_response", "control_cancel_request"})
_WRITE_TRIES: Final = 6
_PARSE_TRIES: Final = 20
_REPLACED: Final = "\ufffd"


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One line of the journal. `offset` is behind its newline; `body` is None where it is not a JSON object."""

    offset: int
    raw: str
    body: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class JournalEnded:
    """The program is gone and its journal read to the end; `exit_code` is None if it was cut down with its sandbox."""

    exit_code: int | None


@dataclass(frozen=True, slots=True)
class JournalBroke:
    """The journal cannot be read on: the sandbox is paused, lost, or out of reach for long."""

    error: ThreadworkError


JournalItem = JournalLine | JournalEnded | JournalBroke


class JournalTransport(Transport):
    """Reads the journal of one run of the CLI from `offset` on, and writes to its stdin.

    `deliver` gets every line in order and may wait, which holds back the reading. `confirm` is awaited before every
    write and raises when this run may no longer speak to the CLI. `pending` are the lines of the CLI's requests that
    had no answer yet at that offset; the SDK gets them first.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        pid: int,
        run_dir: str,
        offset: int,
        pending: Iterable[str],
        deliver: Callable[[JournalItem], Awaitable[None]],
        confirm: Callable[[], Awaitable[None]],
        is_new: bool,
    ) -> None:
        self._sandbox = sandbox
        self._pid = pid
        self._run_dir = run_dir
        self._offset = offset
        self._pending = tuple(pending)
        self._deliver = deliver
        self._confirm = confirm
        self._is_new = is_new
        self._for_sdk: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._writing = asyncio.Lock()
        self._unwritten: asyncio.Future[ThreadworkError] = asyncio.get_running_loop().create_future()
        self._closed = False

    async def connect(self) -> None:
        """Hand the SDK what the CLI still waits for. The reading itself is `pump`, run by the session."""
        for raw in self._pending:
            self._for_sdk.put_nowait(json.loads(raw))

    async def pump(self) -> None:
        """Read the journal until the program ends, re-attaching as often as the tail's bound or a fault asks for it.

        What may pass is tried again; what will not ends in a `JournalBroke`, as does a word that could not be written.
        """
        reading = asyncio.ensure_future(self._read_on())
        try:
            await asyncio.wait((reading, self._unwritten), return_when=asyncio.FIRST_COMPLETED)
            if self._unwritten.done():
                raise self._unwritten.result()
            reading.result()
        except ThreadworkError as error:
            await self._deliver(JournalBroke(error))
        finally:
            reading.cancel()
            await asyncio.wait((reading,))
        self._for_sdk.put_nowait(None)

    async def _read_on(self) -> None:
        failures = 0
        while True:
            before = self._offset
            try:
                await self._read(process.follow_command(self._run_dir, self._offset), process.FOLLOW_S)
                if await process.life(self._sandbox, self._run_dir) is process.Life.ALIVE:
                    failures = 0
                    continue
                await self._read(process.rest_command(self._run_dir, self._offset), process.FOLLOW_S)
                await self._deliver(JournalEnded(await process.exit_code(self._sandbox, self._run_dir)))
                return
            except Unavailable:
                failures = 0 if self._offset > before else failures + 1
                if failures > 20:
                    raise
                await asyncio.sleep(min(0.05 * 2**failures, 3.0))

    async def _read(self, command: str, time_s: float) -> None:
        """Take lines from what `command` prints. Its first byte is the newline before our offset, unless that is 0."""
        at_start = self._offset == 0
        parts: list[str] = []
        async with aclosing(self._sandbox.follow(command, time_s=time_s)) as pieces:
            async for piece in pieces:
                text = piece
                if not at_start:
                    if not text.startswith("\n"):
                        # Bytes that are no text shifted the count: go back to where a line begins.
                        self._offset = await process.line_start_before(self._sandbox, self._run_dir, self._offset)
                        return
                    at_start, text = True, text[1:]
                head, *lines = text.split("\n")
                parts.append(head)
                for line in lines:
                    await self._take("".join(parts))
                    parts = [line]

    async def _take(self, raw: str) -> None:
        if _REPLACED in raw:
            # It may stand for bytes that are no text: then the line has another length than what we were given.
            self._offset = await process.line_end_after(self._sandbox, self._run_dir, self._offset)
        else:
            self._offset += len(raw.encode()) + 1
        body = _parsed(raw)
        await self._deliver(JournalLine(self._offset, raw, body))
        if body is not None and body.get("type") in _CONTROL:
            self._for_sdk.put_nowait(_without_payload(body))

    def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        """What the SDK reads: control lines."""
        return self._control_lines()

    async def _control_lines(self) -> AsyncIterator[dict[str, Any]]:
        while (body := await self._for_sdk.get()) is not None:
            yield body

    async def write(self, data: str) -> None:
        """Write one line to the CLI's stdin; repeating one is harmless, so it is tried until it is surely written.

        If this failed on an allowed permission, the SDK would tell the CLI "denied": so a failure here closes the
        transport before the SDK's second thought is written, and ends the talk: the next one finds the request still
        pending. A program that is gone says so itself, at the end of its journal.
        """
        async with self._writing:
            body = json.loads(data)
            if self._closed:
                raise CLIConnectionError("detached")
            if _is_initialize(body) and not self._is_new:
                answer = {"subtype": "success", "request_id": body["request_id"], "response": {}}
                self._for_sdk.put_nowait({"type": "control_response", "response": answer})
                return
            try:
                await self._send(data)
            except Exception as error:  # noqa: BLE001 - whatever it is, see above
                self._closed = True
                told = error if isinstance(error, ThreadworkError) else Unavailable("the sandbox", repr(error))
                if not isinstance(told, ProcessGone) and not self._unwritten.done():
                    self._unwritten.set_result(told)
                raise CLIConnectionError(str(told)) from told

    async def _send(self, data: str) -> None:
        for attempt in range(_WRITE_TRIES):
            await self._confirm()
            try:
                await self._sandbox.send_stdin(self._pid, data)
            except (ProcessGone, Unavailable, SandboxError) as error:
                if not error.retryable or attempt == _WRITE_TRIES - 1:
                    raise
                await asyncio.sleep(0.1 * 2**attempt)
            else:
                return

    async def close(self) -> None:
        """Detach. The CLI lives on."""
        self._closed = True
        self._for_sdk.put_nowait(None)

    def is_ready(self) -> bool:
        """Whether writes are taken."""
        return not self._closed

    async def end_input(self) -> None:
        """Nothing: the end of stdin would end the CLI."""


def _parsed(raw: str) -> dict[str, Any] | None:
    """The object that a line holds, or that stands at its end behind a piece of a torn one."""
    at, tries = 0, 0
    while at >= 0 and tries < _PARSE_TRIES:
        try:
            body = json.loads(raw[at:])
        except ValueError:
            at, tries = raw.find('{"type":', at + 1), tries + 1
        else:
            return body if isinstance(body, dict) else None
    return None


def _without_payload(body: dict[str, Any]) -> dict[str, Any]:
    """A control line as the SDK needs it: it keeps the 40 kB the CLI answers to `initialize`, and nobody reads them."""
    answer = body.get("response")
    if body["type"] != "control_response" or not isinstance(answer, dict) or "response" not in answer:
        return body
    return {**body, "response": {**answer, "response": {}}}


def _is_initialize(body: dict[str, Any]) -> bool:
    return body.get("type") == "control_request" and body["request"].get("subtype") == "initialize"
