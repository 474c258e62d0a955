"""One attached agent: `ClaudeSDKClient` on a `JournalTransport`, and what a run says to it.

`open_session` attaches to a process that lives, or was just started, and detaches on exit. Messages are written with
our own uuid, so that writing one twice is harmless (the CLI ignores a uuid it has seen). Next: `worker/run_chat.py`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from claude_agent_sdk import ClaudeSDKClient, CLIConnectionError

from core.domain.chat import Mode
from core.errors import AgentError, SandboxError, ThreadworkError, Unavailable
from core.ports import Sandbox
from worker.agent.ending import is_disk_full
from worker.agent.options import cli_mode
from worker.agent.transport import JournalItem, JournalTransport

if TYPE_CHECKING:
    from claude_agent_sdk import ClaudeAgentOptions
    from claude_agent_sdk.types import PermissionResult, ToolPermissionContext

CONTROL_S: Final = 10.0
INITIALIZE_S: Final = 60.0
_LAST_WORDS_S: Final = 5.0

CanUseTool = Callable[[str, dict[str, Any], "ToolPermissionContext"], Awaitable["PermissionResult"]]


class Session:
    """What a run can say to its agent. Every call is bounded and raises `AgentError` when nothing answers."""

    def __init__(self, client: ClaudeSDKClient, transport: JournalTransport, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._client = client
        self._transport = transport

    async def say(self, uuid: str, text: str) -> None:
        """Hand the agent a message. `client_composed`: as it stands, with no `@file` or `/command` in it followed."""
        line = {
            "type": "user",
            "message": {"role": "user", "content": text},
            "parent_tool_use_id": None,
            "session_id": "default",
            "uuid": uuid,
            "client_composed": True,
        }
        try:
            await self._transport.write(json.dumps(line) + "\n")
        except CLIConnectionError as error:
            if isinstance(error.__cause__, ThreadworkError):
                # What the sandbox said of it: it may pass, or the program may be gone.
                raise error.__cause__ from error
            raise AgentError("The agent could not be told.") from error

    async def interrupt(self) -> None:
        """Stop what the agent is doing; its turn then ends by itself."""
        await self._asked(self._client.interrupt())

    async def set_mode(self, mode: Mode) -> None:
        """Change the CLI's own permission mode."""
        await self._asked(self._client.set_permission_mode("plan" if cli_mode(mode) == "plan" else "default"))

    async def set_model(self, model: str | None) -> None:
        """Change the model from the next request on."""
        await self._asked(self._client.set_model(model))

    async def forget(self, uuid: str) -> None:
        """Drop a message the CLI has queued but not begun."""
        query = self._client._query  # noqa: SLF001 - the SDK has no public call for it
        if query is not None:
            request = {"subtype": "cancel_async_message", "message_uuid": uuid}
            await self._asked(query._send_control_request(request))  # noqa: SLF001 - as above

    async def is_disk_full(self) -> bool:
        """Whether nothing can be written in the sandbox; False where it does not tell."""
        try:
            return await is_disk_full(self._sandbox)
        except (SandboxError, Unavailable):
            return False

    async def _asked(self, call: Awaitable[Any]) -> None:
        try:
            async with asyncio.timeout(CONTROL_S):
                await call
        except TimeoutError as error:
            raise AgentError("The agent does not answer.") from error
        except Exception as error:
            # The SDK raises bare `Exception` for an error answer.
            raise AgentError("The agent refused.") from error


@asynccontextmanager
async def open_session(
    sandbox: Sandbox,
    options: "ClaudeAgentOptions",
    *,
    pid: int,
    run_dir: str,
    offset: int,
    pending: Iterable[str],
    is_new: bool,
    deliver: Callable[[JournalItem], Awaitable[None]],
    confirm: Callable[[], Awaitable[None]],
    can_use_tool: CanUseTool,
) -> AsyncIterator[Session]:
    """Attach to the agent's process and detach on exit, leaving it and its open questions alive.

    `is_new`: the process was just started and waits for its `initialize`. Raises `AgentError` if it never answers.
    What goes wrong with the reading later is delivered as a `JournalBroke`.
    """
    transport = JournalTransport(
        sandbox,
        pid=pid,
        run_dir=run_dir,
        offset=offset,
        pending=pending,
        deliver=deliver,
        confirm=confirm,
        is_new=is_new,
    )
    client = ClaudeSDKClient(replace(options, can_use_tool=can_use_tool), transport=transport)
    # No task group: what goes wrong in the body must leave it as it is, and these two tasks never fail.
    reading = asyncio.create_task(transport.pump(), name="journal")
    tasks = [reading]
    try:
        await _connected(client, reading if is_new else None)
        tasks.append(asyncio.create_task(_drain(client), name="sdk messages"))
        yield Session(client, transport, sandbox)
    finally:
        for task in tasks:
            task.cancel()
        await transport.close()
        await _disconnected(client)
        await asyncio.wait(tasks, timeout=5)


async def _connected(client: ClaudeSDKClient, reading: "asyncio.Task[None] | None") -> None:
    """Connect the SDK, which would wait its time for the answer of a program whose journal (`reading`) has ended."""
    connecting = asyncio.ensure_future(client.connect())
    try:
        async with asyncio.timeout(INITIALIZE_S):
            await asyncio.wait({connecting, reading or connecting}, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise AgentError("The agent's program ended while it was starting.")
            await connecting
    except AgentError:
        raise
    except TimeoutError as error:
        raise AgentError("The agent's program did not start in time.") from error
    except Exception as error:
        if reading is not None and (await asyncio.wait({reading}, timeout=_LAST_WORDS_S))[0]:
            # It reads no more, because it has ended.
            raise AgentError("The agent's program ended while it was starting.") from error
        raise AgentError("The agent's program could not be started.") from error
    finally:
        connecting.cancel()
        await asyncio.wait({connecting}, timeout=_LAST_WORDS_S)
        if connecting.done() and not connecting.cancelled():
            # Seen, whatever it is: when this run is cancelled, the SDK may still raise.
            connecting.exception()


async def _drain(client: ClaudeSDKClient) -> None:
    """Read the SDK's messages for ever: there are none but its errors, and a full queue would stop everything."""
    try:
        async for _message in client.receive_messages():
            pass
    except Exception:  # noqa: BLE001,S110 - the end of the program is told by the journal
        pass


async def _disconnected(client: ClaudeSDKClient) -> None:
    try:
        async with asyncio.timeout(5):
            await client.disconnect()
    except Exception:  # noqa: BLE001,S110 - detaching must not hide why
        pass
