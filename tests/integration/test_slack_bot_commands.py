"""Commands in Slack: with `!` in threads, with a slash elsewhere; the shortcut, and the home tab."""

from functools import partial

import pytest

from core.domain.chat import Busy, Mode
from tests.doubles.slack import Message as Posted
from tests.doubles.slack import Person, Thread
from tests.integration.slack_bot import Scene


async def _begun(scene: Scene, text: str = "go") -> Posted:
    asked = await scene.ann.mentions("general", text)
    await scene.seen(asked)
    return asked


async def _told(scene: Scene, person: Person, words: str) -> None:
    await scene.slack.until(lambda: any(words in one.shown for one in person.only_hers), within=60)


async def test_stop_stops_what_runs_and_says_when_nothing_does(scene: Scene) -> None:
    asked = await _begun(scene)
    await scene.ann.says("general", "!stop", thread_ts=asked.ts)
    await _told(scene, scene.ann, "Nothing is at work here")
    _, turn = await scene.turn(asked)
    await scene.ann.says("general", "!stop", thread_ts=asked.ts)
    assert await scene.eventually(lambda: scene.stores.turns.stop_asked(turn.id)) == "ann"
    assert len(await scene.messages(asked)) == 1


async def test_a_command_in_a_mention_is_a_command(scene: Scene) -> None:
    asked = await _begun(scene)
    _, turn = await scene.turn(asked)
    await scene.ann.mentions("general", "!stop", thread_ts=asked.ts)
    assert await scene.eventually(lambda: scene.stores.turns.stop_asked(turn.id)) == "ann"


async def test_status_and_queue_tell_what_goes_on(scene: Scene) -> None:
    asked = await _begun(scene, "fix <the> build")
    await scene.turn(asked)
    more = await scene.ann.says("general", "and <!channel> then that", thread_ts=asked.ts)
    await scene.seen(more)
    await scene.ann.says("general", "!status", thread_ts=asked.ts)
    await _told(scene, scene.ann, "⏳ at work")
    await _told(scene, scene.ann, "1 message waits")
    await scene.ann.says("general", "!queue", thread_ts=asked.ts)
    await _told(scene, scene.ann, "1. ann: and")
    assert not scene.slack.pings
    await scene.ann.says("general", "!help", thread_ts=asked.ts)
    await _told(scene, scene.ann, "!invite @name")


async def test_model_mode_and_queue_change_the_chat_for_all_to_see(scene: Scene) -> None:
    asked = await _begun(scene)
    thread = scene.slack.thread("general", asked)
    for command in ("!model claude-opus-9", "!mode plan", "!queue on"):
        await scene.ann.says("general", command, thread_ts=asked.ts)
    await scene.slack.until(lambda: len(thread.ours) == 3)
    settings = (await scene.chat(asked)).settings
    assert (settings.model, settings.mode, settings.busy) == ("claude-opus-9", Mode.PLAN, Busy.QUEUE)
    assert settings.may_decide == (scene.ann.id,)
    assert "ann chose `claude-opus-9`" in thread.ours[0].shown
    await scene.ann.says("general", "!model default", thread_ts=asked.ts)
    await scene.slack.until(lambda: len(thread.ours) == 4)
    assert (await scene.chat(asked)).settings.model is None


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
    asked = await _begun(scene)
    await scene.ann.says("general", command, thread_ts=asked.ts)
    await _told(scene, scene.ann, words)
    settings = (await scene.chat(asked)).settings
    assert (settings.mode, settings.model, settings.busy) == (Mode.AUTO, None, Busy.STEER)


async def test_whoever_may_not_decide_may_not_change_the_chat(scene: Scene) -> None:
    bob = scene.workspace.person("bob")
    asked = await _begun(scene)
    for command in ("!mode ask", f"!invite {bob.mention}", "!model x", "!queue on", "!mentions on"):
        told = len(bob.only_hers)
        await bob.says("general", command, thread_ts=asked.ts)
        await scene.slack.until(partial(_is_told_more, bob, told))
        assert "Only those who are in this chat" in bob.only_hers[-1].shown


def _is_told_more(person: Person, told: int) -> bool:
    return len(person.only_hers) > told


async def test_an_admin_may_let_it_do_everything(scene: Scene) -> None:
    asked = await _begun(scene)
    boss = scene.workspace.person("boss", admin=True)
    await boss.says("general", "!mode bypass", thread_ts=asked.ts)
    await scene.slack.until(lambda: scene.slack.thread("general", asked).ours)
    assert (await scene.chat(asked)).settings.mode is Mode.BYPASS


async def test_what_only_looks_like_a_command_is_a_message(scene: Scene) -> None:
    asked = await _begun(scene)
    more = await scene.ann.says("general", "!important: use tabs", thread_ts=asked.ts)
    await scene.seen(more)
    assert [one.text for one in await scene.messages(asked, 2)] == ["go", "!important: use tabs"]


