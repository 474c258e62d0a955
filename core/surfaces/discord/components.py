"""The components that posts are built of, and Discord's limits on them.

Limits: https://docs.discord.com/developers/components/reference; that all texts of a post together may have 4,000
characters is in discord.py's docs. Texts come in escaped: see `escaping.py`. Next: `render.py` and `approvals.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from core.ports import Payload
from core.surfaces.discord.escaping import cleaned, escape
from core.surfaces.markdown import ZERO_WIDTH, fenced, neutralise_fences
from core.surfaces.presses import Press

Component = dict[str, Any]

ROW, BUTTON, SELECT, SECTION, TEXT, GALLERY, FILE, CONTAINER = 1, 2, 3, 9, 10, 12, 13, 17
IS_V2: Final = 1 << 15  # the flag of posts that are made of components alone

TEXTS: Final = 3_900  # of 4,000 in all texts of a post
COMPONENTS: Final = 40  # those within others included
LABEL: Final = 80
OPTION: Final = 100
OPTIONS: Final = 25
BUTTONS: Final = 5  # in a row
STYLES: Final[Mapping[str, int]] = {"primary": 1, "plain": 2, "good": 3, "danger": 4}
GREY: Final = 0x80848E


def units(text: str) -> int:
    """A text's length as Discord's limits may count it: an emoji is two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, limit: int) -> str:
    """A text of at most `limit`, ending in `…` if some of it is left out."""
    if units(text) <= limit:
        return text
    low, high = 0, min(len(text), limit)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if units(text[:middle]) < limit else (low, middle - 1)
    return text[:low].rstrip() + "…"


def cut_escaped(text: str, limit: int) -> str:
    """A text that is not yet escaped, escaped, and of at most `limit` then."""
    room = limit
    while units(shown := escape(cut(text, room))) > limit:
        room -= max(1, (units(shown) - limit) // 2)
    return shown


def line(text: str, limit: int) -> str:
    """Foreign words for one line of ours."""
    return cut_escaped(" ".join(text.split()), limit)


def section(words: str, accessory: Component | None = None) -> Component:
    """A paragraph, with a button beside it if there is one."""
    if accessory is None:
        return markdown(words)
    return {"type": SECTION, "components": [markdown(words)], "accessory": accessory}


def markdown(words: str) -> Component:
    """Markdown."""
    return {"type": TEXT, "content": words if words.strip() else ZERO_WIDTH}


def context(words: str) -> Component:
    """Small grey lines."""
    return markdown("\n".join(f"-# {one}" for one in words.split("\n")))


def preformatted(words: str, language: str = "", limit: int = TEXTS) -> Iterator[Component]:
    """A text in as many monospace blocks as it takes, of at most `limit` each; three backticks get a gap in them."""
    frame = units(fenced("", language))
    for piece in _verbatim(cleaned(words), limit - frame):
        yield markdown(fenced(piece if piece.strip("\n") else ZERO_WIDTH, language))


def container(parts: Sequence[Component], colour: int) -> Component:
    """Parts in a frame with a coloured edge."""
    return {"type": CONTAINER, "accent_color": colour, "components": list(parts)}


def attached(name: str) -> Component:
    """A file of the payload, to open and to download."""
    return {"type": FILE, "file": {"url": f"attachment://{name}"}}


def picture(name: str) -> Component:
    """A picture of the payload, to look at."""
    return {"type": GALLERY, "items": [{"media": {"url": f"attachment://{name}"}}]}


def actions(elements: Sequence[Component]) -> list[Component]:
    """Buttons in as many rows as it takes."""
    return [
        {"type": ROW, "components": list(elements[start : start + BUTTONS])}
        for start in range(0, len(elements), BUTTONS)
    ]


def button(words: str, press: Press, style: str = "plain") -> Component:
    """A button; `style` is one of `STYLES`."""
    return {"type": BUTTON, "style": STYLES[style], "label": label(words, LABEL), "custom_id": press.encode()}


def menu(words: str, press: Press, options: Sequence[Component], *, is_multiple: bool = False) -> Component:
    """A row with a list to choose from: one, or as many as one likes."""
    chosen: Component = {
        "type": SELECT,
        "custom_id": press.encode(),
        "placeholder": label(words, 150),
        "options": list(options[:OPTIONS]),
    }
    if is_multiple:
        chosen["max_values"] = len(chosen["options"])
    return {"type": ROW, "components": [chosen]}


def option(words: str, press: Press, description: str = "") -> Component:
    """One choice of a menu."""
    made: Component = {"label": label(words, OPTION), "value": press.encode()}
    return made | {"description": label(description, OPTION)} if description.strip() else made


def label(words: str, limit: int) -> str:
    """Plain text on one line."""
    return cut(" ".join(cleaned(words).split()) or "…", limit)


def post(components: Sequence[Component], files: Mapping[str, bytes] | None = None) -> Payload:
    """A payload. Every file must be named by an `attached` among the components."""
    body = {"flags": IS_V2, "components": list(components), "allowed_mentions": {"parse": []}}
    return Payload(body, files or {})


def weight(component: Component) -> int:
    """How much of the limit on all texts a component takes."""
    return sum(units(words) for words in texts_of(component))


def count(component: Component) -> int:
    """How much of the limit on components it takes."""
    return sum(1 for _ in walk([component]))


def walk(components: Sequence[Component]) -> Iterator[Component]:
    """Every component, those within others after them, in the order they are shown."""
    for component in components:
        yield component
        yield from walk(component.get("components") or ())
        if "accessory" in component:
            yield component["accessory"]


def texts_of(component: Component) -> Iterator[str]:
    """All texts within a component, in reading order."""
    return (one["content"] for one in walk([component]) if one["type"] == TEXT)


def _verbatim(words: str, limit: int) -> Iterator[str]:
    """Pieces of at most `limit` that together are the text; only line ends at the cuts are left out."""
    while _shown(words) > limit:
        low, high = 1, min(len(words), limit)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if _shown(words[:middle]) <= limit else (low, middle - 1)
        end = words.rfind("\n", low // 2, low + 1)
        yield words[: end if end > 0 else low]
        words = words[end + 1 :] if end > 0 else words[low:]
    if words:
        yield words


def _shown(words: str) -> int:
    return units(neutralise_fences(words))
