"""The promises of `core.ports.Sandbox` and `SandboxProvider`, over the E2B SDK and a real host."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import pytest

from core.errors import ProcessGone, SandboxError, SandboxLost, SandboxPaused, TooLarge, Unavailable
from core.ports import Sandbox, SandboxProvider
from tests.integration.hosts import API_KEY, Host, a_host
from worker.sandbox.provider import E2BProvider, SandboxServer

WAIT_S = 30
LIFE_S = 300


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with a_host() as host:
        yield host


@pytest.fixture
def provider(host: Host) -> SandboxProvider:
    return E2BProvider(SandboxServer(API_KEY, host.url, host.url))


@pytest.fixture
async def sandbox(provider: SandboxProvider) -> AsyncIterator[Sandbox]:
    made = await provider.create({}, idempotency=uuid4().hex, time_s=LIFE_S)
    yield made
    await provider.kill(made.id)


async def runs(sandbox: Sandbox, words: str) -> bool:
    """Whether a process with these words in its command line runs there."""
    # The brackets keep the search from finding itself; a bare Debian has no `pgrep`.
    search = "".join(f"[{letter}]" if letter != " " else "." for letter in words)
    return (await sandbox.run(f"cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q '{search}'")).exit_code == 0


async def comes_to(sandbox: Sandbox, words: str, *, is_there: bool) -> None:
    async with asyncio.timeout(WAIT_S):
        while await runs(sandbox, words) is not is_there:
            pass


# ------------------------------------------------------------ commands


async def test_a_command_is_run_to_its_end_whatever_its_exit_code(sandbox: Sandbox) -> None:
    ran = await sandbox.run('echo "$A"; echo err >&2; exit 7', envs={"A": "ü b"})

    assert (ran.exit_code, ran.stdout, ran.stderr) == (7, "ü b\n", "err\n")


async def test_a_command_past_its_time_is_ended(sandbox: Sandbox) -> None:
    with pytest.raises(Unavailable):
        await sandbox.run("exec sleep 1001", time_s=0.5)

    await comes_to(sandbox, "sleep 1001", is_there=False)


async def test_a_started_command_hears_what_it_is_told(sandbox: Sandbox) -> None:
    pid = await sandbox.start('while read line; do echo "$line" >> "$F"; done', envs={"F": "/tmp/heard"})
    for line in ("one\n", "two\n"):
        await sandbox.send_stdin(pid, line)
    async with asyncio.timeout(WAIT_S):
        while (await sandbox.run("cat /tmp/heard")).stdout != "one\ntwo\n":
            pass


async def test_a_started_command_lives_on_when_who_started_it_is_gone(
    host: Host, sandbox: Sandbox, provider: SandboxProvider
) -> None:
    pid = await sandbox.start("read line; echo $line > /tmp/heard; exec sleep 1002")
    again = await E2BProvider(SandboxServer(API_KEY, host.url, host.url)).connect(sandbox.id, time_s=LIFE_S)
    await again.send_stdin(pid, "late\n")
    await comes_to(again, "sleep 1002", is_there=True)

    assert (await again.run("cat /tmp/heard")).stdout == "late\n"


async def test_a_word_to_a_process_that_is_not_there_says_so(sandbox: Sandbox) -> None:
    pid = await sandbox.start("exec sleep 1006")
    await comes_to(sandbox, "sleep 1006", is_there=True)
    await sandbox.run(f"kill {pid}")
    await comes_to(sandbox, "sleep 1006", is_there=False)
    with pytest.raises(ProcessGone):
        await sandbox.send_stdin(pid, "x\n")
    with pytest.raises(ProcessGone):
        await sandbox.send_stdin(99_999, "x\n")


# ------------------------------------------------------------ following


async def _followed(sandbox: Sandbox, command: str, time_s: float = WAIT_S) -> str:
    async with aclosing(sandbox.follow(command, time_s=time_s)) as pieces:
        return "".join([piece async for piece in pieces])


async def test_what_a_command_prints_is_followed_to_its_end(sandbox: Sandbox) -> None:
    whole = "".join(f"{number} ü\n" for number in range(1, 50_001))

    assert await _followed(sandbox, "for i in $(seq 1 50000); do echo $i ü; done; exit 3") == whole


async def test_following_ends_when_its_time_is_over(sandbox: Sandbox) -> None:
    assert await _followed(sandbox, "echo x; exec sleep 1003", 0.5) == "x\n"
    await comes_to(sandbox, "sleep 1003", is_there=False)


async def test_giving_up_following_ends_the_command_and_nothing_else(sandbox: Sandbox) -> None:
    async with aclosing(sandbox.follow("echo x; exec sleep 1004", time_s=90)) as pieces:
        assert await anext(pieces) == "x\n"

    # The reader goes on: it was not cancelled with what it gave up.
    await comes_to(sandbox, "sleep 1004", is_there=False)


async def test_a_reader_that_is_cancelled_ends_the_command(sandbox: Sandbox) -> None:
    reading = asyncio.create_task(_followed(sandbox, "exec sleep 1005", 90))
    await comes_to(sandbox, "sleep 1005", is_there=True)
    reading.cancel()
    await asyncio.wait((reading,))

    assert reading.cancelled()
    await comes_to(sandbox, "sleep 1005", is_there=False)


# ------------------------------------------------------------ files


async def test_files_are_written_read_and_listed(sandbox: Sandbox, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"\0\xff" * 500_000)
    await sandbox.write_file("/home/user/work/a/b.txt", "ü".encode())
    await sandbox.write_file("/home/user/work/a/b.txt", b"again")
    await sandbox.upload("/home/user/work/a/big", local)

    assert await sandbox.read_file("/home/user/work/a/b.txt") == b"again"
    assert await sandbox.read_file("/home/user/work/a/big", limit=1_000_000) == local.read_bytes()
    assert sorted(await sandbox.list_files("/home/user/work", depth=2)) == [
        ("/home/user/work/a", True, 4096),
        ("/home/user/work/a/b.txt", False, 5),
        ("/home/user/work/a/big", False, 1_000_000),
    ]


async def test_a_file_past_the_limit_is_not_read(sandbox: Sandbox) -> None:
    await sandbox.run("truncate -s 64M /tmp/large")
    with pytest.raises(TooLarge):
        await sandbox.read_file("/tmp/large", limit=1_000)


async def test_what_is_not_there_is_not_found(sandbox: Sandbox) -> None:
    with pytest.raises(FileNotFoundError):
        await sandbox.read_file("/tmp/none")
    with pytest.raises(FileNotFoundError):
        await sandbox.list_files("/tmp/none")


async def test_no_link_leads_out(sandbox: Sandbox, tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_text("secret")
    await sandbox.run(f"ln -s {outside} /tmp/link; ln -s {tmp_path} /tmp/folder")
    with pytest.raises(FileNotFoundError):
        await sandbox.read_file("/tmp/link")
    with pytest.raises(SandboxError):
        await sandbox.write_file("/tmp/folder/new", b"x")

    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


# ------------------------------------------------------------ sandboxes


async def test_the_same_wish_twice_makes_one_sandbox(provider: SandboxProvider) -> None:
    wish = uuid4().hex
    first, second = [await provider.create({"wish": wish}, idempotency=wish, time_s=LIFE_S) for _ in range(2)]

    assert first.id == second.id
    assert [one.id for one in await provider.list() if one.metadata.get("wish") == wish] == [first.id]
    await provider.kill(first.id)


async def test_a_paused_sandbox_says_so_and_goes_on_when_it_is_connected_to(
    provider: SandboxProvider, sandbox: Sandbox
) -> None:
    await sandbox.write_file("/home/user/kept", b"x")
    pid = await sandbox.start("read line; echo $line > /home/user/heard")
    for _ in range(2):
        await provider.pause(sandbox.id)
    with pytest.raises(SandboxPaused):
        await sandbox.run("true")
    with pytest.raises(SandboxPaused):
        await sandbox.read_file("/home/user/kept")
    assert [one.is_running for one in await provider.list() if one.id == sandbox.id] == [False]

    again = await provider.connect(sandbox.id, time_s=LIFE_S)
    await again.send_stdin(pid, "awake\n")
    assert await again.read_file("/home/user/kept") == b"x"
    async with asyncio.timeout(WAIT_S):
        while (await again.run("cat /home/user/heard")).stdout != "awake\n":
            pass


async def test_a_sandbox_that_is_gone_is_lost(provider: SandboxProvider) -> None:
    made = await provider.create({}, idempotency=uuid4().hex, time_s=LIFE_S)
    for _ in range(2):
        await provider.kill(made.id)
    with pytest.raises(SandboxLost):
        await provider.connect(made.id, time_s=LIFE_S)
    assert made.id not in {one.id for one in await provider.list()}


async def test_a_sandbox_ends_at_its_time_unless_it_is_kept_alive(provider: SandboxProvider) -> None:
    made, kept = [await provider.create({}, idempotency=uuid4().hex, time_s=2) for _ in range(2)]
    await kept.keep_alive(LIFE_S)
    async with asyncio.timeout(WAIT_S):
        while made.id in {one.id for one in await provider.list() if one.is_running}:
            await asyncio.sleep(0.05)

    assert (await kept.run("echo alive")).stdout == "alive\n"
    await provider.kill(kept.id)
