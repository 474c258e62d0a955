"""A running stack on this machine, and how a command finds or borrows one.

`threadwork up` holds `up.lock` in the data folder while it runs and writes `stack.json` (mode 0600) when it is ready.
A command that needs a stack uses that one; where none runs it starts one that ends with its last user: users hold a
shared lock on `users.lock`, which the kernel drops when they die. Next: `up.py`.
"""

import asyncio
import fcntl
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

from core.errors import Misconfigured, Unavailable
from core.settings import example_of

STACK_FILE: Final = "stack.json"
START_S: Final = 60.0
# A stack that is started anew is ready well within this.
GONE_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Stack:
    """Where the parts of a running stack are. `web_url` None: no admin page runs."""

    pid: int
    database_url: str
    redis_url: str
    e2b_api_url: str | None
    e2b_sandbox_url: str | None
    e2b_api_key: str | None
    is_offline: bool
    is_isolated: bool = True
    web_url: str | None = None


def write_stack(data_dir: Path, stack: Stack) -> None:
    """Say that the stack is ready, readable by its owner only."""
    path = data_dir / STACK_FILE
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(stack), file)
    part.replace(path)


def remove_stack(data_dir: Path) -> None:
    """Say that it is no longer there."""
    (data_dir / STACK_FILE).unlink(missing_ok=True)


def read_stack(data_dir: Path) -> Stack | None:
    """The stack that runs on this data folder and is ready, if one does. Raises `Misconfigured` for no such folder."""
    try:
        if not _is_locked(data_dir / "up.lock"):
            return None
        return Stack(**json.loads((data_dir / STACK_FILE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    except OSError as error:
        raise unusable(data_dir, error) from error


@contextmanager
def only_stack(data_dir: Path) -> Iterator[None]:
    """Be the stack of this data folder. Raises `Misconfigured` when another one is, or it cannot be used."""
    with _lock_file(data_dir, "up.lock") as lock:
        if not _locked_soon(lock):
            raise Misconfigured(
                f"Threadwork runs already on {data_dir}. Use it, stop it, or choose another folder with --data-dir."
            )
        try:
            yield
        finally:
            remove_stack(data_dir)


def _lock_file(data_dir: Path, name: str) -> IO[str]:
    """A file of the data folder, which is made when it is not there."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        return (data_dir / name).open("a+")
    except OSError as error:
        raise unusable(data_dir, error) from error


def unusable(data_dir: Path, error: OSError) -> Misconfigured:
    """The refusal of a data folder that the system does not let us use."""
    is_no_folder = isinstance(error, NotADirectoryError | FileExistsError)
    return _refusal(data_dir, "it is not a folder" if is_no_folder else error.strerror or str(error))


def gateway_socket(data_dir: Path) -> Path:
    """Where the gateway of a stack listens. Raises `Misconfigured` for a data folder too long for the kernel."""
    from worker.gateway.app import LONGEST_SOCKET_PATH

    path = data_dir / "gateway" / "gateway.sock"
    spare = LONGEST_SOCKET_PATH - len(os.fsencode(path))
    if spare < 0:
        length = len(os.fsencode(data_dir))
        raise _refusal(data_dir, f"it is {length} bytes long, and a socket in it leaves room for {length + spare}")
    return path


def _refusal(data_dir: Path, why: str) -> Misconfigured:
    return Misconfigured(f"THREADWORK_DATA_DIR={data_dir} cannot be used: {why}. {example_of('THREADWORK_DATA_DIR')}")


def _locked_soon(lock: IO[str]) -> bool:
    """Take a lock; one that somebody only looks at is free again in a moment."""
    for _ in range(20):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


@contextmanager
def in_use(data_dir: Path) -> Iterator[None]:
    """Be a user of the data folder's stack; many may be at once. Raises `Misconfigured` when it cannot be used."""
    with _lock_file(data_dir, "users.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


async def until_unused(data_dir: Path) -> None:
    """Return once nobody uses the stack any more."""
    with (data_dir / "users.lock").open("a+") as lock:
        while True:
            await asyncio.sleep(0.5)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            fcntl.flock(lock, fcntl.LOCK_UN)
            return


@asynccontextmanager
async def borrowed_stack(data_dir: Path, *, is_unsafe: bool = False) -> AsyncIterator[Stack]:
    """The running stack, or one of our own that goes when nobody uses it any more; `is_unsafe` is for our own.

    Raises `Unavailable` with the end of its log when it does not become ready.
    """
    with in_use(data_dir):
        stack = read_stack(data_dir)
        if stack is None:
            await _start(data_dir, is_unsafe=is_unsafe)
            stack = read_stack(data_dir)
        if stack is None:
            raise Unavailable("the stack", f"it did not become ready; see {data_dir / 'up.log'}")
        async with _while_it_runs(data_dir):
            yield stack


@asynccontextmanager
async def _while_it_runs(data_dir: Path) -> AsyncIterator[None]:
    """Raise `Unavailable` once no stack runs on the folder for as long as starting one anew may take."""

    async def watch() -> None:
        gone_at: float | None = None
        while gone_at is None or time.monotonic() - gone_at < GONE_S:
            await asyncio.sleep(1)
            gone_at = None if read_stack(data_dir) is not None else gone_at or time.monotonic()
        scope.reschedule(asyncio.get_running_loop().time())

    scope = asyncio.timeout(None)
    watching = asyncio.ensure_future(watch())
    try:
        async with scope:
            yield
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise Unavailable(
            "the stack", "it has ended. What was said is kept, and goes on when it is started again"
        ) from error
    finally:
        watching.cancel()


async def _start(data_dir: Path, *, is_unsafe: bool) -> None:
    """Start a stack in the background and wait for its `ready`; another that is just starting is waited for, too."""
    gateway_socket(data_dir)
    log = data_dir / "up.log"
    with log.open("ab") as out:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "threadwork",
            "up",
            "--data-dir",
            str(data_dir),
            "--while-used",
            *(["--unsafe-no-isolation"] if is_unsafe else []),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(START_S):
            while read_stack(data_dir) is None:
                if child.returncode is not None and not _is_locked(data_dir / "up.lock"):
                    raise Unavailable("the stack", last_line(log))
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise Unavailable("the stack", f"not ready after {START_S:.0f} s: {last_line(log)}") from error


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("threadwork: ") if lines else "it said nothing"


def _is_locked(path: Path) -> bool:
    try:
        with path.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(lock, fcntl.LOCK_UN)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
