"""What `threadwork files` shows of a sandbox: files as they are, folders as lists, and a sentence for the rest."""

import re
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from core.errors import BadInput
from core.ports import Sandbox
from tests.integration.hosts import API_KEY, a_host
from threadwork.files import show
from worker.sandbox.provider import E2BProvider, SandboxServer

MAKE = "mkdir -p /home/user/work/a/b && cd /home/user/work && printf 12345 > a/b/deep.txt && mkfifo pipe"
HIDE = "cd /home/user/work && mkdir shut && chmod 0 shut && printf x > secret && chmod 0 secret"


@pytest.fixture(scope="module")
def provider() -> Iterator[E2BProvider]:
    with a_host() as host:
        yield E2BProvider(SandboxServer(API_KEY, host.url, host.url))


@pytest.fixture
async def sandbox(provider: E2BProvider) -> AsyncIterator[Sandbox]:
    made = await provider.create({}, idempotency=uuid4().hex, time_s=300)
    assert (await made.run(f"{MAKE} && {HIDE}")).exit_code == 0
    yield made
    await provider.kill(made.id)


@pytest.mark.parametrize("path", ["a/b/deep.txt", "/home/user/work/a/b/deep.txt", "./a/../a/b/deep.txt"])
async def test_a_file_is_written_as_it_is(sandbox: Sandbox, capfd: pytest.CaptureFixture[str], path: str) -> None:
    await show(sandbox, "main", path)

    assert capfd.readouterr().out == "12345"


@pytest.mark.parametrize("path", [".", "/home/user/work", "/home/user/work/", "a/.."])
async def test_the_workspace_is_listed_with_all_below_it(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str], path: str
) -> None:
    await show(sandbox, "main", path)

    listed = capfd.readouterr().out.splitlines()
    assert f"{'-':>10}  a/" in listed
    assert f"{'5':>10}  a/b/deep.txt" in listed


async def test_a_name_does_not_steer_the_terminal(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    assert (await sandbox.run("mkdir -p odd && touch odd/$'\\e[31mred'")).exit_code == 0

    await show(sandbox, "main", "/home/user/odd")

    assert capfd.readouterr().out == f"{'0':>10}  /home/user/odd/[31mred\n"


async def test_a_folder_is_listed_by_paths_that_can_be_asked_for(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    await show(sandbox, "main", "a")
    assert capfd.readouterr().out == f"{'-':>10}  a/b/\n{'5':>10}  a/b/deep.txt\n"

    await show(sandbox, "main", "..")
    assert f"{'-':>10}  /home/user/work/\n" in capfd.readouterr().out


async def test_outside_the_workspace_one_level_is_listed(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    await show(sandbox, "main", "/")

    listed = [line.split(maxsplit=1)[1] for line in capfd.readouterr().out.splitlines()]
    assert "/home/" in listed
    assert all(re.fullmatch(r"/[^/]+/?", path) for path in listed)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("secret", "the agent's user has no permission"),
        ("shut", "the agent's user has no permission"),
        ("/proc/1/environ", "the agent's user has no permission"),
        ("pipe", "it is not a file"),
    ],
)
async def test_what_cannot_be_read_is_named_with_the_reason(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str], path: str, why: str
) -> None:
    with pytest.raises(BadInput) as refused:
        await show(sandbox, "main", path)

    assert refused.value.words == f"{path} in main cannot be read: {why}."
    assert capfd.readouterr().out == ""


async def test_what_is_not_there_is_said_with_a_command_that_can_be_pasted(sandbox: Sandbox) -> None:
    with pytest.raises(BadInput, match=r"threadwork files 'my chat'$"):
        await show(sandbox, "my chat", "none")
