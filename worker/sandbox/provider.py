"""Sandboxes by the E2B SDK: the only module that imports it.

In the cloud it talks to E2B; with `E2B_API_URL` and `E2B_SANDBOX_URL` to any server that speaks E2B's protocol, our own
`threadwork/sandbox_host` included, of which nothing here knows. Every call is bounded, and every error of the SDK
becomes one of ours (`_translated`). What runs inside is started by `worker/agent/process.py`.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.errors import (
    DiskFull,
    Misconfigured,
    ProcessGone,
    SandboxError,
    SandboxLost,
    SandboxPaused,
    TooLarge,
    Unavailable,
)
from core.ports import Ran, SandboxInfo

if TYPE_CHECKING:
    from e2b import E2B, AsyncSandbox
    from e2b.sandbox_async.commands.command_handle import AsyncCommandHandle

CALL_S: Final = 15.0
FILE_S: Final = 120.0
UPLOAD_S: Final = 900.0
LET_GO_S: Final = 1.0
# Pieces of output waiting for their reader; past that the SDK, the server and the process feel it.
FOLLOW_PIECES: Final = 64
# envd's words for a pipe whose reader is gone; until it has noticed the end, the process still counts as running.
_NOBODY_READS: Final = ("stdin not enabled or closed", "broken pipe", "file already closed")


@dataclass(frozen=True, slots=True)
class SandboxServer:
    """Which E2B-compatible server to use; empty fields leave the choice to the SDK (E2B's cloud)."""

    api_key: str | None = None
    api_url: str | None = None
    sandbox_url: str | None = None
    template: str | None = None


class E2BProvider:
    """`SandboxProvider` over the E2B SDK."""

    def __init__(self, server: SandboxServer) -> None:
        self._server = server
        self._client: E2B | None = None

    def _sdk(self) -> "E2B":
        if self._client is None:
            from e2b import E2B  # 0.8 s: only where a worker needs it

            chosen: dict[str, Any] = {
                "api_key": self._server.api_key or "local",
                "api_url": self._server.api_url,
                "sandbox_url": self._server.sandbox_url,
            }
            self._client = E2B(**{name: value for name, value in chosen.items() if value})
        return self._client

    async def create(self, metadata: Mapping[str, str], *, idempotency: str, time_s: float) -> "E2BSandbox":
        """Make a sandbox that lives `time_s` seconds unless kept alive, and is paused, not killed, after that."""
        with _translated("the sandbox server"):
            async with asyncio.timeout(60):
                made = await self._sdk().AsyncSandbox.create(
                    template=self._server.template,
                    timeout=int(time_s),
                    metadata=dict(metadata),
                    lifecycle={"on_timeout": "pause", "auto_resume": False},
                    idempotency_key=idempotency,
                    request_timeout=55,
                )
        return E2BSandbox(made)

    async def connect(self, sandbox_id: str, *, time_s: float) -> "E2BSandbox":
        """Connect to a sandbox, resuming it when it is paused. Raises `SandboxLost` for one that is gone."""
        with _translated("the sandbox server", paused_means_lost=True):
            async with asyncio.timeout(60):
                found = await self._sdk().AsyncSandbox.connect(sandbox_id, timeout=int(time_s), request_timeout=55)
        return E2BSandbox(found)

    async def pause(self, sandbox_id: str) -> None:
        """Pause a sandbox with what runs in it; files are synced first where it answers."""
        with _translated("the sandbox server"):
            async with asyncio.timeout(120):
                await self._sdk().AsyncSandbox.pause(sandbox_id, request_timeout=110)

    async def kill(self, sandbox_id: str) -> None:
        """End a sandbox for good."""
        with _translated("the sandbox server"):
            async with asyncio.timeout(CALL_S):
                await self._sdk().AsyncSandbox.kill(sandbox_id, request_timeout=CALL_S)

    async def list(self) -> Sequence[SandboxInfo]:
        """Every sandbox of this account, running and paused."""
        found: list[SandboxInfo] = []
        with _translated("the sandbox server"):
            async with asyncio.timeout(60):
                pages = self._sdk().AsyncSandbox.list()
                while pages.has_next:
                    found += [
                        SandboxInfo(info.sandbox_id, info.state.value == "running", dict(info.metadata))
                        for info in await pages.next_items()
                    ]
        return found


class E2BSandbox:
    """`Sandbox` over the E2B SDK. Never used as a context manager: the SDK's kills the sandbox on exit."""

    def __init__(self, sdk: "AsyncSandbox") -> None:
        self._sdk = sdk
        self.id: str = sdk.sandbox_id

    async def run(self, command: str, *, time_s: float = 60, envs: Mapping[str, str] | None = None) -> Ran:
        """Run a shell command to its end; its exit code is part of the answer, not an error."""
        from e2b import CommandExitException

        with _translated("the sandbox"):
            async with asyncio.timeout(time_s + CALL_S):
                try:
                    done = await self._sdk.commands.run(
                        command, envs=dict(envs or {}), timeout=time_s, request_timeout=CALL_S
                    )
                except CommandExitException as ended:
                    return Ran(ended.exit_code, ended.stdout, ended.stderr)
        return Ran(done.exit_code, done.stdout, done.stderr)

    async def start(self, command: str, *, envs: Mapping[str, str] | None = None) -> int:
        """Start a command that outlives us, stdin open.

        `timeout=0` because envd kills a background process at its deadline; the handle is let go of because output
        nobody reads is thrown away, so the command must write to files.
        """
        with _translated("the sandbox"):
            async with asyncio.timeout(CALL_S):
                handle = await self._sdk.commands.run(
                    command,
                    background=True,
                    stdin=True,
                    timeout=0,
                    envs=dict(envs or {}),
                    request_timeout=CALL_S,
                    retain_output=False,
                )
                await handle.disconnect()
        return int(handle.pid)

    async def follow(self, command: str, *, time_s: float) -> AsyncGenerator[str, None]:
        """Yield what `command` prints. It ends with the command, or after `time_s` seconds (the server kills it)."""
        pieces: asyncio.Queue[str | Exception | None] = asyncio.Queue(FOLLOW_PIECES)
        with _translated("the sandbox"):
            async with asyncio.timeout(CALL_S):
                handle = await self._sdk.commands.run(
                    command,
                    background=True,
                    timeout=time_s,
                    on_stdout=pieces.put,
                    request_timeout=CALL_S,
                    retain_output=False,
                )
        ending = asyncio.ensure_future(_end_of(handle, pieces))
        try:
            while isinstance(piece := await pieces.get(), str):
                yield piece
        finally:
            await _let_go(handle, ending)
        if piece is not None:
            with _translated("the sandbox"):
                raise piece

    async def send_stdin(self, pid: int, data: str) -> None:
        """Write to a process's stdin. Raises `ProcessGone` also for one that has just ended, or reads no more."""
        try:
            with _translated("the agent's process", gone_means=ProcessGone):
                async with asyncio.timeout(CALL_S):
                    await self._sdk.commands.send_stdin(pid, data, request_timeout=CALL_S)
        except SandboxError as error:
            if any(words in str(error).lower() for words in _NOBODY_READS):
                raise ProcessGone(str(error)) from error
            raise

    async def read_file(self, path: str, limit: int | None = None) -> bytes:
        """A file's bytes. Raises `FileNotFoundError` when there is none, `TooLarge` past `limit`."""
        with _translated("the sandbox", gone_means=FileNotFoundError):
            async with asyncio.timeout(FILE_S):
                if limit is None:
                    return bytes(await self._sdk.files.read(path, format="bytes", request_timeout=FILE_S))
                data = bytearray()
                answer = await self._sdk.files.read(path, format="stream", request_timeout=FILE_S)
                async with aclosing(answer) as pieces:
                    async for piece in pieces:
                        data += piece
                        if len(data) > limit:
                            raise TooLarge(f"it has more than {limit:,} bytes")
                return bytes(data)

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file, making its folders."""
        with _translated("the sandbox"):
            async with asyncio.timeout(FILE_S):
                await self._sdk.files.write(path, data, request_timeout=FILE_S)

    async def upload(self, path: str, source: Path) -> None:
        """Copy a local file into the sandbox, piece by piece."""
        with _translated("the sandbox"), source.open("rb") as data:
            async with asyncio.timeout(UPLOAD_S):
                await self._sdk.files.write(path, data, request_timeout=UPLOAD_S)

    async def list_files(self, path: str, depth: int = 1) -> Sequence[tuple[str, bool, int]]:
        """(path, is a folder, size in bytes) of what is in a folder. Raises `FileNotFoundError` when there is none."""
        with _translated("the sandbox", gone_means=FileNotFoundError):
            async with asyncio.timeout(CALL_S):
                entries = await self._sdk.files.list(path, depth=depth, request_timeout=CALL_S)
        return [(entry.path, entry.type is not None and entry.type.value == "dir", entry.size) for entry in entries]

    async def keep_alive(self, seconds: float) -> None:
        """Let the sandbox live `seconds` more from now."""
        with _translated("the sandbox"):
            async with asyncio.timeout(CALL_S):
                await self._sdk.set_timeout(int(seconds), request_timeout=CALL_S)


async def _end_of(handle: "AsyncCommandHandle[Any]", pieces: "asyncio.Queue[str | Exception | None]") -> None:
    """Put what a command ended with behind what it printed; neither its exit code nor its deadline is news here."""
    from e2b import CommandExitException, SandboxException

    end: Exception | None = None
    try:
        await handle.wait()
    except CommandExitException:
        pass
    except SandboxException as error:
        # envd ends the stream of a command it killed at its deadline with this code.
        if "deadline" not in str(error).lower() and "canceled" not in str(error).lower():
            end = error
    except Exception as error:  # noqa: BLE001 - the reader gets it
        end = error
    await pieces.put(end)


async def _let_go(handle: "AsyncCommandHandle[Any]", ending: "asyncio.Future[None]") -> None:
    """Kill a followed command, bounded, whatever is the matter; one left behind ends at its deadline."""
    if ending.done():
        return
    ending.cancel()
    # Not awaited itself: its cancellation would be taken for ours.
    await asyncio.wait((ending,), timeout=LET_GO_S)
    with suppress(Exception):
        async with asyncio.timeout(LET_GO_S):
            await handle.disconnect()
            await handle.kill()


@contextmanager
def _translated(
    what: str, *, paused_means_lost: bool = False, gone_means: type[Exception] | None = None
) -> Iterator[None]:
    """Turn the SDK's errors into ours.

    The SDK says "not running" for a paused and for a killed sandbox alike; connecting tells them apart.
    Connection failures surface as raw httpx errors (e2b 2.63), so anything network-like is `Unavailable`.
    """
    import e2b
    import httpx

    try:
        yield
    except TimeoutError as error:
        raise Unavailable(what, "it did not answer in time") from error
    except e2b.AuthenticationException as error:
        raise Misconfigured("The sandbox server refused E2B_API_KEY; set a valid one.") from error
    except e2b.SandboxNotFoundException as error:
        raise SandboxLost("The sandbox no longer exists.") from error
    except e2b.SandboxNotRunningException as error:
        raise (SandboxLost if paused_means_lost else SandboxPaused)("The sandbox is not running.") from error
    except e2b.NotFoundException as error:
        raise (gone_means or SandboxError)(str(error)) from error
    except e2b.NotEnoughSpaceException as error:
        raise DiskFull from error
    except (e2b.TimeoutException, e2b.RateLimitException, e2b.ServiceBusyException) as error:
        raise Unavailable(what, str(error)[:200]) from error
    except e2b.SandboxException as error:
        if error.status_code is not None and error.status_code >= 500:
            raise Unavailable(what, str(error)[:200]) from error
        raise SandboxError(str(error)[:500]) from error
    except Exception as error:
        # A bare `Exception` is what the SDK has for a stream that closed before its command ended (e2b 2.63).
        if not isinstance(error, httpx.HTTPError | OSError) and type(error) is not Exception:
            raise
        raise Unavailable(what, f"{type(error).__name__}: {error}"[:200]) from error
