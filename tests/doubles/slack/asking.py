"""What people ask of the app besides talking: clicks, choices, forms, commands, shortcuts, the home tab.

Each waits for the acknowledgement and returns its payload ({} when it is empty); NotAnswered if none came in time.
"""

from collections.abc import Mapping
from typing import Any

from tests.doubles.slack import payloads
from tests.doubles.slack.block_rules import check_view
from tests.doubles.slack.delivery import Delivery
from tests.doubles.slack.elements import find_element, state_of, value_of
from tests.doubles.slack.errors import CannotDo
from tests.doubles.slack.posting import Posting
from tests.doubles.slack.responding import say
from tests.doubles.slack.store import JSON, Channel, Message, Team, User, View, interactive
from tests.doubles.slack.web_api.request import World, open_dm
from tests.doubles.slack.web_api.views import named, new_hash, put, stack


class Asks:
    """The part of a person that uses the app's own interface."""

    def __init__(self, world: World, delivery: Delivery, team: Team, user: User) -> None:
        self.world = world
        self.delivery = delivery
        self.team = team
        self.user = user
        self._chosen: dict[str, dict[str, JSON]] = {}

    @property
    def posting(self) -> Posting:
        return self.world.posting

    def _place(self, where: str | Channel) -> Channel:
        if isinstance(where, Channel):
            return where
        rows = self.team.channels.values()
        return next(one for one in rows if where == one.id or (where == one.name and one.kind != "im"))

    # -- buttons and choices -----------------------------------------------------------------------------------

    async def clicks(self, target: Message | View, action: str, value: str | list[str] | None = None) -> JSON:
        """Use an element of a message or view, found by action_id, value or label; `value` chooses an option."""
        blocks = self._blocks_of(target)
        element = find_element([one for block in blocks for one in interactive(block)], action)
        done = {
            "action_id": element["action_id"],
            "block_id": element["block_id"],
            "type": element["type"],
            "action_ts": self.world.store.clock.ts(),
            **value_of(element, value if value is not None else action),
        }
        key = target.id if isinstance(target, View) else target.ts
        chosen = self._chosen.setdefault(key, {})
        chosen[element["action_id"]] = done
        trigger = self.world.triggers.new(self.team, self.user, target.id if isinstance(target, View) else None)
        payload = payloads.interaction("block_actions", self.team, self.user, trigger) | {"actions": [done]}
        state = state_of(blocks, {}, chosen)
        if isinstance(target, View):
            shown = payloads.view(target, self.team) | {"state": {"values": state}}
            payload |= {"view": shown, "container": {"type": "view", "view_id": target.id}}
        else:
            where = self.team.channel(target.channel)
            payload |= {
                "container": payloads.container(target),
                "channel": payloads.place(where),
                "state": {"values": state},
                "response_url": self.world.triggers.response_url(self.team, where, self.user, target),
            }
            if target.only_for is None:
                payload["message"] = payloads.message(target, where)
        return await self.delivery.ask("interactive", payload)

    def _blocks_of(self, target: Message | View) -> list[JSON]:
        if isinstance(target, View):
            if not target.is_open or target.user != self.user.id:
                raise CannotDo("this view is not on her screen")
            blocks: list[JSON] = target.body["blocks"]
            return blocks
        if target.is_deleted or target.only_for not in {None, self.user.id}:
            raise CannotDo("she does not see this message")
        return target.blocks

    # -- forms -------------------------------------------------------------------------------------------------

    async def submits(self, view: View, values: Mapping[str, Any] | None = None) -> JSON:
        """Fill a modal in, by block_id or action_id, and send it; what is not given keeps its first value."""
        blocks = self._blocks_of(view)
        state = state_of(blocks, dict(values or {}), self._chosen.get(view.id, {}))
        trigger = self.world.triggers.new(self.team, self.user, view.id)
        shown = payloads.view(view, self.team) | {"state": {"values": state}}
        payload = payloads.interaction("view_submission", self.team, self.user, trigger)
        answer = await self.delivery.ask("interactive", payload | {"view": shown, "response_urls": []})
        self._follow(view, answer)
        return answer

    def _follow(self, view: View, answer: JSON) -> None:
        match answer.get("response_action"):
            case None:
                view.is_open = False
            case "clear":
                for one in stack(self.team, view.root):
                    one.is_open = False
            case "errors":
                known = {block.get("block_id") for block in view.body["blocks"]}
                unknown = set(answer.get("errors") or {}) - known
                if unknown or not answer.get("errors"):
                    self.world.record.broke("bad_view_errors", "view_submission", f"no such block: {sorted(unknown)}")
            case "update":
                view.body = named(self.posting, check_view(answer["view"]))
                view.hash = new_hash(self.world.store)
            case "push":
                put(self.posting, self.team, self.user.id, check_view(answer["view"]), view)
            case other:
                self.world.record.broke("bad_response_action", "view_submission", str(other))

    async def closes(self, view: View) -> JSON:
        """Press Cancel; the app hears of it only if it asked to."""
        view.is_open = False
        if not view.body.get("notify_on_close"):
            return {}
        payload = payloads.interaction("view_closed", self.team, self.user, "")
        payload.pop("trigger_id")
        more = {"view": payloads.view(view, self.team), "is_cleared": False}
        return await self.delivery.ask("interactive", payload | more)

    # -- commands and shortcuts --------------------------------------------------------------------------------

    async def slash(
        self, command: str, text: str = "", channel: str | Channel = "general", thread_ts: str | None = None
    ) -> JSON:
        """Type a slash command; a text in the acknowledgement is shown to her (or to all). Not in threads."""
        if thread_ts is not None:
            raise CannotDo(f"{command} is not supported in threads. Sorry!")
        where = self._place(channel)
        payload = {
            "token": payloads.VERIFICATION,
            "team_id": self.team.id,
            "team_domain": self.team.name.lower(),
            "channel_id": where.id,
            "channel_name": payloads.place(where)["name"],
            "user_id": self.user.id,
            "user_name": self.user.name,
            "command": command,
            "text": payloads.typed(text),
            "api_app_id": payloads.APP_ID,
            "is_enterprise_install": "false",
            "response_url": self.world.triggers.response_url(self.team, where, self.user, None),
            "trigger_id": self.world.triggers.new(self.team, self.user),
        }
        answer = await self.delivery.ask("slash_commands", payload)
        if answer.get("text") or answer.get("blocks"):
            say(self.posting, self.team, where, self.user, answer)
        return answer

    async def shortcut(self, callback_id: str, message: Message | None = None) -> JSON:
        """Choose a shortcut from a message's menu, or without a message from anywhere."""
        trigger = self.world.triggers.new(self.team, self.user)
        kind = "message_action" if message else "shortcut"
        payload = payloads.interaction(kind, self.team, self.user, trigger)
        payload |= {"callback_id": callback_id, "action_ts": self.world.store.clock.ts()}
        if message is not None:
            where = self.team.channel(message.channel)
            payload |= {
                "message_ts": message.ts,
                "channel": payloads.place(where),
                "message": payloads.message(message, where),
                "response_url": self.world.triggers.response_url(self.team, where, self.user, message),
            }
        return await self.delivery.ask("interactive", payload)

    # -- the app's own place -----------------------------------------------------------------------------------

    async def opens_home(self, tab: str = "home") -> None:
        """Open the app's page on its home (or "messages") tab."""
        event: JSON = {
            "type": "app_home_opened",
            "user": self.user.id,
            "channel": open_dm(self.world.store, self.team, self.user.id).id,
            "tab": tab,
            "event_ts": self.world.store.clock.ts(),
        }
        home = self.team.homes.get(self.user.id)
        if home is not None and tab == "home":
            event["view"] = payloads.view(home, self.team)
        self.posting.event(self.team.id, event)

    async def opens_agent(self, context_channel: str | Channel | None = None) -> str:
        """Start a chat in the agent's container; returns the thread her messages belong in."""
        where = open_dm(self.world.store, self.team, self.user.id)
        root = self.posting.create(where, self.team.bot, "New chat", subtype="assistant_app_thread")
        self._agent_event("assistant_thread_started", root.ts, context_channel)
        return root.ts

    async def looks_at(self, thread_ts: str, channel: str | Channel) -> None:
        """Turn to another channel with the agent's container open."""
        self._agent_event("assistant_thread_context_changed", thread_ts, channel)

    def _agent_event(self, kind: str, thread_ts: str, context_channel: str | Channel | None) -> None:
        context: JSON = {}
        if context_channel is not None:
            found = self._place(context_channel).id
            context = {"channel_id": found, "team_id": self.team.id, "enterprise_id": None}
        event: JSON = {
            "type": kind,
            "assistant_thread": {
                "user_id": self.user.id,
                "context": context,
                "channel_id": open_dm(self.world.store, self.team, self.user.id).id,
                "thread_ts": thread_ts,
            },
            "event_ts": self.world.store.clock.ts(),
        }
        self.posting.event(self.team.id, event)
