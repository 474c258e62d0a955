"""What only Discord has, with the whole program: forums, menus, slash forms, files, and a bot or a gateway that breaks.

What it shares with the other platforms is in `platforms/`.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.acceptance.platforms.discord import Discord
from tests.acceptance.platforms.house import House, open_house
from tests.acceptance.platforms.platform import ANSWERED
from tests.acceptance.platforms.thread import Thread, asked
from tests.acceptance.program import PATIENCE_S
from tests.doubles.anthropic import text_reply
from tests.doubles.discord.component_rules import INPUT
from tests.doubles.discord.interactions import Modal
from tests.stage.lines import Block, bash, says

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    async with open_house(DISCORD_FORUMS="all") as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def discord(house: House) -> AsyncIterator[Discord]:
    """A server of the test's own."""
    async with AsyncExitStack() as opened:
        yield await Discord.open(house, opened)


async def begun(house: House, discord: Discord, words: str, *replies: list[Block]) -> Thread:
    client, message = await discord.begin(asked(words, *replies), "ann")
    return Thread(house, client, message)


def field_of(form: Modal) -> str:
    """The field of a form that is written into."""
    return next(name for name, one in form.fields.items() if one["type"] == INPUT)


async def test_a_new_post_in_a_forum_is_a_chat(house: House, discord: Discord) -> None:
    discord.guild.forum("requests")
    ann = discord.guild.person("ann")
    channel = await ann.posts_in_forum("requests", "The build is red", asked("Mend it.", [says("It is green.")]))
    thread = Thread(house, discord.thread(channel), channel.id)

    await thread.is_over("It is green.")
    assert thread.heard("The build is red")
    await thread.say("More.", [says("More of it.")])
    await thread.is_over("More of it.")
    assert await thread.posted() == 2


async def test_the_menu_of_a_message_begins_a_chat_about_it(house: House, discord: Discord) -> None:
    word = f"heron-{house.number()}"
    ann, bob = discord.guild.person("ann"), discord.guild.person("bob")
    message = await bob.says("general", f"The {word} is broken.")
    form = (await ann.context_menu("Ask Threadwork", message)).modal
    assert form is not None
    # The bot quotes what is asked, so the answer must not stand in it.
    house.model.queue.append(text_reply("It is whole."))
    seen = await ann.submits(form, {field_of(form): "Mend it."})
    under = await house.discord.until(lambda: message.thread, within=PATIENCE_S)
    assert under is not None
    thread = Thread(house, discord.thread(under))

    await thread.is_over("It is whole.")
    assert thread.heard(word)
    assert await house.discord.until(lambda: under.id in (seen.ephemeral or ""), within=PATIENCE_S)


async def test_the_slash_command_asks_tells_and_completes(house: House, discord: Discord) -> None:
    thread = Thread(house, await discord.command(asked("By command.", [says("As you command.")]), "ann"))
    await thread.is_over("As you command.")
    ann = discord.guild.person("ann")
    channel = discord.guild.threads[-1]

    async def told(verb: str, words: str, **options: str) -> None:
        seen = await ann.slash(f"threadwork {verb}", channel=channel, **options)
        assert seen.ack != "failed"
        await house.discord.until(lambda: words in (seen.ephemeral or ""), within=PATIENCE_S)

    await told("status", "1 turn")
    await told("list", channel.id)
    await told("help", "/threadwork ask")
    await told("settings", "ask")
    await told("queue", "Nothing waits")
    (choice, *_) = await ann.autocompletes("threadwork status", "chat", "", channel=channel)
    assert "By command" in choice["name"]
    await ann.slash("threadwork mode", channel=channel, mode="plan")
    await thread.shows("plan")


async def test_a_file_that_is_attached_is_in_the_workspace(house: House, discord: Discord) -> None:
    word = f"otter-{house.number()}"
    ann = discord.guild.person("ann")
    text = asked("What is in it?", [bash("cat $(find . -name notes.txt)")], [says("An otter.")])
    message = await ann.mentions_bot("general", text, files=[("notes.txt", f"a secret {word}".encode())])
    channel = await house.discord.until(lambda: message.thread, within=PATIENCE_S)
    assert channel is not None
    thread = Thread(house, discord.thread(channel), message.id)
    await thread.is_over("An otter.")
    assert thread.heard(word)


async def test_a_form_that_is_open_outlives_the_bot(house: House, discord: Discord) -> None:
    thread = await begun(house, discord, "Run it.", [bash("touch made")], [says("Then not.")])
    question = await thread.offers("Deny with a reason…")
    (channel,) = discord.guild.threads
    ann = discord.guild.person("ann")
    form = await ann.opens(channel.posts[question.id], "Deny with a reason…")
    await discord.crash_bot()
    why = f"No {house.number()}, thank you."
    assert (await ann.submits(form, {field_of(form): why})).ack != "failed"

    posts = await thread.is_over("Then not.")
    assert f"Ann denied this: {why}" in next(post.text for post in posts if post.id == question.id)
    assert thread.heard(why)
    assert await thread.posted() == 2


async def test_a_gateway_that_is_cut_is_resumed_and_each_message_is_answered_once(
    house: House, discord: Discord
) -> None:
    double = house.discord
    thread = await begun(house, discord, "Hello.", [says("Hello to you.")])
    await thread.is_over("Hello to you.")
    identified = double.gateway.identifies
    await double.cut_gateway(abrupt=True)
    missed = await thread.say("And while it is cut?", [says("Heard all the same.")])
    await thread.is_over("Heard all the same.")
    await thread.is_marked(missed, ANSWERED)

    assert double.gateway.identifies == identified
    assert await thread.posted() == 2


async def test_what_an_invalid_session_missed_is_fetched_and_answered_once(house: House, discord: Discord) -> None:
    double = house.discord
    thread = await begun(house, discord, "Hello.", [says("Hello to you.")])
    await thread.is_over("Hello to you.")
    identified = double.gateway.identifies
    await double.invalidate_sessions(silently=True)
    # Nobody is told of these.
    inside = await thread.say("Is anybody there?", [says("I am, again.")])
    outside = await discord.guild.person("ann").mentions_bot("general", asked("A new one?", [says("A new one.")]))
    await double.cut_gateway()
    await thread.is_over("I am, again.")
    channel = await double.until(lambda: outside.thread, within=PATIENCE_S)
    assert channel is not None
    another = Thread(house, discord.thread(channel), outside.id)
    await another.is_over("A new one.")
    await thread.is_marked(inside, ANSWERED)
    # And what is then heard is not taken for the old, nor the old taken again.
    await thread.say("Still?", [says("Still here.")])
    await thread.is_over("Still here.")

    assert double.gateway.identifies > identified
    assert await thread.posted() == 3
    assert await another.posted() == 1
