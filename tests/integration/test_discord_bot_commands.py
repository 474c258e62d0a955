"""Commands in Discord: `!…` in a thread, the slash command with its completions, and the command in a message's menu."""

from functools import partial

import pytest

from core.domain.chat import Busy, Mode
from tests.doubles.discord import Channel, Person, Seen
from tests.integration.discord_bot import Scene


@pytest.fixture
def scene(discord_scene: Scene) -> Scene:
    return discord_scene


def _boss(scene: Scene) -> Person:
    scene.guild.role("boss", "ADMINISTRATOR")
    return scene.guild.person("boss", roles=["boss"])


async def _told(scene: Scene, seen: Seen, words: str) -> None:
    await scene.discord.until(lambda: words in (seen.ephemeral or ""), within=60)


async def test_stop_stops_what_runs_and_says_when_nothing_does(scene: Scene) -> None:
    thread = await scene.begun()
    said = await scene.ann.says(thread, "!stop")
    told = await scene.told(thread, "Nothing is at work here")
    assert told.reply_to is said
    _, turn = await scene.turn(thread)
    await scene.ann.says(thread, "!stop")
    assert await scene.eventually(lambda: scene.stores.turns.stop_asked(turn.id)) == "Ann"
    assert len(await scene.messages(thread)) == 1


async def test_a_command_in_a_mention_is_a_command(scene: Scene) -> None:
    thread = await scene.begun()
    _, turn = await scene.turn(thread)
    await scene.ann.mentions_bot(thread, "!stop")
    assert await scene.eventually(lambda: scene.stores.turns.stop_asked(turn.id)) == "Ann"
    asked = await scene.ann.mentions_bot("general", "!status")
    await scene.told(asked.channel, "There is no chat in this thread yet")
    assert asked.thread is None


async def test_status_and_queue_tell_what_goes_on(scene: Scene) -> None:
    thread = await scene.begun("fix *the* build")
    await scene.turn(thread)
    await scene.seen(await scene.ann.says(thread, "and @everyone then <@&1> that"))
    await scene.ann.says(thread, "!status")
    told = await scene.told(thread, "⏳ at work")
    assert "1 message waits" in told.text
    assert r"\*the\*" in told.text
    await scene.ann.says(thread, "!queue")
    await scene.told(thread, "1. Ann: and")
    assert not scene.discord.pings
    await scene.ann.says(thread, "!help")
    await scene.told(thread, "!invite @name")


async def test_model_mode_and_queue_change_the_chat_for_all_to_see(scene: Scene) -> None:
    thread = await scene.begun()
    for command in ("!model claude-opus-9", "!mode plan", "!queue on"):
        await scene.ann.says(thread, command)
    await scene.discord.until(lambda: len(scene.posts(thread, " ")) == 3, within=60)
    settings = (await scene.chat(thread)).settings
    assert (settings.model, settings.mode, settings.busy) == ("claude-opus-9", Mode.PLAN, Busy.QUEUE)
    assert settings.may_decide == (scene.ann.id,)
    await scene.told(thread, "Ann chose `claude-opus-9`")
    await scene.ann.says(thread, "!model default")
    await scene.told(thread, "the usual model")
    assert (await scene.chat(thread)).settings.model is None


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("!mode yolo", "There is no mode yolo"),
        ("!mode bypass", "Only an admin"),
        ("!model no such thing", "no name of a model"),
        ("!queue perhaps", "!queue interrupt"),
        ("!mentions", "!mentions on"),
        ("!invite", "Write whom"),
        ("!new", "Write what you want done"),
    ],
)
async def test_a_command_that_cannot_be_done_says_why(scene: Scene, command: str, words: str) -> None:
    thread = await scene.begun()
    await scene.ann.says(thread, command)
    await scene.told(thread, words)
    settings = (await scene.chat(thread)).settings
    assert (settings.mode, settings.model, settings.busy) == (Mode.AUTO, None, Busy.STEER)


async def test_whoever_may_not_decide_may_not_change_the_chat(scene: Scene) -> None:
    bob = scene.guild.person("bob")
    thread = await scene.begun()
    for number, command in enumerate(("!mode ask", f"!invite <@{bob.id}>", "!model x", "!queue on", "!mentions on")):
        await bob.says(thread, command)
        await scene.discord.until(partial(_is_refused_more, scene, thread, number), within=60)
    seen = await bob.slash("threadwork mode", channel=thread, mode="ask")
    await _told(scene, seen, "Only those who are in this chat")


def _is_refused_more(scene: Scene, thread: Channel, than: int) -> bool:
    return len(scene.posts(thread, "Only those who are in this chat")) > than


async def test_an_admin_may_let_it_do_everything(scene: Scene) -> None:
    thread = await scene.begun()
    await _boss(scene).says(thread, "!mode bypass")
    await scene.told(thread, "Boss set the mode to")
    assert (await scene.chat(thread)).settings.mode is Mode.BYPASS


async def test_what_only_looks_like_a_command_is_a_message(scene: Scene) -> None:
    thread = await scene.begun()
    await scene.seen(await scene.ann.says(thread, "!important: use tabs"))
    assert [one.text for one in await scene.messages(thread, 2)] == ["go", "!important: use tabs"]


