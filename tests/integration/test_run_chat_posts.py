"""A platform that refuses, limits, forgets and hangs: one post, whole at the end, and a last word on every message."""

import pytest

from core.domain import events as e
from core.domain.chat import Mode
from core.domain.states import TurnState
from core.errors import Ambiguous, PlaceGone, RateLimited, SurfaceError, TooLarge
from core.ports import Call
from tests.stage import Hang, LoseAnswer, Refuse, ScriptedChat, Stage, at_gate, bash, says

WORDS = " ".join(f"word{number}" for number in range(150))


async def _is_shown(chat: ScriptedChat) -> None:
    """The newest turn's end is on screen, on one post, and no longer owed."""
    await chat.run_ends()
    last = (await chat.turns())[-1]
    posts = await chat.posts()
    assert len(posts) == len(await chat.turns())
    assert (posts[-1].body["state"], posts[-1].body["text"]) == (last.state.value, last.text)
    assert last.is_shown
    assert set((await chat.receipts()).values()) <= {"answered", "failed", "stopped"}
    assert len(await chat.receipts()) == len(await chat.turns())


async def _writes(chat: ScriptedChat, stage: Stage) -> None:
    """A turn that writes for as long as the gate is shut."""
    await chat.say("Write.", [says("Begun. "), at_gate("go"), says(WORDS)])
    await chat.until(e.TextStreamed)


# ------------------------------------------------------------ answers that never come


async def test_a_post_whose_answer_was_lost_is_not_made_again(stage: Stage, chat: ScriptedChat) -> None:
    stage.surface.fail(Call.SEND, LoseAnswer())
    await chat.say("Work.", [bash("echo x >> ran")], [says("Done.")])
    await chat.is_done("Done.")

    await _is_shown(chat)
    assert len(stage.surface.of(Call.SEND)) == 1
    assert stage.surface.finds > 0


async def test_a_post_whose_answer_was_lost_is_found_by_the_next_run(stage: Stage, chat: ScriptedChat) -> None:
    stage.surface.fail(Call.SEND, Hang(is_done=True))
    await chat.say("Write.", [says("Begun. "), at_gate("go"), says("Done.")])
    await chat.comes_true(lambda: bool(stage.surface.of(Call.SEND)))

    await chat.cancel_run()
    chat.start_run()
    stage.model.open("go")
    await chat.is_done()

    await _is_shown(chat)
    assert len(stage.surface.of(Call.SEND)) == 1


async def test_a_post_that_was_not_made_is_made_by_the_next_run(stage: Stage, chat: ScriptedChat) -> None:
    stage.surface.fail(Call.SEND, Hang())
    await chat.say("Write.", [says("Begun. "), at_gate("go"), says("Done.")])
    await chat.until(e.TextStreamed)

    await chat.cancel_run()
    chat.start_run()
    stage.model.open("go")
    await chat.is_done()

    await _is_shown(chat)


async def test_a_question_whose_answer_was_lost_is_not_asked_again(stage: Stage) -> None:
    chat = stage.chat(mode=Mode.ASK)
    stage.surface.fail(Call.SEND, LoseAnswer(), LoseAnswer())
    await chat.say("Work.", [bash("echo x >> ran")], [says("Done.")])
    asked = await chat.asks()
    await chat.comes_true(lambda: chat.posts("tool"))

    await chat.decide(asked)
    await chat.is_done("Done.")

    await _is_shown(chat)
    assert [post.body["state"] for post in await chat.posts("tool")] == ["allowed"]
    assert len(stage.surface.of(Call.SEND)) == 2


@pytest.mark.parametrize("call", [Call.EDIT, Call.MARK])
async def test_what_was_lost_on_the_way_is_done_until_it_is_sure(stage: Stage, chat: ScriptedChat, call: Call) -> None:
    await _writes(chat, stage)
    stage.surface.fail(call, LoseAnswer(), Refuse(Ambiguous("no answer")), Refuse(SurfaceError("not now")))
    stage.model.open("go")
    await chat.is_done()

    await _is_shown(chat)


