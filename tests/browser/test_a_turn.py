"""A turn followed in a real browser: its text as it comes, its question answered there, its end, a stop."""

from core.domain import events as e
from core.domain.access import Access
from core.domain.chat import Mode
from core.domain.states import TurnState
from tests.browser.conftest import Desk
from tests.stage import Stage, at_gate, bash, says


async def test_a_turn_is_followed_live_and_its_question_answered_on_the_page(stage: Stage, desk: Desk) -> None:
    chat = stage.chat("mend the build", mode=Mode.ASK)
    await desk.sign_in()
    await chat.say("Mend it.", [says("Let me look"), at_gate("go"), bash("echo mended > ran")], [says("It is mended.")])
    await desk.window.open(desk.url)
    await desk.window.click("main a", "mend the build")

    await desk.window.reads("Let me look", "#live")
    stage.model.open("go")
    await desk.window.reads("echo mended > ran")
    await chat.asks()
    await chat.comes_true(lambda: chat.posts("tool"))
    await desk.window.click("main button", "Allow once")

    await desk.window.reads("It is mended.")
    await chat.is_done("It is mended.")
    await chat.run_ends()
    assert await chat.file("ran") == "mended\n"
    (post,) = await chat.posts("tool")
    assert post.body["state"] == "allowed"
    await desk.window.reads("Root")


async def test_a_turn_is_stopped_and_written_to_on_the_page(stage: Stage, desk: Desk) -> None:
    stage.limit(linger_s=20.0)
    chat = stage.chat("a long one", mode=Mode.BYPASS)
    await desk.sign_in()
    await chat.say("Work.", [says("On and on"), at_gate("never")])
    await chat.until(e.TextStreamed)
    await desk.window.open(f"{desk.url}/chats/{chat.id}")
    await desk.window.reads("On and on", "#live")

    await desk.window.click("main button", "Stop")
    end = await chat.finishes()
    await desk.window.reads("Stopped by Root.")
    assert end.state is TurnState.STOPPED

    await desk.window.write("#text", "And now?")
    await desk.window.click("main button", "Send")
    await desk.window.reads("And now?")
    await chat.finishes()
    await desk.window.reads("Nothing was scripted.")


async def test_who_only_looks_sees_no_buttons(stage: Stage, desk: Desk) -> None:
    chat = stage.chat("look at this", mode=Mode.ASK)
    await desk.sign_in(Access.VIEWER)
    await chat.say("Do it.", [bash("echo x > ran")], [says("Done.")])
    await chat.asks()
    await desk.window.open(f"{desk.url}/chats/{chat.id}")

    await desk.window.reads("echo x > ran")

    assert await desk.window.counts("main button") == 0
    assert await desk.window.counts("main form") == 0
