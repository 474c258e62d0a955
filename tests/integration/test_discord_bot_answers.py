"""Answering the agent in Discord: buttons, menus and forms, who may, and who was first."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from core.domain.approval import ApprovalKind, Decision, Verdict
from core.domain.states import ApprovalState
from core.store.tables import approvals
from tests.doubles.discord import DiscordDouble, Modal, Person
from tests.doubles.discord.world import walk
from tests.integration.discord_bot import Question, Scene, open_scene, settings_for
from tests.integration.slack_bot import locked

COLOUR = {"question": "Which colour?", "header": "Colour", "options": [{"label": "Red"}, {"label": "Blue"}]}
SIZES = {
    "question": "Which sizes?",
    "header": "Size",
    "multiSelect": True,
    "options": [{"label": "S"}, {"label": "M"}, {"label": "L"}],
}
NAME = {"question": "What is it called?", "header": "Name", "options": []}


@pytest.fixture
def scene(discord_scene: Scene) -> Scene:
    return discord_scene


async def _asked(scene: Scene, command: str = "make test") -> Question:
    return await scene.asks(await scene.begun(), ApprovalKind.TOOL, "Bash", command=command)


async def _form(question: Question, by: Person, button: str) -> Modal:
    return await by.opens(question.post, button)


def _boss(scene: Scene) -> Person:
    scene.guild.role("boss", "ADMINISTRATOR")
    return scene.guild.person("boss", roles=["boss"])


async def test_a_click_allows_and_names_who_did(scene: Scene) -> None:
    question = await _asked(scene)
    seen = await scene.ann.clicks(question.post, "Allow once")
    settled = await question.settled()
    assert (settled.state, settled.decided_by) == (ApprovalState.ALLOWED, "Ann")
    assert settled.decision == Decision(Verdict.ALLOW)
    assert (seen.ack, seen.messages) == ("deferred_update", [])


async def test_always_and_deny_are_what_they_say(scene: Scene) -> None:
    question = await _asked(scene)
    await scene.ann.clicks(question.post, "Always in this thread")
    assert (await question.settled()).decision == Decision(Verdict.ALWAYS)
    other = await _asked(scene, "rm -rf /")
    await scene.ann.clicks(other.post, "Deny")
    assert (await other.settled()).state is ApprovalState.DENIED


async def test_the_second_click_learns_who_decided(scene: Scene) -> None:
    boss = _boss(scene)
    question = await _asked(scene)
    await scene.ann.clicks(question.post, "Allow once")
    await question.settled()
    seen = await boss.clicks(question.post, "Deny")
    await scene.discord.until(lambda: seen.ephemeral == "Ann allowed this.", within=60)
    assert (await question.now()).state is ApprovalState.ALLOWED


async def test_somebody_else_may_not_decide_until_invited(scene: Scene) -> None:
    bob = scene.guild.person("bob")
    question = await _asked(scene)
    seen = await bob.clicks(question.post, "Allow once")
    await scene.discord.until(lambda: "Only those who are in this chat may decide" in (seen.ephemeral or ""), within=60)
    assert (await question.now()).state is ApprovalState.PENDING

    await scene.ann.says(question.post.channel, f"!invite <@{bob.id}>")
    await scene.told(question.post.channel, "may now answer")
    await bob.clicks(question.post, "Allow once")
    assert (await question.settled()).decided_by == "Bob"


async def test_members_of_a_role_that_an_admin_named_may_decide_for_as_long_as_they_have_it(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with DiscordDouble() as discord:
        guild = discord.guild("G1")
        named, other = guild.role("leads"), guild.role("guests")
        settings = settings_for(discord, database_url, redis_url, tmp_path, discord_deciders=f"{named.id}, 17")
        async with open_scene(discord, settings) as scene:
            question = await _asked(scene)
            bob, eve = guild.person("bob", roles=["leads"]), guild.person("eve", roles=["guests"])
            seen = await eve.clicks(question.post, "Allow once")
            await discord.until(lambda: "Only those who are in this chat" in (seen.ephemeral or ""), within=60)
            await bob.says(question.post.channel, "!queue on")
            await scene.told(question.post.channel, "next turn")

            roles = guild.state.members[bob.id].roles
            guild.state.members[bob.id].roles = [other.id]
            seen = await bob.clicks(question.post, "Allow once")
            await discord.until(lambda: "Only those who are in this chat" in (seen.ephemeral or ""), within=60)
            assert (await question.now()).state is ApprovalState.PENDING

            guild.state.members[bob.id].roles = roles
            await bob.clicks(question.post, "Allow once")
            assert (await question.settled()).decided_by == "Bob"


async def test_an_admin_of_the_server_may_always_decide(scene: Scene) -> None:
    question = await _asked(scene)
    await _boss(scene).clicks(question.post, "Allow once")
    assert (await question.settled()).decided_by == "Boss"


async def test_a_denial_with_a_reason_is_asked_for_in_a_form(scene: Scene) -> None:
    question = await _asked(scene)
    form = await _form(question, scene.ann, "Deny with a reason…")
    assert form.title == "Deny"
    await scene.ann.submits(form, {"reason": "use pytest instead"})
    assert (await question.settled()).decision == Decision(Verdict.DENY, reason="use pytest instead")


async def test_a_command_is_edited_in_a_form_and_the_edit_is_what_runs(scene: Scene) -> None:
    question = await _asked(scene, "make test\nmake install")
    form = await _form(question, scene.ann, "Edit, then allow…")
    assert form.fields["edit"]["value"] == "make test\nmake install"
    await scene.ann.submits(form, {"edit": "make test"})
    assert (await question.settled()).decision == Decision(Verdict.ALLOW, updated_input={"command": "make test"})


async def test_an_edit_that_is_no_json_is_given_back(scene: Scene) -> None:
    question = await scene.asks(await scene.begun(), ApprovalKind.TOOL, "Write", file_path="/a", content="b")
    form = await _form(question, scene.ann, "Edit, then allow…")
    seen = await scene.ann.submits(form, {"edit": "{no json"})
    told = await scene.discord.until(lambda: seen.ephemeral, within=60)
    assert told is not None
    assert told.startswith("That is not the JSON object it must be.")
    assert "{no json" in told
    await scene.ann.submits(form, {"edit": '{"file_path": "/a", "content": "c"}'})
    decision = (await question.settled()).decision
    assert decision is not None
    assert decision.updated_input == {"file_path": "/a", "content": "c"}


async def test_what_is_too_long_for_a_form_is_not_cut(scene: Scene) -> None:
    question = await _asked(scene, "echo " + "x" * 4000)
    seen = await scene.ann.clicks(question.post, "Edit, then allow…")
    assert "4,005 characters long" in (seen.ephemeral or "")


async def test_a_form_of_somebody_who_may_not_decide_does_not_open(scene: Scene) -> None:
    question = await _asked(scene)
    seen = await scene.guild.person("bob").clicks(question.post, "Edit, then allow…")
    assert seen.modal is None
    assert "Only those who are in this chat" in (seen.ephemeral or "")


async def test_a_form_that_comes_too_late_says_who_was_first(scene: Scene) -> None:
    question = await _asked(scene)
    form = await _form(question, scene.ann, "Deny with a reason…")
    await _boss(scene).clicks(question.post, "Allow once")
    await question.settled()
    seen = await scene.ann.submits(form, {"reason": "no"})
    await scene.discord.until(lambda: (seen.ephemeral or "").startswith("Boss allowed this."), within=60)


async def test_a_form_is_answered_in_time_though_the_database_hangs(scene: Scene, database_url: str) -> None:
    question = await _asked(scene)
    async with locked(database_url, approvals.name):
        form = await _form(question, scene.ann, "Deny with a reason…")
        seen = await scene.ann.clicks(question.post, "Edit, then allow…")
        assert "Please press again" in (seen.ephemeral or "")
    await scene.ann.submits(form, {"reason": "no"})
    assert (await question.settled()).state is ApprovalState.DENIED


async def test_a_question_is_answered_with_a_button(scene: Scene) -> None:
    thread = await scene.begun("paint")
    question = await scene.asks(thread, ApprovalKind.QUESTION, "AskUserQuestion", questions=[COLOUR])
    await scene.ann.clicks(question.post, "Blue")
    assert (await question.settled()).decision == Decision(Verdict.ALLOW, answers={"Which colour?": "Blue"})


async def test_a_question_with_many_answers_is_answered_with_a_menu(scene: Scene) -> None:
    thread = await scene.begun("paint")
    question = await scene.asks(thread, ApprovalKind.QUESTION, "AskUserQuestion", questions=[SIZES])
    [menu] = [one for one in _parts(question) if one["type"] == 3]
    values = [option["value"] for option in menu["options"]]
    await scene.ann.selects(question.post, menu["custom_id"], [values[0], values[2]])
    assert (await question.settled()).decision == Decision(Verdict.ALLOW, answers={"Which sizes?": "S, L"})


async def test_an_answer_of_ones_own_is_written_in_a_form(scene: Scene) -> None:
    thread = await scene.begun("paint")
    question = await scene.asks(thread, ApprovalKind.QUESTION, "AskUserQuestion", questions=[COLOUR])
    form = await _form(question, scene.ann, "Other…")
    await scene.ann.submits(form, {"words:0": "mauve"})
    assert (await question.settled()).decision == Decision(Verdict.ALLOW, answers={"Which colour?": "mauve"})


async def test_several_questions_are_answered_in_one_form(scene: Scene) -> None:
    thread = await scene.begun("paint")
    question = await scene.asks(thread, ApprovalKind.QUESTION, "AskUserQuestion", questions=[COLOUR, SIZES, NAME])
    form = await _form(question, scene.ann, "Answer…")
    [colour, sizes] = [one for one in form.fields.values() if one["type"] == 3]
    blue = colour["options"][1]["value"]
    seen = await scene.ann.submits(form, {colour["custom_id"]: [blue]})
    await scene.discord.until(lambda: (seen.ephemeral or "").startswith("Please answer this, too: Which sizes?"))
    form = await _form(question, scene.ann, "Answer…")
    values = {
        colour["custom_id"]: [blue],
        sizes["custom_id"]: [one["value"] for one in sizes["options"][::2]],
        "words": "Mauve Blue",
    }
    await scene.ann.submits(form, values)
    answers = {"Which colour?": "Blue", "Which sizes?": "S, L", "What is it called?": "Mauve Blue"}
    assert (await question.settled()).decision == Decision(Verdict.ALLOW, answers=answers)


async def test_a_plan_is_approved_or_planned_on(scene: Scene) -> None:
    thread = await scene.begun("plan")
    question = await scene.asks(thread, ApprovalKind.PLAN, "ExitPlanMode", plan="1. Look\n2. Leap")
    form = await _form(question, scene.ann, "Keep planning…")
    assert form.title == "Keep planning"
    await scene.ann.submits(form, {"reason": "look twice"})
    assert (await question.settled()).decision == Decision(Verdict.DENY, reason="look twice")


async def test_clicks_on_what_is_none_of_ours_are_answered(scene: Scene) -> None:
    thread = await scene.begun()
    buttons = [_button("tw:allow:nonsense"), _button("other:1"), _button(f"tw:allow:{0:032x}")]
    post = scene.discord.posting.create(
        thread, scene.discord.world.bot, {"content": "Old", "components": [{"type": 1, "components": buttons}]}, []
    )
    for name in ("tw:allow:nonsense", "other:1"):
        seen = await scene.ann.clicks(post, name)
        assert "of no use any more" in (seen.ephemeral or "")
    seen = await scene.ann.clicks(post, f"tw:allow:{0:032x}")
    await scene.discord.until(lambda: seen.ephemeral == "There is no such question.", within=60)


async def test_a_click_from_another_thread_decides_nothing(scene: Scene) -> None:
    question = await _asked(scene)
    elsewhere = await scene.begun("another")
    [allow] = [one for one in _parts(question) if one.get("label") == "Allow once"]
    post = scene.discord.posting.create(
        elsewhere,
        scene.discord.world.bot,
        {"content": "Look", "components": [{"type": 1, "components": [_button(allow["custom_id"])]}]},
        [],
    )
    seen = await scene.ann.clicks(post, allow["custom_id"])
    await scene.discord.until(lambda: seen.ephemeral == "That question is not of this thread.", within=60)


async def test_racing_clicks_decide_once(scene: Scene) -> None:
    boss = _boss(scene)
    question = await _asked(scene)
    first, second = await asyncio.gather(
        scene.ann.clicks(question.post, "Allow once"), boss.clicks(question.post, "Deny")
    )
    settled = await question.settled()
    loser = second if settled.decided_by == "Ann" else first
    told = await scene.discord.until(lambda: loser.ephemeral, within=60)
    assert str(settled.decided_by) in str(told)


async def test_the_stop_button_stops_the_turn_it_stands_under(scene: Scene) -> None:
    thread = await scene.begun()
    _, turn = await scene.turn(thread)
    buttons = [_button(f"tw:stop:{turn.id.hex}"), _button(f"tw:stop:{0:032x}")]
    post = scene.discord.posting.create(
        thread, scene.discord.world.bot, {"content": "…", "components": [{"type": 1, "components": buttons}]}, []
    )
    seen = await scene.ann.clicks(post, f"tw:stop:{0:032x}")
    await scene.discord.until(lambda: "nothing to stop" in (seen.ephemeral or ""), within=60)
    assert await scene.stores.turns.stop_asked(turn.id) is None
    await scene.ann.clicks(post, f"tw:stop:{turn.id.hex}")
    assert await scene.eventually(lambda: scene.stores.turns.stop_asked(turn.id)) == "Ann"


async def test_buttons_and_forms_outlive_the_bot(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with DiscordDouble() as discord:
        settings = settings_for(discord, database_url, redis_url, tmp_path)
        async with open_scene(discord, settings) as scene:
            clicked, written = await _asked(scene), await _asked(scene)
            form = await _form(written, scene.ann, "Deny with a reason…")
        async with open_scene(discord, settings) as scene:
            await scene.ann.clicks(clicked.post, "Allow once")
            await scene.ann.submits(form, {"reason": "no"})
            for question, state in ((clicked, ApprovalState.ALLOWED), (written, ApprovalState.DENIED)):
                again = Question(scene.stores, question.asked, question.post)
                assert (await again.settled()).state is state


def _parts(question: Question) -> list[dict[str, Any]]:
    return list(walk(question.post.components))


def _button(custom_id: str) -> dict[str, Any]:
    return {"type": 2, "style": 2, "label": custom_id[:20], "custom_id": custom_id}
