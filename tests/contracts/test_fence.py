"""Every write of a run whose epoch is over raises `Fenced` and changes nothing.

The writes are found by their signatures in `core/ports.py`: one that is added there is tried here too, or fails for
want of an argument.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from sqlalchemy import text

from core import ports
from core.domain.approval import ApprovalKind, Decision, Verdict
from core.errors import Fenced
from core.ports import Asked, Fence, Stores
from tests.contracts.stage import LONG_S, OVER_S, SEAT, Stage, end, wrote

PORTS = {field.name: getattr(ports, str(getattr(field.type, "__name__", field.type))) for field in fields(Stores)}
WRITES = [
    f"{store}.{name}"
    for store, port in PORTS.items()
    for name, method in inspect.getmembers(port, inspect.isfunction)
    if "fence" in inspect.signature(method).parameters
]
# `check` only reads, and takes no lock.
CHANGING = [write for write in WRITES if write != "chats.check"]


@dataclass(frozen=True, slots=True)
class Scene:
    """A chat in the middle of everything, and an argument for every parameter a fenced write has."""

    fence: Fence
    arguments: dict[str, dict[str, Any]]

    def call(self, stores: Stores, write: str, fence: Fence) -> Awaitable[Any]:
        store, name = write.split(".")
        method: Callable[..., Awaitable[Any]] = getattr(getattr(stores, store), name)
        given = self.arguments["any"] | self.arguments.get(write, {})
        names = [p.name for p in inspect.signature(method).parameters.values() if p.default is p.empty]
        return method(**{wanted: fence if wanted == "fence" else given[wanted] for wanted in names})


async def scene(stage: Stage, write: str) -> Scene:
    """Set the stage so that `write` is legal there for a run that has the chat."""
    stores = stage.stores
    fence, ended, _ = await stage.begun(thread=write)
    await stores.turns.finish(fence, ended.id, 2, end(), SEAT)
    first = (await stage.says("the next", thread=write)).message
    queued = (await stage.says("one more", thread=write)).message
    any_arguments: dict[str, Any] = {
        "ids": [queued.id],
        "message_id": queued.id,
        "receipt": "working",
        "lease_s": LONG_S,
        "seat": replace(SEAT, offset=99, session_id="s2", pending={}),
        "first_seq": 3,
        "seq": 3,
        "events": wrote("a", "b"),
        "end": end(),
        "slot": "turn:1",
        "external_id": "300.1",
        "fingerprint": "f2",
        "tool_use_id": "tu9",
        "why": "The thread is locked.",
    }
    if write == "turns.begin":
        return Scene(fence, {"any": any_arguments})
    turn = await stores.turns.begin(fence, [first.id])
    approval = await stage.asks(fence, turn)
    reserved = await stores.posts.reserve(fence, turn.id, "turn:0")
    sent = await stores.posts.reserve(fence, turn.id, "ask:1")
    await stores.posts.sent(fence, sent.id, "300.0", "f1")
    if write == "turns.unpark":
        await stores.turns.park(fence, turn.id)
    asked = Asked(turn.id, "tu2", ApprovalKind.TOOL, "Bash", {"command": "ls"}, "Run ls")
    any_arguments |= {"turn_id": turn.id, "approval_id": approval.id, "asked": asked, "post_id": reserved.id}
    of_one: dict[str, dict[str, Any]] = {
        "posts.edited": {"post_id": sent.id},
        "turns.shown": {"turn_id": ended.id},
        "turns.cannot_show": {"turn_id": ended.id},
    }
    return Scene(fence, {"any": any_arguments, **of_one})


def test_fenced_writes_are_found() -> None:
    assert len(WRITES) >= 20
    assert {"turns.record", "turns.finish", "posts.sent", "approvals.ask", "chats.save_seat"} <= set(WRITES)


async def test_writes_with_the_chats_epoch_are_carried_out(stage: Stage) -> None:
    for write in WRITES:
        set_up = await scene(stage, write)
        before = await stage.dump()

        await set_up.call(stage.stores, write, set_up.fence)

        assert (await stage.dump() != before) == (write in CHANGING), write


async def test_writes_with_an_old_epoch_are_fenced_and_change_nothing(stage: Stage) -> None:
    for write in WRITES:
        set_up = await scene(stage, write)
        await stage.stores.chats.renew(set_up.fence, OVER_S)
        assert await stage.stores.chats.take(set_up.fence.chat_id, "w2", LONG_S) is not None
        before = await stage.dump()

        with pytest.raises(Fenced):
            await set_up.call(stage.stores, write, set_up.fence)

        assert await stage.dump() == before, write


async def test_writes_that_meet_the_taking_of_their_chat_are_fenced_and_change_nothing(stage: Stage) -> None:
    for write in CHANGING:
        set_up = await scene(stage, write)
        before = await stage.dump()
        async with stage.holding() as taker:
            await taker.execute(text("UPDATE chats SET epoch = epoch + 1"))
            writing = asyncio.ensure_future(set_up.call(stage.stores, write, set_up.fence))
            await stage.someone_waits_for_a_lock()
            await taker.commit()

        with pytest.raises(Fenced):
            await writing
        await stage.runs("UPDATE chats SET epoch = epoch - 1")

        assert await stage.dump() == before, write


async def test_a_persons_decision_and_message_need_no_fence(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    approval = await stage.asks(fence, turn)
    await stage.stores.chats.renew(fence, OVER_S)

    await stage.stores.approvals.decide(approval.id, Decision(Verdict.ALLOW), "Ann")

    assert (await stage.says("more")).is_new
    assert await stage.stores.turns.ask_stop(fence.chat_id, "Ann") == turn.id
