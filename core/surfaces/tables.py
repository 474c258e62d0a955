"""Markdown tables laid out as text in a monospace block, for surfaces that draw none.

A table that is too wide has its cells wrapped; one with more columns than fit becomes one block of `header: value`
lines per row. Widths are those of a terminal, so that wide characters line up.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from wcwidth import wcwidth

from core.surfaces.markdown import Fence, fence_after, fenced

_RULE: Final = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")
_GAP: Final = "  "
_LEAST: Final = 4


def tables(text: str, width: int, most: int | None = None) -> str:
    """The same text with every table outside code laid out within `width` columns, in a code block.

    A table of more than `most` characters becomes several blocks, each with the header again.
    """
    lines, out, at = text.split("\n"), list[str](), 0
    fence: Fence | None = None
    while at < len(lines):
        found = _table(lines, at) if fence is None else None
        if found is None:
            fence = fence_after(lines[at], fence)
            out.append(lines[at])
            at += 1
            continue
        rows, at = found
        out += map(fenced, _blocks(rows, width, most))
    return "\n".join(out)


def table_end(lines: Sequence[str], at: int) -> int | None:
    """The line after a table whose header is line `at`; None if none begins there."""
    if at + 1 >= len(lines) or "|" not in lines[at] or "-" not in lines[at + 1]:
        return None
    rule = lines[at + 1]
    if "|" not in rule or not _RULE.fullmatch(rule) or len(_cells(rule)) != len(_cells(lines[at])):
        return None
    end = at + 2
    while end < len(lines) and "|" in lines[end] and lines[end].strip():
        end += 1
    return end


def _table(lines: Sequence[str], at: int) -> tuple[list[list[str]], int] | None:
    """The rows of a table that begins at a line, its header first, and the line after it."""
    end = table_end(lines, at)
    if end is None:
        return None
    rows = [_cells(line) for line in (lines[at], *lines[at + 2 : end])]
    columns = len(rows[0])
    return [(row + [""] * columns)[:columns] for row in rows], end


def _cells(line: str) -> list[str]:
    line = line.strip().removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    parts = re.split(r"(?<!\\)\|", line)
    return [_plain(part.replace("\\|", "|").strip()) for part in parts]


def _plain(cell: str) -> str:
    cell = re.sub(r"<br\s*/?>", " ", cell)
    cell = re.sub(r"\*\*(.+?)\*\*|__(.+?)__", lambda found: found[1] or found[2], cell)
    return re.sub(r"(`+)(.+?)\1", lambda found: found[2].strip(), cell)


def _width(text: str) -> int:
    return sum(max(0, wcwidth(char)) for char in text)


def _laid_out(rows: list[list[str]], width: int) -> str:
    columns = len(rows[0])
    room = width - len(_GAP) * (columns - 1)
    if room < _LEAST * columns:
        return _as_records(rows, width)
    widths = [max(1, *(_width(row[number]) for row in rows)) for number in range(columns)]
    while sum(widths) > room:
        widest = max(range(columns), key=lambda number: widths[number])
        widths[widest] -= 1
    lines = list[str]()
    for number, row in enumerate(rows):
        wrapped = [_wrapped(cell, size) for cell, size in zip(row, widths, strict=True)]
        for line in range(max(len(cell) for cell in wrapped)):
            parts = [
                _padded(cell[line] if line < len(cell) else "", size)
                for cell, size in zip(wrapped, widths, strict=True)
            ]
            lines.append(_GAP.join(parts).rstrip())
        if number == 0:
            lines.append(_GAP.join("─" * size for size in widths))
    return "\n".join(lines)


def _blocks(rows: list[list[str]], width: int, most: int | None) -> Iterator[str]:
    header, *rest = rows
    while most is not None and len(rest) > 1:
        # Every line takes two characters at least.
        low, high = 1, min(len(rest), most // 2 + 1)
        while low < high:
            middle = (low + high + 1) // 2
            fits = len(_laid_out([header, *rest[:middle]], width)) <= most
            low, high = (middle, high) if fits else (low, middle - 1)
        if low == len(rest):
            break
        yield _laid_out([header, *rest[:low]], width)
        rest = rest[low:]
    yield _laid_out([header, *rest], width)


def _as_records(rows: list[list[str]], width: int) -> str:
    header, *body = rows
    records = [
        "\n".join("\n".join(_wrapped(f"{name}: {cell}", width)) for name, cell in zip(header, row, strict=True))
        for row in body
    ]
    return "\n\n".join(records or ["\n".join(header)])


def _padded(text: str, size: int) -> str:
    return text + " " * (size - _width(text))


def _wrapped(text: str, size: int) -> list[str]:
    lines, line = list[str](), ""
    for word in text.split():
        candidate = f"{line} {word}" if line else word
        if _width(candidate) <= size:
            line = candidate
            continue
        if line:
            lines.append(line)
        line = ""
        for char in word:
            if line and _width(line + char) > size:
                lines.append(line)
                line = ""
            line += char
    return [*lines, line] if line or not lines else lines
