"""Without isolation, asked for by name: the main job works all the same, and says in red what is missing."""

import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

WITHIN_S = 170


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="tw"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def test_an_agent_without_walls_does_its_work_in_its_own_folder(folder: Path) -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "CLAUDE_"))}
    command = [sys.executable, "-m", "threadwork", "chat", "--data-dir", str(folder), "--unsafe-no-isolation"]
    job = ["--prompt", "write fizzbuzz.py and run it", "--approve", "allow", "--json"]

    done = subprocess.run([*command, *job], env=ours, capture_output=True, text=True, timeout=WITHIN_S, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "done"
    assert list((folder / "sandboxes").glob("*/home/work/fizzbuzz.py"))


def test_a_terminal_is_told_in_red(folder: Path) -> None:
    ours = {**os.environ, "TERM": "xterm-256color"}
    ours.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "threadwork", "chat", "--data-dir", str(folder), "--unsafe-no-isolation"]
    outer, inner = pty.openpty()
    chat = subprocess.Popen(command, env=ours, stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    try:
        seen = b""
        while b"Enter sends" not in seen:
            seen += os.read(outer, 4096)
        assert b"\x1b[1;31mNo isolation" in seen or b"\x1b[0;91;1mNo isolation" in seen, seen
        os.write(outer, b"\x04")
        while _has_more(outer):
            pass
        assert chat.wait(60) == 0
    finally:
        chat.kill()
        chat.wait()
        os.close(outer)


def _has_more(outer: int) -> bool:
    try:
        return bool(os.read(outer, 4096))
    except OSError:
        return False
