"""What a sandbox cannot do: each wall pushed at from inside, with the host run as root and as a plain user."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.hosts import WHO, Host, a_host, python

Make = Callable[[], Awaitable[Any]]
CONNECT = """
import socket
try:
    socket.create_connection(({host!r}, {port}), timeout=3).close()
    print("connected")
except OSError as error:
    print(type(error).__name__, error)
"""
SYSCALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print({call}, os.strerror(ctypes.get_errno()))
"""


@pytest.fixture(scope="module", params=WHO)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    with a_host(who=request.param) as host:
        yield host


@pytest.fixture
async def make(host: Host) -> AsyncIterator[Make]:
    from e2b import AsyncSandbox

    made: list[Any] = []

    async def create() -> Any:
        made.append(await AsyncSandbox.create(timeout=300, **host.sdk))
        return made[-1]

    yield create
    for sandbox in made:
        await sandbox.kill()


async def said(sandbox: Any, command: str) -> str:
    """Both outputs of a command, whatever its exit code."""
    ran = await sandbox.commands.run(f"( {command}\n) 2>&1 || true")
    return str(ran.stdout)


async def test_a_sandbox_does_not_see_the_files_of_another(make: Make) -> None:
    one, other = await make(), await make()
    await one.files.write("/home/user/only-mine-4711.txt", "x")
    await one.files.write("/tmp/only-mine-4711.txt", "x")
    await one.files.write("/dev/shm/only-mine-4711.txt", "x")

    assert "only-mine-4711" in await said(one, "find / -name 'only-mine-4711*' 2>/dev/null")
    assert await said(other, "find / -name 'only-mine-4711*' 2>/dev/null") == ""


