"""A page that shows channels and threads as people see them, drawn from the very blocks the program sent.

Open / in a browser: buttons, menus and forms work, on behalf of whoever is chosen (`?person=ann`). `?thread=<ts>`
shows a thread, `&bare` leaves the frame out, for pictures. `control.py` serves it; blocks are in `page_blocks.py`.
"""

import html
import json
from datetime import UTC, datetime

from tests.doubles.slack.page_blocks import Drawing
from tests.doubles.slack.page_style import SCRIPT, STYLE
from tests.doubles.slack.page_text import emoji, mrkdwn
from tests.doubles.slack.store import Channel, File, Message, Store, Team, User, View

_COLOURS = ("#4a154b", "#1264a3", "#2bac76", "#cd2553", "#de8a00", "#0b4c8c", "#7c3085")


class Page:
    """Draws the workspaces of one double."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def whole(self, where: Channel | None, thread_ts: str | None, *, person: str, bare: bool = False) -> str:
        """The document: a channel, or with `thread_ts` one thread."""
        side = "" if bare else f"<nav>{self.sidebar(where, thread_ts)}</nav>"
        body = self.messages(where, thread_ts, person=person) if where else ""
        title = html.escape(_title(where)) if where else "Slack"
        head = f"<b>Thread</b> <span>{title}</span>" if thread_ts else f"<b>{title}</b>"
        head = "" if bare else f"<header>{head}</header>"
        setup = json.dumps({"channel": where.id if where else None, "thread": thread_ts, "person": person})
        setup = setup.replace("<", "\\u003c")
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>'
            f'<body class="{"bare" if bare else ""}">{side}<main>{head}<section id="messages">{body}</section></main>'
            f'<dialog id="modal"></dialog><script>const setup = {setup};{SCRIPT}</script></body></html>'
        )

    def sidebar(self, current: Channel | None, thread_ts: str | None) -> str:
        rows = []
        for team in self.store.teams.values():
            rows.append(f"<h4>{html.escape(team.name)}</h4>")
            for channel in team.channels.values():
                kind = "current" if channel is current and not thread_ts else ""
                rows.append(f'<a class="{kind}" href="/?channel={channel.id}">{html.escape(_title(channel))}</a>')
                for message in channel.messages.values():
                    if not channel.replies(message.ts):
                        continue
                    kind = "thread current" if channel is current and message.ts == thread_ts else "thread"
                    words = html.escape(message.text[:40] or "thread")
                    rows.append(
                        f'<a class="{kind}" href="/?channel={channel.id}&amp;thread={message.ts}">↳ {words}</a>'
                    )
        return "".join(rows)

    def messages(self, where: Channel, thread_ts: str | None, *, person: str) -> str:
        """Everything that a person sees in a channel or thread, oldest first."""
        team = self.store.teams[where.team]
        seen = [
            one
            for one in where.messages.values()
            if (not one.is_deleted or one.is_tombstone) and _is_for(one, team, person)
        ]
        if thread_ts:
            rows = [one for one in seen if thread_ts in {one.ts, one.thread_ts}]
        else:
            rows = [one for one in seen if not one.is_reply]
        drawn = [
            self.message(one, team, where, in_thread=bool(thread_ts)) for one in sorted(rows, key=lambda one: one.ts)
        ]
        if thread_ts and (status := where.statuses.get(thread_ts)):
            drawn.append(f'<div class="status">{html.escape(team.bot.name)} {html.escape(status["status"])}</div>')
        return "".join(drawn)

    def message(self, one: Message, team: Team, where: Channel, *, in_thread: bool) -> str:
        if one.is_tombstone:
            return '<article><div class="face gone"></div><div class="body small">This message was deleted.</div></article>'
        parts = []
        if one.blocks and one.author.bot_id:
            parts.append(Drawing(team, {"channel": one.channel, "ts": one.ts}).blocks(one.blocks))
        elif one.text:
            parts.append(mrkdwn(one.text, team))
        if one.edited_at:
            parts.append('<span class="edited">(edited)</span>')
        if one.stream is not None and one.stream.state == "open":
            parts.append('<span class="cursor">▍</span>')
        parts += [_file(file) for file in one.files]
        if one.reactions:
            marks = [f"<span>{html.escape(emoji(name))} {len(who)}</span>" for name, who in one.reactions.items()]
            parts.append(f'<div class="reactions">{"".join(marks)}</div>')
        replies = where.replies(one.ts)
        if replies and not in_thread:
            link = f"/?channel={where.id}&amp;thread={one.ts}"
            parts.append(f'<div class="under"><a href="{link}">{len(replies)} replies</a></div>')
        only = '<div class="only">👁 Only visible to you</div>' if one.only_for else ""
        when = datetime.fromtimestamp(float(one.ts), UTC)
        app = '<span class="app">APP</span>' if one.author.bot_id else ""
        name = html.escape(one.author.real_name)
        return (
            f'<article class="{"private" if one.only_for else ""}" id="m{one.ts}">{_face(one.author)}<div class="body">{only}'
            f'<div class="head"><b>{name}</b>{app}<time>{when:%H:%M}</time></div>{"".join(parts)}</div></article>'
        )

    def view(self, view: View, team: Team) -> str:
        """A modal or a home tab."""
        drawing = Drawing(team, {"view": view.id})
        body = drawing.blocks(view.body["blocks"])
        if view.body["type"] == "home":
            return f'<div class="home">{body}</div>'
        close = drawing.text(view.body.get("close")) or "Cancel"
        submit = drawing.text(view.body.get("submit"))
        buttons = f'<button class="button plain" data-close="{view.id}">{close}</button>'
        if submit:
            buttons += f'<button class="button primary" data-submit="{view.id}">{submit}</button>'
        return f'<h2>{drawing.text(view.body["title"])}</h2><div class="form">{body}</div><div class="ends">{buttons}</div>'


def _is_for(one: Message, team: Team, person: str) -> bool:
    user = team.users.get(one.only_for or "")
    return one.only_for is None or (user is not None and user.name == person)


def _title(where: Channel) -> str:
    return where.name.title() if where.kind == "im" else f"# {where.name}"


def _face(user: User) -> str:
    if user.bot_id:
        return '<div class="face bot">⧉</div>'
    colour = _COLOURS[sum(map(ord, user.name)) % len(_COLOURS)]
    return f'<div class="face" style="background:{colour}">{html.escape(user.name[:1].upper())}</div>'


def _file(file: File) -> str:
    size = len(file.content or b"")
    words = f"{size} B" if size < 1024 else f"{size / 1024:.0f} kB"
    name = html.escape(file.title)
    return f'<div class="file"><span>📄</span><div><b>{name}</b><div class="small">{words}</div></div></div>'
