"""Answering the agent in Slack: buttons, menus and forms, who may, and who was first."""

import asyncio

from core.domain.approval import ApprovalKind, Decision, Verdict
from core.domain.states import ApprovalState
from core.store.tables import approvals
from tests.doubles.slack import View
from tests.integration.slack_bot import Question, Scene, locked

COLOUR = {"question": "Which colour?", "header": "Colour", "options": [{"label": "Red"}, {"label": "Blue"}]}
SIZES = {
    "question": "Which sizes?",
    "header": "Size",
    "multiSelect": True,
    "options": [{"label": "S"}, {"label": "M"}, {"label": "L"}],
}


async def _asked(scene: Scene, command: str = "make test") -> Question:
    asked = await scene.ann.mentions("general", "go")
    await scene.seen(asked)
    return await scene.asks(asked, ApprovalKind.TOOL, "Bash", command=command)


async def _form(scene: Scene) -> View:
    return await scene.slack.until(lambda: scene.ann.modal, within=60)


async def test_a_click_allows_and_names_who_did(scene: Scene) -> None:
    question = await _asked(scene)
    await scene.ann.clicks(question.post, "Allow once")
    settled = await question.settled()
    assert (settled.state, settled.decided_by) == (ApprovalState.ALLOWED, "ann")
    assert settled.decision == Decision(Verdict.ALLOW)


async def test_always_and_deny_are_what_they_say(scene: Scene) -> None:
    question = await _asked(scene)
    await scene.ann.clicks(question.post, "Always in this thread")
    settled = await question.settled()
    assert settled.decision == Decision(Verdict.ALWAYS)

    asked = await scene.ann.mentions("general", "another")
    await scene.seen(asked)
    other = await scene.asks(asked, ApprovalKind.TOOL, "Bash", command="rm -rf /")
    await scene.ann.clicks(other.post, "Deny")
    assert (await other.settled()).state is ApprovalState.DENIED


async def test_the_second_click_learns_who_decided(scene: Scene) -> None:
    boss = scene.workspace.person("boss", admin=True)
    question = await _asked(scene)
    await scene.ann.clicks(question.post, "Allow once")
    await question.settled()
    await boss.says("general", "let me see", thread_ts=question.post.thread_ts)
    await boss.clicks(question.post, "Deny")
    told = await scene.slack.until(lambda: boss.only_hers)
    assert told[0].shown == "ann allowed this."
    assert told[0].thread_ts == question.post.thread_ts
    assert (await question.now()).state is ApprovalState.ALLOWED


async def test_somebody_else_may_not_decide_until_invited(scene: Scene) -> None:
    bob = scene.workspace.person("bob")
    question = await _asked(scene)
    await bob.says("general", "I am here", thread_ts=question.post.thread_ts)
    await bob.clicks(question.post, "Allow once")
    told = await scene.slack.until(lambda: bob.only_hers)
    assert "Only those who are in this chat may decide" in told[0].shown
    assert (await question.now()).state is ApprovalState.PENDING

    thread = scene.slack.thread("general", str(question.post.thread_ts))
    await scene.ann.says("general", f"!invite {bob.mention}", thread_ts=thread.ts)
    await scene.slack.until(lambda: any("bob may now answer" in text for text in thread.texts))
    await bob.clicks(question.post, "Allow once")
    assert (await question.settled()).decided_by == "bob"


async def test_an_admin_may_always_decide_and_a_guest_who_began_the_chat_too(scene: Scene) -> None:
    guest = scene.workspace.person("gus", guest=True)
    asked = await guest.mentions("general", "go")
    await scene.seen(asked)
    question = await scene.asks(asked, ApprovalKind.TOOL, "Bash", command="ls")
    await guest.clicks(question.post, "Allow once")
    assert (await question.settled()).decided_by == "gus"

    other = await _asked(scene)
    await scene.workspace.person("boss", admin=True).clicks(other.post, "Allow once")
    assert (await other.settled()).decided_by == "boss"


async def test_a_denial_with_a_reason_is_asked_for_in_a_form(scene: Scene) -> None:
    question = await _asked(scene)
    await scene.ann.clicks(question.post, "Deny with a reason…")
    form = await _form(scene)
    assert await scene.ann.submits(form, {"reason": "use pytest instead"}) == {}
    settled = await question.settled()
    assert settled.decision == Decision(Verdict.DENY, reason="use pytest instead")


