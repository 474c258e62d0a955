"""Another run goes on where one was cut off: same agent, same post, nothing twice."""

import asyncio
from collections import Counter

from core.domain import events as e
from core.domain.chat import Mode
from core.domain.states import TurnState
from core.ports import Call
from tests.stage import ScriptedChat, Stage, at_gate, bash, says

LOOP = "until [ -e go ]; do python3 -c 'import time; time.sleep(0.05)'; done"


async def _is_whole(chat: ScriptedChat, *, requests: int) -> None:
    """Nothing of the newest turn happened twice or not at all."""
    assert [recorded.seq for recorded in await chat.events()] == list(range(1, len(await chat.events()) + 1))
    assert Counter(await chat.kinds())["turn_finished"] == 1
    assert len(chat.requests) == requests
    assert len(await chat.posts()) == len(await chat.turns())
    published = Counter((told.turn_id, told.seq) for told in chat.stage.ear.told if told.seq is not None)
    assert set(published.values()) == {1}


async def test_a_second_run_writes_the_text_to_its_end(stage: Stage, chat: ScriptedChat) -> None:
    words = " ".join(f"word{number}" for number in range(200))
    await chat.say("Write.", [{"delay": 0.03}, says(words), at_gate("end")])
    await chat.until(e.TextStreamed)
    agent = await chat.agent()

    await chat.cancel_run()
    chat.start_run()
    stage.model.open("end")
    await chat.is_done(words)
    await chat.run_ends()

    assert await chat.agent() == agent
    assert (await chat.posts())[0].body["text"] == words
    await _is_whole(chat, requests=1)


async def test_a_second_run_goes_on_in_the_middle_of_a_command(chat: ScriptedChat) -> None:
    await chat.say("Work.", [bash(f"echo x >> ran; {LOOP}")], [says("Done.")])
    await chat.comes_true(lambda: chat.file("ran"))
    agent = await chat.agent()

    await chat.cancel_run()
    chat.start_run()
    await chat.runs("touch /home/user/work/go")
    await chat.is_done("Done.")
    await chat.run_ends()

    assert await chat.agent() == agent
    assert await chat.file("ran") == "x\n"
    await _is_whole(chat, requests=2)


async def test_a_question_outlives_the_run_that_asked_it(stage: Stage) -> None:
    chat = stage.chat(mode=Mode.ASK)
    await chat.say("Work.", [bash("echo x >> ran")], [says("Done.")])
    asked = await chat.asks()
    agent = await chat.agent()
    await chat.comes_true(lambda: chat.posts("tool"))

    await chat.cancel_run()
    chat.start_run()
    await chat.decide(asked)
    await chat.is_done("Done.")
    await chat.run_ends()

    assert await chat.agent() == agent
    assert await chat.file("ran") == "x\n"
    assert len(await chat.posts("tool")) == 1
    assert Counter(await chat.kinds())["approval_asked"] == 1
    await _is_whole(chat, requests=2)


async def test_a_decision_given_while_no_run_was_there_counts(stage: Stage) -> None:
    chat = stage.chat(mode=Mode.ASK)
    await chat.say("Work.", [bash("echo x >> ran")], [says("Done.")])
    asked = await chat.asks()
    await chat.cancel_run()

    stage.desk.is_open = False
    await chat.decide(asked)
    stage.desk.is_open = True
    chat.start_run()
    await chat.is_done("Done.")
    await chat.run_ends()

    assert await chat.file("ran") == "x\n"
    await _is_whole(chat, requests=2)


async def test_a_stop_given_while_no_run_was_there_counts(stage: Stage, chat: ScriptedChat) -> None:
    await chat.say("Work.", [bash(LOOP)], [says("Never.")])
    await chat.until(e.ToolStarted)
    await chat.cancel_run()

    stage.desk.is_open = False
    await chat.stop()
    stage.desk.is_open = True
    chat.start_run()
    end = await chat.finishes()

    assert end.state is TurnState.STOPPED
    await chat.run_ends()
    await _is_whole(chat, requests=1)


async def test_an_end_that_no_run_saw_is_told(stage: Stage, chat: ScriptedChat) -> None:
    await chat.say("Work.", [says("The end."), at_gate("end")])
    await chat.until(e.TextStreamed)
    await chat.cancel_run()

    stage.model.open("end")
    await chat.comes_true(lambda: chat.runs('grep -h \'"type":"result"\' /home/user/.threadwork/run/1/out.jsonl'))
    chat.start_run()
    await chat.is_done("The end.")
    await chat.run_ends()

    await _is_whole(chat, requests=1)


async def test_runs_that_come_and_go_lose_nothing(chat: ScriptedChat) -> None:
    steps = [[bash(f"echo {number} >> ran")] for number in range(6)]
    await chat.say("Work.", *steps, [says("Six.")])

    for _ in range(3):
        await chat.until(e.ToolStarted)
        await chat.cancel_run()
        chat.start_run()
    await chat.is_done("Six.")
    await chat.run_ends()

    assert await chat.file("ran") == "0\n1\n2\n3\n4\n5\n"
    await _is_whole(chat, requests=7)


async def test_a_run_whose_chat_was_taken_changes_nothing_more(stage: Stage, chat: ScriptedChat) -> None:
    await chat.say("Work.", [says("Begun."), at_gate("go"), bash("echo x >> ran")], [says("Done.")])
    await chat.until(e.TextStreamed)
    await chat.comes_true(chat.posts)
    zombie = chat.run
    assert zombie is not None
    epoch = (await chat.now()).epoch

    # As if it had been stopped for longer than its lease.
    async with stage.engine.connect() as connection:
        await connection.exec_driver_sql("UPDATE chats SET lease_until = now() - interval '1 second'")
    chat.start_run()
    await chat.comes_true(lambda: _is_past(chat, epoch))
    stage.model.open("go")
    await chat.is_done("Done.")
    async with asyncio.timeout(30):
        await zombie
    await chat.run_ends()

    assert (await chat.now()).epoch == epoch + 1
    assert await chat.file("ran") == "x\n"
    assert len([done for done in stage.surface.of(Call.SEND) if done.body["kind"] == "turn"]) == 1
    await _is_whole(chat, requests=2)


async def _is_past(chat: ScriptedChat, epoch: int) -> bool:
    return (await chat.now()).epoch > epoch


async def test_a_chat_that_is_worked_is_not_taken(stage: Stage, chat: ScriptedChat) -> None:
    stage.limit(lease_s=2.0)
    await chat.say("Work.", [says("Begun."), at_gate("go")])
    await chat.until(e.TextStreamed)
    epoch = (await chat.now()).epoch

    # It waits for longer than a lease lasts, in vain: the one that works keeps renewing its own.
    await asyncio.wait_for(stage.desk.second(chat.id), 30)

    assert (await chat.now()).epoch == epoch
    stage.model.open("go")
    await chat.is_done("Begun.")