# ------------------------------------------------------------ limits and refusals


@pytest.mark.parametrize("call", [Call.SEND, Call.EDIT, Call.MARK])
async def test_a_rate_limit_delays_and_loses_nothing(stage: Stage, chat: ScriptedChat, call: Call) -> None:
    stage.surface.fail(call, *[Refuse(RateLimited(0.3)) for _ in range(3)])
    await _writes(chat, stage)
    stage.model.open("go")
    await chat.is_done()

    await _is_shown(chat)
    if call is not Call.SEND:
        assert len(stage.surface.of(Call.SEND)) == 1


async def test_a_deleted_post_is_made_anew(stage: Stage, chat: ScriptedChat) -> None:
    await _writes(chat, stage)
    (post,) = await _posted(chat)

    await stage.surface.delete(chat.place, post)
    stage.model.open("go")
    await chat.is_done()

    await _is_shown(chat)
    assert len(stage.surface.of(Call.SEND)) == 2


async def test_a_deleted_question_that_was_answered_stays_deleted(stage: Stage) -> None:
    chat = stage.chat(mode=Mode.ASK)
    await chat.say("Work.", [bash("echo x >> ran")], [says("Done.")])
    asked = await chat.asks()
    await chat.comes_true(lambda: chat.posts("tool"))
    (post,) = await chat.posts("tool")

    await stage.surface.delete(chat.place, post.id)
    await chat.decide(asked)
    await chat.is_done("Done.")

    await _is_shown(chat)
    assert await chat.posts("tool") == []
    assert await chat.file("ran") == "x\n"


async def _posted(chat: ScriptedChat) -> list[str]:
    await chat.comes_true(chat.posts)
    return [post.id for post in await chat.posts()]


# ------------------------------------------------------------ a thread that is gone, for good or for a while

GONE = "The thread was deleted. Start a new one."


def _closes(stage: Stage) -> None:
    """Let the thread take nothing any more."""
    for call in (Call.SEND, Call.EDIT, Call.MARK):
        stage.surface.fail(call, *[Refuse(PlaceGone(GONE)) for _ in range(500)])


async def _ends_unseen(stage: Stage, chat: ScriptedChat) -> None:
    """A turn whose thread closes while it runs; its run is over."""
    await _writes(chat, stage)
    await chat.comes_true(chat.posts)
    _closes(stage)
    stage.model.open("go")
    await chat.is_done()
    await chat.run_ends()
    stage.surface.forget_faults()


async def test_a_thread_that_is_gone_ends_no_turn_and_its_end_stays_owed(stage: Stage, chat: ScriptedChat) -> None:
    _closes(stage)
    message = await chat.say("Work.", [bash("echo x >> ran")], [says("Done.")])

    await chat.is_done("Done.")
    await chat.run_ends()

    assert await chat.file("ran") == "x\n"
    assert await chat.posts() == []
    assert await chat.state_of(message) == "answered"
    turn = (await chat.turns())[-1]
    assert (turn.is_shown, turn.unshown_why) == (False, GONE)
    # Nobody asks a place again and again that is gone.
    assert chat.id not in await stage.stores.chats.unattended()


async def test_an_end_is_posted_once_when_its_thread_is_open_again_and_somebody_writes(
    stage: Stage, chat: ScriptedChat
) -> None:
    await _ends_unseen(stage, chat)
    await chat.say("And now?", [says("Here.")])
    await chat.is_done("Here.")

    await _is_shown(chat)
    first, second = await chat.posts()
    assert (first.body["text"], second.body["text"]) == (WORDS, "Here.")
    assert [(turn.is_shown, turn.unshown_why) for turn in await chat.turns()] == [(True, None)] * 2
    assert len(stage.surface.of(Call.SEND)) == 2


