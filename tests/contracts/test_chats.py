import asyncio
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import text

from core.domain.approval import Decision, Verdict
from core.domain.chat import AgentSeat, Busy, Chat, ChatId, ChatSettings, Mode, Platform
from core.domain.states import SandboxState
from core.errors import Fenced, IllegalStep, NotFound
from core.ports import Fence
from tests.contracts.stage import LONG_S, OVER_S, SEAT, Stage, end, place

LONG_AGO = "UPDATE chats SET active_at = now() - interval '3 days' WHERE id = :id"


async def test_a_chat_is_found_by_id_and_by_key(stage: Stage) -> None:
    chat = (await stage.says("hello")).chat

    assert await stage.stores.chats.get(chat.id) == chat
    assert await stage.stores.chats.by_key("slack:T1:C1:100.1") == chat
    assert await stage.stores.chats.by_key("slack:T1:C1:other") is None
    assert chat.place == place()
    assert chat.created_at.tzinfo is not None


async def test_a_chat_that_is_not_there_is_not_found(stage: Stage) -> None:
    nowhere = ChatId(uuid4())

    for asked in (
        stage.stores.chats.get(nowhere),
        stage.stores.chats.take(nowhere, "w1", LONG_S),
        stage.stores.chats.change_settings(nowhere, ChatSettings()),
        stage.stores.chats.check(Fence(nowhere, 1)),
        stage.stores.chats.renew(Fence(nowhere, 1), LONG_S),
        stage.stores.chats.save_seat(Fence(nowhere, 1), SEAT),
    ):
        with pytest.raises(NotFound):
            await asked


async def test_taking_a_chat_raises_its_epoch_by_one(stage: Stage) -> None:
    chat = (await stage.says("hello")).chat

    took = await stage.stores.chats.take(chat.id, "w1", OVER_S)
    again = await stage.stores.chats.take(chat.id, "w2", LONG_S)

    assert took is not None
    assert again is not None
    assert (took[1].epoch, again[1].epoch) == (chat.epoch + 1, chat.epoch + 2)
    assert again[0].epoch == again[1].epoch


async def test_a_chat_under_a_live_lease_is_not_taken(stage: Stage) -> None:
    accepted = await stage.says("hello")
    await stage.taken(accepted, "w1")

    assert await stage.stores.chats.take(accepted.chat.id, "w2", LONG_S) is None
    assert await stage.stores.chats.take(accepted.chat.id, "w1", LONG_S) is None


async def test_of_many_workers_at_once_one_takes_the_chat(stage: Stage) -> None:
    chat = (await stage.says("hello")).chat

    tries = await asyncio.gather(*(stage.stores.chats.take(chat.id, f"w{n}", LONG_S) for n in range(8)))

    assert len([took for took in tries if took is not None]) == 1
    assert (await stage.stores.chats.get(chat.id)).epoch == 1


async def test_a_released_chat_can_be_taken_and_its_epoch_stays_until_then(stage: Stage) -> None:
    accepted = await stage.says("hello")
    fence = await stage.taken(accepted)

    await stage.stores.chats.release(fence)
    await stage.stores.chats.check(fence)
    await stage.taken(accepted, "w2")

    with pytest.raises(Fenced):
        await stage.stores.chats.check(fence)


async def test_renewing_makes_a_lease_live_again(stage: Stage) -> None:
    accepted = await stage.says("hello")
    fence = await stage.taken(accepted, lease_s=OVER_S)

    await stage.stores.chats.renew(fence, LONG_S)

    assert await stage.stores.chats.take(accepted.chat.id, "w2", LONG_S) is None


async def test_a_lease_renewed_while_another_reaches_for_the_chat_is_respected(stage: Stage) -> None:
    accepted = await stage.says("hello")
    await stage.taken(accepted, lease_s=OVER_S)
    async with stage.holding() as holder:
        await holder.execute(text("UPDATE chats SET lease_until = now() + interval '1 hour'"))
        taking = asyncio.create_task(stage.stores.chats.take(accepted.chat.id, "w2", LONG_S))
        await stage.someone_waits_for_a_lock()
        await holder.commit()

    assert await taking is None
    assert (await stage.stores.chats.get(accepted.chat.id)).epoch == 1


