"""The table of REST routes: method, path template, what answers. One class per subject, joined in `server.py`.

A handler takes the recorded call, returns what becomes JSON (None: 204), and raises `ApiError` to refuse.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.doubles.discord import errors
from tests.doubles.discord.permissions import may
from tests.doubles.discord.record import Call
from tests.doubles.discord.world import JSON, Channel, GuildState, Message, World


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    template: str
    handler: Callable[[Call], Any]
    by_token: bool = False  # the token in the path is the credential


class Lookups:
    """Finding what a path names, or refusing as Discord does."""

    def __init__(self, world: World) -> None:
        self.world = world

    def guild(self, call: Call) -> GuildState:
        guild = self.world.guilds.get(call.params["guild"])
        if guild is None:
            raise errors.unknown_guild()
        return guild

    def channel(self, call: Call) -> Channel:
        """A channel the bot can see."""
        channel = self.world.channels.get(call.params["channel"])
        if channel is None or channel.deleted:
            raise errors.unknown_channel()
        if not may(channel, self.world.bot, "VIEW_CHANNEL"):
            raise errors.missing_access()
        return channel

    def message(self, call: Call, key: str = "message") -> Message:
        message = self.channel(call).posts.get(call.params[key])
        if message is None or message.deleted:
            raise errors.unknown_message()
        return message


def an_object(call: Call) -> JSON:
    """The body of a call that must be a JSON object."""
    if not isinstance(call.body, dict):
        raise errors.invalid_form(
            errors.Problem((), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        )
    return call.body
