"""A wrong setting stops the program with its name, what is wrong and an example; never with a traceback."""

import base64
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.program import Installation, installation, processes_of

PASSWORD = "hunter2"
NOWHERE = "127.0.0.1:1"
# What else is wrong with them is known to the tests of `core/settings.py`.
WRONG = {
    "DATABASE_URL": f"mysql://u:{PASSWORD}@h/d",
    "REDIS_URL": f"redis://:{PASSWORD}@{NOWHERE}",
    "ANTHROPIC_BASE_URL": "api.anthropic.com",
    "E2B_SANDBOX_URL": "127.0.0.1:3000",
    "THREADWORK_PUBLIC_URL": "threadwork.example.com",
    "THREADWORK_SECRET_KEY": base64.b64encode(b"too short").decode(),
    "THREADWORK_DATA_DIR": "/dev/null/data",
    "THREADWORK_GATEWAY_PORT": "99999",
}


@pytest.fixture(scope="module")
def installed() -> Iterator[Installation]:
    with installation() as made:
        yield made


@pytest.mark.parametrize(("name", "value"), WRONG.items())
def test_a_wrong_setting_is_named_with_an_example(installed: Installation, name: str, value: str) -> None:
    said = installed.run("up", **{name: value})
    assert (said.code, said.out) == (2, "")
    told = [line for line in said.err.splitlines() if line.startswith("threadwork: ")]
    assert len(told) == 1, said.err
    assert name in told[0]
    assert re.search(rf"Example: {name}=\S+", told[0])
    assert "Traceback" not in said.err
    assert PASSWORD not in said.err
    assert processes_of(installed.data_dir) == []


def test_chat_says_what_is_wrong_with_the_stack_it_would_have_started(installed: Installation) -> None:
    said = installed.run("chat", "--prompt", "hi", DATABASE_URL=f"postgresql://u:{PASSWORD}@{NOWHERE}/d")
    assert (said.code, said.out) == (2, "")
    assert re.fullmatch(r"threadwork: .*DATABASE_URL leads nowhere: .* Example: DATABASE_URL=\S+\n", said.err)


def test_without_embedded_servers_their_addresses_must_be_set(installed: Installation) -> None:
    said = installed.run("up", "--no-embedded")
    assert (said.code, said.out) == (2, "")
    assert said.err == "threadwork: DATABASE_URL and REDIS_URL must be set with --no-embedded.\n"


def test_a_wrong_line_in_the_file_of_settings_is_said_like_one_in_the_environment(installed: Installation) -> None:
    file = installed.folder / ".env"
    file.write_text("THREADWORK_WORKERS=many\n")
    try:
        said = installed.run("up")
    finally:
        file.unlink()
    assert (said.code, said.out) == (2, "")
    assert re.fullmatch(r"threadwork: THREADWORK_WORKERS is wrong: .* Example: THREADWORK_WORKERS=1\n", said.err)


def test_a_data_folder_too_long_for_a_socket_is_named_by_whoever_would_run_on_it(
    installed: Installation, tmp_path: Path
) -> None:
    for words in (("up",), ("chat", "--prompt", "hi")):
        said = installed.run(*words, THREADWORK_DATA_DIR=str(tmp_path / ("x" * 150)))
        assert (said.code, said.out) == (2, "")
        assert re.fullmatch(
            r"threadwork: THREADWORK_DATA_DIR=\S+ cannot be used: it is \d+ bytes long.* Example: \S+\n", said.err
        )


def test_a_sandbox_hosts_port_that_cannot_be_had_is_named(installed: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for given, why in ((99999, "a port is a number from 0 to 65535"), (port, "Address already in use")):
            said = installed.run("sandbox-host", "--port", str(given))
            assert (said.code, said.out) == (2, "")
            assert re.fullmatch(rf"threadwork: --port {given} .*{why}.* Example: --port \d+\n", said.err), said.err
