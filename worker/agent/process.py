"""The agent's program in the sandbox: find it, start it, end it, and where its journal is.

It runs as a child of a shell whose stdout is the journal, so it needs nobody to live on. Files of one run,
in `~/.threadwork/run/<n>/`: `out.jsonl` (the journal), `err.log`, `sh.pid`, `cli.pid`, `exit` (its code, once it
ended) and `base` (the logical offset of the journal's first byte, moved by `rotate`). Offsets are logical elsewhere.
Next: `transport.py`, which reads the journal.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.ports import Sandbox
from worker.agent.options import CONFIG_DIR, GATEWAY_SOCKET, RUNS, WORKSPACE

FOLLOW_S: Final = 90.0
_CLI_PLACES: Final = ("/opt/claude/claude", "/home/user/.threadwork/bin/claude")


class Life(StrEnum):
    """How the agent's program stands."""

    ALIVE = "alive"
    EXITED = "exited"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Started:
    """A program that was started: the pid `send_stdin` takes, and its run folder."""

    pid: int
    run_dir: str


async def find_cli(sandbox: Sandbox) -> str | None:
    """Where the Claude CLI is in this sandbox, if it is there."""
    places = " ".join(shlex.quote(place) for place in _CLI_PLACES)
    found = await sandbox.run(
        f"for p in {places}; do if [ -x $p ]; then echo $p; exit; fi; done; command -v claude || true", time_s=15
    )
    return found.stdout.strip().splitlines()[-1] if found.stdout.strip() else None


async def has_gateway(sandbox: Sandbox) -> bool:
    """Whether the gateway's socket is bound into this sandbox: then no network is needed to reach the model."""
    return (await sandbox.run(f"test -S {GATEWAY_SOCKET}", time_s=15)).exit_code == 0


async def life(sandbox: Sandbox, run_dir: str) -> Life:
    """Whether the program of this run lives; a pid that now belongs to another program does not count.

    In a sandbox that was started again the pid soon belongs to another, which may be this very look: so it is looked
    for something that stands in its shell's command line and in no other.
    """
    run = shlex.quote(run_dir)
    answer = await sandbox.run(
        f"if [ -e {run}/exit ]; then echo exited; exit; fi; p=$(cat {run}/sh.pid 2>/dev/null); "
        f"if [ -n \"$p\" ] && tr '\\0' ' ' </proc/$p/cmdline 2>/dev/null | grep -q -- {run}'/[e]xit.tmp'; "
        "then echo alive; else echo lost; fi",
        time_s=15,
    )
    words = answer.stdout.split()
    return Life(words[-1]) if words and words[-1] in set(Life) else Life.LOST


async def start(sandbox: Sandbox, argv: Sequence[str], envs: Mapping[str, str], number: int) -> Started:
    """Start the program in run folder `number`. Raises `AgentError` when it cannot be started."""
    run_dir = f"{RUNS}/{number}"
    run = shlex.quote(run_dir)
    command = (
        # A run that died before it was noted down may have left a program in this folder.
        f"[ -e {run}/cli.pid ] && kill -KILL $(cat {run}/cli.pid) 2>/dev/null; "
        f"umask 077; rm -rf {run}; mkdir -p {run} {WORKSPACE} {CONFIG_DIR} && : >{run}/out.jsonl && cd {WORKSPACE} "
        f"&& echo $$ >{run}/sh.pid && {{ ( echo $BASHPID >{run}/cli.pid; exec {shlex.join(argv)} ) "
        f">>{run}/out.jsonl 2>>{run}/err.log; echo $? >{run}/exit.tmp; mv {run}/exit.tmp {run}/exit; }}"
    )
    pid = await sandbox.start(command, envs=envs)
    return Started(pid, run_dir)


def follow_command(run_dir: str, offset: int) -> str:
    """The command that prints the journal from a logical offset on, and ends with the program.

    `-s 0.05`: where inotify does not work (overlayfs, too many watches) tail would look once a second.
    The byte before the offset is printed first: it must be a newline, or the offset is not a line's start.
    """
    run = shlex.quote(run_dir)
    skip = max(offset, 1)
    return (
        f"n=0; until [ -e {run}/sh.pid ] || [ $n -ge 100 ]; do n=$((n+1)); sleep 0.05; done; "
        f"b=$(cat {run}/base 2>/dev/null || echo 0); s=$(({skip}-b)); [ $s -ge 1 ] || s=1; "
        f"exec tail -c +$s -s 0.05 --pid=$(cat {run}/sh.pid) -f {run}/out.jsonl"
    )