async def test_new_and_ask_begin_a_chat_under_a_post_that_shows_what_was_asked(scene: Scene) -> None:
    thread = await scene.begun()
    where = scene.guild.channel("general")
    await scene.ann.says(thread, "!new count the *files*")
    seen = await scene.ann.slash("threadwork ask", channel="general", what="why is *it* red?")
    for text in ("why is *it* red?", "count the *files*"):
        post = await scene.told(where, text.replace("*", r"\*"))
        await scene.seen(post)
        begun = await scene.thread(post)
        assert begun.name == text
        [message] = await scene.messages(begun)
        assert (message.text, message.author_name) == (text, "Ann")
        assert (await scene.chat(begun)).settings.may_decide == (scene.ann.id,)
    await _told(scene, seen, "It is in its thread: https://discord.com/channels/")
    await scene.told(thread, "It is in its own thread: <#")


async def test_ask_in_a_chats_thread_and_in_direct_messages_asks_there(scene: Scene) -> None:
    thread = await scene.begun()
    seen = await scene.ann.slash("threadwork ask", channel=thread, what="and read it", file=("a.txt", b"abc"))
    await _told(scene, seen, "It is asked.")
    [_, message] = await scene.messages(thread, 2)
    assert (message.text, [one.name for one in message.files]) == ("and read it", ["a.txt"])
    await scene.seen(scene.posts(thread, "asks: and read it")[0])
    await scene.ann.slash("threadwork ask", channel=scene.ann.dm, what="hello")
    [message] = await scene.messages(scene.ann.dm)
    assert message.text == "hello"


async def test_the_slash_command_answers_the_person_alone(scene: Scene) -> None:
    bob = scene.guild.person("bob")
    thread = await scene.begun("fix the build")
    wanted: list[tuple[str | Channel, str, str]] = [
        ("general", "help", "/threadwork list"),
        ("general", "settings", "Mode `auto`"),
        ("general", "list", "fix the build"),
        ("general", "status", f"/{thread.id}>"),
        ("general", "stop", "There is no chat in this thread yet"),
        (thread, "status", "1 message waits"),
        (thread, "queue", "1. Ann: fix the build"),
        (thread, "model", "Model: the usual one"),
        (thread, "settings", "Mode `auto`"),
        (thread, "stop", "Nothing is at work here"),
    ]
    for where, command, words in wanted:
        seen = await scene.ann.slash(f"threadwork {command}", channel=where)
        await _told(scene, seen, words)
    await _told(scene, await bob.slash("threadwork list"), "You have no chats yet")
    assert not scene.posts(scene.guild.channel("general"))


async def test_the_slash_command_changes_the_chat_of_its_thread(scene: Scene) -> None:
    thread = await scene.begun()
    _, turn = await scene.turn(thread)
    await scene.ann.slash("threadwork model", channel=thread, name="claude-opus-9")
    await scene.told(thread, "Ann chose `claude-opus-9`")
    await scene.ann.slash("threadwork mode", channel=thread, mode="ask")
    await scene.ann.slash("threadwork queue", channel=thread, set="interrupt")
    await scene.told(thread, "is done in its place")
    settings = (await scene.chat(thread)).settings
    assert (settings.model, settings.mode, settings.busy) == ("claude-opus-9", Mode.ASK, Busy.INTERRUPT)
    await scene.ann.slash("threadwork stop", channel=thread)
    assert await scene.eventually(lambda: scene.stores.turns.stop_asked(turn.id)) == "Ann"


async def test_models_and_chats_are_completed(scene: Scene) -> None:
    thread = await scene.begun("fix the build")
    await scene.ann.says(thread, "!model claude-opus-9")
    await scene.told(thread, "chose")
    _, turn = await scene.turn(thread)
    models = await scene.ann.autocompletes("threadwork model", "name", "opus", channel=thread)
    assert [one["value"] for one in models] == ["opus", "claude-opus-9"]
    chats = await scene.ann.autocompletes("threadwork stop", "chat", "BUILD", channel="general")
    assert [(one["name"], one["value"]) for one in chats] == [("fix the build", thread.id)]
    assert await scene.guild.person("bob").autocompletes("threadwork stop", "chat", "", channel="general") == []
    await scene.ann.slash("threadwork stop", channel="general", chat=thread.id)
    assert await scene.eventually(lambda: scene.stores.turns.stop_asked(turn.id)) == "Ann"


async def test_the_menus_command_asks_about_a_message_in_its_thread(scene: Scene) -> None:
    said = await scene.guild.person("bob").says("general", "the build is *red*")
    seen = await scene.ann.context_menu("Ask Threadwork", said)
    assert seen.modal is not None
    answer = await scene.ann.submits(seen.modal, {"words": "mend it"})
    await _told(scene, answer, "It is in its thread: https://")
    thread = await scene.thread(said)
    [message] = await scene.messages(thread)
    assert message.text.startswith("mend it\n\nThis is about: Bob: the build is *red*")
    post = await scene.told(thread, "**Ann** asks: mend it")
    await scene.seen(post)


async def test_the_menus_command_in_a_thread_asks_there(scene: Scene) -> None:
    thread = await scene.begun()
    said = await scene.guild.person("bob").says(thread, "!aside it is red")
    seen = await scene.ann.context_menu("Ask Threadwork", said)
    assert seen.modal is not None
    await scene.ann.submits(seen.modal, {"words": "is it?"})
    [_, message] = await scene.messages(thread, 2)
    assert message.text.startswith("is it?\n\nThis is about: Bob: !aside it is red")


@pytest.mark.parametrize("permission", ["CREATE_PUBLIC_THREADS", "SEND_MESSAGES"])
async def test_where_the_bot_may_not_begin_threads_it_says_what_is_missing(scene: Scene, permission: str) -> None:
    scene.guild.deny("general", permission)
    seen = await scene.ann.slash("threadwork ask", channel="general", what="what is here?")
    await _told(scene, seen, "Send Messages in Threads")
    assert not scene.posts(scene.guild.channel("general"))
