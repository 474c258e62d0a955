"""A measured figure, and the table that holds them.

`Row.value` is in `unit`; `budget` is the most it may be, in the same unit, or None where there is none. Figures that
depend on the machine are put beside something measured in the same run, and the ratio is the figure.
"""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

# How the bench's model writes the time into its deltas.
STAMP = re.compile(r"<(\d+\.\d+)>")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    value: float
    unit: str
    budget: float | None = None
    note: str = ""

    @property
    def is_kept(self) -> bool:
        return self.budget is None or self.value <= self.budget


def p(values: Sequence[float], percent: float) -> float:
    """The percentile of some values; p(values, 50) is their median."""
    if percent == 50:
        return median(values)
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown; what misses its budget is marked."""
    lines = ["| what | measured | budget | | note |", "|---|---:|---:|---|---|"]
    for row in rows:
        budget = "" if row.budget is None else f"{row.budget:g} {row.unit}"
        mark = "" if row.budget is None else "ok" if row.is_kept else "**missed**"
        lines.append(f"| {row.what} | {row.value:.4g} {row.unit} | {budget} | {mark} | {row.note} |")
    return "\n".join(lines)


def machine() -> str:
    """The machine in a line: what the figures depend on."""
    memory = next(
        (int(line.split()[1]) >> 20 for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line), 0
    )
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {memory} GiB, Linux {platform.release()}, Python {platform.python_version()}, "
        f"load {load:.1f} at the start"
    )
