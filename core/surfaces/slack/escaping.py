"""Untrusted text made harmless for Slack, in each of the ways Slack reads text.

`escape` is for mrkdwn (`text`, sections, contexts), where `&`, `<` and `>` are all that can act: see
https://docs.slack.dev/messaging/formatting-message-text. `inert` is for `markdown` blocks, which have no escape:
there a character of no width breaks what would ping, and links are written out, so that every address is seen
before it is clicked. Code keeps its characters; `rich_text` needs none of this. Next: `blocks.py`.
"""

import re
from typing import Final

from markdown_it import MarkdownIt

from core.surfaces.inline_code import code_spans
from core.surfaces.markdown import ZERO_WIDTH, neutralise_mentions

_BROKEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
# What pings or links, wherever Slack should find it: no language has these within its code.
_CONTROL: Final = re.compile(
    r"<(?=@\w+(?:\|[^>\n]*)?>|\#[CDG][A-Z0-9]{2,}(?:\|[^>\n]*)?>|!(?:channel|here|everyone|subteam\^|date\^))"
)
_LINK: Final = re.compile(r"!?\[([^\[\]\n]*)\]\(\s*<?([^()<>\s]*)>?(?:\s+\"[^\"\n]*\")?\s*\)")
_LINK_LEFT: Final = re.compile(r"\](?=\()")
_DEFINITION: Final = re.compile(r"(?m)^( {0,3}\[[^\[\]\n]+\])(?=:)")
# `<https://…>` shows where it leads; a label of Slack's own kind, or a scheme that starts a program, does not.
_AUTOLINK: Final = re.compile(
    r"<(?=[A-Za-z][A-Za-z0-9+.-]{1,31}:[^<>\s|]*\||(?!https?:|mailto:)[A-Za-z][A-Za-z0-9+.-]{1,31}:)"
)
_CODE: Final = frozenset({"fence", "code_block"})
_BLOCKS: Final = MarkdownIt("commonmark", {"html": False}).enable("table").disable("inline")
_BLANK: Final = re.compile(r"(\n[ \t]*\n)")


def cleaned(text: str) -> str:
    """The text without characters that Slack refuses or that show nothing useful, its line ends as Unix has them."""
    return _BROKEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def escape(text: str) -> str:
    """Text for mrkdwn that starts no mention and no link; `*`, `_` and backticks still shape it."""
    safe = neutralise_mentions(cleaned(text))
    return safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """Text on one line as inline code of mrkdwn; a backtick within becomes one that closes nothing."""
    line = " ".join(cleaned(text).split()).replace("`", "ˋ")
    return "`" + line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") + "`" if line else ""


def inert(text: str) -> str:
    """Markdown in which nothing pings and no link hides where it leads. Code blocks stay as they are."""
    lines = _CONTROL.sub("<" + ZERO_WIDTH, cleaned(text)).split("\n")
    made, at = list[str](), 0
    for start, end in [*_code_blocks("\n".join(lines)), (len(lines), len(lines))]:
        if at < start:
            made.append(_prose("\n".join(lines[at:start])))
        made += lines[start:end]
        at = max(at, end)
    return "\n".join(made)


def _code_blocks(text: str) -> list[tuple[int, int]]:
    """The lines of every code block, from and to; within lists and quotes it takes a real parser to know them."""
    if not any(sign in text for sign in ("```", "~~~", "    ", "\t")):
        return []
    return [(token.map[0], token.map[1]) for token in _BLOCKS.parse(text) if token.type in _CODE and token.map]


def _prose(text: str) -> str:
    # A blank line ends a paragraph, and with it inline code.
    parts = [part for paragraph in _BLANK.split(text) for part in code_spans(paragraph)]
    safe = "".join(_code_text(part) if is_code else _words(part) for part, is_code in parts)
    return _AUTOLINK.sub("<" + ZERO_WIDTH, _DEFINITION.sub(rf"\1{ZERO_WIDTH}", safe))


def _code_text(text: str) -> str:
    # What looks like inline code is none if a quote or a list begins within it: so its links are broken, unseen.
    return _LINK_LEFT.sub("]" + ZERO_WIDTH, text)


def _words(text: str) -> str:
    return _LINK_LEFT.sub("] ", _LINK.sub(_written_out, neutralise_mentions(text)))


def _written_out(link: re.Match[str]) -> str:
    label, address = link[1].strip(), link[2]
    if not label or label == address:
        return address
    return f"{label} ({address})" if address else label
