"""What dies under a run: the agent's program, its sandbox, the event bus, the journal's old bytes. The turn goes on."""

import asyncio
import json
import shlex

import pytest
import redis as redis_sync
from structlog.testing import capture_logs

from core.domain import events as e
from core.domain.approval import Verdict
from core.domain.chat import Mode
from core.domain.states import TurnState
from core.errors import ProcessGone
from tests.stage import ScriptedChat, Stage, at_gate, bash, says

LOOP = "until [ -e go ]; do python3 -c 'import time; time.sleep(0.05)'; done"
RESTARTED = "The agent's program was interrupted and has been started again."


async def _goes_on(chat: ScriptedChat) -> None:
    await chat.say("Go on.", [says("Going on.")])
    await chat.is_done("Going on.")
    await chat.run_ends()


async def _words(chat: ScriptedChat, number: int = -1) -> list[str]:
    """What people were told in one line during a turn."""
    told = [recorded.event for recorded in await chat.events(number)]
    return [event.words for event in told if isinstance(event, e.AgentRestarted | e.Noticed)]


async def _let_go(chat: ScriptedChat) -> None:
    await chat.runs("touch /home/user/work/go")


# ------------------------------------------------------------ the agent's program


async def test_a_turn_goes_on_when_the_agent_dies_while_it_writes(stage: Stage, chat: ScriptedChat) -> None:
    message = await chat.say("Write.", [says("Once upon "), at_gate("go"), says("a time.")])
    await chat.until(e.TextStreamed)
    await chat.agent_remembers(str(message.id))
    before = await chat.agent()

    await chat.kill_agent()
    stage.model.open("go")
    await chat.until(e.AgentRestarted)
    end = await chat.is_done()
    await chat.run_ends()

    assert (await chat.agent()).run_dir != before.run_dir
    assert await _words(chat) == [RESTARTED]
    assert b"[Threadwork] Your program was interrupted and has been started again" in chat.requests[-1].raw
    (post,) = await chat.posts()
    assert (post.body["state"], post.body["text"]) == ("done", end.text)
    assert (await chat.kinds()).count("turn_finished") == 1
    await _goes_on(chat)


async def test_the_log_says_how_the_agent_ended_and_nothing_of_what_it_printed(chat: ScriptedChat) -> None:
    with capture_logs() as logged:
        await chat.say("Ann's own words.", [says("Once upon "), at_gate("go"), says("a time.")])
        await chat.until(e.TextStreamed)
        run_dir = (await chat.agent()).run_dir
        await chat.runs(f"echo 'sk-ant-secret: Ann said her own words; out of memory' >> {run_dir}/err.log")
        await chat.kill_agent()
        await chat.until(e.AgentRestarted)
        chat.stage.model.open("go")
        await chat.is_done()
        await chat.run_ends()

    (gone,) = [line for line in logged if line["event"] == "agent_gone"]
    assert (gone["exit_code"], gone["signal"], gone["cause"]) == (137, "SIGKILL", "out_of_memory")
    assert not [line for line in logged if "sk-ant" in str(line) or "own words" in str(line)]


async def test_an_agent_that_died_in_a_call_learns_that_its_outcome_is_unknown(chat: ScriptedChat) -> None:
    message = await chat.say("Work.", [bash(f"echo x >> ran; {LOOP}")], [says("I looked: it ran.")])
    await chat.comes_true(lambda: chat.file("ran"))

    await chat.agent_remembers('"type":"tool_use"')
    await chat.kill_agent()
    await chat.is_done("I looked: it ran.")
    await _let_go(chat)
    await chat.run_ends()

    assert await chat.file("ran") == "x\n"
    assert await _words(chat) == [RESTARTED]
    assert b"The outcome of this call is unknown, so check before you repeat it: " in chat.requests[-1].raw
    assert (await chat.kinds()).count("tool_failed") == 1
    assert (await chat.posts())[0].body["steps"][0]["state"] == "failed"
    assert await chat.receipts() == {message.external_id: "answered"}
    await _goes_on(chat)


async def test_an_agent_that_dies_again_and_again_ends_the_turn(stage: Stage, chat: ScriptedChat) -> None:
    stage.limit(restarts=1)
    message = await chat.say("Work.", [says("Trying."), at_gate("never")])
    for _ in range(2):
        await chat.until(e.TextStreamed)
        await chat.kill_agent()

    end = await chat.finishes()
    await chat.run_ends()

    assert end.state is TurnState.FAILED
    assert end.error == (
        "The agent's program ended unexpectedly 2 times. It was killed, as happens for want of memory. "
        "Your messages are kept; write again to go on."
    )
    assert await chat.receipts() == {message.external_id: "failed"}
    await _goes_on(chat)