async def test_a_command_is_edited_in_a_form_and_the_edit_is_what_runs(scene: Scene) -> None:
    question = await _asked(scene, "make test\nmake install")
    await scene.ann.clicks(question.post, "Edit, then allow…")
    form = await _form(scene)
    assert form.body["blocks"][0]["element"]["initial_value"] == "make test\nmake install"
    await scene.ann.submits(form, {"edit": "make test"})
    settled = await question.settled()
    assert settled.decision == Decision(Verdict.ALLOW, updated_input={"command": "make test"})


async def test_an_edit_that_is_no_json_stays_in_its_form(scene: Scene) -> None:
    asked = await scene.ann.mentions("general", "go")
    await scene.seen(asked)
    question = await scene.asks(asked, ApprovalKind.TOOL, "Write", file_path="/a", content="b")
    await scene.ann.clicks(question.post, "Edit, then allow…")
    form = await _form(scene)
    answer = await scene.ann.submits(form, {"edit": "{no json"})
    assert answer == {"response_action": "errors", "errors": {"edit": "That is not the JSON object it must be."}}
    await scene.ann.submits(form, {"edit": '{"file_path": "/a", "content": "c"}'})
    decision = (await question.settled()).decision
    assert decision is not None
    assert decision.updated_input == {"file_path": "/a", "content": "c"}


async def test_what_is_too_long_for_a_form_is_not_cut(scene: Scene) -> None:
    question = await _asked(scene, "echo " + "x" * 4000)
    await scene.ann.clicks(question.post, "Edit, then allow…")
    form = await _form(scene)
    assert "4,005 characters long" in form.body["blocks"][0]["text"]["text"]
    assert "submit" not in form.body


async def test_a_form_of_somebody_who_may_not_decide_does_not_open(scene: Scene) -> None:
    bob = scene.workspace.person("bob")
    question = await _asked(scene)
    await bob.says("general", "hi", thread_ts=question.post.thread_ts)
    await bob.clicks(question.post, "Edit, then allow…")
    await scene.slack.until(lambda: bob.only_hers)
    assert bob.modal is None


async def test_a_form_that_comes_too_late_says_who_was_first(scene: Scene) -> None:
    question = await _asked(scene)
    await scene.ann.clicks(question.post, "Deny with a reason…")
    form = await _form(scene)
    await scene.workspace.person("boss", admin=True).clicks(question.post, "Allow once")
    await question.settled()
    answer = await scene.ann.submits(form, {"reason": "no"})
    assert answer["errors"] == {"reason": "boss allowed this."}


async def test_a_form_opens_in_time_though_the_database_hangs(scene: Scene, database_url: str) -> None:
    question = await _asked(scene)
    async with locked(database_url, approvals.name):
        await scene.ann.clicks(question.post, "Deny with a reason…")
        form = await _form(scene)
        assert form.body["title"]["text"] == "One moment"
    await scene.slack.until(lambda: form.body["title"]["text"] == "Deny", within=60)
    await scene.ann.submits(form, {"reason": "no"})
    assert (await question.settled()).state is ApprovalState.DENIED


async def test_a_form_sent_while_the_database_hangs_says_later_what_became_of_it(
    scene: Scene, database_url: str
) -> None:
    question = await _asked(scene)
    await scene.ann.clicks(question.post, "Deny with a reason…")
    form = await _form(scene)
    async with locked(database_url, approvals.name):
        answer = await scene.ann.submits(form, {"reason": "no"})
        assert answer["response_action"] == "update"
    await scene.slack.until(lambda: form.body["title"]["text"] == "Done", within=60)
    assert (await question.settled()).state is ApprovalState.DENIED


async def test_a_question_is_answered_with_a_button(scene: Scene) -> None:
    asked = await scene.ann.mentions("general", "paint")
    await scene.seen(asked)
    question = await scene.asks(asked, ApprovalKind.QUESTION, "AskUserQuestion", questions=[COLOUR])
    await scene.ann.clicks(question.post, "Blue")
    assert (await question.settled()).decision == Decision(Verdict.ALLOW, answers={"Which colour?": "Blue"})


