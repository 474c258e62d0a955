"""What people do with the app's own things: click, choose, fill in forms, type commands. Mixed into `people.Person`.

A person can only do what her client would let her: press what is shown and enabled, run what was registered, fill in
what fits. Anything else is a `CannotDo`, the test's own mistake or the program's.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from tests.doubles.discord import payloads
from tests.doubles.discord.component_rules import BUTTON, CHECKBOX, INPUT, SELECT, SELECTS, UPLOAD
from tests.doubles.discord.content_rules import Upload
from tests.doubles.discord.interactions import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL_SUBMIT, Modal, Seen
from tests.doubles.discord.permissions import may
from tests.doubles.discord.world import JSON, Channel, Message, User, walk

if TYPE_CHECKING:
    from tests.doubles.discord.double import DiscordDouble

_RESOLVED = {5: "users", 6: "roles", 7: "users", 8: "channels"}
_OPTION_TYPES: dict[int, type | tuple[type, ...]] = {3: str, 4: int, 5: bool, 10: (int, float)}
_SUB = {1, 2}
_PRESSES = 20


class CannotDo(AssertionError):
    """No client would offer this."""


class Asks:
    """Interactions of one person."""

    double: "DiscordDouble"
    user: User

    def channel(self, where: "str | Channel | None") -> Channel:
        raise NotImplementedError("the person who asks knows her channels")

    async def clicks(self, message: Message, custom_id: str) -> Seen:
        """Press a button, named by custom_id or label; returns what she saw once it was acknowledged, or had failed."""
        part = self._part(message, custom_id, {BUTTON})
        data = {"component_type": BUTTON, "custom_id": part["custom_id"], "id": part["id"]}
        return await self._ask(COMPONENT, message.channel, data, message)

    async def opens(self, message: Message, custom_id: str, *, again: str = "press again") -> Modal:
        """Press a button that brings a form up; once more as often as she is told to, in words that hold `again`.

        A form must be the first answer within 3 s, which a machine that is busy with other tests may miss.
        """
        for _ in range(_PRESSES):
            seen = await self.clicks(message, custom_id)
            if seen.modal is not None:
                return seen.modal
            assert again in (seen.ephemeral or ""), seen
        raise AssertionError(f"no form came up in {_PRESSES} times")

    async def selects(self, message: Message, custom_id: str, values: list[str]) -> Seen:
        """Choose in a select, by values (ids for users, roles and channels)."""
        part = self._part(message, custom_id, SELECTS)
        known = [option["value"] for option in part.get("options") or []]
        if part["type"] == SELECT and not set(values) <= set(known):
            raise CannotDo(f"{values} are not all among {known}")
        if not part.get("min_values", 1) <= len(values) <= part.get("max_values", 1):
            raise CannotDo(f"{len(values)} values do not fit the select {custom_id}")
        data: JSON = {"component_type": part["type"], "custom_id": custom_id, "id": part["id"], "values": values}
        if part["type"] != SELECT:
            data["resolved"] = {_RESOLVED[part["type"]]: {one: self._resolved(message.channel, one) for one in values}}
        return await self._ask(COMPONENT, message.channel, data, message)

    async def submits(self, modal: Modal, values: dict[str, Any]) -> Seen:
        """Send a form: custom_id -> text, list of values, or list of files (name, content)."""
        if unknown := set(values) - set(modal.fields):
            raise CannotDo(f"the form has no {unknown}, only {list(modal.fields)}")
        resolved: JSON = {}
        rows = [self._row(modal.channel, row, values, resolved) for row in modal.components]
        data: JSON = {"custom_id": modal.custom_id, "components": rows}
        if resolved:
            data["resolved"] = resolved
        return await self._ask(MODAL_SUBMIT, modal.channel, data, modal.message)

    def _row(self, channel: Channel, row: JSON, values: dict[str, Any], resolved: JSON) -> JSON:
        answer: JSON = {"type": row["type"], "id": row.get("id", 1)}
        if row["type"] == 1:
            answer["components"] = [self._field(channel, field, values, resolved) for field in row["components"]]
        elif "component" in row:
            answer["component"] = self._field(channel, row["component"], values, resolved)
        return answer

    def _field(self, channel: Channel, field: JSON, values: dict[str, Any], resolved: JSON) -> JSON:
        name, kind = field["custom_id"], field["type"]
        answer: JSON = {"type": kind, "custom_id": name, "id": field.get("id", 2)}
        value = values.get(name)
        required = field.get("required", True)
        if kind == INPUT:
            text = field.get("value") or "" if value is None else value
            if required and not text:
                raise CannotDo(f"{name} must be filled in")
            if text and not (field.get("min_length") or 0) <= len(text) <= (field.get("max_length") or 4000):
                raise CannotDo(
                    f"{name} takes {field.get('min_length') or 0} to {field.get('max_length') or 4000} characters"
                )
            return answer | {"value": text}
        if kind == CHECKBOX:
            return answer | {"value": bool(value)}
        if required and not value and kind != 22:
            raise CannotDo(f"{name} must be filled in")
        if kind == UPLOAD:
            files = [
                self.double.posting.attach(channel, Upload(index, *file), {}) for index, file in enumerate(value or [])
            ]
            resolved.setdefault("attachments", {}).update({one.id: payloads.attachment(one) for one in files})
            return answer | {"values": [one.id for one in files]}
        if kind == 21:
            return answer | {"value": value}
        return answer | {"values": list(value or [])}

    # -- commands ----------------------------------------------------------------------------------------------

    async def slash(self, command: str, *, channel: "str | Channel | None" = None, **options: Any) -> Seen:
        """Run a slash command ("threadwork ask") with options; channel defaults to the first of her server."""
        where = self.channel(channel)
        data = self._command(command, where, options)
        return await self._ask(COMMAND, where, data)

    async def autocompletes(
        self, command: str, focused: str, value: str, *, channel: "str | Channel | None" = None, **options: Any
    ) -> list[JSON]:
        """Type `value` into the option `focused`; returns the choices offered ({name, value})."""
        where = self.channel(channel)
        data = self._command(command, where, options | {focused: value}, focused=focused)
        return (await self._ask(AUTOCOMPLETE, where, data)).choices

    async def context_menu(self, name: str, message: Message) -> Seen:
        """Run a command from a message's menu."""
        found = self._registered(3, name, message.channel)
        shown = payloads.message(self.double.world, message)
        data: JSON = {
            "id": found["id"],
            "name": name,
            "type": 3,
            "target_id": message.id,
            "resolved": {"messages": {message.id: shown}},
        }
        return await self._ask(COMMAND, message.channel, data)

    def _registered(self, kind: int, name: str, channel: Channel) -> JSON:
        commands = self.double.commands
        guild_id = channel.guild.id if channel.guild else None
        rows = [*commands.get(guild_id, []), *commands.get(None, [])]
        for row in rows:
            if row["type"] == kind and row["name"] == name:
                if row["contexts"] is not None and (0 if channel.guild else 1) not in row["contexts"]:
                    raise CannotDo(f"{name} is not offered here")
                return row
        raise CannotDo(f"no command {name!r} is registered, only {sorted(row['name'] for row in rows)}")

    def _command(self, command: str, channel: Channel, given: dict[str, Any], *, focused: str | None = None) -> JSON:
        name, *path = command.split()
        found = self._registered(1, name, channel)
        if not may(channel, self.user, "USE_APPLICATION_COMMANDS"):
            raise CannotDo(f"{self.user.name} may not use commands here")
        data: JSON = {"id": found["id"], "name": name, "type": 1, "options": []}
        if found.get("guild_id"):
            data["guild_id"] = found["guild_id"]
        options, level = data["options"], found
        for step in path:
            level = next((row for row in level["options"] if row["name"] == step and row["type"] in _SUB), {})
            if not level:
                raise CannotDo(f"{name} has no {step}")
            inner: JSON = {"name": step, "type": level["type"], "options": []}
            options.append(inner)
            options = inner["options"]
        offered = {row["name"]: row for row in level.get("options") or []}
        if any(row["type"] in _SUB for row in offered.values()):
            raise CannotDo(f"{command} needs one of {list(offered)}")
        missing = [row["name"] for row in offered.values() if row.get("required") and row["name"] not in given]
        if unknown := set(given) - set(offered):
            raise CannotDo(f"{command} takes {list(offered)}, not {unknown}")
        if missing and focused is None:
            raise CannotDo(f"{command} needs {missing}")
        resolved: JSON = {}
        options += [self._option(channel, offered[one], value, resolved, focused) for one, value in given.items()]
        if resolved:
            data["resolved"] = resolved
        return data

    def _option(self, channel: Channel, option: JSON, value: Any, resolved: JSON, focused: str | None) -> JSON:
        name, kind = option["name"], option["type"]
        row: JSON = {"name": name, "type": kind, "value": value}
        if name == focused:
            if not option.get("autocomplete"):
                raise CannotDo(f"{name} offers no completion")
            return row | {"focused": True}
        choices = [choice["value"] for choice in option.get("choices") or []]
        if choices and value not in choices:
            raise CannotDo(f"{value!r} is not among {choices}")
        if kind in _OPTION_TYPES and not isinstance(value, _OPTION_TYPES[kind]):
            raise CannotDo(f"{name} cannot be {value!r}")
        if kind == 3 and not (option.get("min_length") or 0) <= len(value) <= (option.get("max_length") or 6000):
            raise CannotDo(f"{name} does not take {len(value)} characters")
        if kind == 11:
            made = self.double.posting.attach(channel, Upload(0, *value), {})
            resolved.setdefault("attachments", {})[made.id] = payloads.attachment(made)
            return row | {"value": made.id}
        if kind in {6, 7, 8, 9}:
            number = str(value.id)
            group = {6: "users", 7: "channels", 8: "roles", 9: "users"}[kind]
            resolved.setdefault(group, {})[number] = self._resolved(channel, number)
            if group == "users" and channel.guild and number in channel.guild.members:
                member = payloads.member(channel.guild.members[number], with_user=False)
                resolved.setdefault("members", {})[number] = member | {"permissions": "0"}
            return row | {"value": number}
        return row

    # -- shared ------------------------------------------------------------------------------------------------

    def _resolved(self, channel: Channel, number: str) -> JSON:
        world = self.double.world
        if number in world.users:
            return payloads.user(world.users[number])
        if number in world.channels:
            return payloads.channel(world.channels[number], viewer=self.user)
        assert channel.guild is not None
        return payloads.role(channel.guild.roles[number])

    def _part(self, message: Message, custom_id: str, kinds: set[int]) -> JSON:
        if message.deleted or (message.only_for is not None and message.only_for is not self.user):
            raise CannotDo(f"{self.user.name} does not see this message")
        if not may(message.channel, self.user, "VIEW_CHANNEL"):
            raise CannotDo(f"{self.user.name} does not see this channel")
        offered = [part for part in walk(message.components) if part["type"] in kinds and "custom_id" in part]
        for part in offered:
            if custom_id in {part["custom_id"], part.get("label")}:
                if part.get("disabled"):
                    raise CannotDo(f"{custom_id} is disabled")
                return part
        raise CannotDo(f"the message offers {[part['custom_id'] for part in offered]}, not {custom_id!r}")

    async def _ask(self, kind: int, channel: Channel, data: JSON, message: Message | None = None) -> Seen:
        interactions = self.double.interactions
        begun = interactions.begin(kind, self.user, channel, data, message)
        try:
            async with asyncio.timeout(interactions.ack_seconds):
                await begun.acked.wait()
        except TimeoutError:
            pass  # she reads "This interaction failed"
        return begun.seen
