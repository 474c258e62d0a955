"""The sandbox host's control plane, lives and files, by the real E2B SDK."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.hosts import API_KEY, Host, a_folder, a_host, running, start, until

Make = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with a_host() as host:
        yield host


@pytest.fixture
async def make(host: Host) -> AsyncIterator[Make]:
    from e2b import AsyncSandbox

    made: list[Any] = []

    async def create(**options: Any) -> Any:
        made.append(await AsyncSandbox.create(**{"timeout": 300, **options}, **host.sdk))
        return made[-1]

    yield create
    for sandbox in made:
        await sandbox.kill()


def headers(sandbox: Any) -> dict[str, str]:
    token = sandbox._envd_access_token
    return {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "49983", "X-Access-Token": token}


async def pages(paginator: Any) -> list[list[str]]:
    found = []
    while paginator.has_next:
        found.append([info.sandbox_id for info in await paginator.next_items()])
    return found


# ---------------------------------------------------------------- lives


async def test_a_sandbox_is_made_told_of_and_killed(make: Make, host: Host) -> None:
    from e2b import AsyncSandbox, SandboxNotFoundException, SandboxNotRunningException

    sandbox = await make(template="base", metadata={"chat": "c1"}, envs={"COLOUR": "blue"})
    info = await sandbox.get_info()
    assert (info.state, info.metadata, info.template_id) == ("running", {"chat": "c1"}, "base")
    assert await sandbox.is_running()
    assert (await sandbox.commands.run("echo $COLOUR")).stdout == "blue\n"

    assert await sandbox.kill()

    assert not await sandbox.kill()
    assert not await sandbox.is_running()
    assert not (host.data_dir / sandbox.sandbox_id).exists()
    with pytest.raises(SandboxNotFoundException):
        await sandbox.get_info()
    with pytest.raises(SandboxNotFoundException):
        await AsyncSandbox.connect(sandbox.sandbox_id, **host.sdk)
    with pytest.raises(SandboxNotRunningException):
        await sandbox.commands.run("true")


async def test_killing_leaves_no_process(make: Make) -> None:
    sandbox = await make()
    await sandbox.commands.run("setsid nohup sleep 4712.5 >/dev/null 2>&1 &")
    await sandbox.commands.run("exec sleep 4712.5", background=True, timeout=0)
    assert len(running("sleep 4712.5")) == 2

    await sandbox.kill()

    assert running("sleep 4712.5") == []


async def test_a_wrong_key_is_refused(host: Host) -> None:
    from e2b import AsyncSandbox, AuthenticationException

    with pytest.raises(AuthenticationException):
        await AsyncSandbox.create(**{**host.sdk, "api_key": API_KEY[:-1] + "f"})


async def test_a_wrong_access_token_is_refused(make: Make, host: Host) -> None:
    sandbox = await make()
    wrong = {**headers(sandbox), "X-Access-Token": "of another"}
    async with aiohttp.ClientSession(host.url) as http:
        async with http.get("/files", params={"path": "/etc/passwd"}, headers=wrong) as answer:
            assert answer.status == 401
        async with http.post("/process.Process/List", json={}, headers=wrong) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("sandbox_id", ["..", "../..", "%2e%2e%2f%2e%2e", "a" * 20, "sandbox.json", "I" * 20, "%00"])
async def test_an_id_that_is_none_leads_nowhere(host: Host, sandbox_id: str) -> None:
    async with aiohttp.ClientSession(headers={"X-API-KEY": API_KEY}) as http:
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/connect"), ("POST", "/pause")):
            async with http.request(method, f"{host.url}/sandboxes/{sandbox_id}{path}") as answer:
                assert answer.status in {404, 405}
        async with http.get(f"{host.url}/health", headers={"E2b-Sandbox-Id": sandbox_id}) as answer:
            assert answer.status == 502
    assert host.data_dir.is_dir()


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "{",
        '{"templateID": 3}',
        '{"templateID": "base", "timeout": "x"}',
        '{"templateID": "base", "envVars": {"A": 1}}',
    ],
)
async def test_a_body_that_makes_no_sense_is_refused(host: Host, body: str) -> None:
    async with (
        aiohttp.ClientSession(headers={"X-API-KEY": API_KEY}) as http,
        http.post(f"{host.url}/v2/sandboxes", data=body) as answer,
    ):
        assert answer.status == 400


async def test_older_sdks_create_without_v2(host: Host) -> None:
    async with aiohttp.ClientSession(host.url, headers={"X-API-KEY": API_KEY}) as http:
        async with http.post("/sandboxes", json={"templateID": "base", "timeout": 60}) as answer:
            assert answer.status == 201
            sandbox_id = (await answer.json())["sandboxID"]
        async with http.delete(f"/sandboxes/{sandbox_id}") as answer:
            assert answer.status == 204


async def test_the_same_idempotency_key_gives_the_same_sandbox(make: Make) -> None:
    one, same, other = await asyncio.gather(
        make(idempotency_key="chat-1"), make(idempotency_key="chat-1"), make(idempotency_key="chat-2")
    )

    assert one.sandbox_id == same.sandbox_id != other.sandbox_id


async def test_sandboxes_are_listed_by_metadata_and_state_in_pages(make: Make, host: Host) -> None:
    from e2b import AsyncSandbox, SandboxQuery, SandboxState

    made = [(await make(metadata={"team": "a & b/ü", "number": str(number)})).sandbox_id for number in range(3)]
    await make(metadata={"team": "another"})
    await AsyncSandbox.pause(made[1], **host.sdk)
    mine = SandboxQuery(metadata={"team": "a & b/ü"})

    newest_first = await pages(AsyncSandbox.list(query=mine, **host.sdk))
    by_two = await pages(AsyncSandbox.list(query=mine, limit=2, order="asc", **host.sdk))
    paused = await pages(
        AsyncSandbox.list(query=SandboxQuery(metadata=mine.metadata, state=[SandboxState.PAUSED]), **host.sdk)
    )

    assert newest_first == [made[::-1]]
    assert by_two == [made[:2], made[2:]]
    assert paused == [[made[1]]]


async def test_a_sandbox_ends_at_its_time(make: Make) -> None:
    from e2b import SandboxNotFoundException

    sandbox = await make(timeout=1)

    async def is_over() -> bool:
        return not await sandbox.is_running()

    await until(is_over)
    with pytest.raises(SandboxNotFoundException):
        await sandbox.get_info()


async def test_a_sandbox_may_pause_at_its_time_and_go_on_later(make: Make, host: Host) -> None:
    from e2b import AsyncSandbox

    sandbox = await make(timeout=2, lifecycle={"on_timeout": "pause"})
    await sandbox.files.write("kept.txt", "kept")
    handle = await sandbox.commands.run("exec sleep 1000", background=True, timeout=0)

    async def is_paused() -> bool:
        return str((await sandbox.get_info()).state.value) == "paused"

    await until(is_paused)
    again = await AsyncSandbox.connect(sandbox.sandbox_id, timeout=300, **host.sdk)

    assert await again.files.read("kept.txt") == "kept"
    assert [process.pid for process in await again.commands.list()] == [handle.pid]


async def test_a_sandbox_that_resumes_on_use_does(make: Make) -> None:
    sandbox = await make(lifecycle={"on_timeout": "pause", "auto_resume": True})
    await sandbox.pause()

    assert (await sandbox.commands.run("echo awake")).stdout == "awake\n"


async def test_its_time_can_be_changed(make: Make, host: Host) -> None:
    from e2b import AsyncSandbox

    sandbox = await make(timeout=60)
    before = (await sandbox.get_info()).end_at
    await sandbox.set_timeout(600)
    after = (await sandbox.get_info()).end_at
    await AsyncSandbox.connect(sandbox.sandbox_id, timeout=5, **host.sdk)

    assert 500 < (after - before).total_seconds() < 700
    assert (await sandbox.get_info()).end_at == after, "connecting to a running sandbox only lengthens its life"


async def test_pausing_stops_processes_in_the_background_too_and_they_go_on(make: Make, host: Host) -> None:
    from e2b import AsyncSandbox

    sandbox = await make()
    count = "i=0; while :; do i=$((i+1)); echo $i > ~/tick.part; mv ~/tick.part ~/tick; sleep 0.01; done"
    await sandbox.commands.run(f"setsid nohup sh -c '{count}' >/dev/null 2>&1 &")
    tick = host.data_dir / sandbox.sandbox_id / "home" / "tick"
    await until(tick.exists)

    assert await sandbox.pause()
    assert not await sandbox.pause()
    stopped_at = tick.read_text()
    for _ in range(30):
        await asyncio.sleep(0.01)
        assert tick.read_text() == stopped_at

    await AsyncSandbox.connect(sandbox.sandbox_id, **host.sdk)
    await until(lambda: tick.read_text() != stopped_at)


async def test_what_was_stopped_before_a_pause_stays_stopped_after_it(make: Make, host: Host) -> None:
    from e2b import AsyncSandbox

    sandbox = await make()
    stopped = await sandbox.commands.run("exec sleep 4713.5", background=True, timeout=0)
    state = f"cut -d' ' -f3 /proc/{stopped.pid}/stat"
    await sandbox.commands.run(f"kill -STOP {stopped.pid}")

    async def is_stopped() -> bool:
        return bool((await sandbox.commands.run(state)).stdout == "T\n")

    await until(is_stopped)

    await sandbox.pause()
    await AsyncSandbox.connect(sandbox.sandbox_id, **host.sdk)

    assert (await sandbox.commands.run(state)).stdout == "T\n"


async def test_a_stream_that_is_open_at_a_pause_says_that_the_sandbox_does_not_run(make: Make, host: Host) -> None:
    from e2b import AsyncSandbox, SandboxNotRunningException

    sandbox = await make()
    handle = await sandbox.commands.run("exec sleep 1000", background=True, timeout=0)

    await sandbox.pause()
    with pytest.raises(SandboxNotRunningException):
        async with asyncio.timeout(30):
            await handle.wait()
    with pytest.raises(SandboxNotRunningException):
        await sandbox.files.read("/etc/passwd")

    again = await AsyncSandbox.connect(sandbox.sandbox_id, **host.sdk)
    assert (await again.commands.connect(handle.pid)).pid == handle.pid


async def test_pausing_without_memory_keeps_the_files_only(make: Make, host: Host) -> None:
    from e2b import AsyncSandbox

    sandbox = await make()
    await sandbox.files.write("kept.txt", "kept")
    await sandbox.commands.run("exec sleep 4714.5", background=True, timeout=0)

    await sandbox.pause(mode="filesystem")
    assert running("sleep 4714.5") == []
    again = await AsyncSandbox.connect(sandbox.sandbox_id, **host.sdk)

    assert await again.commands.list() == []
    assert await again.files.read("kept.txt") == "kept"


async def test_a_sandbox_whose_first_process_dies_is_paused_and_can_be_connected_to(make: Make, host: Host) -> None:
    from e2b import AsyncSandbox, SandboxNotRunningException

    sandbox = await make()
    await sandbox.files.write("kept.txt", "kept")
    handle = await sandbox.commands.run("exec sleep 4715.5", background=True, timeout=0)
    holder, *_ = running("bwrap", sandbox.sandbox_id)
    first = int(Path(f"/proc/{holder}/task/{holder}/children").read_text().split()[0])

    os.kill(first, signal.SIGKILL)

    with pytest.raises(SandboxNotRunningException):
        async with asyncio.timeout(30):
            await handle.wait()
    assert (await sandbox.get_info()).state.value == "paused"
    again = await AsyncSandbox.connect(sandbox.sandbox_id, **host.sdk)
    assert await again.commands.list() == []
    assert await again.files.read("kept.txt") == "kept"
    assert running("sleep 4715.5") == []


async def test_files_survive_a_host_that_is_killed_and_processes_do_not() -> None:
    from e2b import AsyncSandbox, SandboxNotRunningException

    with a_folder() as folder:
        host = start(folder)
        sandbox = await AsyncSandbox.create(timeout=300, metadata={"chat": "c7"}, envs={"COLOUR": "red"}, **host.sdk)
        await sandbox.files.write("kept.txt", "kept")
        await sandbox.commands.run("setsid nohup sleep 4716.5 >/dev/null 2>&1 &")
        host.end(signal.SIGKILL)
        await until(lambda: not running("sleep 4716.5") and not running("bwrap", sandbox.sandbox_id))

        host = start(folder)
        try:
            info = await AsyncSandbox.get_info(sandbox.sandbox_id, **host.sdk)
            assert (info.state.value, info.metadata) == ("paused", {"chat": "c7"})
            again = await AsyncSandbox.connect(sandbox.sandbox_id, **host.sdk)
            assert await again.commands.list() == []
            assert await again.files.read("kept.txt") == "kept"
            assert (await again.commands.run("echo $COLOUR")).stdout == "red\n"
            await again.pause()
            with pytest.raises(SandboxNotRunningException):
                await again.commands.run("true")
        finally:
            assert host.end(signal.SIGTERM) == 0
        assert running("bwrap", sandbox.sandbox_id) == []


async def test_what_a_sandbox_uses_is_told(make: Make) -> None:
    sandbox = await make()
    await sandbox.commands.run("exec sleep 1000", background=True, timeout=0)

    (figures,) = await sandbox.get_metrics()

    assert figures.mem_total > figures.mem_used > 0
    assert figures.cpu_count > 0


# ---------------------------------------------------------------- files


async def test_files_are_written_read_listed_moved_and_removed(make: Make) -> None:
    from e2b import FileNotFoundException, FileType, InvalidArgumentException

    files = (await make()).files
    written = await files.write("notes/a.txt", "grüße\n")
    assert written.path == "/home/user/notes/a.txt"
    assert await files.read("~/notes/a.txt") == "grüße\n"
    await files.write("notes/a.txt", b"\x00\xff")
    assert bytes(await files.read("notes/a.txt", format="bytes")) == b"\x00\xff"
    assert await files.make_dir("notes/deep/er")
    assert not await files.make_dir("notes/deep/er")
    await files.write("notes/deep/er/b", "")

    assert [(one.name, one.type) for one in await files.list("notes")] == [
        ("a.txt", FileType.FILE),
        ("deep", FileType.DIR),
    ]
    assert [one.path for one in await files.list("/home/user/notes", depth=3)][-1] == "/home/user/notes/deep/er/b"
    info = await files.get_info("notes/a.txt")
    assert (info.size, info.permissions, info.owner) == (2, "-rw-r--r--", "user")
    assert (await files.rename("notes/a.txt", "elsewhere/c.txt")).path == "/home/user/elsewhere/c.txt"
    assert not await files.exists("notes/a.txt")
    await files.remove("notes")
    assert not await files.exists("notes")

    for refused in (
        files.read("nowhere"),
        files.list("nowhere"),
        files.get_info("nowhere"),
        files.rename("nowhere", "x"),
    ):
        with pytest.raises(FileNotFoundException):
            await refused
    with pytest.raises(InvalidArgumentException):
        await files.read("elsewhere")
    with pytest.raises(InvalidArgumentException):
        await files.list("elsewhere/c.txt")
    with pytest.raises(InvalidArgumentException):
        await files.make_dir("elsewhere/c.txt")


async def test_a_link_is_told_as_one(make: Make) -> None:
    from e2b import FileType

    sandbox = await make()
    await sandbox.commands.run("mkdir real; ln -s real link; ln -s nowhere broken")

    found = {one.name: (one.type, one.symlink_target) for one in await sandbox.files.list("/home/user")}

    assert found["link"] == (FileType.SYMLINK, "/home/user/real")
    assert found["broken"] == (FileType.SYMLINK, "/home/user/nowhere")


async def test_large_files_go_up_and_down_whole_and_in_pieces(make: Make) -> None:
    files = (await make()).files
    large = bytes(range(256)) * 12 * 1024

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(large), 100_000):
            yield large[at : at + 100_000]

    await files.write("form.bin", large)
    await files.write("stream.bin", pieces())
    await files.write_files([{"path": "one", "data": "1"}, {"path": "two", "data": b"2"}])

    assert bytes(await files.read("stream.bin", format="bytes")) == large
    assert b"".join([piece async for piece in await files.read("form.bin", format="stream")]) == large
    assert await files.read("one") + await files.read("two") == "12"


async def test_a_part_of_a_file_can_be_read(make: Make, host: Host) -> None:
    sandbox = await make()
    await sandbox.files.write("digits", "0123456789")
    async with aiohttp.ClientSession(host.url, headers=headers(sandbox)) as http:

        async def read(wanted: str) -> tuple[int, str, str | None]:
            async with http.get("/files", params={"path": "digits"}, headers={"Range": wanted}) as answer:
                return answer.status, await answer.text(), answer.headers.get("Content-Range")

        assert await read("bytes=2-4") == (206, "234", "bytes 2-4/10")
        assert await read("bytes=7-") == (206, "789", "bytes 7-9/10")
        assert await read("bytes=-2") == (206, "89", "bytes 8-9/10")
        assert (await read("bytes=10-"))[::2] == (416, "bytes */10")


async def test_the_kernels_own_files_can_be_read(make: Make) -> None:
    assert "sandbox" in await (await make()).files.read("/proc/sys/kernel/hostname")


async def test_changes_in_a_folder_are_told(make: Make) -> None:
    from e2b import FilesystemEventType

    sandbox = await make()
    await sandbox.files.make_dir("watched/deep")
    seen: list[tuple[str, Any]] = []
    watch = await sandbox.files.watch_dir(
        "watched", lambda event: seen.append((event.name, event.type)), recursive=True, timeout=0
    )

    await sandbox.files.write("watched/deep/a.txt", "1")
    await until(lambda: ("deep/a.txt", FilesystemEventType.CREATE) in seen)
    await sandbox.files.write("watched/deep/a.txt", "22")
    await until(lambda: seen.count(("deep/a.txt", FilesystemEventType.WRITE)) >= 2)
    await sandbox.files.rename("watched/deep/a.txt", "watched/b.txt")
    await until(
        lambda: ("deep/a.txt", FilesystemEventType.RENAME) in seen and ("b.txt", FilesystemEventType.CREATE) in seen
    )
    await sandbox.files.remove("watched/b.txt")
    await until(lambda: ("b.txt", FilesystemEventType.REMOVE) in seen)
    await watch.stop()


async def test_a_watch_ends_with_its_folder_and_with_its_sandbox(make: Make) -> None:
    from e2b import NotFoundException, SandboxNotRunningException

    sandbox = await make()
    await sandbox.files.make_dir("watched")
    ends: asyncio.Queue[Exception | None] = asyncio.Queue()
    for path in ("watched", "/home/user"):
        await sandbox.files.watch_dir(path, lambda _: None, on_exit=ends.put_nowait, timeout=0)

    async with asyncio.timeout(60):
        await sandbox.files.remove("watched")
        assert isinstance(await ends.get(), NotFoundException)
        await sandbox.pause()
        assert isinstance(await ends.get(), SandboxNotRunningException)
    with pytest.raises(SandboxNotRunningException):
        await sandbox.files.watch_dir("/home/user", lambda _: None)


async def test_changes_can_be_fetched(make: Make, host: Host) -> None:
    sandbox = await make()
    await sandbox.files.make_dir("watched")
    async with aiohttp.ClientSession(host.url, headers=headers(sandbox)) as http:

        async def call(method: str, **message: Any) -> tuple[int, dict[str, Any]]:
            async with http.post(f"/filesystem.Filesystem/{method}", json=message) as answer:
                return answer.status, await answer.json()

        _, made = await call("CreateWatcher", path="watched")
        await sandbox.files.write("watched/a.txt", "1")

        async def events() -> list[Any]:
            return list((await call("GetWatcherEvents", **made))[1]["events"])

        assert (await until(events))[0] == {"name": "a.txt", "type": "EVENT_TYPE_CREATE"}
        assert await call("RemoveWatcher", **made) == (200, {})
        assert (await call("GetWatcherEvents", **made))[0] == 404
        assert (await call("CreateWatcher", path="nowhere"))[0] == 404
        assert (await call("NoSuchMethod"))[0] == 501
