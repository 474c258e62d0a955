"""The program as a person has it: the installed command, in a folder of its own, driven from outside.

`Installation` is one data folder and the settings for it; `Up` a running `threadwork up`, `Spoken` what a
`threadwork chat --json` said. Every process has a bounded life: commands a time limit, the others die with the tests.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from core.settings import Settings
from tests.processes import alive, descendants

ROOT = Path(__file__).parents[2]
THREADWORK = str(Path(sys.executable).with_name("threadwork"))
PATIENCE_S = 90.0
# What is promised is 10 s; the rest is for machines that are busy with other tests.
STOP_S = 20.0
_PR_SET_PDEATHSIG = 1

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Spoken(Said):
    """What a `threadwork chat --json` printed."""

    @property
    def events(self) -> list[Event]:
        """Every line as the object it must be."""
        found = [json.loads(line) for line in self.out.splitlines()]
        assert all(isinstance(event, dict) and {"type", "turn"} <= event.keys() for event in found), self.out
        return found

    @property
    def turns(self) -> list[list[Event]]:
        """The events, turn by turn in the order they began."""
        turns: dict[str, list[Event]] = {}
        for event in self.events:
            turns.setdefault(event["turn"], []).append(event)
        return list(turns.values())

    @property
    def last(self) -> Event:
        """The end of the last turn."""
        assert self.events, self.err
        return self.events[-1]

    def of(self, kind: str) -> list[Event]:
        """The events of a kind."""
        return [event for event in self.events if event["type"] == kind]

    def output_of(self, tool: str) -> list[str]:
        """What came back from the calls of a tool that were run to their end."""
        ids = {event["id"] for event in self.of("tool_started") if event["tool"] == tool}
        return [event["output"] for event in self.of("tool_finished") if event["id"] in ids]


@dataclass(slots=True)
class Up:
    """A `threadwork up` that runs."""

    process: subprocess.Popen[str]
    out: Path
    err: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> tuple[int, float, list[int]]:
        """End it with SIGTERM: its exit code, how long that took, and which of its processes are still there."""
        family = descendants(self.pid)
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        return code, time.monotonic() - began, [pid for pid in family if alive(pid)]


@dataclass(slots=True)
class Installation:
    """One data folder, the folder that commands are typed in, and what is set in their environment."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def data_dir(self) -> Path:
        return self.folder / "d"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the tests, with no setting of the program but ours."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.lower() not in Settings.model_fields and not name.startswith("THREADWORK_")
        }
        return {**kept, "THREADWORK_DATA_DIR": str(self.data_dir), **self.settings}

    def start(self, *arguments: str, **pipes: Any) -> subprocess.Popen[str]:
        """Start a command that dies with the tests."""
        return start([THREADWORK, *arguments], self.folder, self.environment, **pipes)

    def run(self, *arguments: str, **settings: str) -> Said:
        """Type a command, and wait for its end."""
        return self._end_of(arguments, settings, stdin=subprocess.DEVNULL)

    def pipe(self, text: str, *arguments: str) -> Said:
        """Pipe a text into a command, and wait for its end."""
        return self._end_of(arguments, {}, input=text)

    def _end_of(self, arguments: Sequence[str], settings: Mapping[str, str], **given: Any) -> Said:
        done = subprocess.run(
            [THREADWORK, *arguments],
            cwd=self.folder,
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            **given,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def chat(self, name: str, *prompts: str, approve: str = "allow", mode: str = "ask") -> Spoken:
        """Play prompts in a chat, as JSON."""
        said = self.run(*chat_arguments(name, *prompts, approve=approve, mode=mode))
        return Spoken(said.code, said.out, said.err)

    def up(self) -> Up:
        """`threadwork up`, once it said `ready`."""
        out, err = self.folder / "up.out", self.folder / "up.err"
        with out.open("w") as stdout, err.open("a") as stderr:
            process = self.start("up", stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        up = Up(process, out, err)
        until(lambda: out.read_text() or process.poll() is not None)
        assert process.poll() is None, err.read_text()
        return up


def chat_arguments(name: str, *prompts: str, approve: str = "allow", mode: str = "ask") -> list[str]:
    """The command line that plays prompts in a chat, as JSON."""
    given = [part for prompt in prompts for part in ("--prompt", prompt)]
    return ["chat", "--name", name, *given, "--approve", approve, "--mode", mode, "--json"]


def start(line: Sequence[str], folder: Path, environment: Mapping[str, str], **pipes: Any) -> subprocess.Popen[str]:
    """Start a program that dies with the tests, whatever becomes of them."""
    # The tests start programs from one thread only.
    return subprocess.Popen(line, cwd=folder, env=dict(environment), text=True, preexec_fn=_die_with_us, **pipes)  # noqa: PLW1509


def _die_with_us() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


@contextmanager
def speaking(line: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[Any, str]]:
    """A server program while the context is open, and its first line on stdout."""
    process = start(line, folder, environment, stdout=subprocess.PIPE)
    stdout: IO[str] | None = process.stdout
    assert stdout is not None
    try:
        yield process, stdout.readline().strip()
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextmanager
def installation(**settings: str) -> Iterator[Installation]:
    """A fresh one, in a folder with a short name: sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="twa"))
    # Sandboxes of a plain user's server are reached through it.
    folder.chmod(0o755)
    try:
        yield Installation(folder, settings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(**settings: str) -> Iterator[tuple[Installation, Up]]:
    """A fresh installation with `threadwork up` on it."""
    with installation(**settings) as installed:
        up = installed.up()
        try:
            yield installed, up
        finally:
            up.process.terminate()
            try:
                up.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                up.process.kill()
                up.process.wait()


def until(look: Callable[[], Any], limit_s: float = PATIENCE_S) -> Any:
    """What `look` gives once that is true. Fails when it never is."""
    ends_at = time.monotonic() + limit_s
    while not (found := look()):
        assert time.monotonic() < ends_at, "it did not come about in time"
        time.sleep(0.02)
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def processes_of(data_dir: Path) -> list[int]:
    """The living processes whose command line names a data folder."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and alive(pid) and str(data_dir) in command_of(pid)]


def command_of(pid: int) -> str:
    """A process's command line, its words with spaces between."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
