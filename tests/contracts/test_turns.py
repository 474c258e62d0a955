import asyncio
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest

from core.domain.approval import Decision, Verdict
from core.domain.chat import AgentSeat
from core.domain.events import (
    AgentReady,
    MessageSteered,
    RunEvent,
    Task,
    TasksChanged,
    TextStreamed,
    TextWritten,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)
from core.domain.message import MessageId
from core.domain.states import ApprovalState, MessageState, SandboxState, TurnState
from core.domain.turn import TurnId, Usage
from core.errors import Fenced, IllegalStep, NotFound
from tests.contracts.stage import SEAT, Stage, end, wrote


async def test_a_turn_begins_with_its_messages_and_its_first_event(stage: Stage) -> None:
    first, second = await stage.says("one"), await stage.says("two")
    fence = await stage.taken(first)

    turn = await stage.stores.turns.begin(fence, [first.message.id, second.message.id])

    assert (turn.number, turn.state, turn.chat_id) == (1, TurnState.RUNNING, first.chat.id)
    assert [message.text for message in await stage.stores.messages.of_turn(turn.id)] == ["one", "two"]
    [started] = await stage.stores.turns.events(turn.id)
    assert (started.seq, started.event) == (1, TurnStarted(1, (str(first.message.id), str(second.message.id))))
    assert await stage.stores.turns.unfinished(first.chat.id) == turn
    assert await stage.stores.turns.get(turn.id) == turn


async def test_a_turn_does_not_begin_with_a_message_that_is_no_longer_queued(stage: Stage) -> None:
    kept, dropped = await stage.says("one"), await stage.says("two")
    fence = await stage.taken(kept)
    await stage.stores.messages.drop(dropped.message.key)
    before = await stage.dump()

    for ids in ([kept.message.id, dropped.message.id], [MessageId(uuid4())]):
        with pytest.raises(IllegalStep):
            await stage.stores.turns.begin(fence, ids)

    assert await stage.dump() == before


