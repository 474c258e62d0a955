"""What a run counts while it shows a turn: sent and saved edits, refusals, and the time to the first text."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest

from core.bus.counters import LocalCounters
from core.domain.chat import ChatId, Place, Platform
from core.domain.events import TextStreamed, ThinkingStreamed, TurnStarted
from core.domain.states import TurnState
from core.domain.turn import Turn, TurnId
from core.domain.view import View
from core.errors import RateLimited
from core.ports import Allowance, Count, Payload, Post, PostState, Recorded, Span
from worker.posting import Posting
from worker.present import Presenter
from worker.telling import Telling

PLACE = Place(Platform.SLACK, "T1", "C1", "1.1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TURN = Turn(TurnId(uuid4()), ChatId(uuid4()), 1, TurnState.RUNNING, NOW)


@dataclass
class Everything:
    """A surface, a ledger, a budget, a bus and a hold that say yes; `full`: the platform that does not."""

    full: bool = False
    penalties: list[float] = field(default_factory=list)
    fence: object = None

    @property
    def turns(self) -> "Everything":
        return self

    @property
    def posts(self) -> "Everything":
        return self

    @property
    def messages(self) -> "Everything":
        return self

    async def confirm(self) -> None: ...

    async def publish(self, *_of: Any) -> None: ...

    async def events(self, turn_id: TurnId, after: int = 0) -> list[Recorded]:
        return [Recorded(turn_id, 1, TurnStarted(1, ()), NOW)]

    async def reserve(self, _fence: object, turn_id: TurnId, slot: str) -> Post:
        return Post(uuid4(), TURN.chat_id, turn_id, slot, "m", PostState.RESERVED, None, None, NOW, tried=False)

    async def trying(self, *_of: Any) -> None: ...

    async def sent(self, *_of: Any) -> None: ...

    async def edited(self, *_of: Any) -> None: ...

    async def send(self, *_of: Any) -> str:
        if self.full:
            raise RateLimited(7.0)
        return "1.2"

    async def edit(self, *_of: Any) -> None: ...

    def allowance(self, *_of: Any) -> Allowance:
        return Allowance("k", 60, 1)

    async def penalise(self, _allowance: Allowance, seconds: float) -> None:
        self.penalties.append(seconds)


def presenter(on: Everything, counters: LocalCounters) -> Presenter:
    stand_in = cast("Any", on)
    return Presenter(stand_in, stand_in, stand_in, stand_in, PLACE, counters=counters)


async def counts(counters: LocalCounters) -> dict[Count, int]:
    found = (await counters.read()).counts
    return {count: found[count, Platform.SLACK] for count in Count if found[count, Platform.SLACK]}


async def test_a_post_and_its_edit_are_counted_apart_and_a_refusal_as_neither() -> None:
    counters, on = LocalCounters(), Everything()
    stand_in = cast("Any", on)
    posting = Posting(stand_in, stand_in, stand_in, stand_in, PLACE, counters=counters)
    known: dict[str, Post] = {}
    await posting.put(TURN.id, known, "turn:0", Payload({"text": "a"}))
    await posting.put(TURN.id, known, "turn:0", Payload({"text": "b"}))
    on.full = True
    with pytest.raises(RateLimited):
        await posting.put(TURN.id, {}, "turn:1", Payload({"text": "c"}))
    assert await counts(counters) == {Count.POSTS_SENT: 1, Count.EDITS_SENT: 1, Count.RATE_LIMITED: 1}
    assert on.penalties == [7.0]


async def test_each_look_that_another_overtook_is_an_edit_saved() -> None:
    counters = LocalCounters()
    showing = presenter(Everything(), counters)
    for _ in range(5):
        showing.show(TURN.id, View(turn_number=1, turn_id=TURN.id), {})
    assert await counts(counters) == {Count.EDITS_SAVED: 4}


async def test_the_first_text_of_a_turn_is_timed_once_and_only_where_it_began() -> None:
    counters, on = LocalCounters(), Everything()
    stand_in = cast("Any", on)
    telling = Telling(TURN, stand_in, stand_in, stand_in, presenter(on, counters))
    seat = cast("Any", None)
    await telling.tell([TextStreamed("taken over")], seat)
    await telling.began()
    await telling.tell([ThinkingStreamed("hm")], seat)
    assert sum((await counters.read()).spans[Span.FIRST_TEXT, Platform.SLACK].counts) == 0
    await telling.tell([TextStreamed("a")], seat)
    await telling.tell([TextStreamed("b")], seat)
    assert sum((await counters.read()).spans[Span.FIRST_TEXT, Platform.SLACK].counts) == 1
