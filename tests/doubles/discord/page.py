"""A page that shows channels and threads as people see them, drawn from the very components the program sent.

Open / in a browser: buttons, selects and forms work, on behalf of whoever is chosen. `control.py` serves it.
"""

import html
import json
from datetime import UTC, datetime

from tests.doubles.discord.page_markdown import to_html
from tests.doubles.discord.page_style import SCRIPT, STYLE
from tests.doubles.discord.world import DM, FORUM, JSON, Channel, Message, User, World

_COLOURS = ("#5865f2", "#3ba55d", "#faa61a", "#ed4245", "#eb459e", "#00a8fc", "#9b59b6")
_STYLES = {1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "link", 6: "secondary"}


class Page:
    """Draws the world of one double."""

    def __init__(self, world: World) -> None:
        self.world = world

    def whole(self, channel: Channel | None, *, person: str, bare: bool) -> str:
        """The document; `bare` leaves the sidebar out, for pictures of a thread alone."""
        side = "" if bare else f"<nav>{self.sidebar(channel)}</nav>"
        body = self.messages(channel, person=person) if channel else ""
        title = html.escape(channel.name if channel else "Discord")
        setup = json.dumps({"channel": channel.id if channel else None, "person": person}).replace("<", "\\u003c")
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
            f'<body>{side}<main><header>{_hash(channel)}<b>{title}</b></header><section id="messages">{body}</section></main>'
            f'<dialog id="modal"></dialog><script>const setup = {setup};{SCRIPT}</script></body></html>'
        )

    def sidebar(self, current: Channel | None) -> str:
        rows = []
        for guild in self.world.guilds.values():
            rows.append(f"<h4>{html.escape(guild.name)}</h4>")
            for channel in guild.channels.values():
                if channel.is_thread or channel.deleted:
                    continue
                rows.append(self._link(channel, current))
                rows += [self._link(one, current) for one in guild.threads if one.parent is channel]
        direct = [one for one in self.world.channels.values() if one.kind == DM]
        if direct:
            rows.append("<h4>Direct messages</h4>")
            rows += [self._link(one, current) for one in direct]
        return "".join(rows)

    def _link(self, channel: Channel, current: Channel | None) -> str:
        kind = ("thread " if channel.is_thread else "") + ("current " if channel is current else "")
        kind += "archived" if channel.archived else ""
        return f'<a class="{kind}" href="/?channel={channel.id}">{_hash(channel)}{html.escape(channel.name)}</a>'

    def messages(self, channel: Channel, *, person: str) -> str:
        """Everything on screen in a channel, oldest first."""
        rows = []
        before: Message | None = None
        for message in sorted(channel.messages, key=lambda one: int(one.id)):
            if message.kind == 21 and message.reply_to is not None:
                rows.append(self._message(message.reply_to, None, starter=True))
            else:
                rows.append(self._message(message, before))
            before = message
        return "".join(rows)

    def _message(self, message: Message, before: Message | None, *, starter: bool = False) -> str:
        joined = before is not None and before.author is message.author and message.at - before.at < 420
        joined = joined and message.kind != 19 and before is not None and before.kind != 21
        head = "" if joined else self._head(message)
        reply = ""
        if message.kind == 19 and message.reply_to is not None:
            reply = f'<div class="reply">@{html.escape(message.reply_to.author.name)} {html.escape(message.reply_to.text[:80])}</div>'
        parts = [to_html(message.content, self.world)] if message.content else []
        if message.edited_at and message.content:
            parts.append('<span class="edited">(edited)</span>')
        if message.loading:
            parts.append(f'<i class="loading">{html.escape(message.author.name)} is thinking…</i>')
        parts += [self._embed(embed) for embed in message.embeds]
        if not message.flags & (1 << 15):
            parts += [
                self._attachment(one.url, one.filename, len(one.content), one.content_type)
                for one in message.attachments
            ]
        parts += [self._component(part, message) for part in message.components]
        parts.append(self._reactions(message))
        if message.ephemeral:
            parts.append('<div class="only">👁 Only you can see this · <u>Dismiss message</u></div>')
        if message.thread is not None and not starter:
            link = f'<a href="/?channel={message.thread.id}">{html.escape(message.thread.name)}</a>'
            parts.append(f'<div class="under">🧵 {link} · {max(0, len(message.thread.messages) - 1)} messages</div>')
        face = "" if joined else _face(message.author)
        kind = ("joined " if joined else "") + ("hidden" if message.ephemeral else "")
        return f'<article class="{kind}" id="m{message.id}">{face}<div class="body">{reply}{head}{"".join(parts)}</div></article>'

    def _head(self, message: Message) -> str:
        name = html.escape(message.author.name if message.author.bot else message.author.name.title())
        app = '<span class="app">APP</span>' if message.author.bot else ""
        return f'<div class="head"><b>{name}</b>{app}<time>{datetime.fromtimestamp(message.at, UTC):%H:%M}</time></div>'

    def _reactions(self, message: Message) -> str:
        if not message.reactions:
            return ""
        return f'<div class="reactions">{"".join(f"<span>{html.escape(one)} {len(who)}</span>" for one, who in message.reactions.items())}</div>'

    def _embed(self, embed: JSON) -> str:
        colour = f"#{embed['color']:06x}" if embed.get("color") else "#4f545c"
        parts = []
        if embed.get("author"):
            parts.append(f'<div class="by">{html.escape(embed["author"]["name"])}</div>')
        if embed.get("title"):
            parts.append(f"<h3>{to_html(embed['title'], self.world)}</h3>")
        if embed.get("description"):
            parts.append(to_html(embed["description"], self.world))
        fields = [
            f'<div class="{"inline" if row.get("inline") else ""}"><b>{to_html(row["name"], self.world)}</b>{to_html(row["value"], self.world)}</div>'
            for row in embed.get("fields") or []
        ]
        if fields:
            parts.append(f'<div class="fields">{"".join(fields)}</div>')
        if embed.get("footer"):
            parts.append(f"<small>{html.escape(embed['footer']['text'])}</small>")
        return f'<div class="embed" style="border-color:{colour}">{"".join(parts)}</div>'

    def _attachment(self, url: str, name: str, size: int, kind: str | None) -> str:
        link = html.escape(url)
        if (kind or "").startswith("image/"):
            return f'<img class="picture" src="{link}" alt="{html.escape(name)}">'
        return f'<div class="file">📄 <div><a href="{link}">{html.escape(name)}</a><small>{_size(size)}</small></div></div>'

    # -- components --------------------------------------------------------------------------------------------

    def _component(self, part: JSON, message: Message) -> str:
        inner = "".join(self._component(one, message) for one in part.get("components") or [])
        match part["type"]:
            case 1:
                return f'<div class="row">{inner}</div>'
            case 2:
                return self._button(part, message)
            case 3 | 5 | 6 | 7 | 8:
                return self._select(part, message)
            case 9:
                return f'<div class="section"><div>{inner}</div>{self._component(part["accessory"], message)}</div>'
            case 10:
                return f'<div class="text">{to_html(part["content"], self.world)}</div>'
            case 11:
                return f'<img class="thumbnail" src="{html.escape(part["media"]["url"])}" alt="">'
            case 12:
                pictures = "".join(f'<img src="{html.escape(one["media"]["url"])}" alt="">' for one in part["items"])
                return f'<div class="gallery">{pictures}</div>'
            case 13:
                url = part["file"]["url"]
                found = next((one for one in message.attachments if one.url == url), None)
                return self._attachment(url, found.filename if found else url, len(found.content) if found else 0, None)
            case 14:
                return f'<hr class="{"wide" if part.get("spacing") == 2 else ""} {"" if part.get("divider", True) else "blank"}">'
            case 17:
                colour = part.get("accent_color")
                edge = f"border-left:4px solid #{colour:06x}" if colour is not None else ""
                return f'<div class="container" style="{edge}">{inner}</div>'
        return ""

    def _button(self, part: JSON, message: Message) -> str:
        emoji = html.escape((part.get("emoji") or {}).get("name") or "")
        label = f"{emoji} {html.escape(part.get('label') or '')}".strip()
        if part["style"] == 5:
            return f'<a class="button link" href="{html.escape(part["url"])}">{label} ↗</a>'
        off = "disabled" if part.get("disabled") else ""
        custom_id = html.escape(part.get("custom_id", ""))
        return f'<button class="button {_STYLES[part["style"]]}" data-message="{message.id}" data-click="{custom_id}" {off}>{label}</button>'

    def _select(self, part: JSON, message: Message) -> str:
        hint = html.escape(part.get("placeholder") or "Make a selection")
        many = "multiple" if part.get("max_values", 1) > 1 else ""
        options = "".join(
            f'<option value="{html.escape(one["value"])}" {"selected" if one.get("default") else ""}>{html.escape(one["label"])}</option>'
            for one in part.get("options") or []
        )
        first = "" if many else f'<option value="" selected disabled>{hint}</option>'
        off = "disabled" if part.get("disabled") else ""
        return f'<select data-message="{message.id}" data-select="{html.escape(part["custom_id"])}" {many} {off}>{first}{options}</select>'


def _face(user: User) -> str:
    colour = _COLOURS[sum(map(ord, user.name)) % len(_COLOURS)]
    return f'<div class="face" style="background:{colour}">{html.escape(user.name[:1].upper())}</div>'


def _hash(channel: Channel | None) -> str:
    if channel is None:
        return ""
    sign = "🧵" if channel.is_thread else "@" if channel.kind == DM else "💬" if channel.kind == FORUM else "#"
    return f'<span class="hash">{"🔒" if channel.locked else sign}</span>'


def _size(size: int) -> str:
    return (
        f"{size} bytes"
        if size < 1024
        else f"{size / 1024:.2f} KB"
        if size < 1024 * 1024
        else f"{size / 1024 / 1024:.2f} MB"
    )
