"""Markdown as chat platforms need it: cut into posts, closed while it streams, its mentions made harmless.

Pure text work that Slack, Discord and the console share. Lengths are measured by a function that is passed in, since
platforms count differently. `tables.py` turns tables into monospace blocks; `<platform>/render.py` uses both.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from wcwidth import iter_graphemes

MIN_LIMIT: Final = 40
ZERO_WIDTH: Final = "\u200b"
_FENCE: Final = re.compile(r"(?P<indent> {0,3})(?P<marker>`{3,}|~{3,})(?P<info>[^\n]*)")
_MENTION: Final = re.compile(
    r"(?i:(?<![\w.+-])@(?=(?:everyone|here|channel)\b)|(?<=[\w.+-])@(?=(?:everyone|here|channel)\b(?!\.\w)))"
    r"|<(?=(?:@[!&]?|\#)[A-Z0-9]{6,}(?:\|[^>\n]*)?>|!(?:channel|here|everyone|subteam\^|date\^))"
)


@dataclass(frozen=True, slots=True)
class Fence:
    """An open code block: the backticks (or tildes) that opened it, and its language."""

    marker: str
    language: str

    @property
    def opening(self) -> str:
        """The line that opens it again."""
        return f"{self.marker}{self.language}\n"

    @property
    def closing(self) -> str:
        """What closes it, with the line break before it."""
        return f"\n{self.marker}"


def fence_after(text: str, fence: Fence | None = None) -> Fence | None:
    """The code block that is open at the end of a text, given the one that was open before it."""
    for line in text.split("\n"):
        fence = _step(line, fence)
    return fence


def split(text: str, limit: int, *, first: int | None = None, length: Callable[[str], int] = len) -> list[str]:
    """Cut a text into pieces of at most `limit` (the first of at most `first`), as `length` measures.

    Cuts at a paragraph if it can, else a line, a sentence, a word, a character as people see it. A code block that is
    cut is closed and opened again with its language, within the limit. Nothing but white space at the cuts is lost.
    An empty text gives no piece. Raises `ValueError` for limits under `MIN_LIMIT`.
    """
    if min(limit, first or limit) < MIN_LIMIT:
        raise ValueError(f"a limit under {MIN_LIMIT} leaves no room for text")
    pieces, rest = list[str](), text.strip("\n")
    fence: Fence | None = None
    while rest.strip():
        room = first if first is not None and not pieces else limit
        piece, rest, fence = _piece(rest, room, fence, length)
        if piece.strip():
            pieces.append(piece)
    return pieces


def balance(text: str) -> str:
    """Close what a text that is still being written leaves open: a code block, inline code, bold."""
    fence = fence_after(text)
    if fence is not None:
        start = text.rfind("\n") + 1
        if _FENCE.fullmatch(text[start:]) and fence_after(text[: max(0, start - 1)]) is None:
            return balance(text[: max(0, start - 1)].rstrip("\n")) if text[:start].strip() else ""
        return text + (fence.closing if not text.endswith("\n") else fence.marker)
    tail = text[_tail_start(text) :]
    open_run = _open_code(tail)
    if open_run:
        return text.rstrip("`") if tail.endswith(open_run) else text + open_run
    prose = re.sub(r"(`+)(?:(?!\1).)+\1", "", tail, flags=re.DOTALL)
    if prose.count("**") % 2:
        return text.removesuffix("**") if text.endswith("**") else text.rstrip() + "**"
    return text


def neutralise_mentions(text: str) -> str:
    """Make mentions of people, groups and channels into plain words, by a character of no width.

    `@everyone`, `<@U123ABC>`, `<!channel>`, `<#C123ABC>` no longer act; e-mail addresses and code such as
    `List<@NonNull T>` stay as they are.
    """
    return _MENTION.sub(lambda found: found[0] + ZERO_WIDTH, text)


def neutralise_fences(text: str) -> str:
    """Make backticks within a text unable to close a code block that is put round it."""
    return re.sub(r"`(?=``)", "`" + ZERO_WIDTH, text)


def fenced(text: str, language: str = "") -> str:
    """A text as one code block that nothing in it can close."""
    return f"```{language}\n{neutralise_fences(text.strip(chr(10)))}\n```"


def _step(line: str, fence: Fence | None) -> Fence | None:
    found = _FENCE.fullmatch(line)
    if found is None:
        return fence
    marker, info = found["marker"], found["info"].strip()
    if fence is None:
        if marker[0] == "`" and "`" in info:
            return None
        return Fence(marker, info.split()[0] if info else "")
    closes = marker[0] == fence.marker[0] and len(marker) >= len(fence.marker) and not info
    return None if closes else fence


def _piece(rest: str, limit: int, fence: Fence | None, length: Callable[[str], int]) -> tuple[str, str, Fence | None]:
    """One piece of at most `limit`, what is left, and the code block that stays open."""
    opening = fence.opening if fence else ""
    markers = [found["marker"] for found in map(_FENCE.fullmatch, rest.split("\n")) if found]
    markers += [fence.marker] if fence else []
    reserve = max((length(f"\n{marker}") for marker in markers), default=0)
    if length(opening) + reserve > limit // 2:
        opening, reserve = "", 0
    whole = opening + rest.rstrip()
    ending = fence_after(rest.rstrip(), fence)
    if length(whole) + (length(ending.closing) if ending and reserve else 0) <= limit:
        return whole + (ending.closing if ending and reserve else ""), "", None
    room = _fitting(rest, limit - length(opening) - reserve, length)
    cut = _cut(rest, room, fence)
    body, rest = rest[:cut].rstrip(), rest[cut:]
    after = fence_after(body, fence)
    if after is None:
        return opening + body, rest.lstrip("\n") if body.strip() else rest.lstrip(), None
    rest = rest.removeprefix("\n")
    line, _, following = rest.partition("\n")
    if _step(line, after) is None:
        after, rest = None, following.lstrip("\n")
        return opening + body + (f"\n{line.strip()[: max(0, reserve - 1)]}" if reserve else ""), rest, None
    if not reserve:
        return body, rest, after
    return opening + body + after.closing, rest, after


def _fitting(text: str, room: int, length: Callable[[str], int]) -> int:
    """How many characters of a text fit into `room`; at least one."""
    low, high = 1, max(1, min(len(text), room))
    while low < high:
        middle = (low + high + 1) // 2
        if length(text[:middle]) <= room:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, room: int, fence: Fence | None) -> int:
    """Where to cut within the first `room` characters: the best border that does not waste too much."""
    paragraphs, lines, coded = list[int](), list[int](), list[int]()
    at, state = 0, fence
    while (stop := text.find("\n", at, room + 1)) >= 0:
        line = text[at:stop]
        after = _step(line, state)
        opens = state is None and after is not None
        if after is None:
            (paragraphs if text.startswith("\n", stop + 1) or not line.strip() else lines).append(stop)
        elif not opens:
            coded.append(stop)
        if opens and at > 0:
            # Before a block is a good place, right after its first line is none.
            paragraphs.append(at - 1)
        at, state = stop + 1, after
    for borders, least in ((paragraphs, 0.5), (lines, 0.5), (paragraphs, 0.25), (lines, 0.25), (coded, 0.1)):
        if borders and borders[-1] > room * least:
            return borders[-1]
    within = text[at:room]
    for border in (r"[.!?…:;](?=\s)", r"(?=\s)", r"[,/)\]}>|-](?=\S)"):
        ends = [at + found.end() for found in re.finditer(border, within) if found.end() > len(within) * 0.3]
        if ends:
            return max(1, ends[-1])
    return _grapheme_border(text, room)


def _grapheme_border(text: str, room: int) -> int:
    """The last border between characters, as people see them, at or before `room`."""
    start = max(0, room - 64)
    at = start
    for grapheme in _graphemes(text[start : room + 64]):
        if at + len(grapheme) > room:
            break
        at += len(grapheme)
    return at if at > start else max(1, room)


def _graphemes(text: str) -> Iterator[str]:
    yield from iter_graphemes(text)


def _tail_start(text: str) -> int:
    """Where the last paragraph begins, after any code block."""
    at = start = 0
    fence: Fence | None = None
    for line in text.split("\n"):
        before, fence = fence, _step(line, fence)
        at += len(line) + 1
        if (before is not None and fence is None) or not line.strip():
            start = at
    return min(start, len(text))


def _open_code(text: str) -> str:
    """The backticks of inline code that is not closed."""
    opened = ""
    for found in re.finditer(r"`+", text):
        if not opened:
            opened = found[0]
        elif found[0] == opened:
            opened = ""
    return opened