async def test_new_and_ask_begin_a_chat_under_a_post_that_shows_what_was_asked(scene: Scene) -> None:
    asked = await _begun(scene)
    where = scene.slack.channel("general")
    await scene.ann.says("general", "!new count the <files>", thread_ts=asked.ts)
    await scene.ann.slash("/threadwork", "ask why is <it> red?")
    ours = await scene.slack.until(
        lambda: found if len(found := [one for one in where.messages.values() if _is_ours(scene, one)]) == 2 else None
    )
    for post, text in zip(
        sorted(ours, key=lambda one: one.shown, reverse=True), ("why is <it> red?", "count the <files>"), strict=True
    ):
        await scene.seen(post)
        [message] = await scene.messages(post)
        assert (message.text, message.author_name) == (text, "ann")
        assert (await scene.chat(post)).settings.may_decide == (scene.ann.id,)
    await _told(scene, scene.ann, "It is in its thread: https://")


def _is_ours(scene: Scene, one: Posted) -> bool:
    return one.author is scene.workspace.bot and not one.is_reply and one.only_for is None


async def test_the_slash_command_answers_the_person_alone(scene: Scene) -> None:
    bob = scene.workspace.person("bob")
    asked = await _begun(scene, "fix the | build")
    for text, words in [
        ("", "/threadwork ask"),
        ("help", "/threadwork settings"),
        ("dance", "I do not know `dance`"),
        ("settings", "Mode `auto`"),
        ("list", "fix the ¦ build"),
        ("status", f"p{asked.ts.replace('.', '')}"),
        ("ask", "Write what you want done"),
    ]:
        await scene.ann.slash("/threadwork", text)
        await _told(scene, scene.ann, words)
    await bob.slash("/threadwork", "list")
    await _told(scene, bob, "You have no chats yet")


async def test_where_the_bot_is_not_it_asks_to_be_invited(scene: Scene) -> None:
    scene.workspace.channel("elsewhere", with_app=False)
    await scene.ann.slash("/threadwork", "ask what is here?", "elsewhere")
    await _told(scene, scene.ann, "/invite @")


async def test_the_shortcut_asks_about_a_message_in_its_thread(scene: Scene) -> None:
    bob = scene.workspace.person("bob")
    said = await bob.says("general", "the build is <red>")
    await scene.ann.shortcut("ask_about_this", said)
    form = await scene.slack.until(lambda: scene.ann.modal, within=60)
    assert await scene.ann.submits(form, {"words": "mend it"}) == {}
    [message] = await scene.messages(said)
    assert message.text.startswith("mend it\n\nThis is about: the build is <red>")
    assert message.text.endswith("bob: the build is <red>")
    thread = scene.slack.thread("general", said)
    assert thread.texts[-1] == "*ann* asks: mend it"
    await scene.seen(thread.ours[0])


async def test_the_home_tab_shows_my_chats(scene: Scene) -> None:
    asked = await _begun(scene, "fix the build")
    await scene.turn(asked)
    await scene.ann.opens_home()
    home = await scene.slack.until(lambda: scene.ann.home, within=60)
    text = str(home.body["blocks"])
    assert "|fix the build>" in text
    assert "⏳ at work" in text
    assert "1 chat, 1 turn, $0.00" in text
    bob = scene.workspace.person("bob")
    await bob.opens_home()
    assert "None yet" in str((await scene.slack.until(lambda: bob.home, within=60)).body["blocks"])


async def test_where_the_app_was_made_an_agent_slacks_own_stop_button_stops_the_turn(scene: Scene) -> None:
    scene.slack.delivery.manifest = None
    thread_ts = await scene.ann.opens_agent()
    inside = await scene.ann.dms("go", thread_ts=thread_ts)
    await scene.seen(inside)
    _, turn = await scene.turn(inside)
    scene.ann.dm.sessions[thread_ts] = {"status": "processing"}
    await scene.ann.stops_agent(scene.ann.dm, thread_ts)
    assert await scene.eventually(lambda: scene.stores.turns.stop_asked(turn.id)) == "ann"


async def test_where_only_mentions_count_commands_do_too(scene: Scene) -> None:
    asked = await _begun(scene)
    for command, words in (("!mentions on", "only when"), ("!mentions off", "everything in this thread")):
        await scene.ann.says("general", command, thread_ts=asked.ts)
        thread = scene.slack.thread("general", asked)
        await scene.slack.until(partial(_is_said, thread, words))
    assert not (await scene.chat(asked)).settings.mention_only


def _is_said(thread: Thread, words: str) -> bool:
    return any(words in text for text in thread.texts)


async def test_a_command_that_slack_sends_twice_is_done_once(scene: Scene) -> None:
    asked = await _begun(scene)
    where = scene.slack.channel("general")
    await scene.ann.says("general", "!new count the files", thread_ts=asked.ts)
    await scene.slack.until(lambda: [one for one in where.messages.values() if _is_ours(scene, one)])
    for event in list(scene.slack.events):
        scene.slack.delivery.repeat(event)
    await scene.slack.settled(within=60)
    assert len([one for one in where.messages.values() if _is_ours(scene, one)]) == 1