async def test_an_agent_that_dies_as_it_starts_is_started_again_at_once(stage: Stage, chat: ScriptedChat) -> None:
    stage.provider.dying = 2
    await chat.say("Work.", [says("Done.")])
    await chat.is_done("Done.")
    await _goes_on(chat)


async def test_an_agent_that_never_starts_ends_the_turn_soon(stage: Stage, chat: ScriptedChat) -> None:
    stage.limit(restarts=1)
    stage.provider.dying = 2
    await chat.say("Work.", [says("Done.")])
    end = await chat.finishes()
    await chat.run_ends()

    assert end.state is TurnState.FAILED
    assert end.error == (
        "The agent's program ended while it was starting. Your messages are kept; write again to go on."
    )
    await _goes_on(chat)


async def test_an_agent_that_died_between_turns_is_started_on_its_memory(stage: Stage, chat: ScriptedChat) -> None:
    stage.limit(linger_s=30.0)
    await chat.say("One.", [says("First.")])
    await chat.is_done("First.")
    await chat.agent_remembers("First.")

    await chat.kill_agent()
    await chat.say("Two.", [says("Second.")])
    await chat.is_done("Second.")

    assert b"One." in chat.requests[-1].raw
    assert await _words(chat) in ([], [RESTARTED])
    assert len(chat.requests) == 2


async def test_a_program_that_no_longer_reads_counts_as_gone(chat: ScriptedChat) -> None:
    await chat.say("One.", [says("First.")])
    await chat.is_done("First.")
    sandbox = await chat.sandbox()

    pid = await sandbox.start("exec <&-; exec python3 -c 'import time; time.sleep(60)'")

    async def say_on() -> None:
        while True:
            await sandbox.send_stdin(pid, "Are you there?\n")

    with pytest.raises(ProcessGone):
        await asyncio.wait_for(say_on(), 30)


async def test_an_agent_that_only_looks_alive_is_started_again(stage: Stage, chat: ScriptedChat) -> None:
    await chat.say("One.", [says("First.")])
    await chat.is_done("First.")
    before = await chat.agent()

    stage.provider.refusing = [ProcessGone("no such process")] * 3
    await chat.say("Two.", [says("Second.")])
    await chat.is_done("Second.")

    assert await chat.agent() != before
    await _goes_on(chat)


async def test_an_agent_that_died_unseen_is_heard_out(stage: Stage, chat: ScriptedChat) -> None:
    await chat.say("Work.", [says("The end."), at_gate("end")])
    await chat.until(e.TextStreamed)
    await chat.cancel_run()

    stage.model.open("end")
    await chat.comes_true(lambda: chat.runs('grep -h \'"type":"result"\' /home/user/.threadwork/run/1/out.jsonl'))
    await chat.kill_agent()
    chat.start_run()
    await chat.is_done("The end.")
    await chat.run_ends()

    assert len(chat.requests) == 1
    assert await _words(chat) == []
    await _goes_on(chat)


async def test_what_a_lost_agent_had_in_mind_comes_before_what_it_had_not(stage: Stage, chat: ScriptedChat) -> None:
    first = await chat.say("Work.", [bash(f"echo x >> ran; {LOOP}")], [at_gate("work"), says("Work is done.")])
    await chat.comes_true(lambda: chat.file("ran"))
    await chat.agent_remembers('"type":"tool_use"')
    second = await chat.say("And more.", [says("More is done.")])
    await chat.until(e.MessageSteered)
    await chat.kill_agent()
    await chat.comes_true(lambda: chat.requests[1:])
    assert b"Your program was interrupted" in chat.requests[1].raw
    stage.model.open("work")
    await chat.run_ends()

    assert await chat.receipts() == {first.external_id: "answered", second.external_id: "answered"}
    turns = await chat.turns()
    assert {turn.state for turn in turns} == {TurnState.DONE}
    # The agent takes both at once or one after the other, as it heard of the second; never the second alone.
    assert [turn.text for turn in turns] in (["More is done."], ["Work is done.", "More is done."])


@pytest.mark.parametrize("verdict", [Verdict.ALLOW, Verdict.DENY])
async def test_a_question_outlives_the_agent_that_asked_it(stage: Stage, verdict: Verdict) -> None:
    chat = stage.chat(mode=Mode.ASK)
    call = bash("echo x >> ran")
    script = ([call], [call], [says("Done.")]) if verdict.is_yes else ([call], [says("Done.")])
    await chat.say("Work.", *script)
    asked = await chat.asks()

    await chat.agent_remembers(asked.tool_use_id)
    await chat.kill_agent()
    await chat.is_in_state(TurnState.WAITING)
    await chat.run_ends()
    (post,) = await chat.posts("tool")
    assert post.body["state"] == "pending"
    assert len(chat.requests) == 1

    await chat.decide(asked, verdict)
    await chat.is_done("Done.")
    await chat.run_ends()

    assert await chat.file("ran") == ("x\n" if verdict.is_yes else None)
    told = b"Your request was allowed, but has not run" if verdict.is_yes else b"Your request was refused"
    assert told in chat.requests[1].raw
    assert (await chat.kinds()).count("approval_asked") == 1
    (post,) = await chat.posts("tool")
    assert post.body["state"] == ("allowed" if verdict.is_yes else "denied")
    await _goes_on(chat)


