"""How the agent's program ended, in words of ours: what it printed may hold people's text or secrets, and goes nowhere.

A full disk does not end it: it goes on, and all it writes is lost, its journal first. So the disk is looked at when
nothing is heard for long, and some of it is kept for the program that is to make room. Next: `process.py`.
"""

import re
import shlex
import signal
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

from core.domain.places import HOME
from core.errors import DiskFull, SandboxError, Unavailable
from core.ports import Sandbox

log = structlog.get_logger(__name__)

_RESERVE: Final = f"{HOME}/.threadwork/reserve"
_RESERVE_MB: Final = 8
# Below this, in kB, nothing of use can be written.
_FULL_KB: Final = 64
_FREE: Final = f"$(df -Pk {HOME} | tail -n 1 | awk '{{print $4}}')"
_SIGNALLED: Final = 128


class Cause(StrEnum):
    """Why it ended, as far as can be told."""

    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    BAD_CREDENTIAL = "bad_credential"
    PART_MISSING = "part_missing"
    NOT_RUNNABLE = "not_runnable"
    KILLED = "killed"
    UNKNOWN = "unknown"


WORDS: Final = {
    Cause.OUT_OF_MEMORY: "It ran out of memory.",
    Cause.DISK_FULL: "The disk of its sandbox is full.",
    Cause.BAD_CREDENTIAL: "It has no valid credential for the model.",
    Cause.PART_MISSING: "A part of it is missing in the sandbox.",
    Cause.NOT_RUNNABLE: "It cannot be run in the sandbox.",
    Cause.KILLED: "It was killed, as happens for want of memory.",
    Cause.UNKNOWN: "",
}
# The first that fits.
_SIGNS: Final = (
    (Cause.DISK_FULL, r"ENOSPC|EDQUOT|no space left on device|disk quota exceeded"),
    (Cause.OUT_OF_MEMORY, r"ENOMEM|out of memory|cannot allocate memory|bad_alloc"),
    (
        Cause.BAD_CREDENTIAL,
        r"invalid (?:x-)?api[- ]key|authentication_error|oauth token|401 unauthorized|not logged in",
    ),
    (Cause.PART_MISSING, r"MODULE_NOT_FOUND|cannot find (?:module|package)|loading shared libraries|GLIBC_"),
    (Cause.NOT_RUNNABLE, r"exec format error|permission denied|command not found|no such file or directory"),
)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a program ended. `exit_code` is None where it left none; `signal` is the name of what ended it."""

    exit_code: int | None
    signal: str | None
    cause: Cause


def ending_of(exit_code: int | None, printed: str, *, is_full: bool = False) -> Ending:
    """What an exit code, as a shell gives it, and what was printed on stderr say. Pure; holds nothing of the text."""
    number = exit_code - _SIGNALLED if exit_code is not None and exit_code > _SIGNALLED else 0
    name = signal.Signals(number).name if number in set(signal.Signals) else None
    if is_full:
        return Ending(exit_code, name, Cause.DISK_FULL)
    found = next((cause for cause, sign in _SIGNS if re.search(sign, printed, re.IGNORECASE)), None)
    if found is None and name == "SIGKILL":
        found = Cause.KILLED
    return Ending(exit_code, name, found or Cause.UNKNOWN)


async def how_it_ended(sandbox: Sandbox, run_dir: str) -> Ending:
    """How the program of this run ended, for the log and for people. A sandbox that does not tell is no error."""
    run = shlex.quote(run_dir)
    looked = f"echo {_FREE}; cat {run}/exit 2>/dev/null || echo; tail -c 4000 {run}/err.log 2>/dev/null || true"
    try:
        free, _, rest = (await sandbox.run(looked, time_s=15)).stdout.partition("\n")
    except (SandboxError, Unavailable):
        return ending_of(None, "")
    code, _, printed = rest.partition("\n")
    ending = ending_of(int(code) if code.strip().isdigit() else None, printed, is_full=_is_less(free))
    log.warning("agent_gone", exit_code=ending.exit_code, signal=ending.signal, cause=ending.cause)
    return ending


async def is_disk_full(sandbox: Sandbox) -> bool:
    """Whether the agent can write nothing any more."""
    return _is_less((await sandbox.run(f"echo {_FREE}", time_s=15)).stdout)


async def need_room(sandbox: Sandbox) -> None:
    """Before a program starts: keep some of the disk for later, or give it what was kept. Raises `DiskFull`."""
    kept = f"fallocate -l {_RESERVE_MB}M {_RESERVE} 2>/dev/null || rm -f {_RESERVE}"
    command = (
        f"f={_FREE}; if [ $f -lt {_FULL_KB} ]; then rm -f {_RESERVE}; f={_FREE}; "
        f"elif [ ! -e {_RESERVE} ] && [ $f -gt {4 * _RESERVE_MB << 10} ]; then "
        f"mkdir -p {HOME}/.threadwork; {kept}; fi; echo $f"
    )
    if _is_less((await sandbox.run(command, time_s=15)).stdout):
        raise DiskFull


def _is_less(free: str) -> bool:
    return free.strip().isdigit() and int(free) < _FULL_KB
