"""Driving the double from outside, when it runs as a program: JSON in, JSON out, one verb per path under /_control.

    POST /_control/say     {"person": "ann", "channel": "general", "text": "hi", "thread_ts": "…"}   (@bot mentions the app)
    POST /_control/click   {"person": "ann", "channel": "C…", "ts": "…", "action": "allow"}
    GET  /_control/thread?channel=C…&ts=…      what is to be read there now, with its blocks and its history

Every body may name a "workspace" (by default the first). The verbs are the methods named in `install`.
"""

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from tests.doubles.slack import payloads
from tests.doubles.slack.double import SlackDouble
from tests.doubles.slack.errors import CannotDo, NotAnswered, SlackError
from tests.doubles.slack.page import Page
from tests.doubles.slack.people import Person, Workspace
from tests.doubles.slack.store import JSON, Channel, Message, View

_FAULTS = frozenset({"ambiguous", "clear", "delay", "drop", "fail", "hang", "http", "throttle"})


class Control:
    """The routes of one double. `install` adds them before it starts listening."""

    def __init__(self, double: SlackDouble) -> None:
        self.double = double
        self.page = Page(double.store)

    def install(self) -> None:
        verbs: dict[str, Callable[[JSON], Awaitable[Any]]] = {
            "advance": self.advance,
            "channel": self.channel,
            "click": self.click,
            "close": self.close,
            "delete": self.delete,
            "edit": self.edit,
            "fault": self.fault,
            "home": self.home,
            "rates": self.rates,
            "say": self.say,
            "shortcut": self.shortcut,
            "slash": self.slash,
            "socket": self.socket,
            "submit": self.submit,
            "workspace": self.workspace,
        }
        self.double.server.more = [
            web.get("/", self._show),
            web.get("/_page", self._part),
            web.get("/_control/state", self._state),
            web.get("/_control/thread", self._thread),
            web.get("/_control/calls", self._calls),
            web.get("/_control/violations", self._violations),
            *[web.post(f"/_control/{name}", _entry(verb)) for name, verb in verbs.items()],
        ]

    # -- people ------------------------------------------------------------------------------------------------

    def _workspace(self, body: JSON) -> Workspace:
        return self.double.workspace(body["workspace"]) if "workspace" in body else self.double.workspaces[0]

    def _person(self, body: JSON) -> Person:
        return self._workspace(body).person(body.get("person", "ann"), admin=bool(body.get("admin")))

    def _where(self, body: JSON) -> Channel:
        person = self._person(body)
        return person.dm if body.get("dm") else person.channel(body.get("channel", "general"))

    def _target(self, body: JSON) -> Message | View:
        if "view" in body:
            team = self._workspace(body).team
            views = {**team.views, **{one.id: one for one in team.homes.values()}}
            return views[body["view"]]
        return self._where(body).messages[body["ts"]]

    def _message(self, body: JSON) -> Message:
        return self._where(body).messages[body["ts"]]

    async def workspace(self, body: JSON) -> JSON:
        made = self.double.workspace(body["name"], is_installed=body.get("installed", True))
        return {"id": made.id, "token": made.token, "bot": made.bot.id}

    async def channel(self, body: JSON) -> JSON:
        made = self._workspace(body).channel(body["name"], with_app=body.get("with_app", True))
        return {"id": made.id}

    async def say(self, body: JSON) -> JSON:
        person = self._person(body)
        files = [(one["name"], base64.b64decode(one["base64"])) for one in body.get("files", ())]
        text = body["text"].replace("@bot", self._workspace(body).mention)
        return self._shown(await person.says(self._where(body), text, body.get("thread_ts"), files))

    async def edit(self, body: JSON) -> JSON:
        return self._shown(await self._person(body).edits(self._message(body), body["text"]))

    async def delete(self, body: JSON) -> JSON:
        await self._person(body).deletes(self._message(body))
        return {}

    async def click(self, body: JSON) -> JSON:
        return await self._person(body).clicks(self._target(body), body["action"], body.get("value"))

    async def submit(self, body: JSON) -> JSON:
        view = self._target(body)
        assert isinstance(view, View)
        return await self._person(body).submits(view, body.get("values"))

    async def close(self, body: JSON) -> JSON:
        view = self._target(body)
        assert isinstance(view, View)
        return await self._person(body).closes(view)

    async def slash(self, body: JSON) -> JSON:
        return await self._person(body).slash(body["command"], body.get("text", ""), self._where(body))

    async def shortcut(self, body: JSON) -> JSON:
        return await self._person(body).shortcut(body["callback_id"], self._message(body) if "ts" in body else None)

    async def home(self, body: JSON) -> JSON:
        await self._person(body).opens_home(body.get("tab", "home"))
        return {}

    # -- knobs -------------------------------------------------------------------------------------------------

    async def fault(self, body: JSON) -> JSON:
        """{"kind": "fail" | "http" | "throttle" | "hang" | "drop" | "ambiguous" | "delay" | "clear", "method": …, …}"""
        kind = body.pop("kind")
        if kind not in _FAULTS:
            raise CannotDo(f"no fault {kind!r}")
        getattr(self.double.faults, kind)(**body)
        return {}

    async def socket(self, body: JSON) -> JSON:
        """{"do": "disconnect" | "cut" | "swallow" | "refuse"}"""
        match body["do"]:
            case "disconnect":
                await self.double.sockets.disconnect(body.get("reason", "refresh_requested"))
            case "cut":
                await self.double.sockets.cut()
            case "swallow":
                self.double.sockets.swallow(new_ones=body.get("new_ones", False))
            case "refuse":
                self.double.refuse_sockets(body.get("times", 1))
            case unknown:
                raise CannotDo(f"a socket cannot {unknown}")
        return {"live": len(self.double.sockets.live)}

    async def advance(self, body: JSON) -> JSON:
        self.double.advance(body["seconds"])
        return {}

    async def rates(self, body: JSON) -> JSON:
        self.double.rates.enabled = body.get("enabled", self.double.rates.enabled)
        self.double.rates.scale = body.get("scale", self.double.rates.scale)
        return {}

    # -- answers -----------------------------------------------------------------------------------------------

    def _shown(self, one: Message) -> JSON:
        where = self.double.channel(one.channel)
        more = {"channel": one.channel, "shown": one.shown, "only_for": one.only_for, "elements": one.elements}
        return payloads.message(one, where) | more

    async def _state(self, request: web.Request) -> web.Response:
        rows = [
            {
                "id": team.id,
                "bot": team.bot.id,
                "channels": [
                    payloads.channel(one, bot=team.bot)
                    | {"messages": [self._shown(each) for each in one.messages.values() if not each.is_deleted]}
                    for one in team.channels.values()
                ],
                "views": [payloads.view(one, team) for one in team.views.values() if one.is_open],
                "homes": {user: payloads.view(one, team) for user, one in team.homes.items()},
            }
            for team in self.double.store.teams.values()
        ]
        return _json({"live": len(self.double.sockets.live), "workspaces": rows})

    async def _thread(self, request: web.Request) -> web.Response:
        thread = self.double.thread(request.query["channel"], request.query["ts"])
        body = {
            "messages": [self._shown(one) for one in thread.messages],
            "private": [self._shown(one) for one in thread.private],
            "history": [asdict(one) for one in thread.history],
        }
        return _json(body)

    async def _calls(self, request: web.Request) -> web.Response:
        return _json([asdict(one) for one in self.double.requests])

    async def _violations(self, request: web.Request) -> web.Response:
        return _json([str(one) for one in self.double.violations])

    # -- the page ----------------------------------------------------------------------------------------------

    def _chosen(self, request: web.Request) -> Channel | None:
        rows = {one.id: one for team in self.double.store.teams.values() for one in team.channels.values()}
        return rows.get(request.query.get("channel", "")) or next(iter(rows.values()), None)

    async def _show(self, request: web.Request) -> web.Response:
        thread = request.query.get("thread")
        person, bare = request.query.get("person", "ann"), "bare" in request.query
        text = self.page.whole(self._chosen(request), thread, person=person, bare=bare)
        return web.Response(text=text, content_type="text/html")

    async def _part(self, request: web.Request) -> web.Response:
        where, person = self._chosen(request), request.query.get("person", "ann")
        body = {"messages": "", "modal": ""}
        if where is not None:
            body["messages"] = self.page.messages(where, request.query.get("thread"), person=person)
            workspace = self.double.workspace(where.team)
            modal = workspace.people[person].modal if person in workspace.people else None
            body["modal"] = self.page.view(modal, workspace.team) if modal else ""
        return _json(body)


def _json(body: Any) -> web.Response:
    return web.json_response(body, dumps=lambda value: json.dumps(value, default=str))


def _entry(verb: Callable[[JSON], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def enter(request: web.Request) -> web.Response:
        try:
            return web.json_response(await verb(json.loads(await request.text() or "{}")))
        except (SlackError, CannotDo, NotAnswered, KeyError, TypeError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)

    return enter
