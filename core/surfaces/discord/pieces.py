"""A long answer in pieces that fit a post each, harmless, its tables laid out, since Discord draws none.

Code blocks and paragraphs are cut by `core/surfaces/markdown.py`. Next: `render.py`.
"""

from collections.abc import Iterator
from typing import Final

from core.surfaces.discord.components import units
from core.surfaces.discord.escaping import inert
from core.surfaces.markdown import MIN_LIMIT, split
from core.surfaces.tables import tables

# What a code block shows in a window of usual size before it breaks its lines.
WIDTH: Final = 60


def pieces(text: str, limit: int) -> list[str]:
    """The whole text in order, in harmless pieces of at most `limit`. An empty text gives no piece."""
    # Tables of half a post are not cut again.
    return list(_fitting(inert(tables(text, WIDTH, limit // 2)), limit, limit))


def beginning(text: str, limit: int) -> str:
    """How a text that is too long begins, in a harmless piece of at most `limit`."""
    shown = pieces(text[:limit], limit - 3)
    return f"{shown[0] if shown else ''}\n\n…"


def _fitting(text: str, limit: int, room: int) -> Iterator[str]:
    for piece in split(text, max(MIN_LIMIT, room), length=units):
        # A cut through inline code makes prose of it.
        safe = inert(piece)
        if units(safe) <= limit:
            yield safe
        else:
            yield from _fitting(piece, limit, room * 2 // 3)
