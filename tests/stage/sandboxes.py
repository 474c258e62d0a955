"""Real sandboxes that can be told to start programs otherwise than asked, to refuse words, and to pause late."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from core.ports import Sandbox, SandboxInfo, SandboxProvider

# A model that is away is given up within seconds.
HASTY = {
    "CLAUDE_CODE_MAX_RETRIES": "1",
    "API_TIMEOUT_MS": "4000",
    "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": "2000",
}


class Provider:
    """`core.ports.SandboxProvider` around a real one.

    `envs` is added to the environment of what is started; so many of the next programs, `dying`, end as they begin;
    each word to a program raises the next of `refusing` instead, while there is one. A pause waits for `may_pause`;
    `pausing` names the sandboxes that one was asked for.
    """

    def __init__(self, inner: SandboxProvider) -> None:
        self._inner = inner
        self.envs: dict[str, str] = {}
        self.dying = 0
        self.refusing: list[Exception] = []
        self.made: list[str] = []
        self.pausing: list[str] = []
        self.may_pause = asyncio.Event()
        self.may_pause.set()

    async def create(self, metadata: Mapping[str, str], *, idempotency: str, time_s: float) -> Sandbox:
        made = await self._inner.create(metadata, idempotency=idempotency, time_s=time_s)
        self.made.append(made.id)
        return _Told(made, self)

    async def connect(self, sandbox_id: str, *, time_s: float) -> Sandbox:
        return _Told(await self._inner.connect(sandbox_id, time_s=time_s), self)

    async def pause(self, sandbox_id: str) -> None:
        self.pausing.append(sandbox_id)
        await self.may_pause.wait()
        await self._inner.pause(sandbox_id)

    async def kill(self, sandbox_id: str) -> None:
        await self._inner.kill(sandbox_id)

    async def list(self) -> Sequence[SandboxInfo]:
        return await self._inner.list()


class _Told:
    """A sandbox that does what its provider was told to, and is the real one for everything else."""

    def __init__(self, inner: Sandbox, told: Provider) -> None:
        self._inner = inner
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def start(self, command: str, *, envs: Mapping[str, str] | None = None) -> int:
        if self._told.dying:
            self._told.dying -= 1
            command = command.replace("exec ", "exit 3; exec ", 1)
        return await self._inner.start(command, envs={**(envs or {}), **self._told.envs})

    async def send_stdin(self, pid: int, data: str) -> None:
        if self._told.refusing:
            raise self._told.refusing.pop(0)
        await self._inner.send_stdin(pid, data)