async def test_a_seat_comes_back_as_it_was_saved(stage: Stage) -> None:
    accepted = await stage.says("hello")
    fence = await stage.taken(accepted)

    await stage.stores.chats.save_seat(fence, SEAT)

    assert (await stage.stores.chats.get(accepted.chat.id)).seat == SEAT


async def test_a_sandbox_cannot_come_to_a_state_that_the_table_does_not_lead_to(stage: Stage) -> None:
    accepted = await stage.says("hello")
    fence = await stage.taken(accepted)

    with pytest.raises(IllegalStep):
        await stage.stores.chats.save_seat(fence, replace(SEAT, sandbox_state=SandboxState.PAUSED))

    assert (await stage.stores.chats.get(accepted.chat.id)).seat == AgentSeat()


async def test_changed_settings_come_back(stage: Stage) -> None:
    chat = (await stage.says("hello", settings=ChatSettings(mode=Mode.PLAN))).chat
    assert chat.settings == ChatSettings(mode=Mode.PLAN)
    wanted = ChatSettings(Mode.ASK, Busy.QUEUE, "opus", mention_only=True)

    await stage.stores.chats.change_settings(chat.id, wanted)

    assert (await stage.stores.chats.get(chat.id)).settings == wanted


async def test_settings_stored_by_an_older_program_have_defaults(stage: Stage) -> None:
    chat = (await stage.says("hello")).chat
    await stage.runs("""UPDATE chats SET settings = '{"mode": "ask", "gone": 1}'""")

    assert (await stage.stores.chats.get(chat.id)).settings == ChatSettings(mode=Mode.ASK)


# ---------------------------------------------------------------- unattended


async def test_a_chat_with_a_queued_message_wants_attention_until_somebody_takes_it(stage: Stage) -> None:
    accepted = await stage.says("hello")
    assert await stage.stores.chats.unattended() == [accepted.chat.id]

    await stage.taken(accepted)

    assert await stage.stores.chats.unattended() == []


async def test_a_running_turn_whose_worker_is_gone_wants_attention(stage: Stage) -> None:
    fence, _, accepted = await stage.begun()
    assert await stage.stores.chats.unattended() == []

    await stage.stores.chats.renew(fence, OVER_S)

    assert await stage.stores.chats.unattended() == [accepted.chat.id]


async def test_a_turn_that_waits_for_a_person_wants_attention_once_they_decide(stage: Stage) -> None:
    fence, turn, accepted = await stage.begun()
    first, second = await stage.asks(fence, turn, "tu1", 2), await stage.asks(fence, turn, "tu2", 3)
    await stage.stores.turns.park(fence, turn.id)
    await stage.stores.chats.release(fence)

    assert await stage.stores.chats.unattended() == []
    await stage.stores.approvals.decide(first.id, Decision(Verdict.ALLOW), "Ann")
    assert await stage.stores.chats.unattended() == []
    await stage.stores.approvals.decide(second.id, Decision(Verdict.DENY), "Ann")
    assert await stage.stores.chats.unattended() == [accepted.chat.id]


async def test_a_waiting_turn_that_is_asked_to_stop_wants_attention(stage: Stage) -> None:
    fence, turn, accepted = await stage.begun()
    await stage.asks(fence, turn)
    await stage.stores.turns.park(fence, turn.id)
    await stage.stores.chats.release(fence)

    await stage.stores.turns.ask_stop(accepted.chat.id, "Ann")

    assert await stage.stores.chats.unattended() == [accepted.chat.id]


async def test_an_end_that_was_not_shown_wants_attention(stage: Stage) -> None:
    fence, turn, accepted = await stage.begun()
    await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)
    await stage.stores.chats.release(fence)
    assert await stage.stores.chats.unattended() == [accepted.chat.id]

    await stage.stores.turns.shown(fence, turn.id)
    assert await stage.stores.chats.unattended() == [accepted.chat.id]

    (message,) = await stage.stores.messages.unmarked(accepted.chat.id)
    await stage.stores.messages.marked(fence, message.id, message.state.value)

    assert await stage.stores.chats.unattended() == []


