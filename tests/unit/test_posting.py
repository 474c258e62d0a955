"""The ledger of posts: a run that lost its chat shows nothing any more."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from core.bus.counters import LocalCounters
from core.domain.chat import ChatId, Place, Platform
from core.domain.turn import TurnId
from core.errors import Fenced
from core.ports import Allowance, Call, Fence, Payload, Post, PostState, Priority
from worker.posting import Posting

PLACE = Place(Platform.SLACK, "T1", "C1", "1.1")
CHAT, TURN, SLOT = ChatId(uuid4()), TurnId(uuid4()), "turn:0"
RESERVED = Post(
    uuid4(), CHAT, TURN, SLOT, "m", PostState.RESERVED, None, None, datetime(2026, 1, 1, tzinfo=UTC), tried=False
)
SENT = replace(RESERVED, state=PostState.SENT, external_id="1.2", fingerprint="old", tried=True)


@dataclass(slots=True)
class Scripted:
    """A ledger that takes everything, a surface that keeps what reached it, and a hold that is lost or not."""

    is_lost: bool
    fence: Fence = field(default_factory=lambda: Fence(CHAT, 1))
    reached: list[str] = field(default_factory=list)

    async def confirm(self) -> None:
        if self.is_lost:
            raise Fenced("another run has the chat")

    async def reserve(self, fence: Fence, turn_id: TurnId, slot: str) -> Post:
        return RESERVED

    async def trying(self, fence: Fence, post_id: UUID) -> None: ...

    async def sent(self, fence: Fence, post_id: UUID, external_id: str, fingerprint: str) -> None: ...

    async def edited(self, fence: Fence, post_id: UUID, fingerprint: str) -> None: ...

    async def spend(self, allowance: Allowance, priority: Priority) -> None: ...

    def allowance(self, place: Place, call: Call) -> Allowance:
        return Allowance("slack:T1", 1, 1)

    async def send(self, place: Place, payload: Payload, mark: str) -> str:
        self.reached.append("send")
        return "1.2"

    async def edit(self, place: Place, external_id: str, payload: Payload) -> None:
        self.reached.append("edit")

    async def find(self, place: Place, mark: str, since: datetime) -> str | None:
        return "1.2"


def posting(on: Scripted) -> Posting:
    stand_in = cast("Any", on)
    return Posting(stand_in, stand_in, stand_in, stand_in, PLACE, counters=LocalCounters())


# What is known of the post, and what is called for it: one that is new, one that a dead run may have sent, one on screen.
WAYS = [
    pytest.param({}, "send", id="new"),
    pytest.param({SLOT: replace(RESERVED, tried=True)}, "edit", id="tried"),
    pytest.param({SLOT: SENT}, "edit", id="shown"),
]


@pytest.mark.parametrize(("known", "call"), WAYS)
async def test_a_run_whose_chat_was_taken_sends_and_edits_nothing(known: dict[str, Post], call: str) -> None:
    lost, ours = Scripted(is_lost=True), Scripted(is_lost=False)
    with pytest.raises(Fenced):
        await posting(lost).put(TURN, dict(known), SLOT, Payload({"text": "a"}))
    await posting(ours).put(TURN, dict(known), SLOT, Payload({"text": "a"}))

    assert (lost.reached, ours.reached) == ([], [call])


async def test_a_run_whose_chat_was_taken_sends_no_file() -> None:
    lost, ours, payload = Scripted(is_lost=True), Scripted(is_lost=False), Payload({}, {"a.txt": b"a"}, is_file=True)
    with pytest.raises(Fenced):
        await posting(lost).put_file(TURN, "file:a", payload)
    await posting(ours).put_file(TURN, "file:a", payload)

    assert (lost.reached, ours.reached) == ([], ["send"])
