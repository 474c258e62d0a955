"""Stopping a turn, whatever it is doing, and the limits that stop it by themselves."""

import pytest

from core.domain import events as e
from core.domain.chat import Mode
from core.domain.states import TurnState
from tests.stage import ScriptedChat, Stage, at_gate, bash, says
from tests.stage.lines import ENDLESS


async def _goes_on(chat: ScriptedChat) -> None:
    await chat.say("Go on.", [says("Going on.")])
    await chat.is_done("Going on.")


async def test_a_stop_while_the_model_writes_ends_the_turn(chat: ScriptedChat) -> None:
    message = await chat.say("Write.", [says("Once upon a time"), at_gate("never")])
    await chat.until(e.TextStreamed)
    agent = await chat.agent()

    assert await chat.stop()
    end = await chat.finishes()

    assert (end.state, end.error) == (TurnState.STOPPED, "Stopped by Ann.")
    await _goes_on(chat)
    assert await chat.agent() == agent
    await chat.run_ends()
    assert (await chat.posts())[0].body["text"] == "Once upon a time"
    assert (await chat.receipts())[message.external_id] == "stopped"


async def test_a_stop_ends_the_command_that_runs(chat: ScriptedChat) -> None:
    await chat.say("Work.", [bash(ENDLESS)], [says("Never.")])
    await chat.comes_true(lambda: chat.file("count"))

    await chat.stop()
    end = await chat.finishes()
    counted = await chat.file("count")

    assert end.state is TurnState.STOPPED
    await _goes_on(chat)
    assert await chat.file("count") == counted
    assert (await chat.posts())[0].body["steps"][0]["state"] == "failed"


async def test_a_stop_takes_an_open_question_back(stage: Stage) -> None:
    chat = stage.chat(mode=Mode.ASK)
    await chat.say("Work.", [bash("echo ran > ran")], [says("Never.")])
    asked = await chat.asks()

    await chat.stop()
    end = await chat.finishes()
    await chat.run_ends()

    assert end.state is TurnState.STOPPED
    assert await chat.file("ran") is None
    assert (await stage.stores.approvals.get(asked.id)).state.value == "withdrawn"
    (post,) = await chat.posts("tool")
    assert (post.body["state"], post.body["decided"]) == ("withdrawn", "No longer needed.")
    await _goes_on(chat)


async def test_a_stop_drops_what_steered_the_turn(chat: ScriptedChat) -> None:
    first = await chat.say("Work.", [bash(ENDLESS)], [says("Never.")])
    await chat.comes_true(lambda: chat.file("count"))
    second = await chat.say("And this.", [says("Never either.")])
    await chat.until(e.MessageSteered)

    await chat.stop()
    await chat.finishes()
    await chat.run_ends()

    assert len(chat.requests) == 1
    assert [await chat.state_of(first), await chat.state_of(second)] == ["stopped", "stopped"]


async def test_nothing_to_stop_is_no_error(chat: ScriptedChat) -> None:
    await chat.say("One.", [says("First.")])
    await chat.is_done()

    assert not await chat.stop()


@pytest.mark.parametrize("limit", ["time", "output"])
async def test_a_turn_past_its_limit_fails_and_the_next_one_works(stage: Stage, chat: ScriptedChat, limit: str) -> None:
    if limit == "time":
        stage.limit(turn_s=1.0, look_every_s=0.5)
        await chat.say("Work.", [bash(ENDLESS)], [says("Never.")])
    else:
        stage.limit(turn_bytes=300_000)
        await chat.say("Talk.", [says("blah ", size=600_000), at_gate("never")])

    end = await chat.finishes()

    assert end.state is TurnState.FAILED
    assert end.error is not None
    assert ("took longer than" if limit == "time" else "MB of output") in end.error
    stage.limit(turn_s=600.0, turn_bytes=64 << 20)
    await _goes_on(chat)
