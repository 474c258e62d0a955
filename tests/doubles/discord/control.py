"""Driving the double from outside, when it runs as a program: JSON in, JSON out, one verb per path under /_control.

    POST /_control/say      {"person": "ann", "channel": "general", "text": "hi"}      (channel by name or id)
    POST /_control/click    {"person": "ann", "message": "<id>", "custom_id": "…"}
    GET  /_control/state    channels with their messages

Every body may name a "guild" (by default the first). The verbs are the methods named in the table of `Control`.
"""

import base64
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.doubles.discord import payloads
from tests.doubles.discord.asking import CannotDo
from tests.doubles.discord.double import DiscordDouble
from tests.doubles.discord.errors import ApiError
from tests.doubles.discord.interactions import Modal, Seen
from tests.doubles.discord.page import Page
from tests.doubles.discord.people import Person
from tests.doubles.discord.world import JSON, Channel, Message


class Control:
    """The routes of one double. `install` adds them before it starts listening."""

    def __init__(self, double: DiscordDouble) -> None:
        self.double = double
        self.page = Page(double.world)
        self._modals: dict[str, Modal] = {}
        self._keys = itertools.count(1)

    def install(self) -> None:
        verbs: dict[str, Callable[[JSON], Awaitable[Any]]] = {
            "guild": self.guild,
            "say": self.say,
            "edit": self.edit,
            "delete": self.delete,
            "click": self.click,
            "select": self.select,
            "submit": self.submit,
            "slash": self.slash,
            "autocomplete": self.autocomplete,
            "menu": self.menu,
            "forum": self.forum,
            "fault": self.fault,
            "gateway": self.gateway,
            "advance": self.advance,
            "limits": self.limits,
        }
        self.double.server.page = self._show
        self.double.server.more = [
            web.get("/_page", self._part),
            web.get("/_control/state", self._state),
            web.get("/_control/calls", self._calls),
            web.get("/_control/violations", self._violations),
            *[web.post(f"/_control/{name}", _entry(verb)) for name, verb in verbs.items()],
        ]

    # -- people ------------------------------------------------------------------------------------------------

    def _person(self, body: JSON) -> Person:
        guild = self.double.guild(body["guild"]) if "guild" in body else self.double.guilds[0]
        return guild.person(body.get("person", "ann"), roles=body.get("roles", ()))

    def _message(self, body: JSON) -> Message:
        number = str(body["message"])
        for interaction in self.double.interactions.by_token.values():
            for message in interaction.seen.messages:
                if message.id == number:
                    return message
        return self.double.message(number)

    async def guild(self, body: JSON) -> JSON:
        guild = self.double.guild(body["name"])
        made = [guild.text(name) for name in body.get("text", ())] + [
            guild.forum(name) for name in body.get("forum", ())
        ]
        return {"id": guild.id, "channels": {one.name: one.id for one in made}}

    async def say(self, body: JSON) -> JSON:
        person = self._person(body)
        files = [(one["name"], base64.b64decode(one["base64"])) for one in body.get("files", ())]
        text = body["text"].replace("@bot", self.double.mention)
        if body.get("dm"):
            return self._shown(await person.dms(text, files=files))
        reply = self._message({"message": body["reply_to"]}) if "reply_to" in body else None
        where = self._channel(body)
        return self._shown(await person.says(where, text, files=files, reply_to=reply))

    def _channel(self, body: JSON) -> Channel:
        where = str(body.get("channel", "general"))
        return self.double.world.channels.get(where) or self._person(body).channel(where)

    async def edit(self, body: JSON) -> JSON:
        return self._shown(await self._person(body).edits(self._message(body), body["text"]))

    async def delete(self, body: JSON) -> JSON:
        await self._person(body).deletes(self._message(body))
        return {}

    async def click(self, body: JSON) -> JSON:
        return self._seen(await self._person(body).clicks(self._message(body), body["custom_id"]))

    async def select(self, body: JSON) -> JSON:
        return self._seen(await self._person(body).selects(self._message(body), body["custom_id"], body["values"]))

    async def submit(self, body: JSON) -> JSON:
        return self._seen(await self._person(body).submits(self._modals[str(body["modal"])], body["values"]))

    async def slash(self, body: JSON) -> JSON:
        return self._seen(
            await self._person(body).slash(body["name"], channel=self._channel(body), **body.get("options", {}))
        )

    async def autocomplete(self, body: JSON) -> list[JSON]:
        person = self._person(body)
        return await person.autocompletes(
            body["name"], body["focused"], body["value"], channel=self._channel(body), **body.get("options", {})
        )

    async def menu(self, body: JSON) -> JSON:
        return self._seen(await self._person(body).context_menu(body["name"], self._message(body)))

    async def forum(self, body: JSON) -> JSON:
        post = await self._person(body).posts_in_forum(body["channel"], body["title"], body["text"])
        return payloads.channel(post)

    # -- knobs -------------------------------------------------------------------------------------------------

    async def fault(self, body: JSON) -> JSON:
        """{"kind": "fail" | "throttle" | "hang" | "drop" | "ambiguous" | "delay" | "clear", "route": …, …}"""
        kind = body.pop("kind")
        if kind not in {"fail", "throttle", "hang", "drop", "ambiguous", "delay", "clear"}:
            raise CannotDo(f"no fault {kind!r}")
        getattr(self.double.faults, kind)(**body)
        return {}

    async def gateway(self, body: JSON) -> JSON:
        """{"do": "cut" | "tear" | "reconnect" | "invalidate" | "forget" | "refuse" | "malform" | "repeat"}"""
        double = self.double
        match body["do"]:
            case "cut":
                await double.cut_gateway(body.get("code", 4000))
            case "tear":
                await double.cut_gateway(abrupt=True)
            case "reconnect":
                await double.ask_to_reconnect()
            case "invalidate" | "forget" as how:
                await double.invalidate_sessions(silently=how == "forget")
            case "refuse":
                double.refuse_connections(body.get("times", 1))
            case "malform":
                double.malform(body.get("event", "MESSAGE_CREATE"))
            case "repeat":
                double.repeat(body.get("event", "MESSAGE_CREATE"))
            case unknown:
                raise CannotDo(f"the gateway cannot {unknown}")
        return {"live": len(double.gateway.live)}

    async def advance(self, body: JSON) -> JSON:
        await self.double.advance(body["seconds"])
        return {}

    async def limits(self, body: JSON) -> JSON:
        self.double.limits.enabled = body.get("enabled", self.double.limits.enabled)
        self.double.limits.scale = body.get("scale", self.double.limits.scale)
        return {}

    # -- answers -----------------------------------------------------------------------------------------------

    def _shown(self, message: Message) -> JSON:
        return payloads.message(self.double.world, message) | {
            "deleted": message.deleted,
            "edits": message.edits,
            "text": message.text,
        }

    def _seen(self, seen: Seen) -> JSON:
        answer: JSON = {
            "ack": seen.ack,
            "text": seen.text,
            "ephemeral": seen.ephemeral,
            "choices": seen.choices,
            "modal": None,
        }
        if seen.modal is not None:
            key = str(next(self._keys))
            self._modals[key] = seen.modal
            labels = {(one.get("component") or {}).get("custom_id"): one.get("label") for one in seen.modal.components}
            fields = {
                name: {**field, "label": field.get("label") or labels.get(name)}
                for name, field in seen.modal.fields.items()
            }
            answer["modal"] = {
                "key": key,
                "title": seen.modal.title,
                "custom_id": seen.modal.custom_id,
                "fields": fields,
            }
        return answer

    async def _state(self, request: web.Request) -> web.Response:
        world = self.double.world
        rows = [
            payloads.channel(one)
            | {"name": one.name, "messages": [self._shown(message) for message in one.posts.values()]}
            for one in world.channels.values()
        ]
        body = {
            "bot": payloads.user(world.bot),
            "live": len(self.double.gateway.live),
            "channels": rows,
            "commands": self.double.commands[None],
        }
        return web.json_response(body)

    async def _calls(self, request: web.Request) -> web.Response:
        rows = [
            {"method": one.method, "path": one.path, "status": one.status, "code": one.code, "body": one.body}
            for one in self.double.requests
        ]
        return web.json_response(rows, dumps=lambda value: json.dumps(value, default=str))

    async def _violations(self, request: web.Request) -> web.Response:
        return web.json_response([str(one) for one in self.double.violations])

    # -- the page ----------------------------------------------------------------------------------------------

    def _chosen(self, request: web.Request) -> Channel | None:
        channels = self.double.world.channels
        return channels.get(request.query.get("channel", "")) or next(iter(channels.values()), None)

    async def _show(self, request: web.Request) -> web.Response:
        person = request.query.get("person", "ann")
        text = self.page.whole(self._chosen(request), person=person, bare="bare" in request.query)
        return web.Response(text=text, content_type="text/html")

    async def _part(self, request: web.Request) -> web.Response:
        channel = self._chosen(request)
        return web.Response(text=self.page.messages(channel, person="") if channel else "", content_type="text/html")


def _entry(verb: Callable[[JSON], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def enter(request: web.Request) -> web.Response:
        try:
            return web.json_response(await verb(json.loads(await request.text() or "{}")))
        except (ApiError, CannotDo, KeyError, TypeError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)

    return enter
