"""Files that the agent leaves in its outbox: in the thread at the end of the turn, each once, whatever lies there."""

import pytest

from core.domain import events as e
from core.errors import SurfaceError
from tests.stage import Hang, LoseAnswer, Refuse, ScriptedChat, Stage, at_gate, bash, says
from worker.agent.options import WORKSPACE

MAKE = "mkdir -p outbox && cd outbox && "


async def _leaves(chat: ScriptedChat, command: str, answer: str) -> None:
    """Let the agent run a command, and end its turn."""
    await chat.say("Make it.", [bash(f"cd {WORKSPACE} && {command}")], [says(answer)])
    await chat.is_done(answer)


async def _names(chat: ScriptedChat) -> list[str]:
    return [post.body["name"] for post in await chat.posts("file")]


async def _shared(chat: ScriptedChat, number: int = -1) -> list[str]:
    told = [recorded.event for recorded in await chat.events(number)]
    return [event.name for event in told if isinstance(event, e.FileShared)]


async def _notices(chat: ScriptedChat) -> str:
    async def has_its_end() -> bool:
        posts = await chat.posts()
        return bool(posts) and posts[-1].body["state"] == "done"

    await chat.comes_true(has_its_end)
    return "\n".join((await chat.posts())[-1].body["notices"])


async def test_a_file_is_shared_once_and_again_only_when_it_changed(chat: ScriptedChat) -> None:
    await _leaves(chat, f"{MAKE}echo one > report.csv", "Made.")
    assert await _names(chat) == await _shared(chat) == ["report.csv"]
    assert (await chat.kinds())[-2:] == ["file_shared", "turn_finished"]

    await _leaves(chat, "touch outbox/report.csv", "Touched.")
    assert await _names(chat) == ["report.csv"]

    await _leaves(chat, "echo two > outbox/report.csv", "Changed.")
    await _leaves(chat, "echo one > outbox/report.csv", "Changed back.")
    assert await _names(chat) == ["report.csv"] * 3


async def test_a_turn_that_used_no_tool_is_not_looked_at(chat: ScriptedChat) -> None:
    await _leaves(chat, "true", "Nothing.")
    await chat.runs(f"cd work && {MAKE}echo x > late.txt")
    await chat.say("And?", [says("And nothing.")])
    await chat.is_done("And nothing.")
    assert await _names(chat) == []
    await _leaves(chat, "true", "Now.")
    assert await _names(chat) == ["late.txt"]


@pytest.mark.parametrize("is_done", [True, False])
async def test_a_run_cut_off_while_it_sends_leaves_one_post(stage: Stage, chat: ScriptedChat, *, is_done: bool) -> None:
    await chat.say("Make it.", [bash(f"{MAKE}echo one > report.csv")], [says("Made.")])
    await chat.comes_true(lambda: chat.posts("turn"))
    stage.surface.fail_file(Hang(is_done=is_done))
    await chat.comes_true(lambda: stage.surface.hanging)

    await chat.cancel_run()
    stage.surface.release()
    chat.start_run()
    await chat.is_done("Made.")
    await chat.run_ends()

    assert await _names(chat) == await _shared(chat) == ["report.csv"]
    assert (await chat.kinds()).count("turn_finished") == 1


async def test_a_run_cut_off_between_two_files_leaves_the_end_to_the_next(stage: Stage, chat: ScriptedChat) -> None:
    # The first file goes and is stored as shared; that must not say that the end of the turn was read as well.
    stage.surface.fail_file(LoseAnswer(), Hang())
    await chat.say("Make them.", [bash(f"{MAKE}echo one > 1.txt; echo two > 2.txt")], [says("Made.")])
    await chat.comes_true(lambda: stage.surface.hanging)
    assert await _shared(chat) == ["1.txt"]

    await chat.cancel_run()
    stage.surface.release()
    chat.start_run()
    await chat.is_done("Made.")
    await chat.run_ends()

    assert await _names(chat) == await _shared(chat) == ["1.txt", "2.txt"]
    assert (await chat.kinds()).count("turn_finished") == 1