async def test_an_end_that_its_place_takes_no_more_wants_no_attention(stage: Stage) -> None:
    fence, turn, accepted = await stage.begun()
    await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)
    (message,) = await stage.stores.messages.unmarked(accepted.chat.id)
    await stage.stores.messages.marked(fence, message.id, message.state.value)
    await stage.stores.chats.release(fence)
    assert await stage.stores.chats.unattended() == [accepted.chat.id]

    await stage.stores.turns.cannot_show(fence, turn.id, "The thread is gone.")
    assert await stage.stores.chats.unattended() == []


async def test_the_chat_that_waits_longest_comes_first(stage: Stage) -> None:
    newer, older = await stage.says("a", thread="1"), await stage.says("b", thread="2")
    await stage.runs(LONG_AGO, id=older.chat.id)

    assert await stage.stores.chats.unattended() == [older.chat.id, newer.chat.id]
    assert await stage.stores.chats.unattended(limit=1) == [older.chat.id]


# ---------------------------------------------------------------- idle, untouched, recent


async def finished(stage: Stage, thread: str = "100.1") -> tuple[Fence, Chat]:
    fence, turn, accepted = await stage.begun(thread=thread)
    await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)
    await stage.stores.turns.shown(fence, turn.id)
    await stage.stores.chats.release(fence)
    return fence, accepted.chat


async def test_a_running_sandbox_that_nobody_uses_is_idle(stage: Stage) -> None:
    fence, chat = await finished(stage)
    assert await stage.stores.chats.idle(3600) == []

    await stage.runs(LONG_AGO, id=chat.id)
    assert [idle.id for idle in await stage.stores.chats.idle(3600)] == [chat.id]

    await stage.stores.chats.save_seat(fence, replace(SEAT, sandbox_state=SandboxState.PAUSED))
    assert await stage.stores.chats.idle(3600) == []


async def test_a_chat_under_a_live_lease_is_not_idle(stage: Stage) -> None:
    fence, chat = await finished(stage)
    await stage.runs(LONG_AGO, id=chat.id)

    await stage.stores.chats.renew(fence, LONG_S)

    assert await stage.stores.chats.idle(3600) == []
    assert await stage.stores.chats.untouched(1) == []


async def test_a_chat_with_an_unfinished_turn_is_not_idle(stage: Stage) -> None:
    fence, turn, accepted = await stage.begun()
    await stage.stores.chats.save_seat(fence, SEAT)
    await stage.stores.chats.release(fence)
    await stage.runs(LONG_AGO, id=accepted.chat.id)

    assert await stage.stores.chats.idle(3600) == []
    assert await stage.stores.chats.untouched(1) == []

    await stage.stores.turns.park(fence, turn.id)
    assert await stage.stores.chats.idle(3600) == []
    assert [chat.id for chat in await stage.stores.chats.untouched(1)] == [accepted.chat.id]


async def test_a_sandbox_untouched_for_days_is_found_until_it_is_lost(stage: Stage) -> None:
    fence, chat = await finished(stage)
    await stage.stores.chats.save_seat(fence, replace(SEAT, sandbox_state=SandboxState.PAUSED))
    assert await stage.stores.chats.untouched(2) == []

    await stage.runs(LONG_AGO, id=chat.id)
    assert [untouched.id for untouched in await stage.stores.chats.untouched(2)] == [chat.id]
    assert await stage.stores.chats.untouched(4) == []

    await stage.stores.chats.save_seat(fence, replace(SEAT, sandbox_state=SandboxState.LOST))
    assert await stage.stores.chats.untouched(2) == []


async def test_recent_chats_come_newest_first_and_by_platform(stage: Stage) -> None:
    first, second = await stage.says("a", thread="1"), await stage.says("b", thread="2")
    await stage.says("again", thread="1")

    assert [chat.id for chat in await stage.stores.chats.recent()] == [first.chat.id, second.chat.id]
    assert [chat.id for chat in await stage.stores.chats.recent(Platform.SLACK, limit=1)] == [first.chat.id]
    assert await stage.stores.chats.recent(Platform.DISCORD) == []


async def test_a_chats_totals_grow_with_its_turns(stage: Stage) -> None:
    await finished(stage)
    _, chat = await finished(stage)

    now = await stage.stores.chats.get(chat.id)
    assert (now.turns, now.cost_usd) == (2, Decimal("0.02"))
