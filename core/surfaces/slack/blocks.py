"""The parts of Block Kit that posts are built of, and Slack's limits on them.

Limits: https://docs.slack.dev/reference/block-kit/blocks; that all texts of a message together may not pass about
13,200 is reported in https://github.com/slackapi/bolt-js/issues/2509. Texts come in escaped: see `escaping.py`.
Next: `render.py` and `approvals.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from core.ports import Payload
from core.surfaces.markdown import split
from core.surfaces.presses import Press

Block = dict[str, Any]

MARKDOWN: Final = 11_000  # of 12,000 in all markdown blocks of a post, so that there is room for what is around
SECTION: Final = 3_000
FALLBACK: Final = 3_600  # bytes, of 4,000 that `chat.update` takes as text
BUTTON: Final = 75
OPTION: Final = 75
TEXTS: Final = 12_500
BLOCKS: Final = 48


def units(text: str) -> int:
    """A text's length as Slack's limits may count it: an emoji is two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, limit: int, length: Callable[[str], int] = units) -> str:
    """A text of at most `limit`, ending in `…` if some of it is left out."""
    if length(text) <= limit:
        return text
    low, high = 0, min(len(text), limit)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if length(text[:middle]) <= limit - length("…") else (low, middle - 1)
    return text[:low].rstrip() + "…"


def cut_escaped(text: str, limit: int, length: Callable[[str], int] = units) -> str:
    """Like `cut`, for escaped text: an entity that would be cut through goes as a whole."""
    shown = cut(text, limit, length)
    if shown == text:
        return text
    start = shown.rfind("&")
    return shown[:start] + "…" if start >= 0 and ";" not in shown[start:] else shown


def section(text: str, accessory: Block | None = None) -> Block:
    """A paragraph of mrkdwn; what is over the limit is cut."""
    block: Block = {"type": "section", "text": _mrkdwn(text)}
    return block | {"accessory": accessory} if accessory else block


def context(text: str) -> Block:
    """Small grey mrkdwn."""
    return {"type": "context", "elements": [_mrkdwn(text)]}


def markdown(text: str) -> Block:
    """Markdown as the agent writes it, tables included."""
    return {"type": "markdown", "text": text}


def preformatted(text: str, limit: int = SECTION) -> Iterator[Block]:
    """A text in as many monospace blocks as it takes, to the letter: nothing in `rich_text` acts."""
    for piece in _verbatim(text, limit):
        words = {"type": "text", "text": piece}
        yield {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [words]}]}


def plain(text: str) -> Iterator[Block]:
    """A text in as many sections as it takes, without any markup."""
    for piece in split(text, SECTION - 10, length=units):
        yield {"type": "section", "text": {"type": "plain_text", "text": piece, "emoji": False}}


def actions(elements: Sequence[Block], block_id: str | None = None) -> Block:
    """A row of buttons and choices."""
    block: Block = {"type": "actions", "elements": list(elements)}
    return block | {"block_id": block_id} if block_id else block


def button(words: str, press: Press, style: str | None = None) -> Block:
    """A button; `style` is `primary` or `danger`."""
    made: Block = {"type": "button", "action_id": press.encode(), "text": label(words, BUTTON)}
    return made | {"style": style} if style else made


def option(words: str, press: Press) -> Block:
    """One choice of a menu."""
    return {"text": label(words, OPTION), "value": press.encode()}


def label(words: str, limit: int) -> Block:
    """Plain text on one line."""
    return {"type": "plain_text", "text": one_line(words, limit) or "…"}


def one_line(text: str, limit: int) -> str:
    """The beginning of a text on one line of at most `limit`."""
    # Of a text of pages only what may be seen is looked at.
    return cut(" ".join(text[: limit * 8].split()), limit)


def post(blocks: Sequence[Block], fallback: str) -> Payload:
    """A payload. `fallback` is escaped text for notifications and for readers that draw no blocks."""
    words = cut_escaped(fallback, FALLBACK, lambda text: len(text.encode()))
    return Payload({"text": words or "…", "blocks": list(blocks)})


def weight(block: Block) -> int:
    """How much of the limit on all texts a block takes."""
    return sum(units(text) for text in texts_of(block))


def texts_of(part: Any) -> Iterator[str]:
    """All texts within blocks, in reading order."""
    if isinstance(part, list):
        for one in part:
            yield from texts_of(one)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name == "text" and isinstance(value, str):
                yield value
            else:
                yield from texts_of(value)


def _mrkdwn(text: str) -> Block:
    # Verbatim: Slack makes no links or mentions of its own out of names and addresses.
    return {"type": "mrkdwn", "text": cut_escaped(text, SECTION) if text.strip() else "…", "verbatim": True}


def _verbatim(text: str, limit: int) -> Iterator[str]:
    """Pieces of at most `limit` that together are the text; only line ends at the cuts are left out."""
    while units(text) > limit:
        room = limit
        while (over := units(text[:room]) - limit) > 0:
            # Of a character that counts twice, half as many are too many.
            room -= (over + 1) // 2
        end = text.rfind("\n", room // 2, room + 1)
        yield text[: end if end > 0 else room]
        text = text[end + 1 :] if end > 0 else text[room:]
    if text:
        yield text
