"""The main job on a bare machine: no account and no server, the scripted model, real sandboxes and the real CLI."""

import getpass
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.acceptance.program import (
    PATIENCE_S,
    STOP_S,
    Installation,
    Spoken,
    Up,
    chat_arguments,
    processes_of,
    running,
    until,
)
from tests.processes import descendants

JOB = "write fizzbuzz.py and run it"
FIFTEEN = "Fizz\n13\n14\nFizzBuzz"


@pytest.fixture(scope="module")
def machine() -> Iterator[tuple[Installation, Up]]:
    with running() as (installed, up):
        yield installed, up


@pytest.fixture(scope="module")
def installed(machine: tuple[Installation, Up]) -> Installation:
    return machine[0]


@pytest.fixture(scope="module")
def up(machine: tuple[Installation, Up]) -> Up:
    return machine[1]


@pytest.fixture(scope="module")
def job(installed: Installation) -> Spoken:
    """The main job, done once in the chat `job`."""
    return installed.chat("job", JOB)


def test_up_says_ready_and_nothing_else_on_stdout(up: Up, job: Spoken) -> None:
    assert up.out.read_text() == "ready\n"
    assert up.process.poll() is None


def test_the_job_is_done_and_its_events_are_in_order(job: Spoken) -> None:
    assert job.code == 0, job.err
    assert job.err == ""
    (turn,) = job.turns
    kinds = [event["type"] for event in turn]
    assert kinds[0] == "turn_started"
    assert kinds.count("turn_started") == kinds.count("turn_finished") == 1
    assert kinds[-1] == "turn_finished"
    assert job.last["state"] == "done"
    assert FIFTEEN in job.last["text"]
    assert "This is a scripted model, not Claude." in "".join(event["text"] for event in job.of("text_written"))
    assert job.last["usage"]["input_tokens"] > 0
    assert job.last["usage"]["output_tokens"] > 0
    assert job.last["cost_usd"] == 0
    assert job.last["duration_s"] > 0


def test_a_command_is_asked_for_allowed_and_only_then_run(job: Spoken) -> None:
    (turn,) = job.turns
    kinds = [event["type"] for event in turn]
    ran = [event for event in job.of("tool_started") if event["tool"] == "Bash"]
    assert [event["input"]["command"] for event in ran] == ["python3 fizzbuzz.py"] * 2
    assert FIFTEEN in job.output_of("Bash")[-1]
    for call in ran:
        asked = next(n for n in range(turn.index(call), len(turn)) if kinds[n] == "approval_asked")
        settled = next(n for n in range(asked, len(turn)) if kinds[n] == "approval_settled")
        ended = next(n for n in range(asked, len(turn)) if turn[n].get("id") == call["id"])
        assert asked < settled < ended
        assert kinds[ended] in {"tool_finished", "tool_failed"}
        assert turn[asked]["line"] == call["line"]
        assert turn[asked]["approval_id"] == turn[settled]["approval_id"]
        assert turn[settled]["state"] == "allowed"


def test_files_lists_the_program_and_prints_it(installed: Installation, job: Spoken) -> None:
    listed = installed.run("files", "job")
    assert listed.code == 0, listed.err
    assert re.search(r"^ +\d+  fizzbuzz\.py$", listed.out, re.MULTILINE)

    printed = installed.run("files", "job", "fizzbuzz.py")

    assert printed.code == 0, printed.err
    assert "return str(number)" in printed.out
    compile(printed.out, "fizzbuzz.py", "exec")


def test_what_is_not_there_is_said_in_one_sentence(installed: Installation, job: Spoken) -> None:
    for arguments in (
        ("files", "job", "nothing.py"),
        ("chat", "--approve", "no"),
    ):
        said = installed.run(*arguments)
        assert (said.code, said.out) == (2, "")
        assert re.fullmatch(r"threadwork: .+\n", said.err), said.err


def test_a_denied_command_does_not_run(installed: Installation) -> None:
    spoken = installed.chat("denied", "run `touch made; echo it ran: $((6*7))`", approve="deny")
    assert spoken.code == 0, spoken.err
    assert spoken.last["state"] == "done"
    assert [event["state"] for event in spoken.of("approval_settled")] == ["denied"]
    assert not spoken.of("tool_finished")
    assert [event["output"] for event in spoken.of("tool_failed")] == [f"{getpass.getuser()} denied this. No."]
    assert "did not run" in spoken.last["text"]
    assert "it ran: 42" not in spoken.out
    assert not list((installed.data_dir / "sandboxes").glob("**/made"))


