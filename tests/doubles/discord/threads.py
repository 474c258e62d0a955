"""Threads: how they begin (from a message, without one, as a forum post), and how they and channels change.

Rules: https://docs.discord.com/developers/topics/threads. Routes are in `channel_routes.py`.
"""

from typing import Any

from tests.doubles.discord import errors, payloads
from tests.doubles.discord.component_rules import Checks
from tests.doubles.discord.content_rules import Upload, check_message, is_empty, refuse_large
from tests.doubles.discord.gateway import GUILDS
from tests.doubles.discord.permissions import may
from tests.doubles.discord.posting import Posting
from tests.doubles.discord.world import FORUM, HAS_THREAD, JSON, PRIVATE_THREAD, PUBLIC_THREAD, Channel, Message, User

_AUTO_ARCHIVE = {60, 1440, 4320, 10080}


class Threads:
    """The life of threads, and the settings of channels. `most_active` is the guild's number of open threads."""

    def __init__(self, posting: Posting) -> None:
        self.posting = posting
        self.world = posting.world
        self.gateway = posting.gateway
        self.most_active = 1000

    def from_message(self, message: Message, by: User, body: JSON) -> Channel:
        channel = message.channel
        if channel.is_thread or channel.guild is None:
            raise errors.ApiError(400, 50024, "Cannot execute action on this channel type")
        self._check(channel, by, body, "CREATE_PUBLIC_THREADS")
        if message.thread is not None:
            raise errors.thread_exists()
        thread = self._add(channel, by, body, PUBLIC_THREAD, id=message.id)
        message.thread = thread
        message.flags |= HAS_THREAD
        self._announce(thread)
        # The thread's first row points at the message and has an id of its own.
        starter = self.posting.build(thread, message.author, {}, [], kind=21, reply_to=message)
        thread.posts[starter.id] = starter
        self.gateway.dispatch_message("MESSAGE_CREATE", starter)
        self.gateway.dispatch_message("MESSAGE_UPDATE", message)
        return thread

    def without_message(self, channel: Channel, by: User, body: JSON) -> Channel:
        kind = body.get("type", PRIVATE_THREAD)
        private = kind == PRIVATE_THREAD
        if kind not in {PUBLIC_THREAD, PRIVATE_THREAD}:
            raise errors.invalid_form(
                errors.Problem(("type",), "BASE_TYPE_CHOICES", "Value must be one of (10, 11, 12).")
            )
        self._check(channel, by, body, "CREATE_PRIVATE_THREADS" if private else "CREATE_PUBLIC_THREADS")
        thread = self._add(channel, by, body, kind, invitable=body.get("invitable", True))
        self._announce(thread)
        if not private:
            notice = self.posting.build(channel, by, {"content": thread.name}, [], kind=18)
            channel.posts[notice.id] = notice
            self.gateway.dispatch_message("MESSAGE_CREATE", notice)
        return thread

    def forum_post(self, forum: Channel, by: User, body: JSON, uploads: list[Upload]) -> tuple[Channel, Message]:
        """A post in a forum: a thread and its first message, which share an id."""
        self._check(forum, by, body, "SEND_MESSAGES")
        first = body.get("message") or {}
        refuse_large(forum, uploads)
        if by.bot:
            if is_empty(first, uploads):
                raise errors.empty_message()
            if problems := check_message(first, uploads):
                raise errors.invalid_form(*problems)
        tags = [str(tag) for tag in body.get("applied_tags") or []]
        known = {tag["id"] for tag in forum.tags}
        if len(tags) > 5 or set(tags) - known:
            raise errors.invalid_form(
                errors.Problem(("applied_tags",), "BASE_TYPE_CHOICES", "Unknown tag, or more than 5.")
            )
        thread = self._add(forum, by, body, PUBLIC_THREAD, applied_tags=tags)
        message = self.posting.build(thread, by, first, uploads, message_id=thread.id)
        thread.posts[message.id] = message
        self._announce(thread)
        self.gateway.dispatch_message("MESSAGE_CREATE", message)
        return thread, message

    def _check(self, channel: Channel, by: User, body: JSON, permission: str) -> None:
        if channel.is_thread or channel.guild is None:
            raise errors.ApiError(400, 50024, "Cannot execute action on this channel type")
        if not may(channel, by, "VIEW_CHANNEL"):
            raise errors.missing_access()
        if not may(channel, by, permission):
            raise errors.missing_permissions()
        checks = Checks()
        checks.length(("name",), body.get("name"), 100, least=1, required=True)
        _check_auto_archive(checks, body)
        if checks.problems:
            raise errors.invalid_form(*checks.problems)
        if sum(not thread.archived for thread in channel.guild.threads) >= self.most_active:
            raise errors.too_many_threads()

    def _add(self, channel: Channel, by: User, body: JSON, kind: int, **more: Any) -> Channel:
        thread = self.world.add_channel(
            channel.guild,
            body["name"],
            kind,
            parent=channel,
            owner_id=by.id,
            auto_archive_minutes=body.get("auto_archive_duration") or 4320,
            slowmode=body.get("rate_limit_per_user") or 0,
            **more,
        )
        thread.members.add(by.id)
        return thread

    def _announce(self, thread: Channel) -> None:
        data = payloads.channel(thread) | {"newly_created": True}
        if self.world.bot.id in thread.members:
            data["member"] = payloads.thread_member(thread, self.world.bot)
        self.gateway.dispatch("THREAD_CREATE", data, channel=thread, intent=GUILDS)

    # -- changes -----------------------------------------------------------------------------------------------

    def change(self, channel: Channel, by: User, body: JSON) -> Channel:
        """PATCH a channel or thread."""
        if not may(channel, by, "VIEW_CHANNEL"):
            raise errors.missing_access()
        self._check_change(channel, by, body)
        if "name" in body and body["name"] != channel.name:
            if wait := self.posting.limits.may_rename(channel.id):
                raise errors.renamed_too_often(wait)
            channel.name = body["name"]
            channel.names.append(channel.name)
        if "topic" in body:
            channel.topic = body["topic"]
        channel.slowmode = body.get("rate_limit_per_user", channel.slowmode) or 0
        if channel.is_thread:
            self._change_thread(channel, body)
        event = "THREAD_UPDATE" if channel.is_thread else "CHANNEL_UPDATE"
        self.gateway.dispatch(event, payloads.channel(channel), channel=channel, intent=GUILDS)
        return channel

    def _check_change(self, channel: Channel, by: User, body: JSON) -> None:
        if channel.guild is None:
            raise errors.ApiError(400, 50024, "Cannot execute action on this channel type")
        manages = may(channel, by, "MANAGE_THREADS" if channel.is_thread else "MANAGE_CHANNELS")
        own = channel.is_thread and channel.owner_id == by.id and not channel.locked
        if not manages and not (own and "locked" not in body):
            raise errors.missing_permissions()
        checks = Checks()
        if "name" in body:
            checks.length(("name",), body["name"], 100, least=1, required=True)
        checks.length(("topic",), body.get("topic"), 4096 if channel.kind == FORUM else 1024)
        _check_auto_archive(checks, body)
        for name in ("archived", "locked", "invitable"):
            if name in body and not isinstance(body[name], bool):
                checks.add((name,), "BOOLEAN_TYPE_CONVERT", "Must be either true or false.")
        if checks.problems:
            raise errors.invalid_form(*checks.problems)
        if channel.is_thread and channel.archived and body.get("archived", True) and set(body) - {"archived", "locked"}:
            raise errors.thread_archived()

    def _change_thread(self, thread: Channel, body: JSON) -> None:
        if "archived" in body and body["archived"] != thread.archived:
            thread.archived = body["archived"]
            thread.archive_changed_at = thread.last_activity_at = self.world.clock.now()
        thread.locked = body.get("locked", thread.locked)
        thread.invitable = body.get("invitable", thread.invitable)
        thread.auto_archive_minutes = body.get("auto_archive_duration") or thread.auto_archive_minutes
        if "applied_tags" in body:
            thread.applied_tags = [str(tag) for tag in body["applied_tags"]]

    def archive_idle(self) -> None:
        """Put away every thread in which nothing happened for its auto-archive time."""
        now = self.world.clock.now()
        for guild in self.world.guilds.values():
            for thread in guild.threads:
                if not thread.archived and now - thread.last_activity_at >= thread.auto_archive_minutes * 60:
                    self._change_thread(thread, {"archived": True})
                    self.gateway.dispatch("THREAD_UPDATE", payloads.channel(thread), channel=thread, intent=GUILDS)

    def delete(self, channel: Channel, by: User) -> None:
        if not may(channel, by, "MANAGE_THREADS" if channel.is_thread else "MANAGE_CHANNELS"):
            raise errors.missing_permissions()
        channel.deleted = True
        assert channel.guild is not None
        data: JSON = {"id": channel.id, "guild_id": channel.guild.id, "type": channel.kind}
        if channel.parent is not None:
            data["parent_id"] = channel.parent.id
        event = "THREAD_DELETE" if channel.is_thread else "CHANNEL_DELETE"
        self.gateway.dispatch(
            event, data if channel.is_thread else payloads.channel(channel), channel=channel, intent=GUILDS
        )


def _check_auto_archive(checks: Checks, body: JSON) -> None:
    minutes = body.get("auto_archive_duration")
    if minutes is not None and minutes not in _AUTO_ARCHIVE:
        checks.add(("auto_archive_duration",), "BASE_TYPE_CHOICES", "Value must be one of (60, 1440, 4320, 10080).")
