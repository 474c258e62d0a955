"""Interactions: one acknowledgement within three seconds, then fifteen minutes of follow-ups by token.

Rules: https://docs.discord.com/developers/interactions/receiving-and-responding. What a person saw of it gathers in
`Seen`; people begin interactions in `asking.py`.
"""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.discord import errors, payloads
from tests.doubles.discord.command_rules import check_choices
from tests.doubles.discord.component_rules import check_modal
from tests.doubles.discord.content_rules import check_message, file_limit, is_empty, refuse_large
from tests.doubles.discord.errors import Problem
from tests.doubles.discord.permissions import in_channel
from tests.doubles.discord.posting import Posting
from tests.doubles.discord.record import Call
from tests.doubles.discord.routes import Lookups, Route, an_object
from tests.doubles.discord.world import EPHEMERAL, JSON, V2, Channel, Message, User

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5
_TOKEN_SECONDS = 900.0
_ACKS = {4: "message", 5: "deferred", 6: "deferred_update", 7: "update", 8: "choices", 9: "modal"}
_FITTING = {COMMAND: {4, 5, 9}, COMPONENT: {4, 5, 6, 7, 9}, AUTOCOMPLETE: {8}, MODAL_SUBMIT: {4, 5, 6, 7}}
_WEBHOOK = "/webhooks/{app}/{token}"


@dataclass(frozen=True, slots=True)
class Modal:
    """A form on a person's screen. `fields` maps custom_id to the input's JSON."""

    custom_id: str
    title: str
    components: list[JSON]
    fields: dict[str, JSON]
    channel: Channel
    message: Message | None


@dataclass(slots=True, eq=False)
class Seen:
    """What an interaction showed to the person who made it; it goes on filling while follow-ups arrive.

    `ack` is "message", "deferred", "deferred_update", "update", "choices", "modal", or "failed": nothing came in time,
    and the person read "This interaction failed".
    """

    ack: str = "failed"
    messages: list[Message] = field(default_factory=list)
    modal: Modal | None = None
    choices: list[JSON] = field(default_factory=list)

    @property
    def message(self) -> Message | None:
        """The latest message it led to, as it stands now."""
        shown = [one for one in self.messages if not one.deleted and not one.loading]
        return shown[-1] if shown else None

    @property
    def text(self) -> str:
        return self.message.text if self.message else ""

    @property
    def ephemeral(self) -> str | None:
        """The text only this person saw, or None."""
        shown = [one for one in self.messages if one.ephemeral and not one.deleted and not one.loading]
        return shown[-1].text if shown else None


@dataclass(slots=True, eq=False)
class Interaction:
    id: str
    token: str
    kind: int
    who: User
    channel: Channel
    data: JSON
    message: Message | None
    at: float
    seen: Seen = field(default_factory=Seen)
    acked: asyncio.Event = field(default_factory=asyncio.Event)
    original: Message | None = None


