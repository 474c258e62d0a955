"""The agent's questions, and who answers them: the same on every platform."""

import asyncio

import pytest

from tests.acceptance.platforms.abilities import Ability, needs
from tests.acceptance.platforms.conftest import Begin
from tests.acceptance.platforms.house import House
from tests.acceptance.platforms.platform import STOPPED, Platform
from tests.stage.lines import asks_person, bash, says

pytestmark = pytest.mark.asyncio(loop_scope="module")
MAY_NOT = "Only those who are in this chat may decide"


async def test_a_command_runs_once_it_is_allowed(house: House, begin: Begin) -> None:
    number = house.number()
    thread = await begin("Run it.", [bash(f"touch made; echo ran-$(({number}+1000))")], [says("It ran.")])
    question = await thread.offers("Allow once")
    assert f"touch made; echo ran-$(({number}+1000))" in question.text
    assert {"Always in this thread", "Deny", "Deny with a reason…", "Edit, then allow…"} <= set(question.offers)
    assert not thread.heard(f"ran-{number + 1000}")

    await thread.press("Allow once")
    posts = await thread.is_over("It ran.")

    assert thread.heard(f"ran-{number + 1000}")
    assert f"{thread.client.known_as('ann')} allowed this." in next(p.text for p in posts if p.id == question.id)
    assert [post.id for post in posts].count(question.id) == 1
    assert await thread.posted() == 2


async def test_what_is_always_allowed_is_not_asked_again(house: House, begin: Begin) -> None:
    thread = await begin("Look.", [bash("touch here")], [says("Looked.")])
    await thread.press("Always in this thread")
    await thread.is_over("Looked.")

    await thread.say("Again.", [bash("touch here")], [says("Looked again.")])
    await thread.is_over("Looked again.")
    assert await thread.posted() == 3


async def test_a_denial_tells_the_agent_why(house: House, begin: Begin) -> None:
    why = f"use pytest-{house.number()} instead"
    thread = await begin("Test it.", [bash("touch made")], [says("As you wish.")])
    await thread.fill("Deny with a reason…", why)
    await thread.is_over("As you wish.")

    assert thread.heard(why)
    await thread.shows(f"{thread.client.known_as('ann')} denied this: {why}")


async def test_an_edited_command_is_what_runs(house: House, begin: Begin) -> None:
    number = house.number()
    thread = await begin("Run it.", [bash("touch made; echo as it was")], [says("It ran.")])
    await thread.fill("Edit, then allow…", f"touch edited; echo edited-$(({number}+1000))")
    await thread.is_over("It ran.")

    assert thread.heard(f"edited-{number + 1000}")
    await thread.shows(f"{thread.client.known_as('ann')} allowed this with changes.")


async def test_an_option_that_is_chosen_is_the_answer(house: House, begin: Begin) -> None:
    blue = f"Blue {house.number()}"
    thread = await begin("Paint it.", [asks_person("Which colour?", "Red", blue)], [says("Painted.")])
    await thread.press(blue)
    await thread.is_over("Painted.")

    await thread.shows(f"{thread.client.known_as('ann')} answered: {blue}")
    assert await thread.posted() == 2


async def test_a_stop_takes_the_question_back(begin: Begin) -> None:
    thread = await begin("Run it.", [bash("touch made")], [says("Never.")])
    question = await thread.offers("Allow once")
    await thread.press("Stop")
    posts = await thread.is_over("Stopped by", STOPPED)

    assert "No longer needed." in next(post.text for post in posts if post.id == question.id)


async def test_of_two_clicks_one_counts(begin: Begin) -> None:
    thread = await begin("Run it.", [bash("touch made")], [says("Done with it.")])
    question = await thread.offers("Allow once")
    press = thread.client.press
    await asyncio.gather(press(question, "Allow once", "ann"), press(question, "Deny", "ann"))
    await thread.is_over("Done with it.")

    shown = next(post.text for post in await thread.posts() if post.id == question.id)
    ann = thread.client.known_as("ann")
    (words,) = [words for words in (f"{ann} allowed this.", f"{ann} denied this.") if words in shown]
    await thread.is_told("ann", words)


@needs(Ability.MANY)
async def test_of_two_people_the_second_learns_who_decided(begin: Begin) -> None:
    thread = await begin("Run it.", [bash("touch made")], [says("Done with it.")])
    question = await thread.offers("Allow once")
    press = thread.client.press
    await asyncio.gather(press(question, "Allow once", "ann"), press(question, "Deny", "boss"))
    await thread.is_over("Done with it.")

    shown = next(post.text for post in await thread.posts() if post.id == question.id)
    ann, boss = thread.client.known_as("ann"), thread.client.known_as("boss")
    if f"{ann} allowed this." in shown:
        await thread.is_told("boss", f"{ann} allowed this.")
    else:
        assert f"{boss} denied this." in shown
        await thread.is_told("ann", f"{boss} denied this.")


@needs(Ability.MANY, Ability.BANG)
async def test_only_those_of_the_chat_may_decide(begin: Begin) -> None:
    thread = await begin("Run it.", [bash("touch made")], [says("Done with it.")])
    await thread.press("Allow once", by="bob")
    await thread.is_told("bob", MAY_NOT)
    await thread.say(f"!invite {thread.client.name_of('bob')}", by="bob")
    await thread.is_told("bob", MAY_NOT)
    await thread.offers("Allow once")

    await thread.say(f"!invite {thread.client.name_of('bob')}")
    await thread.shows("may now answer")
    await thread.press("Allow once", by="bob")
    await thread.is_over("Done with it.")
    await thread.shows(f"{thread.client.known_as('bob')} allowed this.")


@needs(Ability.REMOTE)
async def test_a_question_outlives_the_bot(begin: Begin, platform: Platform) -> None:
    thread = await begin("Run it.", [bash("touch made")], [says("Done with it.")])
    question = await thread.offers("Allow once")
    await platform.crash_bot()
    await thread.press("Allow once")
    posts = await thread.is_over("Done with it.")

    ann = thread.client.known_as("ann")
    assert f"{ann} allowed this." in next(post.text for post in posts if post.id == question.id)
    assert await thread.posted() == 2
