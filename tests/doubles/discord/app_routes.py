"""REST routes about the application itself: who am I, the gateway's address, commands, guilds and their members."""

from typing import Any

from tests.doubles.discord import errors, payloads
from tests.doubles.discord.command_rules import check_commands, register
from tests.doubles.discord.gateway import MEMBERS, MESSAGE_CONTENT, PRESENCES, Gateway
from tests.doubles.discord.permissions import given_in, in_guild
from tests.doubles.discord.record import Call
from tests.doubles.discord.routes import Lookups, Route, an_object
from tests.doubles.discord.world import DM, JSON, World

_CONTENT_LIMITED, _MEMBERS_LIMITED, _PRESENCE_LIMITED = 1 << 19, 1 << 15, 1 << 13


class AppRoutes(Lookups):
    def __init__(self, world: World, gateway: Gateway) -> None:
        super().__init__(world)
        self.gateway = gateway
        self.commands: dict[str | None, list[JSON]] = {None: []}  # by guild id; None: everywhere

    def table(self) -> list[Route]:
        rows: list[tuple[str, str, Any]] = [
            ("GET", "/users/@me", self.me),
            ("GET", "/oauth2/applications/@me", self.application),
            ("GET", "/applications/@me", self.application),
            ("GET", "/gateway", lambda _: {"url": self.gateway.url}),
            ("GET", "/gateway/bot", self.gateway_bot),
            ("GET", "/users/@me/guilds", self.guilds),
            ("POST", "/users/@me/channels", self.open_dm),
            ("GET", "/users/{user}", self.user),
            ("GET", "/guilds/{guild}", lambda call: payloads.guild(self.guild(call), bot=self.world.bot)),
            ("GET", "/guilds/{guild}/channels", self.channels),
            (
                "GET",
                "/guilds/{guild}/roles",
                lambda call: [payloads.role(one) for one in self.guild(call).roles.values()],
            ),
            ("GET", "/guilds/{guild}/members/{user}", self.member),
            ("GET", "/guilds/{guild}/threads/active", self.active_threads),
        ]
        for base in ("/applications/{app}/commands", "/applications/{app}/guilds/{guild}/commands"):
            rows += [
                ("GET", base, self.list_commands),
                ("PUT", base, self.overwrite_commands),
                ("POST", base, self.upsert_command),
                ("DELETE", f"{base}/{{command}}", self.delete_command),
            ]
        return [Route(*row) for row in rows]

    def me(self, call: Call) -> JSON:
        return payloads.user(call.person or self.world.bot) | {
            "verified": True,
            "mfa_enabled": False,
            "email": None,
            "locale": "en-US",
        }

    def application(self, call: Call) -> JSON:
        flags = 0
        for intent, flag in (
            (MESSAGE_CONTENT, _CONTENT_LIMITED),
            (MEMBERS, _MEMBERS_LIMITED),
            (PRESENCES, _PRESENCE_LIMITED),
        ):
            flags |= flag if self.gateway.granted & intent else 0
        owner = next(iter(self.world.guilds.values())).owner if self.world.guilds else self.world.bot
        return {
            "id": self.world.app_id,
            "name": self.world.bot.name,
            "icon": None,
            "description": "",
            "summary": "",
            "bot_public": True,
            "bot_require_code_grant": False,
            "verify_key": "0" * 64,
            "flags": flags,
            "owner": payloads.user(owner),
            "team": None,
            "bot": payloads.user(self.world.bot),
            "approximate_guild_count": len(self.world.guilds),
        }

    def guilds(self, call: Call) -> list[JSON]:
        who = call.person or self.world.bot
        return [
            payloads.partial_guild(one)
            | {"owner": one.owner is who, "permissions": str(given_in(one, who) if call.person else in_guild(one, who))}
            for one in self.world.guilds.values()
            if who.id in one.members
        ]

    def gateway_bot(self, call: Call) -> JSON:
        limit = {
            "total": 1000,
            "remaining": 1000 - self.gateway.identifies,
            "reset_after": 86_400_000,
            "max_concurrency": 1,
        }
        return {"url": self.gateway.url, "shards": self.gateway.needs_shards, "session_start_limit": limit}

    def open_dm(self, call: Call) -> JSON:
        user = self.world.users.get(str(an_object(call).get("recipient_id")))
        if user is None:
            raise errors.ApiError(400, 50033, "Invalid Recipient(s)")
        return payloads.channel(self.world.dm_with(user))

    def user(self, call: Call) -> JSON:
        user = self.world.users.get(call.params["user"])
        if user is None:
            raise errors.ApiError(404, 10013, "Unknown User")
        return payloads.user(user)

    def channels(self, call: Call) -> list[JSON]:
        rows = self.guild(call).channels.values()
        return [payloads.channel(one) for one in rows if not one.is_thread and one.kind != DM and not one.deleted]

    def member(self, call: Call) -> JSON:
        user = self.world.bot.id if call.params["user"] == "@me" else call.params["user"]
        member = self.guild(call).members.get(user)
        if member is None:
            raise errors.unknown_member()
        return payloads.member(member)

    def active_threads(self, call: Call) -> JSON:
        open_ones = [one for one in self.guild(call).threads if not one.archived]
        mine = [payloads.thread_member(one, self.world.bot) for one in open_ones if self.world.bot.id in one.members]
        return {"threads": [payloads.channel(one) for one in open_ones], "members": mine, "has_more": False}

    # -- commands ----------------------------------------------------------------------------------------------

    def _scope(self, call: Call) -> str | None:
        if call.params["app"] != self.world.app_id:
            raise errors.ApiError(403, 20012, "You are not authorized to perform this action on this application")
        return self.guild(call).id if "guild" in call.params else None

    def list_commands(self, call: Call) -> list[JSON]:
        return self.commands.get(self._scope(call), [])

    def overwrite_commands(self, call: Call) -> list[JSON]:
        scope = self._scope(call)
        if problems := check_commands(call.body):
            raise errors.invalid_form(*problems)
        old = self.commands.get(scope, [])
        made = register(call.body, app_id=self.world.app_id, new_id=self.world.ids.new, old=old, guild_id=scope)
        self.commands[scope] = made
        return made

    def upsert_command(self, call: Call) -> JSON:
        scope = self._scope(call)
        body = an_object(call)
        others = [
            one
            for one in self.commands.get(scope, [])
            if (one["type"], one["name"]) != (body.get("type", 1), body.get("name"))
        ]
        if problems := check_commands([body]):
            raise errors.invalid_form(*problems)
        old = self.commands.get(scope, [])
        made = register([body], app_id=self.world.app_id, new_id=self.world.ids.new, old=old, guild_id=scope)
        self.commands[scope] = others + made
        return made[0]

    def delete_command(self, call: Call) -> None:
        scope = self._scope(call)
        rows = self.commands.get(scope, [])
        kept = [one for one in rows if one["id"] != call.params["command"]]
        if len(kept) == len(rows):
            raise errors.unknown_command()
        self.commands[scope] = kept