def rest_command(run_dir: str, offset: int) -> str:
    """The command that prints what the journal holds from a logical offset on, and ends."""
    run = shlex.quote(run_dir)
    skip = max(offset, 1)
    return (
        f"b=$(cat {run}/base 2>/dev/null || echo 0); s=$(({skip}-b)); [ $s -ge 1 ] || s=1; tail -c +$s {run}/out.jsonl"
    )


async def line_start_before(sandbox: Sandbox, run_dir: str, offset: int) -> int:
    """The logical offset of the last line start at or before `offset`."""
    run = shlex.quote(run_dir)
    answer = await sandbox.run(
        f"b=$(cat {run}/base 2>/dev/null || echo 0); head -c $(({offset}-b)) {run}/out.jsonl | tail -n 1 | wc -c",
        time_s=60,
    )
    words = answer.stdout.split()
    return max(0, offset - int(words[-1])) if words and words[-1].isdigit() else 0


async def line_end_after(sandbox: Sandbox, run_dir: str, offset: int) -> int:
    """The logical offset behind the newline of the line that begins at `offset`."""
    run = shlex.quote(run_dir)
    answer = await sandbox.run(
        f"b=$(cat {run}/base 2>/dev/null || echo 0); tail -c +$(({offset}-b+1)) {run}/out.jsonl | head -n 1 | wc -c",
        time_s=60,
    )
    return offset + int(answer.stdout.split()[-1])


async def exit_code(sandbox: Sandbox, run_dir: str) -> int | None:
    """The program's exit code, or None if it ended without leaving one (its sandbox was stopped)."""
    answer = await sandbox.run(f"cat {shlex.quote(run_dir)}/exit 2>/dev/null || true", time_s=15)
    text = answer.stdout.strip()
    return int(text) if text.lstrip("-").isdigit() else None


async def kill(sandbox: Sandbox, run_dir: str) -> None:
    """End the program and the commands it started."""
    run = shlex.quote(run_dir)
    await sandbox.run(
        f'c=$(cat {run}/cli.pid 2>/dev/null); [ -n "$c" ] || exit 0; kill -TERM $c 2>/dev/null; '
        "n=0; while kill -0 $c 2>/dev/null && [ $n -lt 40 ]; do n=$((n+1)); sleep 0.05; done; "
        "kill -KILL $c 2>/dev/null; exit 0",
        time_s=20,
    )


async def rotate(sandbox: Sandbox, run_dir: str, offset: int, above: int) -> bool:
    """Empty the journal when it holds more than `above` bytes and all were read, and say whether it was done.

    The program is stopped meanwhile, so nothing is written between looking and emptying. Its stdout is in append
    mode, so it goes on at the new end; `base` keeps logical offsets true. The last newline stays: a reader looks for
    the one before its offset.
    """
    run = shlex.quote(run_dir)
    answer = await sandbox.run(
        f"s=$(stat -c %s {run}/out.jsonl); [ $s -gt {above} ] || exit 0; c=$(cat {run}/cli.pid) || exit 1; "
        f"kill -STOP $c || exit 1; b=$(cat {run}/base 2>/dev/null || echo 0); "
        f"if [ $(stat -c %s {run}/out.jsonl) -eq $(({offset}-b)) ]; then echo {offset - 1} >{run}/base.tmp && "
        f"echo >{run}/out.jsonl && mv {run}/base.tmp {run}/base && echo rotated; fi; kill -CONT $c",
        time_s=20,
    )
    return "rotated" in answer.stdout


async def knows_message(sandbox: Sandbox, session_id: str, uuid: str) -> bool:
    """Whether the agent's own transcript holds this message: then, resumed, it must not be told again.

    The CLI keeps transcripts in `<config>/projects/<folder>/<session>.jsonl` and ignores a uuid it has seen.
    """
    answer = await sandbox.run(
        f"grep -lF -- {shlex.quote(uuid)} {CONFIG_DIR}/projects/*/{shlex.quote(session_id)}.jsonl 2>/dev/null || true",
        time_s=30,
    )
    return bool(answer.stdout.strip())


async def has_session(sandbox: Sandbox, session_id: str) -> bool:
    """Whether the agent's transcript of this session is in the sandbox, so that it can be resumed."""
    answer = await sandbox.run(
        f"ls {CONFIG_DIR}/projects/*/{shlex.quote(session_id)}.jsonl 2>/dev/null || true", time_s=15
    )
    return bool(answer.stdout.strip())
