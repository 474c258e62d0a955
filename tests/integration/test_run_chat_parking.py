"""Waiting for a person costs nothing: the run ends, the sandbox sleeps, and whoever comes wakes both."""

import pytest

from core.domain import events as e
from core.domain.approval import Approval, Verdict
from core.domain.chat import Mode
from core.domain.states import ApprovalState, SandboxState, TurnState
from core.ports import Call, ConsolePost
from tests.stage import ScriptedChat, Stage, asks_person, bash, says

COMMAND = "echo x >> ran"


@pytest.fixture
def asking(stage: Stage) -> ScriptedChat:
    stage.limit(park_after_s=0.3, look_every_s=0.2)
    return stage.chat(mode=Mode.ASK)


async def _parks(chat: ScriptedChat) -> Approval:
    """The question that is open once the chat is parked."""
    asked = await chat.asks()
    await chat.run_ends()
    await chat.is_in_state(TurnState.WAITING)
    assert not await _is_running(chat)
    assert [post.body["state"] for post in await _questions(chat)] == ["pending"]
    return asked


async def _questions(chat: ScriptedChat) -> list[ConsolePost]:
    return [post for kind in ("tool", "question", "plan") for post in await chat.posts(kind)]


async def _is_running(chat: ScriptedChat) -> bool:
    sandbox = (await chat.now()).seat.sandbox_id
    return any(info.is_running for info in await chat.stage.provider.list() if info.id == sandbox)


async def _goes_on(chat: ScriptedChat) -> None:
    await chat.change(mode=Mode.BYPASS)
    await chat.say("Go on.", [says("Going on.")])
    await chat.is_done("Going on.")


async def _asked_once(chat: ScriptedChat, state: str) -> None:
    """One question, on one post, which says what became of it."""
    assert (await chat.kinds(0)).count("approval_asked") == 1
    (post,) = await _questions(chat)
    assert post.body["state"] == state
    sends = [done for done in chat.stage.surface.of(Call.SEND) if done.body["kind"] != "turn"]
    assert len(sends) == 1


@pytest.mark.parametrize("verdict", [Verdict.ALLOW, Verdict.DENY])
async def test_a_decision_wakes_the_same_agent(asking: ScriptedChat, verdict: Verdict) -> None:
    message = await asking.say("Work.", [bash(COMMAND)], [says("Done.")])
    asked = await _parks(asking)
    assert await asking.receipts() == {message.external_id: "working"}
    before = await asking.now()

    await asking.decide(asked, verdict)
    await asking.is_done("Done.")
    await asking.run_ends()

    assert (await asking.now()).seat.run_dir == before.seat.run_dir
    assert await asking.file("ran") == ("x\n" if verdict.is_yes else None)
    assert len(asking.requests) == 2
    assert await asking.receipts() == {message.external_id: "answered"}
    await _asked_once(asking, "allowed" if verdict.is_yes else "denied")
    await _goes_on(asking)


async def test_an_answer_wakes_the_same_agent(asking: ScriptedChat) -> None:
    await asking.say("Ask me.", [asks_person("Which colour?", "Red", "Blue")], [says("Blue it is.")])
    asked = await _parks(asking)

    await asking.decide(asked, answers={"Which colour?": "Blue"})
    await asking.is_done("Blue it is.")
    await asking.run_ends()

    assert b'\\"Which colour?\\"=\\"Blue\\"' in asking.requests[-1].raw
    await _asked_once(asking, "allowed")


async def test_a_stop_wakes_a_parked_chat_and_ends_its_turn(asking: ScriptedChat) -> None:
    message = await asking.say("Work.", [bash(COMMAND)], [says("Never.")])
    asked = await _parks(asking)

    assert await asking.stop()
    end = await asking.finishes()
    await asking.run_ends()

    assert (end.state, end.error) == (TurnState.STOPPED, "Stopped by Ann.")
    assert (await asking.stage.stores.approvals.get(asked.id)).state is ApprovalState.WITHDRAWN
    assert await asking.file("ran") is None
    assert await asking.receipts() == {message.external_id: "stopped"}
    await _asked_once(asking, "withdrawn")
    await _goes_on(asking)


async def test_a_message_wakes_a_parked_chat_and_joins_its_turn(stage: Stage, asking: ScriptedChat) -> None:
    await asking.say("Work.", [bash(COMMAND)], [says("Done, and minded.")])
    asked = await _parks(asking)

    stage.limit(park_after_s=600.0)
    second = await asking.say("Mind the gap.")
    await asking.until(e.MessageSteered)
    assert (await stage.stores.approvals.get(asked.id)).state is ApprovalState.PENDING
    await asking.decide(asked)
    await asking.is_done("Done, and minded.")
    await asking.run_ends()

    assert b"Mind the gap." in asking.requests[-1].raw
    assert await asking.state_of(second) == "answered"
    assert await asking.file("ran") == "x\n"
    assert set((await asking.receipts()).values()) == {"answered"}
    await _asked_once(asking, "allowed")


