"""Processes in a sandbox, by the real E2B SDK: envd's rules for output, input, ends and deadlines; terminals; limits."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.hosts import WHO, Host, a_folder, a_host, python, running, start, until

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with a_host() as host:
        yield host


@pytest.fixture
async def sandbox(host: Host) -> AsyncIterator[Any]:
    async with a_sandbox(host) as sandbox:
        yield sandbox


@asynccontextmanager
async def a_sandbox(host: Host) -> AsyncIterator[Any]:
    from e2b import AsyncSandbox

    sandbox = await AsyncSandbox.create(timeout=300, **host.sdk)
    try:
        yield sandbox
    finally:
        await sandbox.kill()


async def ended(handle: Any) -> Any:
    """How a process ended, whatever its exit code."""
    from e2b import CommandExitException

    try:
        async with asyncio.timeout(60):
            return await handle.wait()
    except CommandExitException as error:
        return error


async def pids(sandbox: Any) -> list[int]:
    return [process.pid for process in await sandbox.commands.list()]


async def test_both_outputs_and_the_exit_code_come_back(sandbox: Any) -> None:
    handle = await sandbox.commands.run("echo out; echo err >&2; exit 7", background=True)
    result = await ended(handle)

    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 7)


async def test_the_first_output_of_a_short_process_is_never_lost(sandbox: Any) -> None:
    results = await asyncio.gather(*(sandbox.commands.run(f"echo {number}") for number in range(30)))

    assert [result.stdout for result in results] == [f"{number}\n" for number in range(30)]


async def test_a_process_starts_where_and_with_what_was_asked(sandbox: Any) -> None:
    result = await sandbox.commands.run("pwd; echo $A; echo $HOME; whoami", cwd="/tmp", envs={"A": "ü b"}, user="root")

    assert result.stdout == "/tmp\nü b\n/home/user\nuser\n"


async def test_a_process_that_cannot_start_says_why(sandbox: Any) -> None:
    from e2b import InvalidArgumentException

    with pytest.raises(InvalidArgumentException, match="No such file or directory: /nowhere"):
        await sandbox.commands.run("true", cwd="/nowhere")


async def test_output_streams_as_it_is_printed(sandbox: Any) -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()
    handle = await sandbox.commands.run(
        "for i in 1 2 3; do echo $i; read go; done", background=True, stdin=True, on_stdout=seen.put_nowait
    )
    for number in (1, 2, 3):
        async with asyncio.timeout(30):
            assert await seen.get() == f"{number}\n"
        await handle.send_stdin("go\n")
    assert (await ended(handle)).exit_code == 0


async def test_a_lot_of_output_arrives_whole_and_in_order(sandbox: Any) -> None:
    result = await sandbox.commands.run("seq 1 200000")

    assert result.stdout == "".join(f"{number}\n" for number in range(1, 200_001))


async def test_input_can_be_sent_in_three_ways(sandbox: Any) -> None:
    handle = await sandbox.commands.run("while read line; do echo got $line; done; exit 3", background=True, stdin=True)
    await handle.send_stdin("one\n")
    await sandbox.commands.send_stdin(handle.pid, b"two\n")
    async with sandbox.commands.stream_input(handle.pid) as stream:
        await stream.send("th")
        await stream.send("ree\n")
    await sandbox.commands.close_stdin(handle.pid)
    result = await ended(handle)

    assert (result.stdout, result.exit_code) == ("got one\ngot two\ngot three\n", 3)


async def test_input_larger_than_any_buffer_arrives_whole(sandbox: Any) -> None:
    handle = await sandbox.commands.run("head -c 3000001 | sha256sum", background=True, stdin=True)
    await handle.send_stdin(b"x" * 3_000_000 + b"\n")

    assert (await ended(handle)).stdout.split()[0] == hashlib.sha256(b"x" * 3_000_000 + b"\n").hexdigest()


async def test_input_is_closed_unless_asked_for(sandbox: Any) -> None:
    from e2b import SandboxException

    assert (await sandbox.commands.run("cat; echo over")).stdout == "over\n"
    handle = await sandbox.commands.run("exec sleep 1000", background=True)
    with pytest.raises(SandboxException, match="stdin not enabled"):
        await handle.send_stdin("x")


async def test_input_for_a_process_that_is_none_is_refused(sandbox: Any) -> None:
    from e2b import NotFoundException

    with pytest.raises(NotFoundException):
        await sandbox.commands.send_stdin(99_999, "x")
    with pytest.raises(NotFoundException):
        await sandbox.commands.connect(99_999)
    async with asyncio.timeout(30):
        with pytest.raises(NotFoundException):
            async with sandbox.commands.stream_input(99_999) as stream:
                await stream.send("x")
    assert not await sandbox.commands.kill(99_999)


async def test_a_client_that_leaves_ends_nothing_and_its_output_is_dropped(sandbox: Any) -> None:
    handle = await sandbox.commands.run(
        "while read line; do echo $line; echo $line > last; done", background=True, stdin=True, timeout=0
    )
    await handle.disconnect()

    async def last() -> str:
        return str((await sandbox.commands.run("cat last 2>/dev/null || true")).stdout).strip()

    async def is_dropped() -> bool:
        return await last() == "unheard"

    await sandbox.commands.send_stdin(handle.pid, "unheard\n")
    await until(is_dropped)
    again = await sandbox.commands.connect(handle.pid, timeout=0)
    await again.send_stdin("heard\n")
    await again.close_stdin()

    assert (await ended(again)).stdout == "heard\n"


async def test_an_exit_code_can_be_had_later(sandbox: Any) -> None:
    handle = await sandbox.commands.run("exit 5", background=True)
    await ended(handle)
    assert await pids(sandbox) == []

    assert (await ended(await sandbox.commands.connect(handle.pid))).exit_code == 5


async def test_the_deadline_of_a_start_kills_the_process_and_that_of_a_connect_does_not(sandbox: Any) -> None:
    from e2b import TimeoutException

    short = await sandbox.commands.run("exec sleep 1000", background=True, timeout=1)
    long = await sandbox.commands.run("exec sleep 1000", background=True, timeout=0)
    watched = await sandbox.commands.connect(long.pid, timeout=1)

    with pytest.raises(TimeoutException):
        await watched.wait()
    with pytest.raises(TimeoutException):
        await short.wait()

    async def is_alone() -> bool:
        return await pids(sandbox) == [long.pid]

    await until(is_alone)


async def test_a_process_can_be_killed(sandbox: Any) -> None:
    handle = await sandbox.commands.run("exec sleep 1000", background=True, timeout=0)

    assert await handle.kill()

    result = await ended(handle)
    assert (result.exit_code, result.error) == (-1, "signal: killed")


async def test_pids_are_those_of_the_sandbox(sandbox: Any) -> None:
    handle = await sandbox.commands.run("echo $$; exec sleep 1000", background=True, timeout=0)
    await until(lambda: handle.stdout)

    assert handle.stdout == f"{handle.pid}\n"


async def test_orphans_are_reaped(sandbox: Any) -> None:
    await sandbox.commands.run("for i in $(seq 20); do (setsid true &) ; done")

    async def zombies() -> str:
        return str((await sandbox.commands.run("cat /proc/[0-9]*/stat | cut -d' ' -f3 | tr -d '\\n'")).stdout)

    async def is_clean() -> bool:
        return "Z" not in await zombies()

    await until(is_clean)


async def test_a_listener_who_does_not_read_makes_the_process_wait_and_costs_no_memory(
    sandbox: Any, host: Host
) -> None:
    message = b'{"process":{"cmd":"/bin/sh","args":["-c","for i in $(seq 2000); do head -c 65536 /dev/zero; echo $i > at; done"]}}'
    envelope = b"\0" + len(message).to_bytes(4, "big") + message
    named = {"E2b-Sandbox-Id": sandbox.sandbox_id, "X-Access-Token": sandbox._envd_access_token}
    at = host.data_dir / sandbox.sandbox_id / "home" / "at"
    before = resident(host)

    def seen() -> int:
        return int((at.read_text() if at.exists() else "") or 0)

    async with aiohttp.ClientSession(host.url, read_bufsize=1024) as http:
        answer = await http.post(
            "/process.Process/Start",
            data=envelope,
            headers={**named, "Content-Type": "application/connect+json"},
        )
        await until(lambda: seen() > 3)
        stands, looks = seen(), 0
        while looks < 25:
            await asyncio.sleep(0.02)
            looks = looks + 1 if seen() == stands else 0
            stands = seen()
        assert stands < 1000, "so many megabytes went somewhere"
        assert resident(host) - before < 64 << 20
        answer.close()

    await until(lambda: seen() == 2000, 120)


def resident(host: Host) -> int:
    return int(Path(f"/proc/{host.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_a_terminal_has_a_size_that_can_change(sandbox: Any) -> None:
    from e2b import PtySize

    shown = bytearray()
    handle = await sandbox.pty.create(PtySize(rows=30, cols=90), on_data=shown.extend, timeout=0)
    await sandbox.pty.send_stdin(handle.pid, b"stty size; tty\n")
    await until(lambda: b"30 90" in shown and b"/dev/pts/" in shown)
    await sandbox.pty.resize(handle.pid, PtySize(rows=40, cols=120))
    await sandbox.pty.send_stdin(handle.pid, b"stty size\n")
    await until(lambda: b"40 120" in shown)
    await sandbox.pty.send_stdin(handle.pid, b"exit 4\n")

    assert (await ended(handle)).exit_code == 4


async def test_a_terminal_can_be_killed(sandbox: Any) -> None:
    from e2b import PtySize

    handle = await sandbox.pty.create(PtySize(rows=30, cols=90), on_data=lambda _: None, timeout=0)

    assert await sandbox.pty.kill(handle.pid)
    assert (await ended(handle)).exit_code == -1


async def test_what_a_message_should_not_hold_is_refused_and_the_host_lives(sandbox: Any, host: Host) -> None:
    named = {"E2b-Sandbox-Id": sandbox.sandbox_id, "X-Access-Token": sandbox._envd_access_token}
    async with aiohttp.ClientSession(host.url, headers=named) as http:
        for body in (
            b"[]",
            b"{",
            b'{"process": 3}',
            b'{"process": {"pid": []}}',
            b'{"input": {"stdin": "!"}}',
            b"\xff",
        ):
            for method in ("SendInput", "SendSignal", "CloseStdin", "Update"):
                headers = {"Content-Type": "application/json"}
                async with http.post(f"/process.Process/{method}", data=body, headers=headers) as answer:
                    assert 400 <= answer.status < 500 or (method, answer.status) == ("Update", 200), (method, body)
            headers = {"Content-Type": "application/connect+json"}
            framed = b"\0" + len(body).to_bytes(4, "big") + body
            async with http.post("/process.Process/Start", data=framed, headers=headers) as answer:
                assert b'"error"' in await answer.read()
    assert (await sandbox.commands.run("echo fine")).stdout == "fine\n"


# ---------------------------------------------------------------- the CLI, limits, the program


@pytest.mark.timeout(240)
async def test_the_claude_cli_runs_inside(sandbox: Any) -> None:
    result = await sandbox.commands.run("/opt/claude/claude --version", timeout=120)

    assert "Claude Code" in result.stdout


@pytest.fixture(scope="module", params=WHO)
def narrow_host(request: pytest.FixtureRequest) -> Iterator[Host]:
    with a_host("--memory-mb", "96", "--disk-mb", "8", "--processes", "40", who=request.param) as host:
        yield host


async def test_a_process_that_takes_too_much_memory_is_killed(narrow_host: Host) -> None:
    async with a_sandbox(narrow_host) as sandbox:
        greedy = await sandbox.commands.run(
            python("import time\nheld = bytearray(200 << 20)\ntime.sleep(1000)"), background=True, timeout=0
        )

        assert (await ended(greedy)).exit_code == -1
        assert (await sandbox.commands.run("echo fine")).stdout == "fine\n"


async def test_a_process_in_the_background_is_held_to_the_limits_too(narrow_host: Host) -> None:
    async with a_sandbox(narrow_host) as sandbox:
        code = "import time; held = bytearray(200 << 20); time.sleep(4718.5)"
        await sandbox.commands.run(f"setsid nohup python3 -c '{code}' >/dev/null 2>&1 &")
        await until(lambda: running("4718.5"))

        await until(lambda: not running("4718.5"))


async def test_a_process_that_fills_the_disk_is_stopped(narrow_host: Host) -> None:
    async with a_sandbox(narrow_host) as sandbox:
        one = await ended(await sandbox.commands.run("exec head -c 20m /dev/zero > large", background=True, timeout=0))
        many = "i=0; while :; do i=$((i+1)); head -c 1m /dev/zero > part.$i || exit 9; done"
        several = await ended(await sandbox.commands.run(f"exec sh -c '{many}'", background=True, timeout=0))

        assert one.exit_code != 0
        assert several.exit_code != 0
        assert (await sandbox.commands.run("echo fine")).stdout == "fine\n"


async def test_a_file_larger_than_the_disk_is_not_taken(narrow_host: Host) -> None:
    from e2b import NotEnoughSpaceException

    async with a_sandbox(narrow_host) as sandbox:
        with pytest.raises(NotEnoughSpaceException):
            await sandbox.files.write("large", b"x" * (9 << 20))


async def test_a_sandbox_cannot_have_any_number_of_processes(narrow_host: Host) -> None:
    fork = """
