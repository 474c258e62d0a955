"""What people see of a file that the agent hands over: a name that cannot act, and its size. Pure.

The name comes from the sandbox, so it may hold anything that a file system allows.
"""

import re
from typing import Final

NAME_CHARS: Final = 120
# What shows nothing, breaks a line, turns text round, or parts folders.
_UNSAFE: Final = re.compile(
    '[\x00-\x1f\x7f-\x9f\\\\/:*?"<>|`\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb'
    "\ud800-\udfff\U000e0000-\U000e007f]+"
)


def shown_name(path: str) -> str:
    """A name for a path below the outbox: on one line, no folders, its ending kept: `plots/a.png` → `plots_a.png`."""
    name = " ".join(_UNSAFE.sub("_", path).split()).strip(". ") or "file"
    return name if len(name) <= NAME_CHARS else name[: NAME_CHARS - 20] + "…" + name[-19:]


def size_words(size: int) -> str:
    """`12 bytes`, `3.4 kB`, `25 MB`: by thousands, as people count."""
    if size < 1000:
        return f"{size} {'byte' if size == 1 else 'bytes'}"
    unit, amount = next(
        (unit, size / one)
        for unit, one in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9))
        if size < 999.5 * one or unit == "GB"
    )
    return f"{amount:.1f} {unit}" if amount < 9.95 else f"{amount:,.0f} {unit}"