def test_a_chat_uses_the_stack_that_runs(installed: Installation, up: Up, job: Spoken) -> None:
    data_dir = installed.data_dir
    postmaster = (data_dir / "postgres" / "postmaster.pid").read_text()
    assert int(postmaster.split()[0]) in descendants(up.pid)
    assert not (data_dir / "up.log").exists()

    second = installed.run("up")

    assert second.code == 2
    assert "runs already on" in second.err
    assert (data_dir / "postgres" / "postmaster.pid").read_text() == postmaster


def test_a_pipe_that_ends_while_a_question_is_open_leaves_it_open_for_the_next_who_answers(
    installed: Installation,
) -> None:
    left = installed.pipe(f"{JOB}\n", "chat", "--name", "left", "--plain")
    assert (left.code, left.err) == (0, "")
    assert left.out.rstrip().endswith("The question stays open; it waits for you in this chat.")

    joined = installed.chat("left", "Go on.")

    assert joined.code == 0, joined.err
    assert joined.events[0]["type"] == "message_steered"
    assert {event["state"] for event in joined.of("approval_settled")} == {"allowed"}


def test_lines_on_stdin_are_played_as_json(installed: Installation) -> None:
    lines = ("Hello.", "", "Hello again.", "")
    said = installed.pipe("\n".join(lines), "chat", "--name", "lines", "--approve", "allow", "--json")
    spoken = Spoken(said.code, said.out, said.err)
    assert (spoken.code, spoken.err) == (0, "")
    assert [turn[-1]["state"] for turn in spoken.turns] == ["done", "done"]


def test_a_question_that_nobody_here_answers_is_shown_with_the_way_to_answer_it(installed: Installation) -> None:
    asking = installed.start(
        *("chat", "--name", "planned", "--mode", "plan", "--prompt", "Plan a program that prints fizzbuzz."),
        stdout=subprocess.PIPE,
    )
    assert asking.stdout is not None
    shown = ""
    while "It waits for an answer: threadwork chat --name planned\n" not in shown:
        line = asking.stdout.readline()
        assert line, shown
        shown += line
    asking.terminate()
    asking.communicate(timeout=STOP_S)
    assert "Do you agree with this plan?" in shown
    assert "FizzBuzz" in shown


def test_an_output_that_nobody_reads_ends_the_chat_in_silence(installed: Installation) -> None:
    chat = installed.start(*chat_arguments("unread", "Hello."), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert chat.stdout is not None
    assert chat.stderr is not None
    chat.stdout.close()
    assert chat.wait(PATIENCE_S) != 0
    assert chat.stderr.read() == ""


def test_a_new_chat_is_careful_unless_it_is_set_and_an_old_one_keeps_its_mode(installed: Installation) -> None:
    assert installed.run("chat", "--name", "careful").out.startswith("Threadwork · chat careful · mode ask\n")
    assert installed.run("chat", "--name", "moded", THREADWORK_MODE="plan").out.startswith(
        "Threadwork · chat moded · mode plan\n"
    )
    installed.chat("moded", "Hello.", mode="bypass")
    assert installed.run("chat", "--name", "moded").out.startswith("Threadwork · chat moded · mode bypass\n")


def test_a_stopped_stack_leaves_nothing_behind_and_the_next_one_goes_on(
    installed: Installation, up: Up, job: Spoken
) -> None:
    """The last of these tests, for it ends their stack: two chats at once then bring one of their own."""
    code, took_s, left = up.stop()
    assert code == 0, up.err.read_text()
    assert took_s < STOP_S
    assert left == []
    assert processes_of(installed.data_dir) == []
    assert up.out.read_text() == "ready\n"

    lines = {"job": ["what did I ask before?", "run `cat fizzbuzz.py`"], "other": ["run `ls -A; pwd`"]}
    chats = [
        installed.start(*chat_arguments(name, *prompts), stdout=subprocess.PIPE) for name, prompts in lines.items()
    ]
    outs = [chat.communicate(timeout=PATIENCE_S)[0] for chat in chats]
    again, other = [Spoken(chat.returncode, out, "") for chat, out in zip(chats, outs, strict=True)]

    log = (installed.data_dir / "up.log").read_text()
    assert (again.code, other.code) == (0, 0), log
    assert JOB in again.turns[0][-1]["text"]
    assert [turn[0]["number"] for turn in again.turns] == [2, 3]
    assert "return str(number)" in again.last["text"]
    assert other.output_of("Bash") == ["/home/user/work"]
    assert log.splitlines().count("ready") == 1
    until(lambda: processes_of(installed.data_dir) == [])
