"""Slack: a workspace for each schedule on one double, with the app installed; people write, click and are told things.

Slack sends events again, out of order too, loses answers, answers late or not at all, and cuts its sockets.
"""

import asyncio
import copy
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from core.domain.approval import Approval, Verdict
from core.ports import Installation
from core.store.installations import PostgresInstallations
from core.surfaces.presses import Press, Verb, decode
from core.surfaces.slack.receipts import EMOJI
from tests.doubles.slack import CannotDo, Message, NotAnswered, SlackDouble, Workspace
from tests.doubles.slack.record import Call
from tests.faults.insisting import insist
from tests.faults.platforms import screen
from tests.faults.platforms.platform import ANN, BOB, Ending, Platform, Room
from tests.faults.schedule import BOT_FAULTS, Chat, Fault, Said

if TYPE_CHECKING:
    from tests.faults.drive import People

_SEND: Final = "chat.postMessage"
_CALLS: Final = ("chat.postMessage", "chat.update", "reactions.*", "conversations.replies")
_REFUSAL: Final = "I could not take your message"
_EVER: Final = None
# Longer than the program waits for an answer.
_TOO_LATE_S: Final = 25.0


class SlackRoom:
    """A workspace, and the thread of one schedule in its first channel."""

    def __init__(self, slack: SlackDouble, workspace: Workspace) -> None:
        self._slack = slack
        self._workspace = workspace
        self._channel = workspace.find("general")
        self._thread: str | None = None
        self._seen: dict[Press, Message] = {}
        workspace.person(BOB, admin=True)
        self._channel.members |= {workspace.person(ANN).id, workspace.person(BOB).id}

    @property
    def key(self) -> str | None:
        place = f"slack:{self._workspace.id}:{self._channel.id}"
        return None if self._thread is None else f"{place}:{self._thread}"

    @property
    def refused(self) -> int:
        return sum(one.shown.startswith(_REFUSAL) for one in self._workspace.person(ANN).only_hers)

    async def say(self, said: Said) -> str:
        ann = self._workspace.person(ANN)
        if self._thread is None:
            message = await ann.mentions(self._channel, said.prompt())
            self._thread = message.ts
        else:
            message = await ann.says(self._channel, said.prompt(), thread_ts=self._thread)
        events = [one for one in self._slack.events if one["event"].get("ts") == message.ts]
        for _ in range(said.deliveries - 1):
            await asyncio.sleep(0.05)
            for event in events:
                self._slack.delivery.repeat(event)
        return message.ts

    async def press(self, approval: Approval, verdict: Verdict, by: str) -> bool:
        return await self._press(Press(Verb.ALLOW if verdict is Verdict.ALLOW else Verb.DENY, approval.id), by)

    async def stop(self) -> bool:
        presses = [decode(part["action_id"]) for one in self._ours() for part in one.elements]
        stops = [press for press in presses if press is not None and press.verb is Verb.STOP]
        return bool(stops) and await self._press(stops[-1], ANN)

    async def _press(self, press: Press, by: str) -> bool:
        for one in self._ours():
            for part in one.elements:
                shown = decode(part["action_id"])
                if shown is not None and shown not in self._seen:
                    # As it is on a screen that is not told of later edits.
                    self._seen[shown] = copy.copy(one)
        seen = self._seen.get(press)
        if seen is None:
            return False
        try:
            await self._workspace.person(by).clicks(seen, press.encode())
        except (CannotDo, NotAnswered):
            return False
        return True

    def _ours(self) -> list[Message]:
        rows = sorted(self._channel.messages.values(), key=lambda one: one.ts)
        return [one for one in rows if one.author is self._workspace.bot and one.only_for is None]

    async def broken(self, ending: Ending) -> Sequence[str]:
        shown = [
            screen.Shown(one.ts, one.shown, [str(part.get("action_id")) for part in one.elements], one.is_deleted)
            for one in self._ours()
        ]
        return list(screen.broken(ending, shown, EMOJI, self._signs))

    def _signs(self, message: str) -> list[str]:
        reactions = self._channel.messages[message].reactions
        return [name for name, users in reactions.items() if self._workspace.bot.id in users]


