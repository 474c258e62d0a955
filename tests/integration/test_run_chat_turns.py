"""Turns as a person sees them: one, several on one agent, and messages that come meanwhile."""

from core.domain import events as e
from core.domain.chat import Author, Busy, Mode, Platform
from core.domain.states import TurnState
from core.ports import Count, Span
from tests.doubles.anthropic import Gate, Reply, Text
from tests.stage import ScriptedChat, Stage, at_gate, bash, says


async def test_a_turn_shows_its_work_and_its_answer_and_is_counted(stage: Stage, chat: ScriptedChat) -> None:
    message = await chat.say("Greet.", [says("Let me see."), bash("echo hello > greeting")], [says("Greeted.")])

    end = await chat.is_done("Greeted.")
    await chat.run_ends()

    assert await chat.file("greeting") == "hello\n"
    kinds = await chat.kinds()
    assert kinds[0] == "turn_started"
    assert kinds[-1] == "turn_finished"
    assert [kind for kind in kinds if kind.startswith("tool")] == ["tool_started", "tool_finished"]
    assert end.usage.input_tokens == 200
    (post,) = await chat.posts()
    assert (post.body["text"], post.body["state"]) == ("Greeted.", "done")
    assert await chat.receipts() == {message.external_id: "answered"}
    assert await chat.state_of(message) == "answered"
    counted = await stage.tools.counters.read()
    assert [sum(counted.spans[span, Platform.CONSOLE].counts) for span in Span] == [1, 1]
    assert counted.counts[Count.POSTS_SENT, Platform.CONSOLE] == 1
    assert counted.counts[Count.EDITS_SENT, Platform.CONSOLE] >= 1
    assert counted.counts[Count.RATE_LIMITED, Platform.CONSOLE] == 0


async def test_a_second_turn_meets_the_same_agent(stage: Stage, chat: ScriptedChat) -> None:
    stage.limit(linger_s=30.0)
    await chat.say("One.", [says("First.")])
    await chat.is_done("First.")
    agent, run = await chat.agent(), chat.run

    await chat.say("Two.", [says("Second.")])
    await chat.is_done("Second.")

    assert await chat.agent() == agent
    assert chat.run is run
    assert [turn.number for turn in await chat.turns()] == [1, 2]
    assert len(await chat.posts()) == 2


async def test_a_turn_after_the_run_ended_meets_the_same_agent(chat: ScriptedChat) -> None:
    await chat.say("One.", [says("First.")])
    await chat.is_done("First.")
    agent = await chat.agent()
    await chat.run_ends()

    await chat.say("Two.", [says("Second.")])
    await chat.is_done("Second.")

    assert await chat.agent() == agent
    texts = [str(message["content"]) for message in chat.requests[-1].body["messages"]]
    assert any("One." in text for text in texts), "the agent has forgotten the first turn"


async def test_a_message_that_came_twice_is_answered_once(chat: ScriptedChat) -> None:
    first = await chat.say("One.", [says("First.")], again="m1")
    second = await chat.say("One.", [says("First.")], again="m1")
    await chat.is_done("First.")
    await chat.run_ends()

    assert first.id == second.id
    assert len(await chat.turns()) == len(chat.requests) == 1


async def test_a_message_meanwhile_joins_the_turn(chat: ScriptedChat) -> None:
    await chat.say(
        "Work.", [bash("until [ -e go ]; do python3 -c 'import time; time.sleep(0.05)'; done")], [says("Both done.")]
    )
    await chat.until(e.ToolStarted)

    second = await chat.say("And mind the gap.", by=Author("u2", "Bob"))
    steered = await chat.until(e.MessageSteered)
    await chat.runs("touch /home/user/work/go")
    await chat.is_done("Both done.")
    await chat.run_ends()

    assert (steered.author, steered.text) == ("Bob", "And mind the gap.")
    assert len(await chat.turns()) == 1
    assert b"mind the gap" in chat.requests[-1].raw
    assert set((await chat.receipts()).values()) == {"answered"}
    receipts = [done.body["receipt"] for done in chat.stage.surface.done if done.post == second.external_id]
    assert receipts[-2:] == ["steered", "answered"]


async def test_a_message_that_comes_during_the_last_words_is_answered_too(chat: ScriptedChat) -> None:
    first = await chat.say("One.", [says("First."), at_gate("end")])
    await chat.until(e.TextStreamed)

    second = await chat.say("Two.", [says("Second.")])
    await chat.until(e.MessageSteered)
    stage = chat.stage
    stage.model.open("end")
    await chat.comes_true(lambda: len(chat.requests) == 2)
    await chat.comes_true(lambda: chat.run is None)

    assert {await chat.state_of(first), await chat.state_of(second)} == {"answered"}
    assert (await chat.posts())[-1].body["text"] == "Second."


async def test_in_queue_mode_a_message_begins_the_next_turn(stage: Stage) -> None:
    chat = stage.chat(mode=Mode.BYPASS, busy=Busy.QUEUE)
    await chat.say("One.", [says("First."), at_gate("end")])
    await chat.until(e.TextStreamed)
    waiting = await chat.say("Two.", [says("Second.")])
    assert await chat.state_of(waiting) == "queued"

    stage.model.open("end")
    await chat.is_done("First.")
    await chat.is_done("Second.")

    assert await chat.state_of(waiting) == "answered"
    assert len(await chat.turns()) == 2


async def test_in_interrupt_mode_a_message_ends_the_turn_and_begins_the_next(stage: Stage) -> None:
    chat = stage.chat(mode=Mode.BYPASS, busy=Busy.INTERRUPT)
    await chat.say("One.", [says("First."), at_gate("never")])
    await chat.until(e.TextStreamed)
    agent = await chat.agent()
    await chat.say("Two.", [says("Second.")])

    first = await chat.finishes()
    await chat.is_done("Second.")

    assert (first.state, first.error) == (TurnState.STOPPED, "Set aside for a newer message.")
    assert await chat.agent() == agent


async def test_a_turn_costs_what_it_cost_and_no_more(stage: Stage, chat: ScriptedChat) -> None:
    await chat.say("One.", [says("First.")])
    first = await chat.is_done()
    await chat.say("Two.", [says("Second.")])
    second = await chat.is_done()
    await chat.kill_agent()
    await chat.run_ends()
    await chat.say("Three.", [says("Third.")])
    third = await chat.is_done("Third.")

    assert first.cost_usd > 0
    assert second.cost_usd == third.cost_usd == first.cost_usd
    assert {end.usage.input_tokens for end in (first, second, third)} == {100}
    assert (await chat.now()).cost_usd == first.cost_usd * 3


async def test_a_turn_nobody_asked_for_does_not_end_a_persons(stage: Stage, chat: ScriptedChat) -> None:
    stage.limit(linger_s=60.0)
    wait = "until [ -e go ]; do python3 -c 'import time; time.sleep(0.05)'; done"
    await chat.say("Watch.", [bash(wait, run_in_background=True)], [says("I watch.")])
    await chat.is_done("I watch.")
    stage.model.queue.append(Reply((Text("It is there."), Gate("news"))))
    await chat.runs("touch /home/user/work/go")
    await chat.until(e.TextStreamed)

    message = await chat.say("Hello?", [says("Hello.")])
    await chat.until(e.MessageSteered)
    stage.model.open("news")
    await chat.comes_true(lambda: len(chat.requests) == 4)

    await chat.is_done("Hello.")
    assert await chat.state_of(message) == "answered"
    assert len(await chat.turns()) == 2
