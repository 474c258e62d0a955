"""Untrusted text made harmless for Discord, which reads Markdown in every text and has no way to switch it off.

`escape` is for lines of ours with foreign words in them: they show to the letter, but for code. `inert` is for the
agent's Markdown: nothing in it pings, no link hides where it leads, nothing is hidden as a spoiler or dressed up as
one of our footers. Both leave Discord no doubt about what is code: fences stand alone, on lines of three backticks, and
backticks that close nothing are escaped. Read from Discord's own rules for text, which are those of simple-markdown.
Next: `components.py`.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from core.surfaces.inline_code import code_spans
from core.surfaces.markdown import ZERO_WIDTH, neutralise_fences, neutralise_mentions

_BROKEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_FENCE: Final = re.compile(r"(?P<indent>[ \t]*)(?P<marker>`{3,}|~{3,})(?P<info>[^`\n]*)")
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9_+\-.#]+")
_TICK_LEFT: Final = re.compile(r"(\\*)`")
_MANY_TICKS: Final = re.compile(r"`{3,}")
# Mentions, emojis of other servers, times, commands and guides; see https://docs.discord.com/developers/reference
_CONTROL: Final = re.compile(r"<(?=[@#:/]|a:\w|t:|id:|sound:|(?!https?:|mailto:)[A-Za-z][A-Za-z0-9+.-]{1,31}:[^<>\s])")
_LINK: Final = re.compile(r"!?\[([^\[\]\n]*)\]\(\s*<?([^()<>\s]*)>?(?:\s+[\"'][^\"'\n]*[\"'])?\s*\)")
_LINK_LEFT: Final = re.compile(r"\](?=\()")
_SPOILER: Final = re.compile(r"\|(?=\|)")
_SMALL_PRINT: Final = re.compile(r"(?m)^((?:[ \t>*+-]|\d+\.)*-)(?=#)")
_LETTERS: Final = re.compile(
    r"(?P<address>https?://[^\s<>|`\[\]]+)|(?P<mark>[*_~|\\\[\]])|(?P<start>(?m:^)[ \t]*)(?P<sign>[#>-](?=[#>\s]))"
)


def cleaned(text: str) -> str:
    """The text without characters that Discord refuses or that show nothing useful, its line ends as Unix has them."""
    return _BROKEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def escape(text: str) -> str:
    """Text that reads as it is written, whatever is in it; inline code shows as code."""
    return _inline(cleaned(text), lambda prose: _LETTERS.sub(_to_the_letter, _unable_to_act(prose)))


def code(text: str) -> str:
    """Text on one line as inline code; a backtick within becomes one that closes nothing."""
    line = " ".join(cleaned(text).split()).replace("`", "ˋ")
    return f"`{line}`" if line else ""


def inert(text: str) -> str:
    """Markdown in which nothing pings, hides or pretends. Code keeps its characters, but for three backticks in it."""
    return "\n".join(
        part if is_code else _inline(part, _without_hidden_links) for part, is_code in _blocks(cleaned(text))
    )


def _unable_to_act(prose: str) -> str:
    return _CONTROL.sub("<" + ZERO_WIDTH, neutralise_mentions(prose))


def _without_hidden_links(prose: str) -> str:
    prose = _unable_to_act(prose)
    prose = _LINK.sub(_written_out, prose)
    prose = _LINK_LEFT.sub("] ", prose)
    prose = _SPOILER.sub("|" + ZERO_WIDTH, prose)
    return _SMALL_PRINT.sub(r"\1" + ZERO_WIDTH, prose)


def _written_out(link: re.Match[str]) -> str:
    label, address = link[1].strip(), link[2]
    if not label or label == address:
        return address
    return f"{label} ({address})" if address else label


def _to_the_letter(found: re.Match[str]) -> str:
    if found["address"] is not None:
        # An address with backslashes in it would lead elsewhere.
        return found["address"]
    if found["mark"] is not None:
        return "\\" + found["mark"]
    return f"{found['start']}\\{found['sign']}"


def _blocks(text: str) -> Iterator[tuple[str, bool]]:
    """The text in whole lines, each part with whether it is a code block; those as Discord can read them."""
    prose, block = list[str](), list[str]()
    opened: re.Match[str] | None = None
    for line in text.split("\n"):
        fence = _FENCE.fullmatch(line)
        if opened is None:
            if fence is None:
                prose.append(line)
                continue
            if prose:
                yield "\n".join(prose), False
            prose, block, opened = [], [], fence
        elif fence is not None and _closes(fence, opened):
            yield _block(opened, block), True
            opened = None
        else:
            block.append(line)
    if opened is not None:
        yield _block(opened, block), True
    elif prose:
        yield "\n".join(prose), False


def _closes(fence: re.Match[str], opened: re.Match[str]) -> bool:
    marker: str = fence["marker"]
    is_same = marker[0] == opened["marker"][0] and len(marker) >= len(opened["marker"])
    return is_same and not fence["info"].strip()


def _block(opened: re.Match[str], lines: list[str]) -> str:
    """A code block of three backticks, moved to the margin."""
    language, _, rest = opened["info"].strip().partition(" ")
    if not _LANGUAGE.fullmatch(language):
        language, rest = "", opened["info"]
    if rest.strip():
        lines = [rest.strip(), *lines]
    indent = len(opened["indent"])
    moved = [line[min(indent, len(line) - len(line.lstrip(" \t"))) :] for line in lines]
    # Discord takes the end of an empty block for the beginning of the next one.
    within = neutralise_fences("\n".join(moved)) if any(moved) else ZERO_WIDTH
    return f"```{language}\n{within}\n```"


def _inline(text: str, change: Callable[[str], str]) -> str:
    """Apply `change` to what is no inline code, which may not go past the end of a line."""
    lines = _MANY_TICKS.sub("``", text).split("\n")
    return "\n".join(
        "".join(part if is_code else _TICK_LEFT.sub(_escaped, change(part)) for part, is_code in code_spans(line))
        for line in lines
    )


def _escaped(found: re.Match[str]) -> str:
    backslashes: str = found[1]
    return f"{backslashes}`" if len(backslashes) % 2 else f"{backslashes}\\`"
