"""Receipts and the edit budget: reactions that must wait hold nothing else up."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from core.bus.counters import LocalCounters
from core.domain.chat import ChatId, Place, Platform
from core.domain.message import FROM_PAGE, Message, MessageId
from core.domain.states import MessageState
from core.errors import Ambiguous, RateLimited
from core.ports import Allowance, Call, Fence, Priority, Receipt
from worker.receipts import Receipts

PLACE = Place(Platform.SLACK, "T1", "C1", "1.000001")


@dataclass(slots=True)
class Scripted:
    """A budget with so many tokens, a store with so many messages, a surface that keeps what it showed."""

    tokens: int
    waiting: list[Message]
    fence: Fence = field(default_factory=lambda: Fence(ChatId(UUID(int=1)), 1))
    shown: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    replaced: list[tuple[Receipt, Receipt | None]] = field(default_factory=list)
    loses_answers: bool = False
    refuses_for_s: float = 0.0
    closed_s: float = 0.0

    async def try_spend(self, allowance: Allowance, priority: Priority) -> float:
        self.tokens -= 1
        return 0.0 if self.tokens >= 0 else 7.5

    async def penalise(self, allowance: Allowance, seconds: float) -> None:
        self.closed_s = seconds

    def allowance(self, place: Place, call: Call) -> Allowance:
        return Allowance("slack:T1:mark", 1, 1)

    def looks_alike(self, receipt: Receipt, before: Receipt | None) -> bool:
        return {receipt, before} == {Receipt.QUEUED, Receipt.WORKING}

    async def receipt(self, place: Place, message: str, receipt: Receipt, before: Receipt | None) -> None:
        self.replaced.append((receipt, before))
        if self.refuses_for_s:
            raise RateLimited(self.refuses_for_s)
        if self.loses_answers:
            raise Ambiguous("the answer was lost")
        self.shown.append(message)

    async def confirm(self) -> None: ...

    async def unmarked(self, chat_id: ChatId) -> Sequence[Message]:
        return [message for message in self.waiting if message.external_id not in self.shown]

    async def marked(self, fence: Fence, message_id: MessageId, receipt: str) -> None:
        self.noted.append(receipt)


def message(number: int) -> Message:
    return Message(
        MessageId(UUID(int=number)),
        ChatId(UUID(int=1)),
        f"slack:T1:C1:{number}",
        str(number),
        "Ann",
        "hello",
        MessageState.ANSWERED,
        (),
        None,
        datetime(2026, 1, 1, tzinfo=UTC),
    )


def receipts(on: Scripted) -> Receipts:
    stand_in = cast("Any", on)
    return Receipts(stand_in, stand_in, stand_in, stand_in, PLACE, counters=LocalCounters())


async def test_a_receipt_that_must_wait_gives_way_and_is_brought_later() -> None:
    on = Scripted(tokens=1, waiting=[message(1), message(2)])
    bringing = receipts(on)
    assert await bringing.bring() == 7.5
    assert on.shown == ["1"]
    assert bringing.is_dirty

    on.tokens = 5
    assert await bringing.bring() == 0.0
    assert on.shown == ["1", "2"]
    assert not bringing.is_dirty


async def test_a_change_that_nobody_would_see_costs_nothing() -> None:
    on = Scripted(tokens=1, waiting=[replace(message(1), state=MessageState.DELIVERED, receipt="queued")])
    assert await receipts(on).bring() == 0.0
    assert (on.tokens, on.shown) == (1, [])


async def test_what_was_written_on_the_page_has_no_message_to_mark() -> None:
    on = Scripted(tokens=1, waiting=[replace(message(1), external_id=f"{FROM_PAGE}abc")])
    bringing = receipts(on)
    assert await bringing.bring() == 0.0
    assert (on.tokens, on.replaced, on.noted) == (1, [], ["answered"])


async def test_with_nothing_to_show_nothing_is_spent() -> None:
    on = Scripted(tokens=1, waiting=[])
    assert await receipts(on).bring() == 0.0
    assert on.tokens == 1


async def test_what_a_dead_run_may_have_shown_goes_with_the_next_receipt() -> None:
    on = Scripted(tokens=5, waiting=[message(1), message(2)])
    bringing = receipts(on)
    bringing.inherit([MessageId(UUID(int=1))])
    assert await bringing.bring() == 0.0

    both = [(Receipt.ANSWERED, None), (Receipt.ANSWERED, Receipt.STEERED)]
    assert on.replaced == [*both, (Receipt.ANSWERED, None)]


async def test_a_message_that_joined_under_a_dead_run_still_shows_that_it_did() -> None:
    on = Scripted(tokens=5, waiting=[replace(message(1), state=MessageState.DELIVERED)])
    bringing = receipts(on)
    bringing.inherit([MessageId(UUID(int=1))])
    assert await bringing.bring() == 0.0

    assert on.replaced == [(Receipt.STEERED, None)]


async def test_a_sign_whose_answer_was_lost_goes_with_the_next_receipt() -> None:
    on = Scripted(tokens=5, waiting=[replace(message(1), state=MessageState.DELIVERED)], loses_answers=True)
    bringing = receipts(on)
    bringing.steered.add(MessageId(UUID(int=1)))
    with pytest.raises(Ambiguous):
        await bringing.bring()

    on.waiting, on.loses_answers = [message(1)], False
    assert await bringing.bring() == 0.0
    assert on.replaced[1:] == [(Receipt.ANSWERED, None), (Receipt.ANSWERED, Receipt.STEERED)]


async def test_a_refusal_keeps_everybody_away_and_the_answers_need_not_wait() -> None:
    on = Scripted(tokens=5, waiting=[message(1), message(2)], refuses_for_s=0.4)
    bringing = receipts(on)
    assert await bringing.bring() == 0.4
    assert on.closed_s == 0.4
    assert (len(on.replaced), on.shown) == (1, [])
    assert bringing.is_dirty

    on.refuses_for_s = 0.0
    assert await bringing.bring() == 0.0
    assert on.shown == ["1", "2"]
