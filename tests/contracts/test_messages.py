import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from core.domain.chat import Author, ChatSettings, Mode, Place, Platform, Role
from core.domain.message import FileIn
from core.domain.states import MessageState, TurnState
from core.errors import IllegalStep, NotFound
from tests.contracts.stage import ANN, BOB, SEAT, Stage, end, place


async def test_a_first_message_makes_its_chat(stage: Stage) -> None:
    accepted = await stage.says("Fix the build\nplease", settings=ChatSettings(mode=Mode.ASK))

    assert (accepted.is_new, accepted.is_new_chat) == (True, True)
    assert accepted.chat.title == "Fix the build"
    assert accepted.chat.settings.mode is Mode.ASK
    assert accepted.message.state is MessageState.QUEUED
    assert accepted.message.key == "slack:T1:C1:200.1"
    assert accepted.message.author_name == "Ann"
    assert accepted.chat.starter_id is not None


async def test_a_later_message_joins_its_chat_and_changes_no_settings(stage: Stage) -> None:
    first = await stage.says("hello", title="Greeting")
    second = await stage.says("again", author=BOB, title="Other", settings=ChatSettings(mode=Mode.ASK))

    assert (second.is_new, second.is_new_chat) == (True, False)
    assert second.chat == replace(first.chat, active_at=second.message.created_at)
    assert await stage.stores.chats.get(first.chat.id) == second.chat
    assert [message.text for message in await stage.stores.messages.queued(first.chat.id)] == ["hello", "again"]


async def test_a_message_that_comes_twice_changes_nothing(stage: Stage) -> None:
    first = await stage.stores.messages.accept(place(), ANN, "1.1", "hello")
    before = await stage.dump()

    again = await stage.stores.messages.accept(place("other"), Author("U1", "Renamed"), "1.1", "changed")

    assert (again.is_new, again.is_new_chat) == (False, False)
    assert (again.chat, again.message) == (first.chat, first.message)
    assert await stage.dump() == before


async def test_the_same_message_from_many_bots_at_once_is_stored_once(stage: Stage) -> None:
    accept = stage.stores.messages.accept

    results = await asyncio.gather(*(accept(place(), ANN, "1.1", "hello") for _ in range(8)))
    more = await asyncio.gather(*(accept(place(), ANN, "1.2", "again") for _ in range(8)))

    for outcome in (results, more):
        assert len({accepted.message.id for accepted in outcome}) == 1
        assert [accepted.is_new for accepted in outcome].count(True) == 1
    assert [accepted.is_new_chat for accepted in (*results, *more)].count(True) == 1


async def test_first_messages_that_come_at_once_make_one_chat(stage: Stage) -> None:
    accept = stage.stores.messages.accept
    results = await asyncio.gather(
        *(accept(place(), Author(f"U{n % 3}", f"Person {n % 3}"), f"1.{n}", "hi") for n in range(9))
    )

    assert len({accepted.chat.id for accepted in results}) == 1
    assert [accepted.is_new_chat for accepted in results].count(True) == 1
    assert all(accepted.is_new for accepted in results)
    assert len(await stage.stores.messages.queued(results[0].chat.id)) == 9
    assert await stage.one("SELECT count(*) FROM people") == 3
    assert await stage.one("SELECT count(*) FROM tenants") == 1


async def test_a_first_message_waits_for_the_chat_that_another_bot_is_making(stage: Stage) -> None:
    await stage.says("elsewhere", thread="other")
    async with stage.holding() as other_bot:
        await other_bot.execute(
            text(
                "INSERT INTO chats (id, tenant_id, key, platform, place_tenant, place_channel, place_thread, title, "
                "settings) SELECT gen_random_uuid(), tenant_id, 'slack:T1:C1:100.1', platform, place_tenant, "
                "place_channel, '100.1', 'theirs', settings FROM chats"
            )
        )
        saying = asyncio.create_task(stage.says("mine"))
        await stage.someone_waits_for_a_lock()
        await other_bot.commit()

    accepted = await saying
    assert (accepted.is_new, accepted.is_new_chat, accepted.chat.title) == (True, False, "theirs")


async def test_messages_keep_the_order_in_which_they_were_accepted(stage: Stage) -> None:
    chat = (await stage.says("0")).chat
    for n in range(1, 6):
        await stage.says(str(n), author=(ANN, BOB)[n % 2])

    assert [message.text for message in await stage.stores.messages.queued(chat.id)] == list("012345")
    assert [message.text for message in await stage.stores.messages.recent(chat.id, limit=3)] == list("543")


async def test_a_persons_name_and_role_are_kept_fresh(stage: Stage) -> None:
    await stage.says("hello")
    accepted = await stage.says("again", author=Author("U1", "Anna", Role.ADMIN))

    assert accepted.message.author_name == "Anna"
    assert await stage.one("SELECT name || '/' || role FROM people") == "Anna/admin"


