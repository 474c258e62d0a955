"""Where inline code is in a text, as CommonMark pairs backticks: what is in it is not markup. Pure.

Used by `<platform>/escaping.py`.
"""

import re
from collections.abc import Iterator
from typing import Final

_TICKS: Final = re.compile(r"`+")


def code_spans(paragraph: str) -> Iterator[tuple[str, bool]]:
    """Prose and inline code in turns, as CommonMark pairs backticks. Together they are the text."""
    runs = []
    for found in _TICKS.finditer(paragraph):
        before = paragraph[: found.start()]
        is_escaped = (len(before) - len(before.rstrip("\\"))) % 2 == 1
        runs.append((found.start(), found.start() + is_escaped, found.end()))
    ends = dict[int, list[tuple[int, int]]]()
    for whole, _, end in reversed(runs):
        # A backslash means nothing within code, so a run closes with all its backticks.
        ends.setdefault(end - whole, []).append((whole, end))
    at = 0
    for _, start, end in runs:
        if start < at or start == end:
            continue
        closers = ends.get(end - start, [])
        while closers and closers[-1][0] < end:
            closers.pop()
        if not closers:
            continue
        yield paragraph[at:start], False
        at = closers.pop()[1]
        yield paragraph[start:at], True
    yield paragraph[at:], False
