"""Questions and what people answer: it is what the agent then does, and nothing else."""

import pytest

from core.domain import events as e
from core.domain.approval import ApprovalKind, Verdict
from core.domain.chat import Author, Mode, Role
from core.domain.states import ApprovalState
from core.errors import AlreadyDecided, NotAllowed, Unavailable
from tests.stage import ScriptedChat, Stage, asks_person, at_gate, bash, calls, says

BOB = Author("u2", "Bob")


@pytest.fixture
def asking(stage: Stage) -> ScriptedChat:
    return stage.chat(mode=Mode.ASK)


def _last_result(chat: ScriptedChat) -> str:
    """What the model was told last of a tool call."""
    results = [
        str(block["content"])
        for message in chat.requests[-1].body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    return results[-1]


async def test_an_allowed_command_runs_once_and_the_next_is_asked_again(asking: ScriptedChat) -> None:
    await asking.say("Work.", [bash("echo x >> ran")], [bash("echo x >> ran")], [says("Twice.")])

    first = await asking.asks()
    assert await asking.file("ran") is None
    await asking.decide(first)
    second = await asking.asks()
    assert await asking.file("ran") == "x\n"
    await asking.decide(second)
    await asking.is_done("Twice.")

    assert first.id != second.id
    assert await asking.file("ran") == "x\nx\n"


@pytest.mark.parametrize(
    "refusals",
    [[RuntimeError("what no one foresaw")], [Unavailable("the sandbox", "it is cut off")] * 6],
    ids=["unforeseen", "cut-off"],
)
async def test_an_answer_that_could_not_be_given_is_given_again(
    stage: Stage, asking: ScriptedChat, refusals: list[Exception]
) -> None:
    await asking.say("Work.", [bash("echo x >> ran")], [says("Done.")])
    asked = await asking.asks()
    stage.provider.refusing = list(refusals)
    await asking.decide(asked)
    await asking.is_done("Done.")

    assert not stage.provider.refusing
    assert await asking.file("ran") == "x\n"
    assert (await asking.kinds()).count("approval_asked") == 1


async def test_a_question_has_a_post_of_its_own_that_says_what_became_of_it(asking: ScriptedChat) -> None:
    await asking.say("Work.", [bash("echo x >> ran")], [says("Done.")])
    asked = await asking.asks()
    await asking.comes_true(lambda: asking.posts("tool"))
    (post,) = await asking.posts("tool")
    assert (post.body["command"], post.body["state"]) == ("echo x >> ran", "pending")

    await asking.decide(asked, by=BOB)
    await asking.is_done()
    await asking.run_ends()

    (post,) = await asking.posts("tool")
    assert (post.body["state"], post.body["decided"]) == ("allowed", "Bob allowed this.")


async def test_always_covers_the_like_and_nothing_else(asking: ScriptedChat) -> None:
    await asking.say("Work.", [bash("touch a")], [bash("touch a")], [bash("mkdir b")], [says("Done.")])

    await asking.decide(await asking.asks(), Verdict.ALWAYS)
    other = await asking.asks()
    assert other.input["command"] == "mkdir b"
    await asking.decide(other)
    await asking.is_done()
    await asking.run_ends()

    await asking.say("Again.", [bash("touch a")], [says("Again done.")])
    await asking.is_done("Again done.")
    assert "approval_asked" not in await asking.kinds()


async def test_a_denial_and_its_reason_reach_the_model(asking: ScriptedChat) -> None:
    await asking.say("Work.", [bash("echo x > ran")], [says("I did not.")])

    await asking.decide(await asking.asks(), Verdict.DENY, reason="Use the staging host.")
    await asking.is_done("I did not.")

    assert "Ann denied this. Use the staging host." in _last_result(asking)
    assert await asking.file("ran") is None
    assert "tool_failed" in await asking.kinds()


async def test_an_edited_command_is_the_one_that_runs(asking: ScriptedChat) -> None:
    await asking.say("Work.", [bash("echo theirs > ran")], [says("Done.")])

    await asking.decide(await asking.asks(), updated_input={"command": "echo ours > ran"})
    await asking.is_done()

    assert await asking.file("ran") == "ours\n"


async def test_an_answer_reaches_the_model(asking: ScriptedChat) -> None:
    await asking.say("Ask me.", [asks_person("Which colour?", "Red", "Blue")], [says("Blue it is.")])

    asked = await asking.asks()
    assert asked.kind is ApprovalKind.QUESTION
    await asking.decide(asked, answers={"Which colour?": "Blue"})
    await asking.is_done("Blue it is.")

    assert '"Which colour?"="Blue"' in _last_result(asking)


async def test_of_two_clicks_one_counts_and_the_other_learns_whose(asking: ScriptedChat) -> None:
    await asking.say("Work.", [bash("echo x > ran")], [says("Done.")])
    asked = await asking.asks()

    await asking.decide(asked, by=BOB)
    with pytest.raises(AlreadyDecided, match="Bob"):
        await asking.decide(asked, Verdict.DENY)
    await asking.is_done()

    assert await asking.file("ran") == "x\n"


async def test_a_guest_may_not_decide(asking: ScriptedChat) -> None:
    await asking.say("Work.", [bash("echo x > ran")], [says("Done.")])
    asked = await asking.asks()

    with pytest.raises(NotAllowed):
        await asking.decide(asked, by=Author("u9", "Guest", Role.GUEST))

    assert (await asking.stage.stores.approvals.get(asked.id)).state is ApprovalState.PENDING
    await asking.decide(asked, Verdict.DENY)
    await asking.is_done()


@pytest.mark.parametrize(
    ("verdict", "mode", "is_asked"), [(Verdict.ALLOW, Mode.ASK, True), (Verdict.ACCEPT_EDITS, Mode.AUTO, False)]
)
async def test_an_approved_plan_ends_planning(stage: Stage, verdict: Verdict, mode: Mode, is_asked: bool) -> None:
    chat = stage.chat(mode=Mode.PLAN)
    change = bash("echo x > ran")
    await chat.say("Plan.", [change], [calls("ExitPlanMode", plan="# Echo it")], [change], [says("Done.")])

    asked = await chat.asks()
    assert asked.kind is ApprovalKind.PLAN
    assert "plan mode" in _last_result(chat)
    assert await chat.file("ran") is None
    await chat.decide(asked, verdict)
    if is_asked:
        await chat.decide(await chat.asks())
    await chat.is_done("Done.")

    assert await chat.file("ran") == "x\n"
    assert (await chat.now()).settings.mode is mode


async def test_a_plan_sent_back_keeps_planning(stage: Stage) -> None:
    chat = stage.chat(mode=Mode.PLAN)
    await chat.say("Plan.", [calls("ExitPlanMode", plan="# Echo")], [bash("echo x > ran")], [says("Thinking on.")])

    await chat.decide(await chat.asks(), Verdict.DENY, reason="Think of the tests.")
    await chat.is_done("Thinking on.")

    assert b"Ann wants you to keep planning. Think of the tests." in chat.requests[1].raw
    assert await chat.file("ran") is None
    assert (await chat.now()).settings.mode is Mode.PLAN


CHANGES, LEAVES = "echo x > in", "curl -d @in http://x.invalid"


@pytest.mark.parametrize(
    ("mode", "asked"),
    [(Mode.ASK, [CHANGES, LEAVES]), (Mode.AUTO, [LEAVES]), (Mode.PLAN, []), (Mode.BYPASS, [])],
)
async def test_a_mode_decides_what_is_asked(stage: Stage, mode: Mode, asked: list[str]) -> None:
    chat = stage.chat(mode=mode)
    await chat.say("Work.", [bash(CHANGES)], [bash(LEAVES)], [says("Done.")])

    for command in asked:
        approval = await chat.asks()
        assert approval.input["command"] == command
        await chat.decide(approval)
    await chat.is_done()

    assert (await chat.kinds()).count("approval_asked") == len(asked)
    assert await chat.file("in") == (None if mode is Mode.PLAN else "x\n")


async def test_a_new_mode_holds_from_the_next_call_on(asking: ScriptedChat) -> None:
    await asking.say("Work.", [says("Now."), at_gate("go"), bash("echo x > ran")], [says("Done.")])
    await asking.until(e.TextStreamed)

    await asking.change(mode=Mode.BYPASS)
    await asking.comes_true(lambda: _was_told(asking))
    asking.stage.model.open("go")
    await asking.is_done("Done.")

    assert "approval_asked" not in await asking.kinds()


async def _was_told(chat: ScriptedChat) -> bool:
    """Whether the agent's program has answered to more than being greeted."""
    return int(await chat.runs("grep -c control_response /home/user/.threadwork/run/1/out.jsonl")) > 1
