"""Giving a chat its seat: a running sandbox with the agent's program in it, found or made.

In order: the sandbox is connected (which resumes it) or created; the program of the last run is looked for; if it is
gone it is started, on its memory when the sandbox still has that. What was decided is a `Seated`; the caller stores
its seat under the fence. Next: `worker/agent/process.py`.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from core.domain.chat import AgentSeat, Chat
from core.domain.states import Actor, SandboxState, step
from core.errors import Misconfigured, SandboxError, Unavailable
from core.ports import Sandbox, SandboxProvider
from worker.agent import process
from worker.agent.ending import need_room
from worker.agent.options import Launch, ModelAccess, argv, environment, sdk_options

if TYPE_CHECKING:
    from claude_agent_sdk import ClaudeAgentOptions

log = structlog.get_logger(__name__)
SANDBOX_LIFE_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Access:
    """What the worker's settings say about reaching the model from a sandbox.

    `mint` makes a chat's token. `public_url` is the gateway's address for sandboxes that have no socket of it.
    `key_in_sandbox` holds the credential's variables where THREADWORK_ALLOW_KEY_IN_SANDBOX=1.
    """

    mint: Callable[[str], str]
    public_url: str | None = None
    key_in_sandbox: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Seated:
    """A chat with its sandbox connected and its agent's program running.

    `is_new`: the program was started just now. `is_resumed`: on the memory of an earlier one. `is_alive`: it runs; one
    that does not is there only for what its journal still holds.
    """

    sandbox: Sandbox
    seat: AgentSeat
    options: "ClaudeAgentOptions"
    is_new: bool
    is_resumed: bool
    is_alive: bool = True


class Seats(Protocol):
    """What a run needs of `Seating`, which a trace is laid around."""

    async def sandbox(self, chat: Chat, fence_epoch: int) -> tuple[Sandbox, AgentSeat]: ...
    async def agent(self, chat: Chat, sandbox: Sandbox, seat: AgentSeat, *, may_start: bool) -> Seated | None: ...


class Seating:
    """Finds or makes the seats of chats. `bring_cli` puts the CLI into a sandbox whose image has none."""

    def __init__(
        self, provider: SandboxProvider, access: Access, bring_cli: Callable[[Sandbox], Awaitable[str]]
    ) -> None:
        self._provider = provider
        self._access = access
        self._bring_cli = bring_cli

    async def sandbox(self, chat: Chat, fence_epoch: int) -> tuple[Sandbox, AgentSeat]:
        """The chat's sandbox, running. Raises `SandboxLost` when it had one that is gone."""
        seat = chat.seat
        if seat.sandbox_id is not None and seat.sandbox_state is not SandboxState.LOST:
            sandbox = await self._provider.connect(seat.sandbox_id, time_s=SANDBOX_LIFE_S)
            if seat.sandbox_state is not SandboxState.RUNNING:
                seat = replace(seat, sandbox_state=step(seat.sandbox_state, SandboxState.RUNNING, Actor.RUN))
            return sandbox, seat
        made = await self._provider.create(
            {"threadwork_chat": str(chat.id), "threadwork_key": chat.place.key},
            idempotency=f"{chat.id}-{fence_epoch}",
            time_s=SANDBOX_LIFE_S,
        )
        return made, AgentSeat(
            sandbox_id=made.id, sandbox_state=step(seat.sandbox_state, SandboxState.RUNNING, Actor.RUN)
        )

    async def agent(self, chat: Chat, sandbox: Sandbox, seat: AgentSeat, *, may_start: bool) -> Seated | None:
        """The agent's program in this sandbox: the one that lives, or a new one.

        Returns None when it would have to be started and `may_start` is false. A program that ended but whose
        journal was not read to the end is returned as it is: its reader will come to the end by itself.
        """
        launch = Launch(chat.settings.mode, chat.settings.model)
        if seat.run_dir is not None and seat.pid is not None:
            is_alive = await process.life(sandbox, seat.run_dir) is process.Life.ALIVE
            if is_alive or await self._has_unread(sandbox, seat):
                return Seated(sandbox, seat, sdk_options(launch), is_new=False, is_resumed=False, is_alive=is_alive)
        if not may_start:
            return None
        return await self._start(chat, sandbox, seat, launch)

    @staticmethod
    async def _has_unread(sandbox: Sandbox, seat: AgentSeat) -> bool:
        """Whether the journal of a dead program holds whole lines behind the stored offset."""
        assert seat.run_dir is not None  # noqa: S101 - the caller looked
        rest = await sandbox.run(f"{process.rest_command(seat.run_dir, seat.offset)} | wc -l", time_s=30)
        lines = int(rest.stdout.strip() or 0) if rest.stdout.strip().isdigit() else 0
        return lines > (1 if seat.offset > 0 else 0)

    async def _start(self, chat: Chat, sandbox: Sandbox, seat: AgentSeat, launch: Launch) -> Seated:
        await need_room(sandbox)
        cli = await process.find_cli(sandbox) or await self._bring_cli(sandbox)
        session = seat.session_id
        if session is not None and not await process.has_session(sandbox, session):
            log.warning("memory_missing", chat=str(chat.id), session=session)
            session = None
        options = sdk_options(replace(launch, resume=session))
        number = int(seat.run_dir.rsplit("/", 1)[1]) + 1 if seat.run_dir else 1
        envs = environment(await self._model_access(chat, sandbox))
        started = await process.start(sandbox, argv(options, cli), envs, number)
        fresh = replace(
            seat,
            pid=started.pid,
            run_dir=started.run_dir,
            offset=0,
            pending={},
            session_id=session,
            # A new session counts its cost from nothing; a resumed one goes on counting.
            cost_seen_usd=seat.cost_seen_usd if session else Decimal(0),
        )
        return Seated(sandbox, fresh, options, is_new=True, is_resumed=session is not None)

    async def _model_access(self, chat: Chat, sandbox: Sandbox) -> ModelAccess:
        token = self._access.mint(str(chat.id))
        if await process.has_gateway(sandbox):
            return ModelAccess(token)
        if self._access.public_url:
            return ModelAccess(token, base_url=self._access.public_url)
        if self._access.key_in_sandbox:
            return ModelAccess(token, credential=self._access.key_in_sandbox)
        raise Misconfigured(
            "A sandbox on that server cannot reach the model. Set THREADWORK_PUBLIC_URL to the gateway's address as "
            "sandboxes see it, for example https://threadwork.example.com/gateway, or allow the key inside with "
            "THREADWORK_ALLOW_KEY_IN_SANDBOX=1."
        )


def lost(seat: AgentSeat) -> AgentSeat:
    """The seat after its sandbox is gone: no process, no memory; what was already paid for stays counted."""
    return AgentSeat(sandbox_state=step(seat.sandbox_state, SandboxState.LOST, Actor.RUN))


async def end_agent(seats: Seats, chat: Chat, fence_epoch: int) -> AgentSeat:
    """Make sure that the chat's agent is gone, as far as its sandbox can be reached; the seat without it."""
    if chat.seat.run_dir is not None and chat.seat.sandbox_id is not None:
        with suppress(SandboxError, Unavailable):
            sandbox, _ = await seats.sandbox(chat, fence_epoch)
            await process.kill(sandbox, chat.seat.run_dir)
    return replace(chat.seat, pid=None)


async def empty_journal(sandbox: Sandbox, seat: AgentSeat, above: int) -> None:
    """Empty the agent's journal, read to its end, when it holds more than `above` bytes; the next time, if not now."""
    if seat.run_dir is None or seat.offset <= above:
        return
    try:
        if await process.rotate(sandbox, seat.run_dir, seat.offset, above):
            log.info("journal_rotated", at=seat.offset)
    except SandboxError as error:
        log.warning("journal_not_rotated", why=str(error))
