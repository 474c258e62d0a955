"""A long answer in pieces that fit a post each, its tables kept: a table that must be cut has its header repeated.

Code blocks and paragraphs are cut by `core/surfaces/markdown.py`. Next: `render.py`.
"""

from collections.abc import Iterator
from typing import Final

from core.surfaces.markdown import MIN_LIMIT, fence_after, split
from core.surfaces.slack.blocks import cut, units
from core.surfaces.slack.escaping import inert
from core.surfaces.tables import table_end

# Slack's own table block takes so many; it is not written that a table in Markdown may have more.
_ROWS: Final = 99
_INFO: Final = 60


def inert_pieces(text: str, limit: int) -> list[str]:
    """The pieces of a text that is not trusted. A few characters of no width may make a piece a little longer."""
    # Once more after cutting: what is a code block in the whole may be none in a piece.
    return [inert(piece) for piece in pieces(inert(text), limit)]


def end_of(text: str, limit: int) -> tuple[int, str]:
    """Where about the last `limit` of a text begin, at a line if one is near, and the fence it begins within."""
    if units(text) <= limit:
        return 0, ""
    start = len(text) - limit
    if (line := text.find("\n", start, start + 1_000)) >= 0:
        start = line + 1
    fence = fence_after(text[:start].rstrip("\n")) if "```" in text or "~~~" in text else None
    return start, cut(fence.opening.strip(), _INFO) + "\n" if fence else ""


def pieces(text: str, limit: int) -> list[str]:
    """The whole text in order, in pieces of at most `limit`. An empty text gives no piece."""
    made = list[str]()
    for part, is_table in _parts(text):
        chunks = list(_table_chunks(part, limit)) if is_table else []
        if not chunks:
            _add_prose(made, part, limit)
        for chunk in chunks:
            if made and units(made[-1]) + 2 + units(chunk) <= limit:
                made[-1] += "\n\n" + chunk
            else:
                made.append(chunk)
    return made


def _add_prose(made: list[str], text: str, limit: int) -> None:
    room = limit - units(made[-1]) - 2 if made else 0
    if room < max(limit // 4, MIN_LIMIT):
        made += split(text, limit, length=units)
        return
    first, *rest = split(text, limit, first=room, length=units) or [""]
    made[-1] += f"\n\n{first}" if first else ""
    made += rest


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The text taken apart into tables and what is between them."""
    lines, prose, at = text.split("\n"), list[str](), 0
    fence = None
    while at < len(lines):
        end = table_end(lines, at) if fence is None else None
        if end is None:
            fence = fence_after(lines[at], fence)
            prose.append(lines[at])
            at += 1
            continue
        if any(line.strip() for line in prose):
            yield "\n".join(prose), False
        prose.clear()
        yield "\n".join(lines[at:end]), True
        at = end
    if any(line.strip() for line in prose):
        yield "\n".join(prose), False


def _table_chunks(table: str, limit: int) -> Iterator[str]:
    """A table in parts that fit; none if a row is too long for that."""
    header, rule, *rows = table.split("\n")
    head = f"{header}\n{rule}"
    if any(units(head) + 1 + units(row) > limit for row in (*rows, "")):
        return
    chunk, count = head, 0
    for row in rows:
        if count == _ROWS or units(chunk) + 1 + units(row) > limit:
            yield chunk
            chunk, count = head, 0
        chunk, count = f"{chunk}\n{row}", count + 1
    yield chunk
