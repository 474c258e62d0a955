"""Looking at processes, and waiting for what they bring about."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PATIENCE_S = 60.0


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