async def test_a_chat_has_at_most_one_unfinished_turn(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    more = await stage.says("more")
    await stage.stores.turns.park(fence, turn.id)

    with pytest.raises(IllegalStep):
        await stage.stores.turns.begin(fence, [more.message.id])

    assert await stage.one("SELECT count(*) FROM turns") == 1


async def test_of_two_turns_begun_at_once_one_begins(stage: Stage) -> None:
    first, second = await stage.says("one"), await stage.says("two")
    fence = await stage.taken(first)

    results = await asyncio.gather(
        stage.stores.turns.begin(fence, [first.message.id]),
        stage.stores.turns.begin(fence, [second.message.id]),
        return_exceptions=True,
    )

    assert sorted(isinstance(result, IllegalStep) for result in results) == [False, True]


async def test_the_database_itself_refuses_a_second_unfinished_turn(stage: Stage) -> None:
    await stage.begun()

    with pytest.raises(Exception, match="uq_turns_unfinished"):
        await stage.runs(
            "INSERT INTO turns (id, chat_id, number, state) SELECT gen_random_uuid(), id, 9, 'waiting' FROM chats"
        )


async def test_turns_are_numbered_within_their_chat(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)
    _, elsewhere, _ = await stage.begun(thread="other")
    second = await stage.stores.turns.begin(fence, [(await stage.says("two")).message.id])

    assert (turn.number, second.number, elsewhere.number) == (1, 2, 1)
    assert [recent.number for recent in await stage.stores.turns.recent(fence.chat_id)] == [2, 1]
    assert [recent.number for recent in await stage.stores.turns.recent(fence.chat_id, limit=1)] == [2]


async def test_events_come_back_in_order_with_the_seat_they_were_read_up_to(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    batch: list[RunEvent] = [
        AgentReady("s1", "opus"),
        ToolStarted("tu1", "Bash", "Run ls", {"command": "ls", "n": [1, 2.5, None]}),
        ToolFinished("tu1", "a\nb"),
        TasksChanged((Task("1", "look", "pending"),)),
        MessageSteered("m", "Ann", "hi"),
    ]

    await stage.stores.turns.record(fence, turn.id, 2, batch, SEAT)
    await stage.stores.turns.record(fence, turn.id, 7, wrote("bye"), replace(SEAT, offset=20))

    recorded = await stage.stores.turns.events(turn.id, after=1)
    assert [(stored.seq, stored.event) for stored in recorded] == list(enumerate([*batch, TextWritten("bye")], 2))
    assert all(stored.turn_id == turn.id and stored.at.tzinfo for stored in recorded)
    assert [stored.seq for stored in await stage.stores.turns.events(turn.id, after=6)] == [7]
    assert (await stage.stores.chats.get(fence.chat_id)).seat == replace(SEAT, offset=20)


async def test_a_seat_is_recorded_without_events_too(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()

    await stage.stores.turns.record(fence, turn.id, 2, [], SEAT)

    assert (await stage.stores.chats.get(fence.chat_id)).seat == SEAT


async def test_an_event_number_that_is_taken_fences_and_changes_nothing(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    await stage.stores.turns.record(fence, turn.id, 2, wrote("a", "b"), SEAT)
    before = await stage.dump()

    for first_seq in (1, 2, 3):
        with pytest.raises(Fenced):
            await stage.stores.turns.record(fence, turn.id, first_seq, wrote("c", "d"), replace(SEAT, offset=99))

    assert await stage.dump() == before


async def test_of_two_recordings_of_one_number_at_once_one_is_stored(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()

    results = await asyncio.gather(
        *(stage.stores.turns.record(fence, turn.id, 2, wrote(str(n)), SEAT) for n in range(4)), return_exceptions=True
    )

    assert [result for result in results if not isinstance(result, Fenced)] == [None]
    assert len(await stage.stores.turns.events(turn.id)) == 2


async def test_events_with_anything_an_agent_can_print_are_stored(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    odd = ToolStarted("tu\x00", "Bash", "\ud83d", {"a\x00": ["\udc00", float("nan"), "C:\\u0000", "emoji 😀"]})

    await stage.stores.turns.record(fence, turn.id, 2, [odd, *wrote("x" * 300_000)], SEAT)

    _, stored, long = await stage.stores.turns.events(turn.id)
    assert stored.event == ToolStarted(
        "tu\ufffd", "Bash", "\ufffd", {"a\ufffd": ["\ufffd", None, "C:\\u0000", "emoji 😀"]}
    )
    assert long.event == TextWritten("x" * 300_000)


@pytest.mark.parametrize("odd", ["\x00", "\ud800", "\udc00\ud800", float("inf"), "\\u0000"])
async def test_one_odd_character_does_not_end_a_turn(stage: Stage, odd: str | float) -> None:
    fence, turn, _ = await stage.begun()

    await stage.stores.turns.record(fence, turn.id, 2, [ToolStarted("tu1", "Bash", "Run", {"command": odd})], SEAT)
    await stage.stores.turns.finish(fence, turn.id, 3, end(text=f"It printed {odd}."), SEAT)

    assert len(await stage.stores.turns.events(turn.id)) == 3
    assert (await stage.stores.turns.get(turn.id)).text.startswith("It printed ")


async def test_what_is_only_shown_is_not_stored(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()

    with pytest.raises(IllegalStep):
        await stage.stores.turns.record(fence, turn.id, 2, [TextStreamed("a")], SEAT)

    assert (await stage.stores.chats.get(fence.chat_id)).seat == AgentSeat()


async def test_nothing_is_recorded_after_the_end_or_in_anothers_turn(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    _, elsewhere, _ = await stage.begun(thread="other")
    await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)
    before = await stage.dump()

    for wrong in (turn.id, elsewhere.id):
        with pytest.raises(IllegalStep):
            await stage.stores.turns.record(fence, wrong, 3, wrote("more"), replace(SEAT, offset=99))

    assert await stage.dump() == before


async def test_events_of_a_newer_program_are_left_out(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    await stage.stores.turns.record(fence, turn.id, 2, wrote("a", "b"), SEAT)
    await stage.runs('UPDATE events SET body = \'{"type": "from_the_future"}\' WHERE seq = 2')

    assert [stored.seq for stored in await stage.stores.turns.events(turn.id)] == [1, 3]


@pytest.mark.parametrize(
    ("state", "messages_end"),
    [
        (TurnState.DONE, MessageState.ANSWERED),
        (TurnState.FAILED, MessageState.FAILED),
        (TurnState.STOPPED, MessageState.STOPPED),
    ],
)
async def test_the_end_of_a_turn_is_stored_whole(stage: Stage, state: TurnState, messages_end: MessageState) -> None:
    fence, turn, accepted = await stage.begun()
    approval = await stage.asks(fence, turn)
    decided = await stage.asks(fence, turn, "tu2", 3)
    await stage.stores.approvals.decide(decided.id, Decision(Verdict.ALLOW), "Ann")

    await stage.stores.turns.finish(fence, turn.id, 4, end(state), SEAT)

    ended = await stage.stores.turns.get(turn.id)
    assert (ended.state, ended.text, ended.error, ended.is_shown) == (state, "All done.", end(state).error, False)
    assert (ended.usage, ended.cost_usd) == (Usage(1, 2, 3, 4), Decimal("0.01"))
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.started_at
    assert (await stage.stores.turns.events(turn.id, after=3))[0].event == end(state)
    assert [message.state for message in await stage.stores.messages.of_turn(turn.id)] == [messages_end]
    assert (await stage.stores.approvals.get(approval.id)).state is ApprovalState.WITHDRAWN
    assert (await stage.stores.approvals.get(decided.id)).state is ApprovalState.ALLOWED
    assert await stage.stores.turns.unfinished(accepted.chat.id) is None
    assert (await stage.stores.chats.get(accepted.chat.id)).seat == SEAT


async def test_messages_that_a_turn_did_not_answer_go_back_to_the_queue(stage: Stage) -> None:
    fence, turn, first = await stage.begun()
    second = await stage.says("and this")
    await stage.stores.messages.deliver(fence, turn.id, [second.message.id])

    await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT, answered={first.message.id})

    assert [message.id for message in await stage.stores.messages.of_turn(turn.id)] == [first.message.id]
    [queued] = await stage.stores.messages.queued(first.chat.id)
    assert (queued.id, queued.turn_id, queued.state) == (second.message.id, None, MessageState.QUEUED)


async def test_a_turn_that_answered_nothing_queues_all_of_its_messages_again(stage: Stage) -> None:
    fence, turn, first = await stage.begun()

    await stage.stores.turns.finish(fence, turn.id, 2, end(TurnState.STOPPED), SEAT, answered=())

    assert [message.id for message in await stage.stores.messages.queued(first.chat.id)] == [first.message.id]


async def test_a_turn_ends_once(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)
    before = await stage.dump()

    for seq in (2, 3):
        with pytest.raises(IllegalStep):
            await stage.stores.turns.finish(fence, turn.id, seq, end(TurnState.FAILED), SEAT)

    assert await stage.dump() == before


async def test_of_two_ends_at_once_one_is_stored(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()

    results = await asyncio.gather(
        stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT),
        stage.stores.turns.finish(fence, turn.id, 2, end(TurnState.FAILED), SEAT),
        return_exceptions=True,
    )

    assert sorted(isinstance(result, IllegalStep) for result in results) == [False, True]
    assert (await stage.stores.chats.get(fence.chat_id)).cost_usd == Decimal("0.01")


async def test_an_end_whose_event_number_is_taken_is_not_stored(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()

    with pytest.raises(Fenced):
        await stage.stores.turns.finish(fence, turn.id, 1, end(), SEAT)

    assert (await stage.stores.turns.get(turn.id)).state is TurnState.RUNNING


async def test_a_turn_does_not_end_as_running_or_while_it_waits(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    for state in (TurnState.RUNNING, TurnState.WAITING):
        with pytest.raises(IllegalStep):
            await stage.stores.turns.finish(fence, turn.id, 2, end(state), SEAT)
    await stage.stores.turns.park(fence, turn.id)

    with pytest.raises(IllegalStep):
        await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)


async def test_a_parked_turn_waits_until_it_is_unparked(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()

    await stage.stores.turns.park(fence, turn.id)
    assert (await stage.stores.turns.get(turn.id)).state is TurnState.WAITING
    with pytest.raises(IllegalStep):
        await stage.stores.turns.park(fence, turn.id)

    await stage.stores.turns.unpark(fence, turn.id)
    assert (await stage.stores.turns.get(turn.id)).state is TurnState.RUNNING
    with pytest.raises(IllegalStep):
        await stage.stores.turns.unpark(fence, turn.id)


async def test_restarts_are_counted(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()

    assert [await stage.stores.turns.restarted(fence, turn.id) for _ in range(3)] == [1, 2, 3]
    assert (await stage.stores.turns.get(turn.id)).restarts == 3

    await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)
    with pytest.raises(IllegalStep):
        await stage.stores.turns.restarted(fence, turn.id)


async def test_the_first_who_asks_for_a_stop_is_remembered_until_the_turn_ends(stage: Stage) -> None:
    fence, turn, accepted = await stage.begun()
    assert await stage.stores.turns.stop_asked(turn.id) is None
    await stage.stores.chats.release(fence)

    assert await stage.stores.turns.ask_stop(accepted.chat.id, "Ann") == turn.id
    assert await stage.stores.turns.ask_stop(accepted.chat.id, "Bob") == turn.id
    assert await stage.stores.turns.stop_asked(turn.id) == "Ann"

    await stage.stores.turns.finish(fence, turn.id, 2, end(TurnState.STOPPED), SEAT)
    assert await stage.stores.turns.ask_stop(accepted.chat.id, "Ann") is None
    assert await stage.stores.turns.stop_asked(TurnId(uuid4())) is None


async def test_an_end_is_unshown_until_it_is_shown(stage: Stage) -> None:
    fence, turn, accepted = await stage.begun()
    assert await stage.stores.turns.unshown(accepted.chat.id) == []
    with pytest.raises(IllegalStep):
        await stage.stores.turns.shown(fence, turn.id)

    await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)
    assert [unshown.id for unshown in await stage.stores.turns.unshown(accepted.chat.id)] == [turn.id]

    await stage.stores.turns.shown(fence, turn.id)
    await stage.stores.turns.shown(fence, turn.id)
    assert await stage.stores.turns.unshown(accepted.chat.id) == []
    assert (await stage.stores.turns.get(turn.id)).is_shown


async def test_an_end_that_cannot_be_shown_keeps_its_reason_until_it_is(stage: Stage) -> None:
    fence, turn, accepted = await stage.begun()
    with pytest.raises(IllegalStep):
        await stage.stores.turns.cannot_show(fence, turn.id, "The thread is gone.")
    await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)

    await stage.stores.turns.cannot_show(fence, turn.id, "The thread is gone.")
    (unshown,) = await stage.stores.turns.unshown(accepted.chat.id)
    assert (unshown.is_shown, unshown.unshown_why) == (False, "The thread is gone.")

    await stage.stores.turns.shown(fence, turn.id)
    shown = await stage.stores.turns.get(turn.id)
    assert (shown.is_shown, shown.unshown_why) == (True, None)


async def test_a_turn_that_is_not_there_is_not_found(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    _, elsewhere, _ = await stage.begun(thread="other")

    with pytest.raises(NotFound):
        await stage.stores.turns.get(TurnId(uuid4()))
    with pytest.raises(NotFound):
        await stage.stores.turns.park(fence, elsewhere.id)
    with pytest.raises(NotFound):
        await stage.stores.turns.finish(fence, elsewhere.id, 2, end(), SEAT)
    assert (await stage.stores.turns.get(turn.id)).state is TurnState.RUNNING


async def test_a_lost_sandbox_is_stored_with_the_end(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    await stage.stores.turns.record(fence, turn.id, 2, [], SEAT)
    lost = AgentSeat(sandbox_state=SandboxState.LOST, session_id="s1")

    await stage.stores.turns.finish(fence, turn.id, 2, end(TurnState.FAILED), lost)

    assert (await stage.stores.chats.get(fence.chat_id)).seat == lost