async def test_the_same_ids_on_another_platform_are_other_people_and_chats(stage: Stage) -> None:
    slack = await stage.says("hello")
    console = await stage.stores.messages.accept(
        Place(Platform.CONSOLE, "T1", "", "100.1"), ANN, "200.1", "hello", title="console"
    )

    assert console.is_new_chat
    assert console.chat.tenant_id != slack.chat.tenant_id


async def test_files_come_back_as_they_were_given(stage: Stage) -> None:
    files = [FileIn("a.txt", "https://files.example/a", 12), FileIn("b.png", "https://files.example/b", 3, "image/png")]

    accepted = await stage.says("", files=files)

    assert accepted.message.files == tuple(files)
    assert accepted.chat.title == ""


async def test_text_that_postgres_cannot_hold_is_stored_all_the_same(stage: Stage) -> None:
    odd = Author("U1", "An\x00n")
    accepted = await stage.says("a\x00b\ud800c", author=odd)

    assert accepted.message.text == "a\ufffdb\ufffdc"
    assert (await stage.says("again", author=odd)).is_new


async def test_a_queued_message_can_be_edited_and_dropped(stage: Stage) -> None:
    accepted = await stage.says("helo")
    key = accepted.message.key

    assert await stage.stores.messages.edit(key, "hello")
    assert [message.text for message in await stage.stores.messages.queued(accepted.chat.id)] == ["hello"]
    assert await stage.stores.messages.drop(key)
    assert await stage.stores.messages.queued(accepted.chat.id) == []
    assert not await stage.stores.messages.drop(key)
    assert not await stage.stores.messages.edit(key, "too late")
    assert not await stage.stores.messages.edit("slack:T1:C1:unknown", "nobody's")


async def test_a_delivered_message_can_be_neither_edited_nor_dropped(stage: Stage) -> None:
    _, turn, accepted = await stage.begun()

    assert not await stage.stores.messages.edit(accepted.message.key, "other")
    assert not await stage.stores.messages.drop(accepted.message.key)

    [message] = await stage.stores.messages.of_turn(turn.id)
    assert (message.text, message.state, message.turn_id) == ("do it", MessageState.DELIVERED, turn.id)


async def test_a_message_that_steers_joins_the_turn(stage: Stage) -> None:
    fence, turn, first = await stage.begun()
    second = await stage.says("and this")

    await stage.stores.messages.deliver(fence, turn.id, [second.message.id])

    assert [m.id for m in await stage.stores.messages.of_turn(turn.id)] == [first.message.id, second.message.id]
    assert await stage.stores.messages.queued(first.chat.id) == []


async def test_messages_are_delivered_all_or_none(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    kept, dropped = await stage.says("one"), await stage.says("two")
    await stage.stores.messages.drop(dropped.message.key)

    with pytest.raises(IllegalStep):
        await stage.stores.messages.deliver(fence, turn.id, [kept.message.id, dropped.message.id])

    assert [message.id for message in await stage.stores.messages.queued(kept.chat.id)] == [kept.message.id]


async def test_nothing_is_delivered_to_a_turn_that_is_over_or_anothers(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    _, elsewhere, _ = await stage.begun(thread="other")
    late = await stage.says("late")
    await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)

    for wrong in (turn.id, elsewhere.id):
        with pytest.raises(IllegalStep):
            await stage.stores.messages.deliver(fence, wrong, [late.message.id])


async def test_of_a_drop_and_a_delivery_at_once_one_wins(stage: Stage) -> None:
    for n in range(5):
        fence, turn, _ = await stage.begun(thread=str(n))
        late = await stage.says("late", thread=str(n))

        delivered, dropped = await asyncio.gather(
            stage.stores.messages.deliver(fence, turn.id, [late.message.id]),
            stage.stores.messages.drop(late.message.key),
            return_exceptions=True,
        )

        assert (delivered is None) == (dropped is False)
        assert delivered is None or isinstance(delivered, IllegalStep)


async def test_a_message_is_unmarked_until_its_receipt_says_its_end(stage: Stage) -> None:
    fence, turn, accepted = await stage.begun()
    message = accepted.message
    await stage.stores.messages.marked(fence, message.id, "working")
    assert await stage.stores.messages.unmarked(accepted.chat.id) == []

    await stage.stores.turns.finish(fence, turn.id, 2, end(TurnState.STOPPED), SEAT)
    [unmarked] = await stage.stores.messages.unmarked(accepted.chat.id)
    assert (unmarked.id, unmarked.state, unmarked.receipt) == (message.id, MessageState.STOPPED, "working")

    await stage.stores.messages.marked(fence, message.id, "stopped")
    assert await stage.stores.messages.unmarked(accepted.chat.id) == []


async def test_a_run_marks_only_messages_of_its_chat(stage: Stage) -> None:
    fence, _, _ = await stage.begun()
    other = await stage.says("elsewhere", thread="other")

    with pytest.raises(NotFound):
        await stage.stores.messages.marked(fence, other.message.id, "working")