import os, time
made = 0
try:
    while made < 100:
        if os.fork() == 0:
            time.sleep(1000)
        made += 1
except BlockingIOError:
    print("no more", flush=True)
os.kill(-os.getpgrp(), 9)
"""
    async with a_sandbox(narrow_host) as sandbox:
        result = await ended(await sandbox.commands.run(python(fork), background=True, timeout=0))
        assert result.stdout == "no more\n"
        assert (await sandbox.commands.run("echo fine")).stdout == "fine\n"


def test_without_bubblewrap_the_host_says_what_to_install(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "threadwork.sandbox_host", "--data-dir", str(tmp_path)],
        cwd=_ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 2
    assert "sudo apt-get install -y bubblewrap" in ran.stderr
    assert "--unsafe-no-isolation" in ran.stderr


async def test_no_isolation_must_be_asked_for_and_is_shown_in_red() -> None:
    with a_folder() as folder:
        host = start(folder, "--unsafe-no-isolation")
        try:
            async with a_sandbox(host) as sandbox:
                await sandbox.files.write("/home/user/a.txt", "kept")
                home = str(host.data_dir / sandbox.sandbox_id / "home")
                ran = await sandbox.commands.run("pwd; cat a.txt; setsid nohup sleep 4717.5 >/dev/null 2>&1 &")
                assert ran.stdout == f"{home}\nkept"
                ran = await sandbox.commands.run("cat /home/user/a.txt $HERE", envs={"HERE": "/home/user/a.txt"})
                assert ran.stdout == "keptkept"
                await sandbox.pause()
                again = await type(sandbox).connect(sandbox.sandbox_id, **host.sdk)
                assert (await again.commands.run("echo fine")).stdout == "fine\n"
        finally:
            assert host.end(signal.SIGTERM) == 0
        assert "\x1b[1;31mNO ISOLATION" in (folder / "host.log").read_text()
    assert running("sleep 4717.5") == []


def test_the_host_loads_no_slow_sdk() -> None:
    code = "import sys, threadwork.sandbox_host.__main__; raise SystemExit(bool({'e2b', 'claude_agent_sdk', 'sqlalchemy'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], cwd=_ROOT, check=False, timeout=60).returncode == 0