class Interactions(Lookups):
    """Those begun, and the routes that answer them."""

    def __init__(self, posting: Posting) -> None:
        super().__init__(posting.world)
        self.posting = posting
        self.ack_seconds = 3.0
        self.by_token: dict[str, Interaction] = {}

    def table(self) -> list[Route]:
        rows: list[tuple[str, str, Any]] = [
            ("POST", "/interactions/{interaction}/{token}/callback", self.callback),
            ("POST", _WEBHOOK, self.follow_up),
            ("GET", f"{_WEBHOOK}/messages/{{message}}", lambda call: self._show(self._reached(call)[1])),
            ("PATCH", f"{_WEBHOOK}/messages/{{message}}", self.edit),
            ("DELETE", f"{_WEBHOOK}/messages/{{message}}", self.delete),
        ]
        return [Route(*row, by_token=True) for row in rows]

    # -- beginning ---------------------------------------------------------------------------------------------

    def begin(self, kind: int, who: User, channel: Channel, data: JSON, message: Message | None = None) -> Interaction:
        """Send INTERACTION_CREATE."""
        now = self.world.clock.now()
        made = Interaction(self.world.ids.new(), secrets.token_urlsafe(32), kind, who, channel, data, message, now)
        self.by_token[made.token] = made
        gateway = self.posting.gateway
        payload = self.payload(made)
        for session in gateway.live:
            guild_id = payload.get("guild_id")
            index, count = session.shard
            if (int(guild_id) >> 22) % count == index if guild_id else index == 0:
                session.append("INTERACTION_CREATE", payload)
        return made

    def payload(self, one: Interaction) -> JSON:
        guild = one.channel.guild
        payload: JSON = {
            "id": one.id,
            "application_id": self.world.app_id,
            "type": one.kind,
            "token": one.token,
            "version": 1,
            "data": one.data,
            "channel_id": one.channel.id,
            "channel": payloads.channel(one.channel, viewer=one.who),
            "app_permissions": str(in_channel(one.channel, self.world.bot)),
            "locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": {"0": guild.id if guild else "0"},
            "context": 0 if guild else 1,
            "attachment_size_limit": file_limit(guild),
        }
        if guild is not None:
            member = payloads.member(guild.members[one.who.id])
            member["permissions"] = str(in_channel(one.channel, one.who))
            payload |= {
                "guild_id": guild.id,
                "guild": payloads.partial_guild(guild),
                "guild_locale": "en-US",
                "member": member,
            }
        else:
            payload["user"] = payloads.user(one.who)
        if one.message is not None:
            payload["message"] = payloads.message(self.world, one.message)
        return payload

    # -- the acknowledgement -----------------------------------------------------------------------------------

    def callback(self, call: Call) -> JSON | None:
        one = self.by_token.get(call.params["token"])
        if one is None or one.id != call.params["interaction"]:
            raise errors.unknown_interaction()
        if one.acked.is_set():
            raise errors.already_acknowledged()
        if self.world.clock.now() - one.at > self.ack_seconds:
            raise errors.unknown_interaction()
        body = an_object(call)
        kind, data = body.get("type"), body.get("data") or {}
        if kind not in _FITTING[one.kind]:
            raise errors.invalid_form(
                Problem(
                    ("type",), "INTERACTION_CALLBACK_TYPE_INVALID", f"Type {kind} does not answer this interaction."
                )
            )
        if kind in {6, 7} and one.message is None:
            raise errors.invalid_form(
                Problem(("type",), "INTERACTION_CALLBACK_TYPE_INVALID", "There is no message to update.")
            )
        self._answer(one, kind, data, call)
        one.seen.ack = _ACKS[kind]
        one.acked.set()
        return self._callback_body(one, kind) if call.query.get("with_response") in {"1", "true"} else None

    def _answer(self, one: Interaction, kind: int, data: JSON, call: Call) -> None:
        if kind == 4:
            one.original = self._post(one, data, call)
        elif kind == 5:
            if (data.get("flags") or 0) & ~EPHEMERAL:
                raise errors.invalid_form(
                    Problem(("data", "flags"), "BASE_TYPE_CHOICES", "A deferral may only be ephemeral.")
                )
            one.original = self._place(one, {"flags": data.get("flags") or 0}, call, loading=True)
        elif kind == 6:
            one.original = one.message
        elif kind == 7:
            assert one.message is not None
            self.posting.edit(one.message, self.world.bot, data, call.uploads, by_token=True)
            one.original = one.message
        elif kind == 8:
            if problems := check_choices(data.get("choices")):
                raise errors.invalid_form(*problems)
            one.seen.choices = list(data["choices"])
        else:
            if problems := check_modal(data):
                raise errors.invalid_form(*problems)
            one.seen.modal = Modal(
                data["custom_id"],
                data["title"],
                data["components"],
                _inputs(data["components"]),
                one.channel,
                one.message,
            )

    def _callback_body(self, one: Interaction, kind: int) -> JSON:
        row: JSON = {"id": one.id, "type": one.kind, "channel_id": one.channel.id}
        body: JSON = {"interaction": row}
        if one.channel.guild is not None:
            row["guild_id"] = one.channel.guild.id
        if one.original is not None:
            row |= {
                "response_message_id": one.original.id,
                "response_message_loading": kind == 5,
                "response_message_ephemeral": one.original.ephemeral,
            }
        body["resource"] = {"type": kind}
        if kind in {4, 7} and one.original is not None:
            body["resource"]["message"] = self._show(one.original)
        return body

    # -- by token ----------------------------------------------------------------------------------------------

    def _known(self, call: Call) -> Interaction:
        one = self.by_token.get(call.params["token"])
        if one is None or call.params["app"] != self.world.app_id:
            raise errors.unknown_webhook()
        if self.world.clock.now() - one.at > _TOKEN_SECONDS:
            raise errors.expired_token()
        if not one.acked.is_set():
            raise errors.unknown_webhook()
        return one

    def _reached(self, call: Call) -> tuple[Interaction, Message]:
        one = self._known(call)
        if call.params["message"] == "@original":
            found = one.original
        else:
            rows = [*one.seen.messages, *([one.message] if one.message else [])]
            found = next((row for row in rows if row.id == call.params["message"]), None)
        if found is None or found.deleted:
            raise errors.unknown_message()
        return one, found

    def follow_up(self, call: Call) -> JSON:
        """A new message, unless the first answer was put off: then this is it."""
        one = self._known(call)
        body = an_object(call)
        if one.original is not None and one.original.loading:
            self._settle(one.original, body, call)
            return self._show(one.original)
        return self._show(self._post(one, body, call))

    def edit(self, call: Call) -> JSON:
        _, message = self._reached(call)
        body = an_object(call)
        if message.loading:
            self._settle(message, body, call)
        else:
            self.posting.edit(message, self.world.bot, body, call.uploads, by_token=True)
        return self._show(message)

    def delete(self, call: Call) -> None:
        self.posting.delete(self._reached(call)[1], self.world.bot)

    def _settle(self, message: Message, body: JSON, call: Call) -> None:
        kept = {key: value for key, value in body.items() if key != "flags"}
        if (body.get("flags") or 0) & V2:
            kept["flags"] = V2
        self.posting.edit(message, self.world.bot, kept, call.uploads, by_token=True)

    def _post(self, one: Interaction, body: JSON, call: Call) -> Message:
        if is_empty(body, call.uploads):
            raise errors.empty_message()
        refuse_large(one.channel, call.uploads)
        if problems := check_message(body, call.uploads, by_interaction=True):
            raise errors.invalid_form(*problems)
        return self._place(one, body, call)

    def _place(self, one: Interaction, body: JSON, call: Call, *, loading: bool = False) -> Message:
        hidden = bool((body.get("flags") or 0) & EPHEMERAL)
        is_answer = not one.acked.is_set()
        kind = {1: 20}.get(one.data.get("type", 0), 23) if is_answer and one.kind == COMMAND else 0
        about: JSON = {
            "id": one.id,
            "type": one.kind,
            "user": payloads.user(one.who),
            "authorizing_integration_owners": {},
        }
        if one.kind == COMMAND:
            about |= {"name": one.data["name"], "command_type": one.data["type"]}
        elif one.message is not None:
            about["interacted_message_id"] = one.message.id
        if not hidden:
            self.posting.open(one.channel)
        message = self.posting.build(
            one.channel, self.world.bot, body, call.uploads,
            kind=kind, via_interaction=about, only_for=one.who if hidden else None,
        )  # fmt: skip
        message.loading = loading
        one.seen.messages.append(message)
        if not hidden:
            one.channel.posts[message.id] = message
            one.channel.last_activity_at = message.at
            self.posting.gateway.dispatch_message("MESSAGE_CREATE", message)
        return message

    def _show(self, message: Message) -> JSON:
        return payloads.message(self.world, message)


def _inputs(components: list[JSON]) -> dict[str, JSON]:
    found: dict[str, JSON] = {}
    for part in components:
        for inner in [*(part.get("components") or []), part.get("component")]:
            if isinstance(inner, dict) and "custom_id" in inner:
                found[inner["custom_id"]] = inner
    return found
