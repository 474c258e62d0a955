"""Asking, watching and talking on: the same on every platform."""

import re
import time

import pytest

from tests.acceptance.platforms.abilities import Ability, needs
from tests.acceptance.platforms.conftest import Begin
from tests.acceptance.platforms.house import House
from tests.acceptance.platforms.platform import ANSWERED, JOINED, SEEN, STOPPED, Platform
from tests.acceptance.platforms.thread import Thread, asked
from tests.doubles.anthropic import text_reply
from tests.stage.lines import at_gate, bash, says

pytestmark = pytest.mark.asyncio(loop_scope="module")
# What is promised is a second; the rest is for machines that are busy with other tests.
AT_ONCE_S = 15.0
LINES = 600


async def test_what_is_asked_is_seen_at_once_and_answered_in_one_post_that_grows(house: House, begin: Begin) -> None:
    gate = f"half-{house.number()}"
    asked_at = time.monotonic()
    look = [says("First I look."), at_gate(gate), bash("ls")]
    thread = await begin("How is it?", look, [says("All is green.")])
    await thread.is_marked(thread.first, SEEN)
    assert time.monotonic() - asked_at < AT_ONCE_S

    live = await thread.shows("First I look.")
    assert live.offers == ("Stop",)
    house.model.open(gate)
    (post,) = await thread.is_over("All is green.")

    assert post.id == live.id
    assert post.edits > live.edits
    assert await thread.posted() == 1


async def test_a_long_answer_is_there_whole_and_in_order(house: House, begin: Begin) -> None:
    house.model.queue.append(text_reply("\n".join(f"- Line {number} of it." for number in range(LINES))))
    thread = await begin("Tell me all.")
    posts = await thread.is_over(f"Line {LINES - 1} of it.")

    shown = re.findall(r"Line (\d+) of it\.", "\n".join(post.text for post in posts))
    assert [int(number) for number in shown] == list(range(LINES))
    assert await thread.posted() == len(posts)


async def test_what_is_said_in_the_chat_goes_on_with_it(house: House, begin: Begin) -> None:
    word = f"walrus-{house.number()}"
    thread = await begin(f"Remember {word}.", [says("I shall.")])
    await thread.is_over("I shall.")

    second = await thread.say("What was the word?", [says("You know it.")])
    await thread.is_over("You know it.")
    await thread.is_marked(second, ANSWERED)

    assert word.encode() in house.model.messages[-1].raw
    assert await thread.posted() == 2


async def test_what_is_said_while_it_works_joins_the_turn(house: House, begin: Begin) -> None:
    thread = await begin("Do both.", [bash("touch one")], [says("Both are done.")])
    await thread.offers("Allow once")
    word = f"gap-{house.number()}"
    joined = await thread.say(f"And mind the {word}.")
    await thread.is_marked(joined, JOINED)
    await thread.press("Allow once")
    await thread.is_over("Both are done.")

    await thread.is_marked(joined, ANSWERED)
    assert word.encode() in house.model.messages[-1].raw
    assert await thread.posted() == 2


async def test_the_stop_button_stops_it(house: House, begin: Begin) -> None:
    thread = await begin("Write.", [says("Once upon a time"), at_gate("never")])
    await thread.shows("Once upon a time")
    await thread.press("Stop")
    posts = await thread.is_over(f"Stopped by {thread.client.known_as('ann')}", STOPPED)

    assert "Once upon a time" in posts[0].text
    await thread.say("Go on.", [says("Going on.")])
    await thread.is_over("Going on.", STOPPED)


@needs(Ability.BANG)
async def test_the_word_stop_stops_it(house: House, begin: Begin) -> None:
    thread = await begin("Write.", [says("There was"), at_gate("never")])
    await thread.shows("There was")
    await thread.say("!stop")
    await thread.is_over(f"Stopped by {thread.client.known_as('ann')}", STOPPED)
    assert await thread.posted() == 1


@needs(Ability.COMMAND_INSIDE)
async def test_the_command_stops_it(begin: Begin) -> None:
    thread = await begin("Write.", [says("There was"), at_gate("never")])
    await thread.shows("There was")
    await thread.client.command("stop", "ann")
    await thread.is_over(f"Stopped by {thread.client.known_as('ann')}", STOPPED)


@needs(Ability.WHISPER)
async def test_how_it_stands_is_told_to_who_asks_alone(begin: Begin) -> None:
    thread = await begin("Write.", [says("It is written.")])
    await thread.is_over("It is written.")
    await thread.say("!status")
    await thread.is_told("ann", "1 turn")
    assert await thread.posted() == 1
    assert not await thread.client.whispers("bob")


@needs(Ability.CHANGING, Ability.BANG)
async def test_a_message_that_waits_is_changed_or_taken_back(house: House, begin: Begin) -> None:
    number = house.number()
    thread = await begin("Write.", [says("A story."), at_gate(f"end-{number}")])
    await thread.shows("A story.")
    await thread.say("!queue on")
    await thread.shows("next turn")
    changed = await thread.say(f"old-{number}", by="ann")
    dropped = await thread.say(f"gone-{number}", by="ann")
    await thread.is_marked(changed, SEEN)
    await thread.is_marked(dropped, SEEN)

    await thread.client.edit(changed, asked(f"new-{number}", [says("Changed.")]), "ann")
    await thread.client.delete(dropped, "ann")
    await thread.waits(f"new-{number}", f"gone-{number}")
    house.model.open(f"end-{number}")
    await thread.is_over("Changed.")

    await thread.say("Last.", [says("The end.")])
    await thread.is_over("The end.")
    assert thread.heard(f"new-{number}")
    assert not thread.heard(f"old-{number}")
    assert not thread.heard(f"gone-{number}")


@needs(Ability.BANG)
async def test_what_is_for_people_does_not_reach_the_agent(house: House, begin: Begin) -> None:
    thread = await begin("Hello.", [says("Hello to you.")])
    await thread.is_over("Hello to you.")
    aside = f"aside-{house.number()}"
    await thread.say(f"!aside {aside}")
    await thread.say(f"{thread.client.name_of('bob')} {aside}")

    await thread.say("Go on.", [says("Going on.")])
    await thread.is_over("Going on.")
    assert not thread.heard(aside)
    assert await thread.posted() == 2


@needs(Ability.DIRECT)
async def test_a_direct_message_is_a_chat(house: House, platform: Platform) -> None:
    client, message = await platform.direct(asked("Between us.", [says("Just us.")]), "ann")
    thread = Thread(house, client, message)
    await thread.is_over("Just us.")

    await thread.say("More.", [says("More of it.")])
    await thread.is_over("More of it.")
    assert await thread.posted() == 2


@needs(Ability.COMMAND)
async def test_a_command_begins_a_chat(house: House, platform: Platform) -> None:
    thread = Thread(house, await platform.command(asked("By command.", [says("As you command.")]), "ann"))
    await thread.is_over("As you command.")

    await thread.say("More.", [says("More of it.")])
    await thread.is_over("More of it.")


async def test_a_file_that_the_agent_leaves_in_its_outbox_reaches_the_thread(begin: Begin) -> None:
    thread = await begin("Make it.", [bash("mkdir -p outbox && echo a,b > outbox/report.csv")], [says("It is made.")])
    await thread.press("Allow once")
    await thread.is_over("It is made.")
    await thread.shows("4 bytes")
    assert await thread.posted() == 3

    await thread.say("Again?", [bash("ls")], [says("It is as it was.")])
    await thread.is_over("It is as it was.")
    assert await thread.posted() == 4
