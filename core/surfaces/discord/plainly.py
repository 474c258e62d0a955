"""The same post in simpler words, for when Discord refuses its components: the whole text, and the buttons.

Pure. `client.py` sends these in turn in place of a post that was refused. A post once made of components alone stays
one for ever, so an edit first tries the simplest components, and then the classic form: content and rows.
"""

from typing import Any, Final

from core.ports import Payload
from core.surfaces.discord.components import (
    BUTTON,
    FILE,
    IS_V2,
    ROW,
    SECTION,
    Component,
    actions,
    context,
    markdown,
    texts_of,
    units,
    walk,
)
from core.surfaces.discord.pieces import pieces

CONTENT: Final = 2_000
_ROWS: Final = 5


def plainly(payload: Payload) -> Payload:
    """A post of texts and buttons only, without any frame; its files go, and what it was if it was a classic one."""
    components = [markdown(words) for one in payload.body["components"] for words in texts_of(one)]
    body = {**_cleared(payload), "flags": IS_V2, "content": None, "components": [*components, *_rows(payload)]}
    return Payload(body)


def classic(payload: Payload) -> Payload:
    """A post as bots made them before there were components; what is too long for it is a file as well."""
    words = "\n".join(words for one in payload.body["components"] for words in texts_of(one))
    files = dict(payload.files)
    if units(words) > CONTENT:
        files["post.md"] = words.encode("utf-8", "replace")
        words = pieces(words, CONTENT - 10)[0] + "\n…"
    return Payload({**_cleared(payload), "content": words, "components": _rows(payload)[:_ROWS]}, files)


def unattached(payload: Payload) -> Payload:
    """A post without its files, saying that they are missing."""

    def settle(parts: list[Component]) -> list[Component]:
        return [
            context("Threadwork may not attach files here; an admin can give it the permission Attach Files.")
            if part["type"] == FILE
            else {**part, "components": settle(part["components"])}
            if "components" in part
            else part
            for part in parts
        ]

    return Payload({**payload.body, "components": settle(payload.body["components"])})


def _cleared(payload: Payload) -> dict[str, Any]:
    return {name: value for name, value in payload.body.items() if name not in ("flags", "components")}


def _rows(payload: Payload) -> list[Component]:
    rows = list[Component]()
    for one in walk(payload.body["components"]):
        if one["type"] == ROW:
            rows.append(one)
        elif one["type"] == SECTION and one["accessory"]["type"] == BUTTON:
            rows += actions([one["accessory"]])
    return rows
