"""Messages put into the world, changed, and taken away: by the bot's requests and by the people of a test alike.

Rules are asked here (`content_rules.py`), the record is changed, and the gateway told. Routes are in
`message_routes.py` and `interactions.py`; people in `people.py`.
"""

import mimetypes
import time
from typing import Any

from tests.doubles.discord import errors, payloads
from tests.doubles.discord.content_rules import (
    Upload,
    check_message,
    is_empty,
    refuse_large,
    resolve_mentions,
)
from tests.doubles.discord.gateway import (
    DIRECT_MESSAGES,
    DIRECT_REACTIONS,
    GUILD_MESSAGES,
    GUILD_REACTIONS,
    GUILDS,
    Gateway,
)
from tests.doubles.discord.permissions import may
from tests.doubles.discord.rate_limits import RateLimits
from tests.doubles.discord.world import DM, EPHEMERAL, FORUM, JSON, V2, Attachment, Channel, Message, User, World

_NONCE_SECONDS = 300.0  # "the past few minutes"
_OLD_SECONDS = 3600.0


class Posting:
    """The life of messages. `origin` is the http address attachments are served from."""

    def __init__(self, world: World, gateway: Gateway, limits: RateLimits) -> None:
        self.world = world
        self.gateway = gateway
        self.limits = limits
        self.origin = ""
        self.pings: list[tuple[Message, str]] = []  # every ping that a message of the bot made
        self._nonces: dict[tuple[str, str], tuple[float, Message]] = {}

    # -- creating ----------------------------------------------------------------------------------------------

    def create(self, channel: Channel, author: User, body: JSON, uploads: list[Upload], **more: Any) -> Message:
        """Post a message in a channel, as Discord would take it from the bot or a person."""
        self.check_may_send(channel, author, body, uploads)
        refuse_large(channel, uploads)
        if author.bot:
            if is_empty(body, uploads):
                raise errors.empty_message()
            if problems := check_message(body, uploads):
                raise errors.invalid_form(*problems)
        key = (channel.id, str(body.get("nonce")))
        if body.get("enforce_nonce") and key in self._nonces:
            at, earlier = self._nonces[key]
            if self.world.clock.now() - at < _NONCE_SECONDS:
                return earlier
        reply_to = self._reply(channel, body)
        self.open(channel)
        message = self.build(channel, author, body, uploads, reply_to=reply_to, **more)
        channel.posts[message.id] = message
        channel.last_activity_at = message.at
        if channel.is_thread:
            channel.members.add(author.id)
        if body.get("enforce_nonce"):
            self._nonces[key] = (message.at, message)
        self.gateway.dispatch_message("MESSAGE_CREATE", message)
        return message

    def build(
        self,
        channel: Channel,
        author: User,
        body: JSON,
        uploads: list[Upload],
        *,
        reply_to: Message | None = None,
        kind: int = 0,
        via_interaction: JSON | None = None,
        only_for: User | None = None,
        message_id: str | None = None,
    ) -> Message:
        """Make the record of a message without posting it (ephemerals stay that way)."""
        message = Message(message_id or self.world.ids.new(), channel, author, self.world.clock.now(), kind=kind)
        message.reply_to = reply_to
        if reply_to is not None and kind == 0:
            message.kind = 19
        message.via_interaction, message.only_for = via_interaction, only_for
        message.nonce = None if body.get("nonce") is None else str(body["nonce"])
        message.flags = (body.get("flags") or 0) & (V2 | EPHEMERAL | (1 << 2) | (1 << 12))
        self._fill(message, body, uploads)
        message.keep(message.at)
        return message

    def check_may_send(self, channel: Channel, author: User, body: JSON, uploads: list[Upload]) -> None:
        if channel.deleted or channel.kind == FORUM:
            raise (
                errors.unknown_channel()
                if channel.deleted
                else errors.ApiError(400, 50008, "Cannot send messages in a non-text channel")
            )
        if not may(channel, author, "VIEW_CHANNEL"):
            raise errors.missing_access()
        if channel.is_thread:
            if not may(channel, author, "SEND_MESSAGES_IN_THREADS"):
                raise errors.missing_access()  # what the live service says here, odd as it is
            if channel.locked and not may(channel, author, "MANAGE_THREADS"):
                raise errors.thread_locked()
        elif not may(channel, author, "SEND_MESSAGES"):
            raise errors.missing_permissions()
        if uploads and not may(channel, author, "ATTACH_FILES"):
            raise errors.missing_permissions()
        if body.get("embeds") and not may(channel, author, "EMBED_LINKS"):
            raise errors.missing_permissions()

    def open(self, thread: Channel) -> None:
        """Sending to an archived thread takes it out of the archive."""
        if thread.is_thread and thread.archived:
            thread.archived = False
            thread.archive_changed_at = self.world.clock.now()
            self.gateway.dispatch("THREAD_UPDATE", payloads.channel(thread), channel=thread, intent=GUILDS)

    def _reply(self, channel: Channel, body: JSON) -> Message | None:
        reference = body.get("message_reference")
        if not reference:
            return None
        found = channel.posts.get(str(reference.get("message_id")))
        if found is None or found.deleted:
            if reference.get("fail_if_not_exists", True):
                raise errors.invalid_form(
                    errors.Problem(("message_reference",), "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
                )
            return None
        return found

    def _fill(self, message: Message, body: JSON, uploads: list[Upload]) -> None:
        if "content" in body:
            message.content = body["content"] or ""
        if "embeds" in body:
            message.embeds = [{"type": "rich", **embed} for embed in body["embeds"] or []]
        rows = {str(row.get("id")): row for row in body.get("attachments") or []}
        if body.get("attachments") is not None:
            message.attachments = [one for one in message.attachments if one.id in rows]
        for upload in uploads:
            message.attachments.append(self.attach(message.channel, upload, rows.get(str(upload.index)) or {}))
        if "components" in body:
            message.components = self._number(message, body["components"] or [])
        if message.history and not {"content", "components"} & set(body):
            return  # mentions are read anew only when the text is
        seen = resolve_mentions(message.channel, message.author, _as_shown(message, body), message.reply_to)
        message.mentions = [self.world.users[one] for one in seen.users if one in self.world.users]
        message.mention_roles, message.mention_everyone, message.pings = seen.roles, seen.everyone, seen.pings
        if message.author is self.world.bot:
            self.pings += [(message, ping) for ping in seen.pings]

    def attach(self, channel: Channel, upload: Upload, row: JSON) -> Attachment:
        name = row.get("filename") or upload.filename
        number = self.world.ids.new()
        kind = upload.content_type
        if kind in {None, "application/octet-stream"}:
            kind = mimetypes.guess_type(name)[0]
        url = f"{self.origin}/attachments/{channel.id}/{number}/{name}"
        made = Attachment(number, name, upload.content, kind, url, row.get("description"))
        self.world.attachments[number] = made
        return made

    def _number(self, message: Message, components: list[JSON]) -> list[JSON]:
        """Components as they come back: each with an id, files with addresses that can be fetched."""
        taken = 0

        def settle(part: Any) -> Any:
            nonlocal taken
            if isinstance(part, list):
                return [settle(one) for one in part]
            if not isinstance(part, dict):
                return part
            copy = dict(part)
            if isinstance(copy.get("type"), int):
                taken += 1
                copy.setdefault("id", taken)
            url = copy.get("url")
            if isinstance(url, str) and url.startswith("attachment://"):
                name = url.removeprefix("attachment://")
                for one in message.attachments:
                    if one.filename == name:
                        copy |= {"url": one.url, "proxy_url": one.url, "attachment_id": one.id}
                        copy |= {"content_type": one.content_type, "loading_state": 2}
            elif isinstance(url, str) and "style" not in copy:
                copy.setdefault("proxy_url", url)
            return {key: settle(value) for key, value in copy.items()}

        settled: list[JSON] = settle(components)
        return settled

    # -- changing ----------------------------------------------------------------------------------------------

    def edit(
        self, message: Message, author: User, body: JSON, uploads: list[Upload], *, by_token: bool = False
    ) -> Message:
        channel = message.channel
        if message.author is not author:
            raise errors.cannot_edit_others()
        if channel.is_thread and channel.archived and not by_token:
            raise errors.thread_archived()
        refuse_large(channel, uploads)
        if author.bot:
            if problems := check_message(body, uploads, editing=message, by_interaction=by_token):
                raise errors.invalid_form(*problems)
            now = self.world.clock.now()
            if not by_token and now - message.at > _OLD_SECONDS and (wait := self.limits.may_edit_old(channel.id)):
                raise errors.too_many_old_edits(wait)
        message.flags |= (body.get("flags") or 0) & V2
        message.loading = False
        self._fill(message, body, uploads)
        if not (message.content or message.embeds or message.components or message.attachments):
            raise errors.empty_message()
        message.edited_at = self.world.clock.now()
        message.keep(message.edited_at)
        if message.only_for is None:
            self.gateway.dispatch_message("MESSAGE_UPDATE", message)
        return message

    def delete(self, message: Message, by: User) -> None:
        channel = message.channel
        if message.author is not by and not may(channel, by, "MANAGE_MESSAGES"):
            raise errors.missing_permissions()
        if channel.is_thread and channel.archived and by.bot:
            raise errors.thread_archived()
        message.deleted = True
        if message.only_for is not None:
            return
        data: JSON = {"id": message.id, "channel_id": channel.id}
        if channel.guild:
            data["guild_id"] = channel.guild.id
        self.gateway.dispatch("MESSAGE_DELETE", data, channel=channel, intent=_intent(channel))

    def react(self, message: Message, who: User, emoji: str, *, add: bool) -> None:
        channel = message.channel
        if channel.is_thread and channel.archived:
            raise errors.thread_archived()
        present = message.reactions.get(emoji, [])
        if add:
            needed = ["READ_MESSAGE_HISTORY"] + ([] if present else ["ADD_REACTIONS"])
            if not may(channel, who, *needed):
                raise errors.missing_permissions()
            if who.id in present:
                return
            message.reactions.setdefault(emoji, []).append(who.id)
        elif who.id not in present:
            return
        else:
            present.remove(who.id)
            if not present:
                del message.reactions[emoji]
        data: JSON = {
            "user_id": who.id,
            "channel_id": channel.id,
            "message_id": message.id,
            "message_author_id": message.author.id,
            "emoji": payloads.emoji_payload(emoji),
            "burst": False,
            "type": 0,
        }
        if channel.guild:
            data["guild_id"] = channel.guild.id
            if add:
                data["member"] = payloads.member(channel.guild.members[who.id])
        event = "MESSAGE_REACTION_ADD" if add else "MESSAGE_REACTION_REMOVE"
        self.gateway.dispatch(event, data, channel=channel, intent=_intent(channel, reactions=True))

    def type(self, channel: Channel, who: User) -> None:
        data: JSON = {"channel_id": channel.id, "user_id": who.id, "timestamp": int(time.time())}
        if channel.guild:
            data["guild_id"] = channel.guild.id
        self.gateway.dispatch("TYPING_START", data, channel=channel, intent=1 << (14 if channel.kind == DM else 11))


def _as_shown(message: Message, body: JSON) -> JSON:
    shown: JSON = {"content": message.content, "components": message.components}
    if "allowed_mentions" in body and body["allowed_mentions"] is not None:
        shown["allowed_mentions"] = body["allowed_mentions"]
    return shown


def _intent(channel: Channel, *, reactions: bool = False) -> int:
    if channel.kind == DM:
        return DIRECT_REACTIONS if reactions else DIRECT_MESSAGES
    return GUILD_REACTIONS if reactions else GUILD_MESSAGES