async def test_a_chat_parks_again_and_again(asking: ScriptedChat) -> None:
    await asking.say("Work.", [bash(COMMAND)], [bash("echo y >> ran")], [says("Done.")])
    first = await _parks(asking)
    await asking.say("Are you there?")
    await asking.until(e.MessageSteered)
    await asking.run_ends()
    await asking.is_in_state(TurnState.WAITING)
    await asking.decide(first)

    second = await asking.asks()
    await asking.run_ends()
    await asking.is_in_state(TurnState.WAITING)
    await asking.decide(second)
    await asking.is_done("Done.")
    await asking.run_ends()

    assert await asking.file("ran") == "x\ny\n"
    assert [post.body["state"] for post in await asking.posts("tool")] == ["allowed", "allowed"]


async def test_being_put_to_work_moves_a_parked_chat_not_at_all(asking: ScriptedChat) -> None:
    await asking.say("Work.", [bash(COMMAND)], [says("Done.")])
    asked = await _parks(asking)

    asking.start_run()
    await asking.run_ends()

    assert not await _is_running(asking)
    assert (await asking.turns())[-1].state is TurnState.WAITING
    await asking.decide(asked)
    await asking.is_done("Done.")
    await asking.run_ends()
    await _asked_once(asking, "allowed")


async def test_a_run_cut_off_while_it_parks_leaves_no_chat_that_only_seems_asleep(
    stage: Stage, asking: ScriptedChat
) -> None:
    stage.provider.may_pause.clear()
    await asking.say("Work.", [bash(COMMAND)], [says("Done.")])
    asked = await asking.asks()
    await asking.comes_true(lambda: stage.provider.pausing)

    # Nobody would look after a sandbox that still runs, were it stored as paused already.
    assert (await asking.now()).seat.sandbox_state is SandboxState.RUNNING
    assert (await asking.turns())[-1].state is TurnState.RUNNING
    await asking.cancel_run()
    stage.provider.may_pause.set()
    asking.start_run()
    await asking.run_ends()

    assert (await asking.now()).seat.sandbox_state is SandboxState.PAUSED
    assert (await asking.turns())[-1].state is TurnState.WAITING
    assert not await _is_running(asking)
    await asking.decide(asked)
    await asking.is_done("Done.")
    await asking.run_ends()
    await _asked_once(asking, "allowed")


@pytest.mark.parametrize("comes", ["a decision", "a message", "a stop"])
async def test_a_parked_chat_whose_sandbox_was_lost_says_so(asking: ScriptedChat, comes: str) -> None:
    message = await asking.say("Work.", [bash(COMMAND)], [says("Never.")])
    asked = await _parks(asking)
    await asking.stage.provider.kill(asking.stage.provider.made[-1])

    match comes:
        case "a decision":
            await asking.decide(asked)
        case "a message":
            await asking.say("Still there?", [says("In a new sandbox.")])
        case _:
            await asking.stop()
    end = await asking.finishes()

    if comes == "a stop":
        assert end.state is TurnState.STOPPED
        assert str(end.error).startswith(
            "Stopped by Ann. The sandbox of this thread was lost meanwhile, with its files;"
        )
    else:
        assert end.state is TurnState.FAILED
        assert str(end.error).startswith("The sandbox of this thread was lost while I worked, with its files.")
    if comes == "a message":
        await asking.is_done("In a new sandbox.")
    await asking.run_ends()
    await _asked_once(asking, "allowed" if comes == "a decision" else "withdrawn")
    assert (await asking.receipts())[message.external_id] == ("stopped" if comes == "a stop" else "failed")
    await _goes_on(asking)


@pytest.mark.parametrize("verdict", [Verdict.ALLOW, Verdict.DENY])
async def test_a_decision_counts_though_the_agent_did_not_survive_the_pause(
    asking: ScriptedChat, verdict: Verdict
) -> None:
    again = [[bash(COMMAND)]] if verdict.is_yes else []
    await asking.say("Work.", [bash(COMMAND)], *again, [says("Done.")])
    asked = await _parks(asking)
    await _lose_processes(asking)

    await asking.decide(asked, verdict)
    await asking.is_done("Done.")
    await asking.run_ends()

    told = b"Your request was allowed, but has not run" if verdict.is_yes else b"Your request was refused"
    assert told in asking.requests[1].raw
    assert await asking.file("ran") == ("x\n" if verdict.is_yes else None)
    await _asked_once(asking, "allowed" if verdict.is_yes else "denied")
    await _goes_on(asking)


async def test_a_stop_counts_though_the_agent_did_not_survive_the_pause(asking: ScriptedChat) -> None:
    await asking.say("Work.", [bash(COMMAND)], [says("Never.")])
    await _parks(asking)
    await _lose_processes(asking)

    await asking.stop()
    end = await asking.finishes()
    await asking.run_ends()

    assert (end.state, end.error) == (TurnState.STOPPED, "Stopped by Ann.")
    assert len(asking.requests) == 1
    await _asked_once(asking, "withdrawn")
    await _goes_on(asking)


async def _lose_processes(chat: ScriptedChat) -> None:
    """The sandbox keeps its files and loses what ran in it, as where its host was restarted."""
    await chat.kill_agent()
    await chat.comes_true(lambda: _has_ended(chat))
    await chat.stage.provider.pause(chat.stage.provider.made[-1])


async def _has_ended(chat: ScriptedChat) -> bool:
    return bool(await chat.runs(f"ls {(await chat.now()).seat.run_dir}/exit 2>/dev/null || true"))