async def test_a_refusal_of_the_agents_own_at_its_end_is_no_answer(stage: Stage) -> None:
    """A CLI whose stdin ends refuses what it waits for; the host that was killed may leave it the time to say so."""
    chat = stage.chat(mode=Mode.ASK)
    call = bash("echo x >> ran")
    await chat.say("Work.", [call], [call], [says("Done.")])
    asked = await chat.asks()
    await chat.agent_remembers(asked.tool_use_id)
    stage.desk.is_open = False
    await chat.cancel_run()
    block = {"type": "tool_result", "tool_use_id": asked.tool_use_id, "content": "Stream closed", "is_error": True}
    refusal = {"type": "user", "message": {"role": "user", "content": [block]}, "parent_tool_use_id": None}
    run_dir = (await chat.agent()).run_dir
    await chat.runs(
        f"kill -9 $(cat {run_dir}/sh.pid) $(cat {run_dir}/cli.pid); "
        f"echo {shlex.quote(json.dumps(refusal))} >> {run_dir}/out.jsonl"
    )

    await chat.decide(asked)
    stage.desk.is_open = True
    chat.start_run()
    await chat.is_done("Done.")
    await chat.run_ends()

    assert await chat.file("ran") == "x\n"
    assert b"Your request was allowed, but has not run" in chat.requests[1].raw
    assert (await chat.kinds()).count("approval_asked") == 1
    assert (await chat.kinds()).count("tool_failed") == 0


async def test_a_pid_that_another_program_has_now_is_not_the_agents(chat: ScriptedChat) -> None:
    await chat.say("One.", [says("First.")])
    await chat.is_done("First.")
    await chat.run_ends()
    run_dir = (await chat.agent()).run_dir
    # As a look of ours does, it names the file.
    impostor = f"( exec -a 'cat {run_dir}/sh.pid' sleep 600 ) >/dev/null 2>&1 & echo $! > {run_dir}/sh.pid"
    await chat.runs(f"kill -9 $(cat {run_dir}/sh.pid) $(cat {run_dir}/cli.pid); {impostor}")

    await _goes_on(chat)


# ------------------------------------------------------------ the sandbox


async def test_a_sandbox_that_is_lost_in_mid_turn_fails_it_in_words(stage: Stage, chat: ScriptedChat) -> None:
    message = await chat.say("Work.", [bash(f"echo x >> ran; {LOOP}")], [says("Never.")])
    await chat.comes_true(lambda: chat.file("ran"))

    await stage.provider.kill(stage.provider.made[-1])
    end = await chat.finishes()
    await chat.run_ends()

    assert end.state is TurnState.FAILED
    assert end.error == (
        "The sandbox of this thread was lost while I worked, with its files. "
        "Your messages are kept: write again and I start in a new one."
    )
    assert (await chat.posts())[0].body["error"] == end.error
    assert await chat.receipts() == {message.external_id: "failed"}
    await _goes_on(chat)
    assert len(stage.provider.made) == 2


async def test_a_sandbox_that_is_lost_with_a_question_open_takes_it_along(stage: Stage) -> None:
    chat = stage.chat(mode=Mode.ASK)
    await chat.say("Work.", [bash("echo x >> ran")], [says("Never.")])
    asked = await chat.asks()

    await stage.provider.kill(stage.provider.made[-1])
    end = await chat.finishes()
    await chat.run_ends()

    assert end.state is TurnState.FAILED
    assert (await stage.stores.approvals.get(asked.id)).state.value == "withdrawn"
    assert [post.body["state"] for post in await chat.posts("tool")] == ["withdrawn"]
    await _goes_on(chat)


@pytest.mark.parametrize("linger_s", [0.1, 30.0])
async def test_a_sandbox_that_was_lost_between_turns_is_made_anew(
    stage: Stage, chat: ScriptedChat, linger_s: float
) -> None:
    stage.limit(linger_s=linger_s)
    await chat.say("One.", [says("First.")])
    await chat.is_done("First.")
    if linger_s < 1:
        await chat.run_ends()

    await stage.provider.kill(stage.provider.made[-1])
    await chat.say("Two.", [says("Second.")])
    await chat.is_done("Second.")

    assert await _words(chat) == [
        "The sandbox of this thread was gone; I start in a new one, without its files and memory."
    ]
    assert len(stage.provider.made) == len(chat.requests) == 2


