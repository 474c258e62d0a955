"""Slack's two kinds of marked-up text as HTML: mrkdwn and markdown blocks. Nothing in a text becomes a tag of its own.

Used by `page_blocks.py`.
"""

import html
import re

from markdown_it import MarkdownIt

from tests.doubles.slack.store import Team

_EMOJI = {
    "+1": "👍",
    "arrows_counterclockwise": "🔄",
    "bulb": "💡",
    "clipboard": "📋",
    "double_vertical_bar": "⏸️",
    "eyes": "👀",
    "gear": "⚙️",
    "hourglass": "⌛",
    "hourglass_flowing_sand": "⏳",
    "lock": "🔒",
    "mag": "🔍",
    "memo": "📝",
    "no_entry": "⛔",
    "no_entry_sign": "🚫",
    "octagonal_sign": "🛑",
    "page_facing_up": "📄",
    "pencil2": "✏️",
    "question": "❓",
    "raised_hand": "✋",
    "robot_face": "🤖",
    "rocket": "🚀",
    "speech_balloon": "💬",
    "tada": "🎉",
    "thumbsup": "👍",
    "warning": "⚠️",
    "white_check_mark": "✅",
    "wrench": "🔧",
    "x": "❌",
    "zap": "⚡",
}
_FENCE = re.compile(r"```\n?(.*?)\n?```", re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_ENTITY = re.compile(r"<([^<>\n]+)>")
_STYLES = (
    (re.compile(r"(?<![\w*])\*([^*\s](?:[^*\n]*[^*\s])?)\*(?![\w*])"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![\w_])_([^_\s](?:[^_\n]*[^_\s])?)_(?![\w_])"), r"<em>\1</em>"),
    (re.compile(r"(?<![\w~])~([^~\s](?:[^~\n]*[^~\s])?)~(?![\w~])"), r"<s>\1</s>"),
)
_NAME = re.compile(r":([a-z0-9_+-]+):")
_SHOWN_ENTITY = re.compile(r"&lt;((?:@U|#C|!)\w[^&]*?)&gt;")
_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])


def emoji(name: str) -> str:
    """An emoji by its name; one this page has no picture of keeps its name."""
    return _EMOJI.get(name.partition("::")[0], f":{name}:")


def plain(text: str) -> str:
    """Plain text with emoji."""
    return _NAME.sub(lambda match: emoji(match[1]), html.escape(text, quote=False)).replace("\n", "<br>")


def markdown(text: str, team: Team) -> str:
    """The text of a markdown block."""
    shown: str = _markdown.render(text)
    shown = _SHOWN_ENTITY.sub(lambda match: _entity(html.unescape(match[1]), team), shown)
    shown = re.sub(
        r'<code class="language-diff">(.*?)</code>',
        lambda match: f"<code>{_diff(match[1])}</code>",
        shown,
        flags=re.DOTALL,
    )
    return _NAME.sub(lambda match: emoji(match[1]), shown)


def mrkdwn(text: str, team: Team) -> str:
    """Slack's own markup."""
    kept: list[str] = []

    def keep(piece: str) -> str:
        kept.append(piece)
        return f"\x00{len(kept) - 1}\x00"

    def code(value: str) -> str:
        return html.escape(html.unescape(value), quote=False)

    safe = _FENCE.sub(lambda match: keep(f"<pre><code>{_diff(code(match[1]))}</code></pre>"), text)
    safe = _CODE.sub(lambda match: keep(f"<code>{code(match[1])}</code>"), safe)
    safe = _ENTITY.sub(lambda match: keep(_entity(match[1], team)), safe)
    safe = html.escape(html.unescape(safe), quote=False)
    for pattern, replacement in _STYLES:
        safe = pattern.sub(replacement, safe)
    shown = _lines(_NAME.sub(lambda match: emoji(match[1]), safe))
    for index in reversed(range(len(kept))):
        shown = shown.replace(f"\x00{index}\x00", kept[index])
    return shown


def _diff(code: str) -> str:
    """A diff's lines in their colours; other code as it is."""
    lines = code.split("\n")
    if not any(line.startswith("@@") for line in lines) and not all(line[:1] in "+- " for line in lines):
        return code
    kinds = {"+": "added", "-": "removed", "@": "place"}
    return "\n".join(f'<span class="{kinds[line[:1]]}">{line}</span>' if line[:1] in kinds else line for line in lines)


def _entity(inner: str, team: Team) -> str:
    target, _, label = inner.partition("|")
    if target.startswith("@"):
        user = team.users.get(target[1:])
        return f'<span class="mention">@{html.escape(user.real_name if user else label or target[1:])}</span>'
    if target.startswith("#"):
        channel = team.channels.get(target[1:])
        return f'<span class="mention">#{html.escape(channel.name if channel else label or target[1:])}</span>'
    if target.startswith("!date^"):
        return html.escape(label)
    if target.startswith("!"):
        return f'<span class="mention loud">@{html.escape(label or target[1:])}</span>'
    if re.match(r"(?:https?://|mailto:)", target):
        link = html.escape(html.unescape(target))
        return f'<a href="{link}">{html.escape(html.unescape(label or target))}</a>'
    return html.escape(f"<{inner}>")


def _lines(safe: str) -> str:
    shown: list[str] = []
    quote: list[str] = []
    for line in [*safe.split("\n"), None]:
        if line is not None and line.startswith("&gt;"):
            quote.append(line.removeprefix("&gt;").removeprefix(" "))
            continue
        if quote:
            shown.append(f"<blockquote>{'<br>'.join(quote)}</blockquote>")
            quote = []
        if line is not None:
            shown.append(f"<div>{line or '&nbsp;'}</div>")
    return "".join(shown)
