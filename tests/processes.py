"""Looking at processes, and waiting for what they bring about."""

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

PATIENCE_S = 60.0
_ROOT = Path(__file__).parents[1]


@asynccontextmanager
async def ready_program(
    *command: str, ready: str, env: Mapping[str, str], stderr: IO[Any] | None = None
) -> AsyncIterator[None]:
    """A program of ours, from the line by which it says that it is ready to its good end when it is told to stop."""
    process = await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL", "--", *command), cwd=_ROOT, env=env, stdout=PIPE, stderr=stderr
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert process.stdout is not None
            assert (await process.stdout.readline()).decode().startswith(ready)
        yield
        process.terminate()
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so. Raises `TimeoutError` after a minute, since a loaded machine is slow."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    with suppress(OSError):
        return _stat(pid)[0] not in "ZX"
    return False


def descendants(pid: int) -> list[int]:
    """The process's children that are alive, and theirs."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, parent = _stat(int(entry.name))[:2]
                if state not in "ZX":
                    parents[int(entry.name)] = int(parent)
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except ProcessLookupError as error:  # it ended between the opening and the reading
        raise FileNotFoundError(pid) from error
