"""REST routes of channels, threads, messages and reactions. What they do is in `posting.py` and `threads.py`."""

from typing import Any
from urllib.parse import unquote

from tests.doubles.discord import errors, payloads
from tests.doubles.discord.gateway import MESSAGE_CONTENT, hide_content
from tests.doubles.discord.permissions import may
from tests.doubles.discord.record import Call
from tests.doubles.discord.routes import Lookups, Route, an_object
from tests.doubles.discord.threads import Threads
from tests.doubles.discord.world import FORUM, JSON, PRIVATE_THREAD, PUBLIC_THREAD, Channel, Message

_MESSAGE = "/channels/{channel}/messages/{message}"


class ChannelRoutes(Lookups):
    def __init__(self, threads: Threads) -> None:
        super().__init__(threads.world)
        self.threads = threads
        self.posting = threads.posting
        self.bot = self.world.bot
        self.typed: list[str] = []  # ids of channels in which the bot typed

    def table(self) -> list[Route]:
        rows: list[tuple[str, str, Any]] = [
            ("GET", "/channels/{channel}", lambda call: payloads.channel(self.channel(call))),
            ("PATCH", "/channels/{channel}", self.change),
            ("DELETE", "/channels/{channel}", self.delete_channel),
            ("POST", "/channels/{channel}/typing", self.type),
            ("POST", "/channels/{channel}/messages", self.send),
            ("GET", "/channels/{channel}/messages", self.history),
            ("GET", _MESSAGE, lambda call: self.kept(self.message(call))),
            ("PATCH", _MESSAGE, self.edit),
            ("DELETE", _MESSAGE, self.delete),
            ("PUT", f"{_MESSAGE}/reactions/{{emoji}}/@me", lambda call: self.react(call, add=True)),
            ("DELETE", f"{_MESSAGE}/reactions/{{emoji}}/@me", lambda call: self.react(call, add=False)),
            ("POST", f"{_MESSAGE}/threads", self.thread_from_message),
            ("POST", "/channels/{channel}/threads", self.thread),
            ("GET", "/channels/{channel}/threads/archived/public", lambda call: self.archived(call, PUBLIC_THREAD)),
            ("GET", "/channels/{channel}/threads/archived/private", lambda call: self.archived(call, PRIVATE_THREAD)),
            ("PUT", "/channels/{channel}/thread-members/{user}", lambda call: self.membership(call, joins=True)),
            ("DELETE", "/channels/{channel}/thread-members/{user}", lambda call: self.membership(call, joins=False)),
            ("GET", "/channels/{channel}/thread-members", self.members),
        ]
        return [Route(*row) for row in rows]

    def show(self, message: Message) -> JSON:
        payload = payloads.message(self.world, message)
        gateway = self.posting.gateway
        return payload if gateway.granted & MESSAGE_CONTENT or gateway.is_entitled(message) else hide_content(payload)

    def kept(self, message: Message) -> JSON:
        """A message as it is read later: its nonce was told once, and is not kept with it."""
        return {name: value for name, value in self.show(message).items() if name != "nonce"}

    # -- messages ----------------------------------------------------------------------------------------------

    def send(self, call: Call) -> JSON:
        return self.show(self.posting.create(self.channel(call), self.bot, an_object(call), call.uploads))

    def edit(self, call: Call) -> JSON:
        return self.show(self.posting.edit(self.message(call), self.bot, an_object(call), call.uploads))

    def delete(self, call: Call) -> None:
        self.posting.delete(self.message(call), self.bot)

    def react(self, call: Call, *, add: bool) -> None:
        self.posting.react(self.message(call), self.bot, unquote(call.params["emoji"]), add=add)

    def type(self, call: Call) -> None:
        channel = self.channel(call)
        self.posting.check_may_send(channel, self.bot, {}, [])
        self.typed.append(channel.id)
        self.posting.type(channel, self.bot)

    def history(self, call: Call) -> list[JSON]:
        """Newest first, by `before`, `after` or `around`, 1 to 100 of them; nothing without the right to read history."""
        channel = self.channel(call)
        limit = int(call.query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise errors.invalid_form(
                errors.Problem(("limit",), "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
            )
        if not may(channel, self.bot, "READ_MESSAGE_HISTORY"):
            return []
        rows = sorted(channel.messages, key=lambda one: int(one.id))
        if "before" in call.query:
            rows = [one for one in rows if int(one.id) < int(call.query["before"])][-limit:]
        elif "after" in call.query:
            rows = [one for one in rows if int(one.id) > int(call.query["after"])][:limit]
        elif "around" in call.query:
            middle = sum(int(one.id) <= int(call.query["around"]) for one in rows)
            rows = rows[max(0, middle - limit // 2) :][:limit]
        else:
            rows = rows[-limit:]
        return [self.kept(one) for one in reversed(rows)]

    # -- channels and threads ----------------------------------------------------------------------------------

    def change(self, call: Call) -> JSON:
        return payloads.channel(self.threads.change(self.channel(call), self.bot, an_object(call)))

    def delete_channel(self, call: Call) -> JSON:
        channel = self.channel(call)
        self.threads.delete(channel, self.bot)
        return payloads.channel(channel)

    def thread_from_message(self, call: Call) -> JSON:
        return self._made(self.threads.from_message(self.message(call), self.bot, an_object(call)))

    def thread(self, call: Call) -> JSON:
        channel = self.channel(call)
        if channel.kind == FORUM:
            thread, message = self.threads.forum_post(channel, self.bot, an_object(call), call.uploads)
            return self._made(thread) | {"message": self.show(message)}
        return self._made(self.threads.without_message(channel, self.bot, an_object(call)))

    def _made(self, thread: Channel) -> JSON:
        return payloads.channel(thread) | {"member": payloads.thread_member(thread, self.bot)}

    def archived(self, call: Call, kind: int) -> JSON:
        channel = self.channel(call)
        rows = [one for one in (channel.guild.threads if channel.guild else []) if one.parent is channel]
        rows = [one for one in rows if one.archived and one.kind == kind]
        return {"threads": [payloads.channel(one) for one in rows], "members": [], "has_more": False}

    def membership(self, call: Call, *, joins: bool) -> None:
        thread = self.channel(call)
        if thread.archived:
            raise errors.thread_archived()
        who = self.bot.id if call.params["user"] == "@me" else call.params["user"]
        if joins:
            thread.members.add(who)
        else:
            thread.members.discard(who)

    def members(self, call: Call) -> list[JSON]:
        thread = self.channel(call)
        return [payloads.thread_member(thread, self.world.users[one]) for one in sorted(thread.members)]