async def test_several_questions_are_answered_with_menus_and_sent(scene: Scene) -> None:
    asked = await scene.ann.mentions("general", "paint")
    await scene.seen(asked)
    question = await scene.asks(asked, ApprovalKind.QUESTION, "AskUserQuestion", questions=[COLOUR, SIZES])
    await scene.ann.clicks(question.post, "Red")
    await scene.ann.clicks(question.post, "Send")
    told = await scene.slack.until(lambda: scene.ann.only_hers)
    assert told[0].shown == "Please answer this, too: Which sizes?"
    menu = next(one for one in question.post.elements if one["type"] == "multi_static_select")
    await scene.ann.clicks(question.post, menu["action_id"], ["S", "L"])
    await scene.ann.clicks(question.post, "Send")
    answers = {"Which colour?": "Red", "Which sizes?": "S, L"}
    assert (await question.settled()).decision == Decision(Verdict.ALLOW, answers=answers)


async def test_an_answer_of_ones_own_is_written_in_a_form_with_what_is_still_open(scene: Scene) -> None:
    asked = await scene.ann.mentions("general", "paint")
    await scene.seen(asked)
    question = await scene.asks(asked, ApprovalKind.QUESTION, "AskUserQuestion", questions=[COLOUR, SIZES])
    others = [one for one in question.post.elements if (one.get("text") or {}).get("text") == "Other…"]
    await scene.ann.clicks(question.post, others[0]["action_id"])
    form = await _form(scene)
    await scene.ann.submits(form, {"words:0": "mauve", "pick:1": ["M"]})
    answers = {"Which colour?": "mauve", "Which sizes?": "M"}
    assert (await question.settled()).decision == Decision(Verdict.ALLOW, answers=answers)


async def test_a_plan_is_approved_or_planned_on(scene: Scene) -> None:
    asked = await scene.ann.mentions("general", "plan")
    await scene.seen(asked)
    question = await scene.asks(asked, ApprovalKind.PLAN, "ExitPlanMode", plan="1. Look\n2. Leap")
    await scene.ann.clicks(question.post, "Keep planning…")
    form = await _form(scene)
    assert form.body["title"]["text"] == "Keep planning"
    await scene.ann.submits(form, {"reason": "look twice"})
    assert (await question.settled()).decision == Decision(Verdict.DENY, reason="look twice")


async def test_clicks_on_what_is_none_of_ours_are_acknowledged(scene: Scene) -> None:
    where = scene.slack.channel("general")
    blocks = [
        {"type": "actions", "elements": [button("tw:allow:nonsense"), button("other:1"), button(f"tw:allow:{0:032x}")]}
    ]
    post = scene.slack.posting.create(where, scene.workspace.bot, "Old", blocks=blocks)
    await scene.ann.says("general", "hello")
    for action in ("tw:allow:nonsense", "other:1"):
        await scene.ann.clicks(post, action)
    await scene.ann.clicks(post, f"tw:allow:{0:032x}")
    told = await scene.slack.until(lambda: scene.ann.only_hers)
    assert told[0].shown == "There is no such question."


async def test_racing_clicks_decide_once(scene: Scene) -> None:
    boss = scene.workspace.person("boss", admin=True)
    question = await _asked(scene)
    await boss.says("general", "hi", thread_ts=question.post.thread_ts)
    await asyncio.gather(scene.ann.clicks(question.post, "Allow once"), boss.clicks(question.post, "Deny"))
    settled = await question.settled()
    told = await scene.slack.until(lambda: scene.ann.only_hers + boss.only_hers)
    loser = "boss" if settled.decided_by == "ann" else "ann"
    assert told[0].only_for == scene.workspace.person(loser).id
    assert str(settled.decided_by) in told[0].shown


async def test_the_stop_button_stops_the_turn_it_stands_under(scene: Scene) -> None:
    asked = await scene.ann.mentions("general", "go")
    await scene.seen(asked)
    _, turn = await scene.turn(asked)
    where = scene.slack.channel("general")
    stop = [{"type": "actions", "elements": [button(f"tw:stop:{turn.id.hex}"), button(f"tw:stop:{0:032x}")]}]
    post = scene.slack.posting.create(where, scene.workspace.bot, "…", blocks=stop, thread_ts=asked.ts)
    await scene.ann.clicks(post, f"tw:stop:{0:032x}")
    told = await scene.slack.until(lambda: scene.ann.only_hers)
    assert "nothing to stop" in told[0].shown
    assert await scene.stores.turns.stop_asked(turn.id) is None
    await scene.ann.clicks(post, f"tw:stop:{turn.id.hex}")
    assert await scene.eventually(lambda: scene.stores.turns.stop_asked(turn.id)) == "ann"


def button(action_id: str) -> dict[str, object]:
    return {"type": "button", "action_id": action_id, "text": {"type": "plain_text", "text": action_id[:20]}}