async def test_a_run_cut_off_behind_the_agents_last_words_leaves_the_end_to_the_next(
    stage: Stage, chat: ScriptedChat
) -> None:
    await chat.say("Make it.", [bash(f"{MAKE}echo one > report.csv")], [at_gate("end"), says("Made.")])
    await chat.until(e.ToolFinished)
    await chat.cancel_run()
    stage.model.open("end")
    await chat.comes_true(lambda: chat.runs('grep -h \'"type":"result"\' /home/user/.threadwork/run/1/out.jsonl'))

    # The next run finds the last words and the end together, and stores the words first.
    stage.surface.fail_file(Hang())
    chat.start_run()
    await chat.comes_true(lambda: stage.surface.hanging)
    await chat.cancel_run()
    stage.surface.release()
    chat.start_run()
    await chat.is_done("Made.")
    await chat.run_ends()

    assert await _names(chat) == await _shared(chat) == ["report.csv"]
    assert (await chat.kinds()).count("turn_finished") == 1


async def test_a_file_whose_answer_was_lost_is_not_sent_again(stage: Stage, chat: ScriptedChat) -> None:
    stage.surface.fail_file(LoseAnswer())
    await _leaves(chat, f"{MAKE}echo one > report.csv", "Made.")
    assert await _names(chat) == await _shared(chat) == ["report.csv"]


async def test_what_lies_there_by_malice_does_no_harm(chat: ScriptedChat) -> None:
    evil = (
        "ln -s /etc/passwd link.txt; ln -s /dev/zero endless; mkfifo pipe; mkdir -p .git deep/er; echo x > .git/config;"
        "echo x > .env; echo a > deep/er/a.txt; echo b > $'two\\nlines\\x1b[31m.txt'; echo c > $'gpj.\\u202eexe.txt';"
        "echo d > '<!channel> @everyone.txt'; echo e > $'\\xff\\xfe.bin'; : > empty; echo f > '..hidden'"
    )
    await _leaves(chat, f"{MAKE}{evil}", "Made.")
    assert sorted(await _names(chat)) == [
        "_!channel_ @everyone.txt",
        "deep_er_a.txt",
        "gpj._exe.txt",
        "two_lines_[31m.txt",
    ]
    notices = await _notices(chat)
    assert "Not shared: empty: it is empty." in notices
    assert "its name is no text" in notices


async def test_an_outbox_that_is_a_link_is_left_alone(chat: ScriptedChat) -> None:
    await _leaves(chat, "ln -s /etc outbox", "Made.")
    assert await _names(chat) == []


async def test_what_is_too_large_is_named_once(stage: Stage, chat: ScriptedChat) -> None:
    stage.limit(share_bytes=1000)
    await _leaves(chat, f"{MAKE}head -c 5000 /dev/zero > big.bin; echo x > small.txt", "Made.")
    assert await _names(chat) == ["small.txt"]
    assert (
        "Not shared: big.bin: it has 5.0 kB, and 1.0 kB are the most here: ask me for it in parts, or smaller."
        in await _notices(chat)
    )

    await _leaves(chat, "true", "Again.")
    assert "file_kept" not in await chat.kinds()


async def test_of_very_many_files_some_go_with_each_answer(stage: Stage, chat: ScriptedChat) -> None:
    stage.limit(share_files=3)
    await _leaves(chat, f"{MAKE}for n in 1 2 3 4 5; do echo $n > $n.txt; done", "Made.")
    assert await _names(chat) == ["1.txt", "2.txt", "3.txt"]
    assert "2 more files wait for my next answers, 3 at most go with one." in await _notices(chat)

    await _leaves(chat, "true", "The rest.")
    assert (await _names(chat))[3:] == ["4.txt", "5.txt"]


async def test_a_refusal_is_said_with_its_mend_and_tried_with_the_next_answer(stage: Stage, chat: ScriptedChat) -> None:
    stage.surface.fail_file(Refuse(SurfaceError("The app lacks the scope files:write. Add it.")))
    await _leaves(chat, f"{MAKE}echo one > report.csv", "Made.")
    assert "The app lacks the scope files:write. Add it." in await _notices(chat)
    assert await _names(chat) == []

    await _leaves(chat, "true", "Again.")
    assert await _names(chat) == await _shared(chat) == ["report.csv"]


async def test_what_a_stopped_turn_left_goes_with_the_next(stage: Stage, chat: ScriptedChat) -> None:
    await chat.say("Make it.", [bash(f"{MAKE}echo one > report.csv; sleep 60")], [says("Made.")])
    await chat.comes_true(lambda: chat.file("outbox/report.csv"))
    await chat.stop()
    await chat.finishes()
    assert await _names(chat) == []
    await _leaves(chat, "true", "Again.")
    assert await _names(chat) == ["report.csv"]
