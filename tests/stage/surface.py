"""A surface that keeps what was done to it, and fails when a test says so. It stands around a real one."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from core.domain.approval import Approval
from core.domain.chat import Place, Platform
from core.domain.view import View
from core.errors import Ambiguous, SurfaceError
from core.ports import Allowance, Call, FileLimit, Payload, Receipt, Surface

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Refuse:
    """The call is not carried out, and raises this."""

    error: SurfaceError


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The call is carried out, and its answer never comes."""


@dataclass(frozen=True, slots=True)
class Hang:
    """The call takes until `release`; it is carried out before that, or not at all."""

    is_done: bool = False


Fault = Refuse | LoseAnswer | Hang


@dataclass(frozen=True, slots=True)
class Done:
    """One call as it was made. `post` is the post's id, or the message's for a receipt."""

    call: Call
    post: str
    body: dict[str, Any]
    fault: Fault | None = None


@dataclass(slots=True)
class RecordingSurface:
    """`core.ports.Surface` around `inner`."""

    inner: Surface
    done: list[Done] = field(default_factory=list)
    finds: int = 0
    _faults: dict[Call, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    _of_files: deque[Fault] = field(default_factory=deque)
    hanging: int = 0
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def platform(self) -> Platform:
        return self.inner.platform

    def fail(self, call: Call, *faults: Fault) -> None:
        """Let the next calls of this kind go wrong like this, one after another."""
        self._faults[call].extend(faults)

    def fail_file(self, *faults: Fault) -> None:
        """Let the next posts of files go wrong like this, whatever else is sent meanwhile."""
        self._of_files.extend(faults)

    def forget_faults(self) -> None:
        """Let what was to go wrong go well."""
        self._faults.clear()
        self._of_files.clear()

    def release(self) -> None:
        """Let every call that hangs go on, now and later."""
        self._released.set()

    def of(self, call: Call) -> list[Done]:
        return [done for done in self.done if done.call is call]

    def render(self, view: View) -> Sequence[Payload]:
        return self.inner.render(view)

    def render_approval(self, approval: Approval) -> Sequence[Payload]:
        return self.inner.render_approval(approval)

    async def file_limit(self, place: Place) -> FileLimit:
        return await self.inner.file_limit(place)

    def render_file(self, name: str, data: bytes) -> Payload:
        return self.inner.render_file(name, data)

    def allowance(self, place: Place, call: Call) -> Allowance:
        return self.inner.allowance(place, call)

    async def send(self, place: Place, payload: Payload, mark: str) -> str:
        faults = self._of_files if payload.is_file else self._faults[Call.SEND]
        return await self._do(Call.SEND, "", payload.body, lambda: self.inner.send(place, payload, mark), faults)

    async def find(self, place: Place, mark: str, since: datetime) -> str | None:
        self.finds += 1
        return await self.inner.find(place, mark, since)

    async def edit(self, place: Place, external_id: str, payload: Payload) -> None:
        await self._do(Call.EDIT, external_id, payload.body, lambda: self.inner.edit(place, external_id, payload))

    async def delete(self, place: Place, external_id: str) -> None:
        await self.inner.delete(place, external_id)

    def looks_alike(self, receipt: Receipt, before: Receipt | None) -> bool:
        return self.inner.looks_alike(receipt, before)

    async def receipt(self, place: Place, message: str, receipt: Receipt, before: Receipt | None) -> None:
        body = {"receipt": receipt.value, "before": before.value if before else None}
        await self._do(Call.MARK, message, body, lambda: self.inner.receipt(place, message, receipt, before))

    async def _do(
        self,
        call: Call,
        post: str,
        body: dict[str, Any],
        do: Callable[[], Awaitable[Answer]],
        faults: deque[Fault] | None = None,
    ) -> Answer:
        faults = self._faults[call] if faults is None else faults
        fault = faults.popleft() if faults else None
        match fault:
            case Refuse():
                self.done.append(Done(call, post, body, fault))
                raise fault.error
            case Hang(is_done=False):
                self.hanging += 1
                await self._released.wait()
                raise Ambiguous("nothing was done")
            case _:
                answer = await do()
        self.done.append(Done(call, post or str(answer), body, fault))
        if isinstance(fault, Hang):
            self.hanging += 1
            await self._released.wait()
        if fault is not None:
            raise Ambiguous("the answer was lost")
        return answer
