"""With another E2B-compatible server, which the program did not start: the same job, in sandboxes of that server.

Its sandboxes have the network, as those of E2B's cloud do, and no socket of ours: they reach the gateway by its public
address.
"""

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.looking import NONE, files_with, look_inside, processes_with
from tests.acceptance.model import Model, a_model
from tests.acceptance.program import ROOT, Installation, Up, command_of, free_port, installation, running, speaking
from tests.doubles.anthropic import script_prompt
from tests.processes import descendants

API_KEY = "e2b_0123456789abcdef0123456789abcdef01234567"
_WITH_NETWORK = """#!/bin/sh
for word; do
    shift
    [ "$word" = --unshare-net ] || set -- "$@" "$word"
done
exec {bwrap} "$@"
"""


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with a_model() as served:
        yield served


@pytest.fixture(scope="module")
def other() -> Iterator[tuple[Installation, str]]:
    """The other server's own folder, and its address."""
    with installation() as theirs:
        network = theirs.folder / "bin" / "bwrap"
        network.parent.mkdir()
        network.write_text(_WITH_NETWORK.format(bwrap=shutil.which("bwrap")))
        network.chmod(network.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        environment = {**theirs.environment, "PATH": f"{network.parent}:{os.environ['PATH']}"}
        line = [sys.executable, "-m", "threadwork.sandbox_host", "--data-dir", str(theirs.data_dir)]
        with speaking([*line, "--api-key", API_KEY], ROOT, environment) as (_, said):
            yield theirs, said.removeprefix("sandbox-host ")


@pytest.fixture(scope="module")
def stack(model: Model, other: tuple[Installation, str]) -> Iterator[tuple[Installation, Up]]:
    port = free_port()
    ours = {"THREADWORK_GATEWAY_PORT": str(port), "THREADWORK_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    theirs = {"E2B_API_KEY": API_KEY, "E2B_API_URL": other[1], "E2B_SANDBOX_URL": other[1]}
    with running(**model.settings, **ours, **theirs) as (installed, up):
        yield installed, up


def test_the_job_is_done_in_a_sandbox_of_that_server(
    stack: tuple[Installation, Up], other: tuple[Installation, str], model: Model
) -> None:
    installed, up = stack
    theirs = other[0].data_dir
    write = {"tool": "Write", "input": {"file_path": "/home/user/work/hello.py", "content": "print('a program')\n"}}
    run = {"tool": "Bash", "input": {"command": "python3 hello.py; env | grep ^ANTHROPIC_BASE_URL"}}
    look = {"tool": "Bash", "input": {"command": look_inside(model.key)}}
    again = {"tool": "Bash", "input": {"command": "python3 hello.py"}}
    first = script_prompt([write], [run], [look], [{"text": "It ran."}], say="write and run")

    spoken = installed.chat("job", first, script_prompt([again], [{"text": "It ran again."}]))

    assert spoken.code == 0, spoken.err + spoken.out
    assert [turn[-1]["text"] for turn in spoken.turns] == ["It ran.", "It ran again."]
    public = installed.settings["THREADWORK_PUBLIC_URL"]
    assert spoken.output_of("Bash") == [f"a program\nANTHROPIC_BASE_URL={public}", NONE, "a program"]
    assert model.credentials == {model.key}
    printed = installed.run("files", "job", "hello.py")
    assert (printed.code, printed.out) == (0, "print('a program')\n")
    (file,) = theirs.glob("**/home/work/hello.py")
    assert file.read_text() == printed.out
    assert files_with(model.key, installed.folder, theirs) == []
    assert_no_sandbox_host(up, installed.data_dir)


def assert_no_sandbox_host(up: Up, data_dir: Path) -> None:
    family = descendants(up.pid)
    commands = [command_of(pid) for pid in family]
    assert any("threadwork worker" in command for command in commands)
    assert not [command for command in commands if "sandbox" in command or "bwrap" in command]
    assert not (data_dir / "sandboxes").exists()
    assert processes_with(API_KEY, family)
