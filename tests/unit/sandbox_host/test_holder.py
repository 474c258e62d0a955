"""The host's end of a sandbox, against something inside that does not keep to the protocol."""

import asyncio
import json
import os
import socket
import struct
import subprocess
from collections.abc import AsyncIterator

import pytest

from core.errors import Unavailable
from threadwork.sandbox_host.holder import Holder, Refused


class Inside:
    """The other end, and what the host was told."""

    def __init__(self) -> None:
        ours, self.socket = socket.socketpair()
        self.child = subprocess.Popen(["sleep", "1000"])
        self.told: list[object] = []
        self.is_gone = asyncio.Event()
        self.holder = Holder(ours, self.child, self)

    def exited(self, pid: int, status: int) -> None:
        self.told.append((pid, status))

    def limited(self, what: str, pid: int) -> None:
        self.told.append((what, pid))

    def gone(self) -> None:
        self.is_gone.set()

    def say(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    async def order(self) -> dict[str, object]:
        raw = await asyncio.to_thread(self.socket.recv, 1 << 16)
        order = json.loads(raw[4:])
        assert isinstance(order, dict)
        return order


def frame(**message: object) -> bytes:
    raw = json.dumps({"fds": 0, **message}).encode()
    return struct.pack("!I", len(raw)) + raw


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    inside = Inside()
    yield inside
    inside.child.kill()
    await inside.holder.close()
    inside.socket.close()


async def test_an_answer_goes_to_who_asked_however_it_is_cut(inside: Inside) -> None:
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        asked = group.create_task(inside.holder.ask("stat", path="x"))
        order = await inside.order()
        for byte in frame(call=order["call"], entry="e"):
            inside.say(bytes([byte]))
            await asyncio.sleep(0)
    assert asked.result() == ({"fds": 0, "call": 1, "entry": "e"}, [])


async def test_a_descriptor_comes_with_its_answer(inside: Inside) -> None:
    reader, writer = os.pipe()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        asked = group.create_task(inside.holder.ask("read", path="x"))
        order = await inside.order()
        socket.send_fds(inside.socket, [frame(call=order["call"], fds=1)], [reader])
    os.write(writer, b"through")
    (received,) = asked.result()[1]
    assert os.read(received, 100) == b"through"
    for descriptor in (reader, writer, received):
        os.close(descriptor)


async def test_a_refusal_is_raised_with_its_errno(inside: Inside) -> None:
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        asked = group.create_task(refusal(inside.holder))
        await inside.order()
        inside.say(frame(call=1, errno=2, message="not there"))
    assert asked.result() == 2


async def refusal(holder: Holder) -> int:
    with pytest.raises(Refused) as refused:
        await holder.ask("stat", path="x")
    return refused.value.number


@pytest.mark.parametrize(
    "nonsense",
    [
        struct.pack("!I", 1 << 30),
        struct.pack("!I", 3) + b"{x}",
        frame(call=7, fds=3),
        frame(event="exit"),
        frame(event="exit", pid="x", status=0),
        struct.pack("!I", 2) + b"[]",
    ],
)
async def test_nonsense_from_inside_ends_the_sandbox_and_nothing_else(inside: Inside, nonsense: bytes) -> None:
    async with asyncio.timeout(30):
        inside.say(nonsense)
        await inside.is_gone.wait()
    with pytest.raises(Unavailable):
        await inside.holder.ask("stat", path="x")


async def test_who_waits_for_an_answer_hears_that_the_sandbox_is_gone(inside: Inside) -> None:
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        asked = group.create_task(loss(inside.holder))
        await inside.order()
        inside.socket.close()
        await inside.is_gone.wait()
    assert asked.done()


async def loss(holder: Holder) -> None:
    with pytest.raises(Unavailable):
        await holder.ask("stat", path="x")


async def test_events_are_told(inside: Inside) -> None:
    inside.say(frame(event="ready") + frame(event="exit", pid=5, status=-9) + frame(event="limit", what="disk", pid=6))
    async with asyncio.timeout(30):
        await inside.holder.ready
        while len(inside.told) < 2:
            await asyncio.sleep(0.01)
    assert inside.told == [(5, -9), ("disk", 6)]