class Slack:
    """The double, in which something goes wrong with every tenth call, and what is staged on top of that."""

    def __init__(self, slack: SlackDouble, seed: int) -> None:
        self.name = "slack"
        self.bot: str | None = "slack"
        self.settings: Mapping[str, str] = {
            "SLACK_CLIENT_ID": slack.options.client_id,
            "SLACK_CLIENT_SECRET": slack.options.client_secret,
            "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_API_URL": slack.api_url,
            "THREADWORK_MODE": "ask",
            # The double fails, not what stands around the surface.
            "FAULTS_SHARE": "0",
        }
        self._slack = slack
        self._rng = random.Random(f"slack {seed}")
        self._looked = 0
        for method in _CALLS:
            for kind, share in (("ambiguous", 0.04), ("http", 0.03), ("drop", 0.02), ("throttle", 0.01)):
                getattr(slack.faults, kind)(method, times=_EVER, when=self._at_times(share))

    def _at_times(self, share: float) -> Callable[[Call], bool]:
        return lambda _call: self._rng.random() < share

    @property
    def staged(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for fault in self._slack.faults.planned:
            name = f"{fault.kind} {fault.method}"
            found[name] = found.get(name, 0) + fault.spent
        return found

    async def open_room(self, chat: Chat, people: "People") -> Room:
        workspace = self._slack.workspace(f"T{chat.seed}")
        installations = PostgresInstallations(people.engine, people.secret)
        await insist(lambda: installations.save(Installation(workspace.id, workspace.token)))
        return SlackRoom(self._slack, workspace)

    async def stage(self, fault: Fault) -> None:
        faults, delivery = self._slack.faults, self._slack.delivery
        match fault.name:
            case "cut the bot off":
                await self._slack.sockets.cut()
            case "cut the bot off and keep it out":
                self._slack.refuse_sockets(2)
                await self._slack.sockets.cut()
            case "begin a new session":
                await self._slack.sockets.disconnect()
            case "repeat events":
                lately = delivery.events[-6:]
                self._rng.shuffle(lately)
                for event in lately:
                    delivery.repeat(event)
            case "mix events up":
                delivery.held += [self._rng.uniform(0, 2) for _ in range(4)]
            case "lose answers":
                faults.ambiguous(_SEND, times=3)
            case "answer too late":
                faults.delay(_SEND, seconds=_TOO_LATE_S)
            case "refuse calls":
                for method in _CALLS:
                    faults.http(method, 503, times=2)
            case "throttle calls":
                faults.throttle("chat.*", retry_after=3, times=2)
            case unknown:
                raise NotImplementedError(f"Slack's double has no {unknown}")

    def violations(self, faults: Sequence[str]) -> Sequence[str]:
        found = self._slack.violations[self._looked :]
        self._looked += len(found)
        excused: set[str] = set()
        if set(faults) & {*BOT_FAULTS, "kill postgres", "kill valkey", "flush valkey"}:
            excused |= {"not_acked", "unknown_envelope"}
        if set(faults) & {"kill valkey", "flush valkey"}:
            # What was spent is forgotten.
            excused.add("ratelimited")
        return [str(one) for one in found if one.code not in excused]


@asynccontextmanager
async def open_slack(seed: int) -> AsyncIterator[Platform]:
    """A double with an app that belongs to nobody's workspace yet."""
    # Slack waits a minute before its second repetition, and five before its third.
    async with SlackDouble(retry_delays=(0.0, 6.0, 20.0)) as slack:
        # The app belongs to one, which is there before anybody installs it.
        slack.workspace("T0")
        yield Slack(slack, seed)
        slack.violations.clear()