async def test_a_sandbox_that_is_paused_under_a_run_goes_on(stage: Stage, chat: ScriptedChat) -> None:
    await chat.say("Work.", [bash(f"echo x >> ran; {LOOP}")], [says("Done.")])
    await chat.comes_true(lambda: chat.file("ran"))
    agent = await chat.agent()

    await stage.provider.pause(stage.provider.made[-1])
    await _let_go(chat)
    await chat.is_done("Done.")
    await chat.run_ends()

    assert await chat.agent() == agent
    assert await chat.file("ran") == "x\n"
    assert await _words(chat) == []


@pytest.mark.parametrize("linger_s", [0.1, 30.0])
async def test_a_sandbox_that_was_paused_between_turns_goes_on(
    stage: Stage, chat: ScriptedChat, linger_s: float
) -> None:
    stage.limit(linger_s=linger_s)
    await chat.say("One.", [says("First.")])
    await chat.is_done("First.")
    agent = await chat.agent()
    if linger_s < 1:
        await chat.run_ends()

    await stage.provider.pause(stage.provider.made[-1])
    await chat.say("Two.", [says("Second.")])
    await chat.is_done("Second.")

    assert await chat.agent() == agent
    assert await _words(chat) == []


# ------------------------------------------------------------ the event bus, and the journal's old bytes


async def test_a_flushed_bus_loses_nothing(stage: Stage, redis_url: str) -> None:
    chat = stage.chat(mode=Mode.ASK)
    with redis_sync.Redis.from_url(redis_url) as redis:
        await chat.say("Work.", [bash(f"echo x >> ran; {LOOP}")], [bash("echo y >> ran")], [says("Done.")])
        asked = await chat.asks()
        redis.flushall()
        await chat.decide(asked)
        await chat.comes_true(lambda: chat.file("ran"))
        redis.flushall()
        redis.client_kill_filter(_type="normal", skipme=True)
        await _let_go(chat)
        second = await chat.asks()
        redis.flushall()
        await chat.decide(second)
    await chat.is_done("Done.")
    await chat.run_ends()

    assert await chat.file("ran") == "x\ny\n"
    assert len(await chat.posts("tool")) == 2
    await _goes_on(chat)


async def test_a_bus_that_hangs_holds_up_no_work(stage: Stage, redis_url: str) -> None:
    # A wake that could not be sent is given up: the run finds the decision by itself.
    stage.limit(look_every_s=0.5)
    chat = stage.chat(mode=Mode.ASK)
    await chat.say("Work.", [bash("echo x >> ran")], [bash("echo y >> ran")], [says("Done.")])
    asked = await chat.asks()
    with redis_sync.Redis.from_url(redis_url) as redis:
        redis.client_pause(4_000)
    await chat.decide(asked)
    await chat.comes_true(lambda: chat.file("ran"))
    await chat.comes_true(lambda: _are_asked(chat, 2))
    await chat.decide((await stage.stores.approvals.of_turn((await chat.turns())[-1].id))[-1])
    await chat.is_in_state(TurnState.DONE)
    await chat.run_ends()

    assert await chat.file("ran") == "x\ny\n"
    assert [post.body["state"] for post in await chat.posts("tool")] == ["allowed", "allowed"]
    assert (await chat.posts())[0].body["text"] == "Done."


async def _are_asked(chat: ScriptedChat, count: int) -> bool:
    return (await chat.kinds()).count("approval_asked") == count


async def test_a_journal_that_was_emptied_is_read_on(stage: Stage, chat: ScriptedChat) -> None:
    stage.limit(rotate_bytes=1_000, linger_s=0.1)
    await chat.say("One.", [says("First.")])
    await chat.is_done("First.")
    await chat.run_ends()
    agent = await chat.agent()
    assert await _journal(chat) == 1

    await chat.say("Two.", [bash("echo two >> ran")], [says("Second.")])
    await chat.is_done("Second.")
    await chat.run_ends()
    assert await _journal(chat) == 1

    await chat.say("Three.", [bash(f"echo three >> ran; {LOOP}")], [says("Third.")])
    await chat.until(e.ToolStarted)
    await chat.cancel_run()
    chat.start_run()
    await _let_go(chat)
    await chat.is_done("Third.")
    await chat.run_ends()

    assert await chat.agent() == agent
    assert await chat.file("ran") == "two\nthree\n"
    assert [recorded.seq for recorded in await chat.events()] == list(range(1, len(await chat.events()) + 1))
    assert len(chat.requests) == 5

    await chat.kill_agent()
    await _goes_on(chat)
    assert b"Three." in chat.requests[-1].raw


async def _journal(chat: ScriptedChat) -> int:
    """Bytes in the agent's journal."""
    return int(await chat.runs(f"stat -c %s {(await chat.now()).seat.run_dir}/out.jsonl"))
