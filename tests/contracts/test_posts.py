import asyncio
from uuid import uuid4

import pytest

from core.errors import IllegalStep, NotFound
from core.ports import PostState
from core.store.posts import MARK_CHARS
from tests.contracts.stage import SEAT, Stage, end


async def test_a_slot_is_reserved_once_with_one_mark(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()

    post = await stage.stores.posts.reserve(fence, turn.id, "turn:0")
    again = await stage.stores.posts.reserve(fence, turn.id, "turn:0")
    other = await stage.stores.posts.reserve(fence, turn.id, "turn:1")

    assert post == again
    assert (post.state, post.tried, post.external_id, post.fingerprint) == (PostState.RESERVED, False, None, None)
    assert (post.chat_id, post.turn_id, post.slot) == (fence.chat_id, turn.id, "turn:0")
    assert len(post.mark) == MARK_CHARS
    assert other.mark != post.mark
    assert await stage.stores.posts.of_turn(turn.id) == [post, other]


async def test_a_slot_reserved_many_times_at_once_is_one_post(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()

    posts = await asyncio.gather(*(stage.stores.posts.reserve(fence, turn.id, "turn:0") for _ in range(6)))

    assert len({post.mark for post in posts}) == 1


async def test_a_successor_sees_that_a_send_may_have_happened(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    post = await stage.stores.posts.reserve(fence, turn.id, "turn:0")

    await stage.stores.posts.trying(fence, post.id)

    again = await stage.stores.posts.reserve(fence, turn.id, "turn:0")
    assert (again.tried, again.mark, again.state) == (True, post.mark, PostState.RESERVED)


async def test_what_is_on_screen_is_remembered(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    post = await stage.stores.posts.reserve(fence, turn.id, "turn:0")

    await stage.stores.posts.sent(fence, post.id, "300.1", "f1")
    [sent] = await stage.stores.posts.of_turn(turn.id)
    assert (sent.state, sent.external_id, sent.fingerprint, sent.tried) == (PostState.SENT, "300.1", "f1", True)
    assert await stage.stores.posts.reserve(fence, turn.id, "turn:0") == sent

    await stage.stores.posts.edited(fence, post.id, "f2")
    [edited] = await stage.stores.posts.of_turn(turn.id)
    assert (edited.external_id, edited.fingerprint) == ("300.1", "f2")


async def test_a_post_that_is_gone_leaves_its_slot_to_another_with_a_new_mark(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    post = await stage.stores.posts.reserve(fence, turn.id, "turn:0")
    await stage.stores.posts.sent(fence, post.id, "300.1", "f1")

    await stage.stores.posts.gone(fence, post.id)
    await stage.stores.posts.gone(fence, post.id)
    another = await stage.stores.posts.reserve(fence, turn.id, "turn:0")

    assert another.mark != post.mark
    assert (another.state, another.tried) == (PostState.RESERVED, False)
    assert [kept.state for kept in await stage.stores.posts.of_turn(turn.id)] == [PostState.GONE, PostState.RESERVED]


async def test_a_post_that_is_gone_is_neither_sent_nor_edited(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    post = await stage.stores.posts.reserve(fence, turn.id, "turn:0")
    with pytest.raises(IllegalStep):
        await stage.stores.posts.edited(fence, post.id, "f1")
    await stage.stores.posts.gone(fence, post.id)

    for change in (
        stage.stores.posts.trying(fence, post.id),
        stage.stores.posts.sent(fence, post.id, "300.1", "f1"),
        stage.stores.posts.edited(fence, post.id, "f1"),
    ):
        with pytest.raises(IllegalStep):
            await change


async def test_the_end_of_a_turn_can_be_posted_after_it(stage: Stage) -> None:
    fence, turn, _ = await stage.begun()
    await stage.stores.turns.finish(fence, turn.id, 2, end(), SEAT)

    assert (await stage.stores.posts.reserve(fence, turn.id, "turn:1")).state is PostState.RESERVED


async def test_a_run_touches_only_posts_of_its_chat(stage: Stage) -> None:
    fence, _, _ = await stage.begun()
    other_fence, other_turn, _ = await stage.begun(thread="other")
    post = await stage.stores.posts.reserve(other_fence, other_turn.id, "turn:0")

    for wrong in (
        stage.stores.posts.reserve(fence, other_turn.id, "turn:1"),
        stage.stores.posts.trying(fence, post.id),
        stage.stores.posts.sent(fence, post.id, "300.1", "f1"),
        stage.stores.posts.gone(fence, uuid4()),
    ):
        with pytest.raises(NotFound):
            await wrong
    assert await stage.stores.posts.of_turn(other_turn.id) == [post]
