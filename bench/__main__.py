"""`python -m bench [NAME …]`: measure, print the table, and write bench/RESULTS.md.

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


def names() -> list[str]:
    own = {"__init__", "__main__", "report", "stage"}
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
    started, words = time.monotonic(), machine()
    parts = []
    for name in chosen or names():
        at = time.monotonic()
        rows = run(name)
        title = (HERE / f"{name}.py").read_text().split('"""')[1].splitlines()[0].strip()
        parts.append(f"## {name}\n{title}\n\n{table(rows)}\n")
        print(parts[-1] + f"({time.monotonic() - at:.0f} s)\n", flush=True)
    if not chosen:
        minutes = (time.monotonic() - started) / 60
        head = (
            f"# What was measured\n\n`make bench` on {words}, in {minutes:.1f} minutes, {time.strftime('%Y-%m-%d')}.\n"
        )
        (HERE / "RESULTS.md").write_text(head + "\n" + "\n".join(parts))
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measured = asyncio.run(importlib.import_module(f"bench.{sys.argv[2]}").measure())
        print(json.dumps([asdict(row) for row in measured]))
        sys.stdout.flush()
        time.sleep(0.3)  # e2b's HTTP core may abort a process that ends right after a call
    else:
        sys.exit(main(sys.argv[1:]))
