"""The supervisor of `threadwork up`, with small programs as its children."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from core.errors import Unavailable
from tests.processes import PATIENCE_S, alive, descendants, until
from threadwork.supervise import Child, Program, Supervisor, supervised

ROOT = Path(__file__).parents[2]
PRELUDE = "import os, signal, subprocess, sys, time\n"
STAYS = "print('ready', flush=True)\ntime.sleep(600)"


def program(name: str, code: str, *, ready_s: float = PATIENCE_S, **env: str) -> Program:
    return Program(name, [sys.executable, "-u", "-c", PRELUDE + code], "ready", env, ready_s)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    async with supervised() as opened:
        yield opened


@pytest.fixture
def told() -> Iterator[list[structlog.typing.EventDict]]:
    with structlog.testing.capture_logs() as logs:
        yield logs


async def started(supervisor: Supervisor, what: Program) -> tuple[Child, int]:
    child = supervisor.start(what)
    await supervisor.ready(child)
    assert child.pid is not None
    return child, child.pid


async def test_the_ready_line_carries_what_follows_the_word(supervisor: Supervisor) -> None:
    child = supervisor.start(program("host", "print('noise')\nprint('ready http://127.0.0.1:3000')\ntime.sleep(600)"))
    assert await supervisor.ready(child) == "http://127.0.0.1:3000"


async def test_a_program_gets_its_own_environment_and_ours(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TW_OURS", "a")
    code = "print('ready', os.environ['TW_OURS'], os.environ['TW_ITS'], flush=True)\ntime.sleep(600)"
    child = supervisor.start(program("worker", code, TW_ITS="b"))
    assert await supervisor.ready(child) == "a b"


async def test_what_a_program_says_on_stderr_is_passed_on_with_its_name(
    supervisor: Supervisor, capfd: pytest.CaptureFixture[str]
) -> None:
    child, _ = await started(supervisor, program("worker", "print('so there', file=sys.stderr)\n" + STAYS))
    seen = ""

    def is_seen() -> bool:
        nonlocal seen
        seen += capfd.readouterr().err
        return "      worker | so there\n" in seen

    await until(is_seen)
    assert child.pid is not None


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_line_without_end_does_not_stop_the_supervisor(supervisor: Supervisor, stream: str) -> None:
    code = f"sys.{stream}.write('x' * 3_000_000 + chr(10))\nsys.{stream}.flush()\n" + STAYS
    child = supervisor.start(program("loud", code))
    assert await supervisor.ready(child) == ""


async def test_a_program_that_ends_before_it_is_ready_is_given_up(supervisor: Supervisor, tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'starts')!r}, 'a').write('.')\nsys.exit('Set THE_SETTING.')"
    child = supervisor.start(program("worker", code))
    told = r"worker is not available: it ended with 1 before it was ready: Set THE_SETTING\.$"
    with pytest.raises(Unavailable, match=told):
        await supervisor.ready(child)
    assert (tmp_path / "starts").read_text() == "."


async def test_a_program_that_is_not_there_is_given_up(supervisor: Supervisor) -> None:
    child = supervisor.start(Program("worker", ["/nowhere/worker"], "ready"))
    with pytest.raises(Unavailable, match="it cannot be started: No such file or directory"):
        await supervisor.ready(child)


async def test_a_program_that_never_says_ready_is_not_waited_for_for_ever(supervisor: Supervisor) -> None:
    child = supervisor.start(program("silent", "time.sleep(600)", ready_s=0.2))
    with pytest.raises(Unavailable, match="not ready after 0 s"):
        await supervisor.ready(child)


async def test_a_dead_program_is_started_again_and_that_is_told(
    supervisor: Supervisor, told: list[structlog.typing.EventDict]
) -> None:
    child, first = await started(supervisor, program("worker", STAYS))

    os.kill(first, signal.SIGKILL)

    await until(lambda: child.pid not in {None, first})
    (event,) = [each for each in told if each["event"] == "program_died"]
    assert (event["program"], event["why"]) == ("worker", "it ended with -9")


async def test_restarts_wait_longer_each_time(
    supervisor: Supervisor, tmp_path: Path, told: list[structlog.typing.EventDict]
) -> None:
    starts = tmp_path / "starts"
    supervisor.start(program("worker", f"open({str(starts)!r}, 'a').write('.')\nprint('ready', flush=True)"))
    await until(lambda: len([each for each in told if each["event"] == "program_died"]) >= 3)
    delays = [each["again_in_s"] for each in told if each["event"] == "program_died"]
    assert delays[:3] == [0.4, 0.8, 1.6]


async def test_a_program_restarts_though_something_it_left_holds_its_pipes(supervisor: Supervisor) -> None:
    """What it started in a session of its own is not killed with it, and must not be waited for."""
    code = "subprocess.Popen(['sleep', '600'], start_new_session=True)\n" + STAYS
    child, first = await started(supervisor, program("parent", code))
    left = descendants(first)
    try:
        os.kill(first, signal.SIGKILL)
        await until(lambda: child.pid not in {None, first})
        left += descendants(child.pid or 0)
        assert alive(left[0])
    finally:
        for pid in left:
            os.kill(pid, signal.SIGKILL)


async def test_what_a_program_started_ends_with_it(supervisor: Supervisor) -> None:
    child, first = await started(supervisor, program("parent", "subprocess.Popen(['sleep', '600'])\n" + STAYS))
    (left,) = descendants(first)

    os.kill(first, signal.SIGKILL)

    await until(lambda: not alive(left))
    await until(lambda: child.pid not in {None, first})


def notes_its_end(name: str, path: Path) -> Program:
    note = f"def end(*_):\n    open({str(path)!r}, 'a').write('{name}\\n')\n    sys.exit(0)\n"
    return program(name, note + "signal.signal(signal.SIGTERM, end)\n" + STAYS)


async def test_programs_are_stopped_with_sigterm_the_last_started_first(tmp_path: Path) -> None:
    async with supervised() as supervisor:
        for name in ("host", "gateway", "worker"):
            await started(supervisor, notes_its_end(name, tmp_path / "ends"))
    assert lines(tmp_path / "ends") == ["worker", "gateway", "host"]


async def test_one_that_will_not_stop_is_killed_and_the_others_end_well(
    tmp_path: Path, told: list[structlog.typing.EventDict]
) -> None:
    async with supervised() as supervisor:
        await started(supervisor, notes_its_end("host", tmp_path / "ends"))
        deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + STAYS
        _, stubborn = await started(supervisor, program("stubborn", deaf))
    assert not alive(stubborn)
    assert lines(tmp_path / "ends") == ["host"]
    assert [each["program"] for each in told if each["event"] == "program_killed"] == ["stubborn"]


async def test_a_stop_does_not_wait_for_a_restart_that_is_due_later(
    told: list[structlog.typing.EventDict], tmp_path: Path
) -> None:
    starts = tmp_path / "starts"
    async with supervised() as supervisor:
        supervisor.start(program("worker", f"open({str(starts)!r}, 'a').write('.')\nprint('ready', flush=True)"))
        await until(lambda: any(each.get("again_in_s", 0) >= 0.8 for each in told))
        before = starts.read_text()
    assert starts.read_text() == before
    assert not [each for each in told if each["event"] == "program_killed"]


async def test_a_failure_inside_stops_the_programs() -> None:
    pids: list[int] = []

    async def fail() -> None:
        async with supervised() as supervisor:
            pids.append((await started(supervisor, program("worker", STAYS)))[1])
            raise Unavailable("the stack")

    with pytest.raises(ExceptionGroup) as raised:
        await fail()
    assert raised.group_contains(Unavailable)
    assert not alive(pids[0])


async def test_a_stop_that_is_cancelled_leaves_nothing_behind() -> None:
    running: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def stack() -> None:
        async with supervised() as supervisor:
            deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + STAYS
            running.set_result((await started(supervisor, program("stubborn", deaf)))[1])
            await asyncio.Event().wait()

    task = asyncio.create_task(stack())
    pid = await asyncio.wait_for(running, PATIENCE_S)
    task.cancel()
    await asyncio.wait((task,), timeout=0.1)
    task.cancel()
    await asyncio.wait((task,), timeout=PATIENCE_S)
    await until(lambda: not alive(pid))


async def test_programs_die_with_their_supervisor_even_on_kill_9() -> None:
    argv = [sys.executable, "-m", "tests.integration.supervised_stack"]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
    finally:
        process.kill()
        process.communicate()
    await until(lambda: not alive(pid))
