"""Discord's markdown as HTML, as far as posts here use it. Everything is escaped first; nothing in a text becomes a tag.

Used by `page.py`.
"""

import html
import re
from datetime import UTC, datetime

from tests.doubles.discord.world import World

_FENCE = re.compile(r"```(?:(\w+)\n)?\n?(.*?)```", re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_ESCAPED = re.compile(r"\\([*_~`|>#\[\]()\\<@-])")
_STYLES = (
    (re.compile(r"\*\*(.+?)\*\*", re.DOTALL), r"<strong>\1</strong>"),
    (re.compile(r"__(.+?)__", re.DOTALL), r"<u>\1</u>"),
    (re.compile(r"~~(.+?)~~", re.DOTALL), r"<s>\1</s>"),
    (re.compile(r"\|\|(.+?)\|\|", re.DOTALL), r'<span class="spoiler">\1</span>'),
    (re.compile(r"\*([^*\s][^*\n]*?)\*"), r"<em>\1</em>"),
    (re.compile(r"(?<!\w)_([^_\n]+?)_(?!\w)"), r"<em>\1</em>"),
    (re.compile(r"\[([^\]\n]+)\]\((https?://[^\s)]+)\)"), r'<a href="\2">\1</a>'),
    (re.compile(r'(?<![">])(https?://[^\s<]+)'), r'<a href="\1">\1</a>'),
    (re.compile(r"@(everyone|here)\b"), r'<span class="mention">@\1</span>'),
)
_LINES = (
    (re.compile(r"### (.+)"), "h3"),
    (re.compile(r"## (.+)"), "h2"),
    (re.compile(r"# (.+)"), "h1"),
    (re.compile(r"-# (.+)"), "small"),
)
_BULLET = re.compile(r"(\s*)(?:[-*]|(\d+)\.) (.+)")


def to_html(text: str, world: World) -> str:
    """One text as HTML."""
    kept: list[str] = []

    def keep(piece: str) -> str:
        kept.append(piece)
        return f"\x00{len(kept) - 1}\x00"

    def fence(match: re.Match[str]) -> str:
        return keep(f'<pre class="{match[1] or ""}"><code>{_coloured(match[2].rstrip(), match[1])}</code></pre>')

    safe = html.escape(text, quote=False)
    safe = _FENCE.sub(fence, safe)
    safe = _INLINE.sub(lambda match: keep(f"<code>{match[1]}</code>"), safe)
    safe = _ESCAPED.sub(lambda match: keep(match[1]), safe)
    shown = _lines(_marks(safe, world))
    for index in reversed(range(len(kept))):
        shown = shown.replace(f"\x00{index}\x00", kept[index])
    return shown


def _coloured(code: str, language: str | None) -> str:
    if language != "diff":
        return code
    kinds = {"+": "added", "-": "removed", "@": "place"}
    return "\n".join(f'<span class="{kinds.get(line[:1], "")}">{line}</span>' for line in code.split("\n"))


def _marks(safe: str, world: World) -> str:
    def user(match: re.Match[str]) -> str:
        known = world.users.get(match[1])
        return f'<span class="mention">@{html.escape(known.name) if known else "unknown-user"}</span>'

    def channel(match: re.Match[str]) -> str:
        known = world.channels.get(match[1])
        return f'<span class="mention">#{html.escape(known.name) if known else "unknown"}</span>'

    def moment(match: re.Match[str]) -> str:
        return f'<span class="moment">{datetime.fromtimestamp(int(match[1]), UTC):%d %B %Y %H:%M}</span>'

    safe = re.sub(r"&lt;@!?(\d+)&gt;", user, safe)
    safe = re.sub(r"&lt;#(\d+)&gt;", channel, safe)
    safe = re.sub(r"&lt;t:(\d+)(?::\w)?&gt;", moment, safe)
    for pattern, replacement in _STYLES:
        safe = pattern.sub(replacement, safe)
    return safe


def _lines(safe: str) -> str:
    shown: list[str] = []
    quote: list[str] = []

    def end_quote() -> None:
        if quote:
            shown.append(f"<blockquote>{'<br>'.join(quote)}</blockquote>")
            quote.clear()

    for line in safe.split("\n"):
        if line.startswith("&gt; "):
            quote.append(line.removeprefix("&gt; "))
            continue
        end_quote()
        for pattern, tag in _LINES:
            if match := pattern.fullmatch(line):
                shown.append(f"<{tag}>{match[1]}</{tag}>")
                break
        else:
            if match := _BULLET.fullmatch(line):
                depth = len(match[1]) // 2
                mark = f"{match[2]}." if match[2] else ("•" if depth == 0 else "◦")
                shown.append(
                    f'<div class="bullet" style="margin-left:{depth * 20}px"><span>{mark}</span><div>{match[3]}</div></div>'
                )
            else:
                shown.append(f"<div>{line or '&nbsp;'}</div>")
    end_quote()
    return "".join(shown)
