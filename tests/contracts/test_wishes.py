"""The promises of `core.ports.Wishes`, and of `Leases.resting`."""

import pytest

from core.domain.chat import AgentSeat, ChatId
from core.domain.states import SandboxState
from core.errors import IllegalStep, NotFound
from core.ports import Wish
from core.store.health import PostgresLeases
from core.store.wishes import PostgresWishes
from tests.contracts.stage import LONG_S, SEAT, Stage, end


@pytest.fixture
def wishes(stage: Stage) -> PostgresWishes:
    return PostgresWishes(stage.engine)


async def rests(stage: Stage, thread: str = "100.1", *, seat: AgentSeat = SEAT) -> ChatId:
    """A chat whose turn is over and whose sandbox is kept."""
    fence, turn, accepted = await stage.begun(thread=thread)
    await stage.stores.chats.save_seat(fence, SEAT)
    if seat is not SEAT:
        await stage.stores.chats.save_seat(fence, seat)
    await stage.stores.turns.finish(fence, turn.id, 2, end(), seat)
    await stage.stores.chats.release(fence)
    return accepted.chat.id


def paused() -> AgentSeat:
    return AgentSeat(sandbox_id="sb1", sandbox_state=SandboxState.PAUSED)


async def test_a_wish_is_given_out_once_and_the_last_one_counts(stage: Stage, wishes: PostgresWishes) -> None:
    chat = await rests(stage)
    await wishes.wish(chat, Wish.PAUSE, "Ann")
    await wishes.wish(chat, Wish.END, "Ann")
    assert await wishes.given() == [(chat, Wish.END)]
    assert await wishes.given() == []
    said = await stage.one("SELECT string_agg(actor || ' ' || action, ', ' ORDER BY id) FROM audit")
    assert said.endswith("Ann paused a sandbox, Ann ended a sandbox")


async def test_a_chat_at_work_is_left_alone(stage: Stage, wishes: PostgresWishes) -> None:
    fence, turn, accepted = await stage.begun()
    await stage.stores.chats.save_seat(fence, SEAT)
    chat = accepted.chat.id
    for _ in ("leased and running", "running", "waiting for a person"):
        for wish in Wish:
            with pytest.raises(IllegalStep, match="at work"):
                await wishes.wish(chat, wish, "Ann")
        if await stage.one("SELECT state FROM turns") == "running" and turn.restarts == 0:
            await stage.stores.turns.park(fence, turn.id)
            await stage.stores.chats.release(fence)
    assert await wishes.given() == []
    assert await stage.one("SELECT count(*) FROM audit") == 0


async def test_a_worker_that_lingers_with_its_chat_is_at_work(stage: Stage, wishes: PostgresWishes) -> None:
    chat = await rests(stage)
    taken = await stage.stores.chats.take(chat, "w1", LONG_S)
    assert taken is not None
    with pytest.raises(IllegalStep, match="at work"):
        await wishes.wish(chat, Wish.PAUSE, "Ann")
    assert await PostgresLeases(stage.engine).resting(None) == []


async def test_what_is_paused_is_not_paused_again_but_may_be_ended(stage: Stage, wishes: PostgresWishes) -> None:
    chat = await rests(stage, seat=paused())
    with pytest.raises(IllegalStep, match="is paused already"):
        await wishes.wish(chat, Wish.PAUSE, "Ann")
    await wishes.wish(chat, Wish.END, "Ann")
    assert await wishes.given() == [(chat, Wish.END)]


async def test_nothing_is_wished_of_a_sandbox_that_is_not_there(stage: Stage, wishes: PostgresWishes) -> None:
    accepted = await stage.says("hello")
    with pytest.raises(IllegalStep, match="is none already"):
        await wishes.wish(accepted.chat.id, Wish.END, "Ann")
    with pytest.raises(NotFound):
        await wishes.wish(ChatId(accepted.message.id), Wish.END, "Ann")


async def test_a_wish_that_nobody_took_for_long_is_forgotten(stage: Stage, wishes: PostgresWishes) -> None:
    chat = await rests(stage)
    await wishes.wish(chat, Wish.END, "Ann")
    await stage.runs("UPDATE sandbox_wishes SET wished_at = wished_at - interval '6 minutes'")
    assert await wishes.given() == []
    assert await stage.one("SELECT count(*) FROM sandbox_wishes") == 0


async def test_chats_that_rest_are_listed_with_what_is_wished_of_them(stage: Stage, wishes: PostgresWishes) -> None:
    first, second = await rests(stage, "1.1"), await rests(stage, "2.1", seat=paused())
    await stage.begun(thread="3.1")
    await wishes.wish(first, Wish.PAUSE, "Ann")
    leases = PostgresLeases(stage.engine)
    found = [(chat.id, wish) for chat, wish in await leases.resting(None)]
    assert found == [(second, None), (first, Wish.PAUSE)]
    assert await leases.resting(frozenset()) == []
