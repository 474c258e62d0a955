"""Putting messages into conversations, for the app and for people alike, and telling the app what changed.

What the app may post is checked in `web_api/chat.py` before it comes here.
"""

import mimetypes
import re
from collections.abc import Sequence

from tests.doubles.slack import payloads
from tests.doubles.slack.delivery import Delivery
from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.store import JSON, Channel, File, Message, Store, Stream, Team, User

STREAM_SECONDS = 300.0
_PING = re.compile(r"<(@[UW]\w+|!subteam\^\w+|!(?:channel|here|everyone))(?:\|[^>]*)?>")
_CODE = re.compile(r"(```|~~~).*?(?:\1|\Z)|`[^`\n]+`", re.DOTALL)


class Posting:
    """Changes to messages of one double. `pings` holds whom the app's messages reached."""

    def __init__(self, store: Store, delivery: Delivery) -> None:
        self.store = store
        self.delivery = delivery
        self.pings: list[tuple[Message, str]] = []
        self.origin = ""

    def create(
        self,
        where: Channel,
        author: User,
        text: str,
        *,
        blocks: Sequence[JSON] = (),
        thread_ts: str | None = None,
        files: Sequence[File] = (),
        attachments: Sequence[JSON] = (),
        metadata: JSON | None = None,
        subtype: str | None = None,
        only_for: str | None = None,
        stream: Stream | None = None,
    ) -> Message:
        """A new message; events go out unless only one person sees it. Raises SlackError("thread_not_found")."""
        if thread_ts is not None:
            parent = where.messages.get(thread_ts)
            if parent is None or (parent.is_deleted and not parent.is_tombstone):
                raise SlackError("thread_not_found")
            thread_ts = parent.thread_ts or parent.ts
        one = Message(
            ts=self.store.clock.ts(),
            channel=where.id,
            team=where.team,
            author=author,
            text=text,
            blocks=self.named(blocks),
            thread_ts=thread_ts,
            subtype=subtype,
            metadata=metadata,
            attachments=list(attachments),
            files=list(files),
            only_for=only_for,
            stream=stream,
        )
        one.note(self.store.clock.now(), "posted")
        where.messages[one.ts] = one
        for file in files:
            file.shares.append((where.id, one.ts, thread_ts))
        self._note_pings(one)
        if only_for is None:
            self._tell_posted(one, where)
        return one

    def named(self, blocks: Sequence[JSON]) -> list[JSON]:
        """Blocks as Slack keeps them: each with a block_id, each interactive element with an action_id."""
        made = []
        for block in blocks:
            copy: JSON = {"block_id": self.store.new_id("b"), **block}
            for name in ("elements", "accessory", "element"):
                if name in block and block["type"] in {"actions", "context_actions", "section", "input"}:
                    parts = block[name]
                    copy[name] = [self._named(one) for one in parts] if isinstance(parts, list) else self._named(parts)
            made.append(copy)
        return made

    def _named(self, element: JSON) -> JSON:
        if element.get("type") == "image":
            return element
        return {"action_id": self.store.new_id("a"), **element}

    def edit(
        self,
        one: Message,
        *,
        text: str | None = None,
        blocks: Sequence[JSON] | None = None,
        metadata: JSON | None = None,
        is_silent: bool = False,
    ) -> None:
        """Change a message; what is not given stays. `is_silent` leaves the "(edited)" mark out."""
        where = self.store.teams[one.team].channels[one.channel]
        before = payloads.message(one, where)
        ts = self.store.clock.ts()
        if text is not None:
            one.text = text
        if blocks is not None:
            one.blocks = self.named(blocks)
        if metadata is not None:
            one.metadata = metadata or None
        if not is_silent:
            one.edited_at = ts
        one.note(self.store.clock.now(), "edited")
        self._note_pings(one)
        if one.only_for is None:
            self.event(one.team, payloads.changed_event(one, before, where, ts), where)

    def delete(self, one: Message) -> None:
        """Take a message away; a parent with replies leaves a tombstone."""
        where = self.store.teams[one.team].channels[one.channel]
        before = payloads.message(one, where)
        ts = self.store.clock.ts()
        one.is_deleted = True
        one.is_tombstone = not one.is_reply and bool(where.replies(one.ts))
        one.note(self.store.clock.now(), "deleted")
        if one.only_for is not None:
            return
        if one.is_tombstone:
            self.event(one.team, payloads.changed_event(one, before, where, ts), where)
        else:
            self.event(one.team, payloads.deleted_event(before, where, ts), where)

    def react(self, one: Message, who: User, name: str, *, add: bool) -> None:
        users = one.reactions.get(name, [])
        if add and who.id in users:
            raise SlackError("already_reacted")
        if not add and who.id not in users:
            raise SlackError("no_reaction")
        one.reactions[name] = [*users, who.id] if add else [user for user in users if user != who.id]
        if not one.reactions[name]:
            del one.reactions[name]
        where = self.store.teams[one.team].channels[one.channel]
        event: JSON = {
            "type": "reaction_added" if add else "reaction_removed",
            "user": who.id,
            "reaction": name,
            "item": {"type": "message", "channel": one.channel, "ts": one.ts},
            "item_user": one.author.id,
            "event_ts": self.store.clock.ts(),
        }
        self.event(one.team, event, where)

    def file(self, team: Team, who: User, name: str, content: bytes) -> File:
        """A file somebody uploaded."""
        number = self.store.new_id("F")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        created = int(self.store.clock.now())
        made = File(number, name, name, kind, who.id, content, len(content), created)
        made.url = f"{self.origin}/files-pri/{team.id}-{number}/{name}"
        team.files[number] = made
        return made

    # -- telling -----------------------------------------------------------------------------------------------

    def event(self, team_id: str, event: JSON, where: Channel | None = None) -> None:
        """Send an event, if the app is installed and is in the conversation it comes from."""
        team = self.store.teams[team_id]
        if team.is_installed and (where is None or team.bot.id in where.members):
            self.delivery.event(payloads.event_callback(self.store, team, event))

    def _tell_posted(self, one: Message, where: Channel) -> None:
        self.event(one.team, payloads.message_event(one, where), where)
        bot = self.store.teams[one.team].bot
        if f"<@{bot.id}" in one.text and one.author is not bot and where.kind != "im":
            self.event(one.team, payloads.mention_event(one, where), where)

    def _note_pings(self, one: Message) -> None:
        if one.author.bot_id:
            known = {(message.ts, who) for message, who in self.pings}
            for who in pings_in(one.text, one.blocks):
                if (one.ts, who) not in known:
                    self.pings.append((one, who))

    # -- streams -----------------------------------------------------------------------------------------------

    def live_stream(self, one: Message) -> Stream | None:
        """The stream of a message while it is open; one that is too old ends here."""
        stream = one.stream
        if stream is None or stream.state != "open":
            return None
        if self.store.clock.now() - stream.started_at >= STREAM_SECONDS:
            self.end_stream(one, "expired")
            return None
        return stream

    def end_stream(self, one: Message, state: str) -> None:
        assert one.stream is not None
        one.stream.state = state  # type: ignore[assignment]


def pings_in(text: str, blocks: Sequence[JSON] = ()) -> list[str]:
    """Whom a message reaches: "@U…", "!channel", "!here", "!everyone", "!subteam^…".

    Control sequences count wherever Slack reads mrkdwn; in markdown blocks, outside code.
    """
    found = _PING.findall(text)
    for block in blocks:
        found += _pings_in_part(block)
    return list(dict.fromkeys(found))


def _pings_in_part(part: object) -> list[str]:
    if isinstance(part, list):
        return [one for each in part for one in _pings_in_part(each)]
    if not isinstance(part, dict):
        return []
    kind, text = part.get("type"), part.get("text")
    if kind == "user":
        return [f"@{part['user_id']}"]
    if kind == "broadcast":
        return [f"!{part['range']}"]
    if kind == "markdown" and isinstance(text, str):
        return _PING.findall(_CODE.sub("", text))
    found = _PING.findall(text) if kind == "mrkdwn" and isinstance(text, str) else []
    return found + [one for value in part.values() for one in _pings_in_part(value)]
