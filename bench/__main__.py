"""`python -m bench [NAME …]`: measure, print the tables, and keep them in bench/RESULTS.md, beside what is there.

Every module of this folder with an `async def measure() -> list[Row]` is run in a process of its own, one after
another, so that none disturbs the next.
"""

import asyncio
import importlib
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bench.report import Row, machine, table

HERE = Path(__file__).parent
ROOT = HERE.parent
LONGEST_S = 900
RESULTS = HERE / "RESULTS.md"
HEAD = "# What was measured\n\n`make bench` writes this; each part says when, and on what.\n"


def names() -> list[str]:
    own = {"__init__", "__main__", "noting_worker", "queues", "report", "stage"}
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem not in own)


def run(name: str) -> list[Row]:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--one", name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )
    if done.returncode != 0:
        return [Row(f"{name} could not be measured", float("nan"), "", None, f"exit code {done.returncode}")]
    return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def main(chosen: list[str]) -> int:
    words = machine()
    parts = kept()
    for name in chosen or names():
        at = time.monotonic()
        rows = run(name)
        title = (HERE / f"{name}.py").read_text().split('"""')[1].splitlines()[0].strip()
        when = f"{time.strftime('%Y-%m-%d %H:%M')}, in {time.monotonic() - at:.0f} s, on {words}"
        parts[name] = f"## {name}\n{title}\n\n{table(rows)}\n\n{when}\n"
        print(parts[name], flush=True)
        RESULTS.write_text(HEAD + "\n" + "\n".join(parts[one] for one in sorted(parts)))
    return 0


def kept() -> dict[str, str]:
    """What was measured before, by module."""
    if not RESULTS.exists():
        return {}
    found = RESULTS.read_text().split("\n## ")[1:]
    return {part.split("\n", 1)[0]: f"## {part.rstrip()}\n" for part in found}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measured = asyncio.run(importlib.import_module(f"bench.{sys.argv[2]}").measure())
        print(json.dumps([asdict(row) for row in measured]))
        sys.stdout.flush()
        time.sleep(0.3)  # e2b's HTTP core may abort a process that ends right after a call
    else:
        sys.exit(main(sys.argv[1:]))