async def test_a_sandbox_does_not_see_the_processes_of_another_or_of_the_host(make: Make) -> None:
    one, other = await make(), await make()
    await one.commands.run("exec sleep 4711.25", background=True, timeout=0)

    seen = await said(other, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")

    assert "4711.25" in await said(one, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "4711.25" not in seen
    assert "pytest" not in seen
    assert len((await said(other, "ls -d /proc/[0-9]*")).split()) < 10


async def test_a_sandbox_does_not_reach_a_port_of_another(make: Make) -> None:
    one, other = await make(), await make()
    listening = asyncio.Event()
    await one.commands.run(
        python(
            "import socket\nserver = socket.create_server(('127.0.0.1', 8123))\nprint('up', flush=True)\nwhile True: server.accept()"
        ),
        background=True,
        timeout=0,
        on_stdout=lambda _: listening.set(),
    )
    async with asyncio.timeout(30):
        await listening.wait()

    reach = python(CONNECT.format(host="127.0.0.1", port=8123))

    assert await said(one, reach) == "connected\n"
    assert "refused" in await said(other, reach)


async def test_a_sandbox_does_not_reach_the_loopback_of_the_host(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        reach = CONNECT.format(host="127.0.0.1", port=server.getsockname()[1])

        assert "refused" in await said(await make(), python(reach))


async def test_a_sandbox_does_not_reach_the_internet(make: Make) -> None:
    sandbox = await make()

    assert "unreachable" in await said(sandbox, python(CONNECT.format(host="192.0.2.1", port=80)))
    assert (await said(sandbox, "ls /proc/sys/net/ipv4/conf")).split() == ["all", "default", "lo"]


async def test_a_sandbox_does_not_reach_an_abstract_socket_of_the_host(make: Make) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0threadwork-isolation-test")
        server.listen()
        reach = "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0threadwork-isolation-test')"

        assert "ConnectionRefusedError" in await said(await make(), python(reach))


async def test_a_sandbox_cannot_mount(make: Make) -> None:
    call = "libc.mount(b'tmpfs', b'/mnt', b'tmpfs', 0, None)"

    assert await said(await make(), python(SYSCALL.format(call=call))) == "-1 Operation not permitted\n"


async def test_a_sandbox_cannot_make_devices(make: Make) -> None:
    sandbox = await make()

    assert "not permitted" in await said(sandbox, "mknod /tmp/disk b 8 0")
    assert "not permitted" in await said(sandbox, "mknod /tmp/memory c 1 1")


async def test_a_sandbox_has_no_capabilities_and_can_get_none(make: Make) -> None:
    status = await said(await make(), "grep -E '^(Cap|NoNewPrivs)' /proc/self/status")

    values = {name: int(value, 16) for name, value in (line.split(":\t") for line in status.splitlines())}
    assert values == {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0, "NoNewPrivs": 1}


async def test_the_secrets_of_the_host_are_not_in_a_sandbox(make: Make, host: Host) -> None:
    sandbox = await make()

    for path in (
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/ssh",
        "/root",
        "/run/docker.sock",
        "/var/lib",
        "/sys",
        str(host.folder),
    ):
        assert "No such file" in await said(sandbox, f"ls {path}"), path
    assert (await said(sandbox, "ls /home")).split() == ["user"]
    assert "user:x:" in await said(sandbox, "cat /etc/passwd")
    environment = await said(sandbox, "env")
    assert not {"E2B_API_KEY", "PYTEST_CURRENT_TEST", "SSH_AUTH_SOCK"} & {
        line.split("=")[0] for line in environment.splitlines()
    }


async def test_only_home_tmp_and_shm_can_be_written_to(make: Make) -> None:
    sandbox = await make()

    for folder in (
        "/",
        "/usr",
        "/usr/bin",
        "/etc",
        "/opt/claude",
        "/run",
        "/run/threadwork",
        "/run/host",
        "/dev",
        "/mnt",
        "/var",
        "/proc/sys/kernel",
    ):
        assert "cannot touch" in await said(sandbox, f"touch {folder}/mine"), folder
    assert await said(sandbox, "touch ~/mine /tmp/mine /var/tmp/mine /dev/shm/mine && echo written") == "written\n"


async def test_a_link_and_the_files_api_do_not_read_outside(make: Make, host: Host) -> None:
    from e2b import FileNotFoundException

    secret = host.folder / "secret.txt"
    secret.write_text("of the host")
    sandbox = await make()
    await sandbox.commands.run(f"ln -s {secret} link; ln -s {host.folder} folder; ln -s / root")

    for path in ("link", "folder/secret.txt", f"root{secret}", f"../../..{secret}", str(secret)):
        with pytest.raises(FileNotFoundException):
            await sandbox.files.read(path)
    with pytest.raises(FileNotFoundException):
        await sandbox.files.list("folder")


async def test_a_link_and_the_files_api_do_not_write_outside(make: Make, host: Host) -> None:
    from e2b import SandboxException

    target = host.folder / "target.txt"
    target.write_text("of the host")
    sandbox = await make()
    await sandbox.commands.run(f"ln -s {target} link; ln -s {host.folder} folder; ln -s /etc/hosts hosts")

    for path in ("link", "folder/target.txt", "hosts"):
        with pytest.raises(SandboxException):
            await sandbox.files.write(path, "of the sandbox")
    await sandbox.files.write(str(target), "of the sandbox")
    await sandbox.files.remove("folder")
    await sandbox.files.rename(str(target), "/tmp/moved.txt")

    assert target.read_text() == "of the host"


async def test_a_pipe_in_the_place_of_a_file_does_not_hold_the_host_up(make: Make) -> None:
    from e2b import InvalidArgumentException

    sandbox = await make()
    await sandbox.commands.run("mkfifo pipe")

    async with asyncio.timeout(30):
        with pytest.raises(InvalidArgumentException):
            await sandbox.files.read("pipe")
        with pytest.raises(InvalidArgumentException):
            await sandbox.files.write("pipe", "x")


async def test_the_supervisor_cannot_be_killed_stopped_or_read_from_inside(make: Make) -> None:
    sandbox = await make()

    await said(sandbox, "kill -9 1; kill -STOP 1; kill -TERM 1")
    peeked = await said(sandbox, "cat /proc/1/environ; ls /proc/1/fd; cat /proc/1/mem | head -c 1")

    assert peeked.count("Permission denied") == 3
    assert await said(sandbox, "echo still here") == "still here\n"


async def test_the_user_outside_is_not_root_and_not_that_of_another_sandbox(make: Make, host: Host) -> None:
    one, other = await make(), await make()

    outside = {
        (host.data_dir / one.sandbox_id / "home").stat().st_uid,
        (host.data_dir / other.sandbox_id / "home").stat().st_uid,
    }

    assert 0 not in outside
    has_own_users = (
        Path(f"/proc/{host.process.pid}").stat().st_uid == 0 and (host.data_dir / one.sandbox_id).stat().st_uid == 0
    )
    assert len(outside) == (2 if has_own_users else 1)


async def test_the_gateway_is_reached_also_when_it_came_later(make: Make, host: Host) -> None:
    sandbox = await make()
    path = host.gateway_dir / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o666)
        server.listen()
        reach = python(
            "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('/run/threadwork/gateway.sock')\nprint('connected')"
        )

        assert await said(sandbox, reach) == "connected\n"
    path.unlink()
