"""With a credential and a server that wants it: the same job against that server, and the key never in the sandbox."""

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.looking import NONE, files_with, look_inside, processes_with
from tests.acceptance.model import Model, a_model
from tests.acceptance.program import PATIENCE_S, Installation, Spoken, Up, chat_arguments, command_of, running, until
from tests.doubles.anthropic import script_prompt
from tests.processes import descendants

PROGRAM = 'print("a program that ran")\n'


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with a_model() as served:
        yield served


@pytest.fixture(scope="module")
def stack(model: Model) -> Iterator[tuple[Installation, Up]]:
    with running(**model.settings) as (installed, up):
        yield installed, up


@pytest.fixture(scope="module")
def installed(stack: tuple[Installation, Up]) -> Installation:
    return stack[0]


def bash(command: str) -> dict[str, Any]:
    return {"tool": "Bash", "input": {"command": command}}


def test_the_job_runs_on_that_server_with_the_real_credential(installed: Installation, model: Model) -> None:
    write = {"tool": "Write", "input": {"file_path": "/home/user/work/hello.py", "content": PROGRAM}}
    prompt = script_prompt([write], [bash("python3 hello.py")], [{"text": "It ran."}], say="write and run a program")

    spoken = installed.chat("job", prompt)

    assert spoken.code == 0, spoken.err
    assert spoken.output_of("Bash") == ["a program that ran"]
    assert spoken.last["state"] == "done"
    assert spoken.last["text"] == "It ran."
    assert spoken.last["cost_usd"] > 0
    assert [event["state"] for event in spoken.of("approval_settled")] == ["allowed", "allowed"]
    assert "scripted model" not in spoken.out
    assert len(model.requests) >= 3
    assert model.credentials == {model.key}


def test_the_key_is_nowhere_but_in_the_gateway(stack: tuple[Installation, Up], model: Model) -> None:
    installed, up = stack
    # The command stays until it was looked at from outside, too.
    held = "touch looked; n=0; until [ -e go ] || [ $n -gt 1200 ]; do n=$((n+1)); sleep 0.05; done; ls go"
    prompt = script_prompt([bash(look_inside(model.key))], [bash(held)], [bash("env; ps")], [{"text": "Nothing."}])
    chat = installed.start(*chat_arguments("job", prompt), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    (mark,) = until(lambda: list((installed.data_dir / "sandboxes").glob("**/work/looked")))

    family = descendants(up.pid)
    cli = [pid for pid in family if command_of(pid).startswith("/opt/claude/claude")]
    with_key = processes_with(model.key, family)
    kept = files_with(model.key, installed.folder)
    (mark.parent / "go").touch()
    out, err = chat.communicate(timeout=PATIENCE_S)

    spoken = Spoken(chat.returncode, out, err)
    assert spoken.code == 0, err
    assert spoken.output_of("Bash")[:2] == [NONE, "go"]
    # The look from outside saw the sandbox's processes.
    assert cli
    assert len(with_key) == 1
    assert "worker.gateway" in with_key[0]
    assert kept == []
    assert files_with(model.key, installed.folder) == []
    assert model.key not in out + err


def test_turns_follow_one_another_in_one_warm_process(installed: Installation, model: Model) -> None:
    def prompt(say: str) -> str:
        return script_prompt(
            [bash("echo $PPID; cat /proc/$PPID/comm; echo said >>notes; wc -l <notes")], [{"text": say}]
        )

    spoken = installed.chat("warm", prompt("one"), prompt("two"))
    later = installed.chat("warm", prompt("three"))

    assert (spoken.code, later.code) == (0, 0), spoken.err + later.err
    first, second = spoken.turns
    assert [turn[end]["type"] for turn in (first, second) for end in (0, -1)] == ["turn_started", "turn_finished"] * 2
    assert [turn[-1]["text"] for turn in (first, second)] == ["one", "two"]
    assert [turn[0]["number"] for turn in (first, second, *later.turns)] == [1, 2, 3]
    outputs = [output.split() for output in spoken.output_of("Bash") + later.output_of("Bash")]
    pid, name, _ = outputs[0]
    assert name == "claude"
    assert outputs == [[pid, name, "1"], [pid, name, "2"], [pid, name, "3"]]
    # What was said before is still in its memory.
    remembered = json.dumps(model.requests[-1]["body"]["messages"])
    assert all(f'"{say}"' in remembered for say in ("one", "two"))


def test_a_model_that_refuses_fails_the_turn_and_the_next_one_works(installed: Installation) -> None:
    refused = installed.chat(
        "troubled", script_prompt([{"status": 401, "message": "invalid x-api-key", "times": 0}]), "never"
    )
    again = installed.chat("troubled", script_prompt([{"text": "Here I am."}]))

    assert refused.code == 1
    assert len(refused.turns) == 1
    assert refused.last["state"] == "failed"
    assert refused.last["error"]
    assert "\n" not in refused.last["error"]
    assert (again.code, again.last["text"]) == (0, "Here I am.")


def test_what_the_model_writes_does_not_steer_the_terminal(installed: Installation) -> None:
    prompt = script_prompt([{"text": "a\x1b[31mred\x9b0m\u202eb"}])

    lines = installed.run("chat", "--name", "steered", "--plain", "--prompt", prompt)
    as_json = installed.chat("steered", prompt)

    assert lines.out == "a[31mred0mb\n"
    assert as_json.last["text"] == "a\x1b[31mred\x9b0m\u202eb"
    assert not set("\x1b\x9b\u202e") & set(as_json.out)


def held_prompt(gate: str) -> str:
    return script_prompt([{"text": "I begin. "}, {"gate": gate}, {"text": "Never said."}])


def test_ctrl_c_stops_the_turn(installed: Installation, model: Model) -> None:
    chat = installed.start(
        *chat_arguments("troubled", held_prompt("stopped"), "never said"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    model.wait_at("stopped")
    until_begun(chat)

    chat.send_signal(signal.SIGINT)

    assert_stopped(chat)
    after = installed.chat("troubled", script_prompt([{"text": "Here I am."}]))
    assert (after.code, after.last["text"]) == (0, "Here I am.")


def test_somebody_else_in_the_chat_can_stop_its_turn(installed: Installation, model: Model) -> None:
    chat = installed.start(
        *chat_arguments("troubled", held_prompt("shared")), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    model.wait_at("shared")
    until_begun(chat)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    other = installed.start("chat", "--name", "troubled", "--plain", **pipes)
    assert other.stdout is not None
    assert other.stdout.readline() == "Threadwork · chat troubled · mode ask\n"
    other.send_signal(signal.SIGINT)
    assert other.stdout.readline().startswith("Stopping…")

    assert_stopped(chat)
    # Pressed again, it leaves, though nothing was typed and more could come.
    while other.poll() is None:
        other.send_signal(signal.SIGINT)
        if not other.stdout.readline():
            break
    assert other.wait(PATIENCE_S) == 130


def until_begun(chat: "subprocess.Popen[str]") -> None:
    """Read on until the answer has begun."""
    assert chat.stdout is not None
    while json.loads(chat.stdout.readline())["type"] != "text_streamed":
        pass


def assert_stopped(chat: "subprocess.Popen[str]") -> None:
    out, err = chat.communicate(timeout=PATIENCE_S)
    spoken = Spoken(chat.returncode, out, err)
    assert spoken.code == 3, err
    assert spoken.last["type"] == "turn_finished"
    assert spoken.last["state"] == "stopped"
    assert len(spoken.turns) == 1
    assert "Never said." not in out