async def test_an_end_is_posted_once_when_it_is_tried_again(stage: Stage, chat: ScriptedChat) -> None:
    await _ends_unseen(stage, chat)
    for _ in range(2):
        await stage.desk.put(chat.id)
        await chat.run_ends()

    await _is_shown(chat)
    assert len(stage.surface.of(Call.SEND)) == 1


async def test_an_end_that_is_tried_again_in_vain_stays_owed(stage: Stage, chat: ScriptedChat) -> None:
    await _ends_unseen(stage, chat)
    _closes(stage)
    chat.start_run()
    await chat.run_ends()
    assert (await chat.turns())[-1].unshown_why == GONE


async def test_a_run_that_is_still_there_posts_the_end_before_the_next_answer(stage: Stage, chat: ScriptedChat) -> None:
    stage.limit(linger_s=60.0)
    await _writes(chat, stage)
    await chat.comes_true(chat.posts)
    _closes(stage)
    stage.model.open("go")
    await chat.is_done()

    async def is_kept_back() -> bool:
        return (await chat.turns())[-1].unshown_why is not None

    await chat.comes_true(is_kept_back)
    run = chat.run

    stage.surface.forget_faults()
    await chat.say("And now?", [says("Here.")])
    await chat.is_done("Here.")

    async def are_shown() -> bool:
        return all(turn.is_shown for turn in await chat.turns())

    await chat.comes_true(are_shown)
    assert chat.run is run
    assert [post.body["text"] for post in await chat.posts()] == [WORDS, "Here."]


# ------------------------------------------------------------ a platform that is away for longer than a run waits


async def test_an_end_that_could_not_be_shown_is_shown_by_the_next_run(stage: Stage, chat: ScriptedChat) -> None:
    stage.limit(settle_s=0.5)
    await _writes(chat, stage)
    await chat.comes_true(chat.posts)
    stage.surface.fail(Call.EDIT, *[Refuse(Ambiguous("away")) for _ in range(4)])
    stage.model.open("go")
    await chat.is_done()
    await chat.run_ends()
    assert not (await chat.turns())[-1].is_shown

    stage.limit(settle_s=30.0)
    chat.start_run()

    await _is_shown(chat)
    assert len(chat.requests) == 1


@pytest.mark.parametrize("ending", [TurnState.STOPPED, TurnState.FAILED])
async def test_every_message_gets_its_last_word(stage: Stage, chat: ScriptedChat, ending: TurnState) -> None:
    stage.surface.fail(Call.MARK, LoseAnswer(), Refuse(Ambiguous("away")), Refuse(RateLimited(0.1)))
    stage.surface.fail(Call.EDIT, LoseAnswer(), Refuse(RateLimited(0.1)))
    fault = [{"status": 400, "times": 0}] if ending is TurnState.FAILED else [at_gate("never")]
    await chat.say("Work.", [bash("true")], [*fault, says("Never.")])
    await chat.until(e.ToolFinished)
    if ending is TurnState.STOPPED:
        await chat.stop()

    end = await chat.finishes()

    assert end.state is ending
    await _is_shown(chat)
    assert list((await chat.receipts()).values()) == [ending.value]


async def test_an_end_that_the_platform_finds_too_large_for_good_does_not_keep_the_chat_busy(
    stage: Stage, chat: ScriptedChat
) -> None:
    # Each refusal of what was shown before the end makes the next try come later.
    stage.limit(settle_s=60.0)
    await chat.say("Work.", [says("Begun."), at_gate("go")])
    await chat.comes_true(chat.posts)
    stage.surface.fail(Call.EDIT, *[Refuse(TooLarge("too long"))] * 50)
    stage.model.open("go")
    await chat.is_done("Begun.")
    await chat.run_ends()

    turn = (await chat.turns())[-1]
    assert (turn.is_shown, turn.unshown_why) == (False, "too long")
    assert chat.id not in await stage.stores.chats.unattended()

    # What it was is tried once with the next message, which waits for nothing.
    before = len(stage.surface.of(Call.EDIT))
    chat.start_run()
    await chat.run_ends()
    assert len(stage.surface.of(Call.EDIT)) == before + 1
