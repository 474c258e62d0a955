"""A Slack on loopback that the real slack_bolt and slack_sdk run against, and that fails the test which breaks its rules.

    async with SlackDouble() as double:
        workspace = double.workspace("T1")
        ann = workspace.person("ann")
        ...start an app with base_url=double.api_url, token=workspace.token, app token double.app_token...
        await double.connected()
        asked = await ann.mentions("general", "fix the build")
        thread = double.thread("general", asked.ts)
        await double.until(lambda: thread.replies)

Leaving the block raises if a request broke a rule that was not announced with `double.allow(code)`. People are in
`people.py`, records in `store.py`, the wire in `server.py` and `sockets.py`, failures to order in `faults.py`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.doubles.slack.clock import Clock
from tests.doubles.slack.delivery import Delivery
from tests.doubles.slack.faults import Faults
from tests.doubles.slack.manifest import Manifest
from tests.doubles.slack.people import Workspace
from tests.doubles.slack.posting import Posting
from tests.doubles.slack.rates import Rates
from tests.doubles.slack.record import JSON, Call, Record, Violation
from tests.doubles.slack.server import Server
from tests.doubles.slack.sockets import Sockets
from tests.doubles.slack.store import Channel, Message, Store
from tests.doubles.slack.thread import Thread
from tests.doubles.slack.triggers import Triggers
from tests.doubles.slack.web_api.request import Options, World

T = TypeVar("T")
APP_TOKEN = "xapp-1-A0DOUBLE01-made-up"
SIGNING_SECRET = "made-up-signing-secret"


class SlackDouble:
    """One made-up Slack with one app in it.

    `ack_seconds` is the time to acknowledge, `retry_delays` what lies between an event's deliveries, `trigger_seconds`
    a trigger's life. `rates` False lifts the rate limits, `rates_scale` multiplies them. `port` 0 picks a free one.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        ack_seconds: float = 3.0,
        retry_delays: Sequence[float] = (0.0, 60.0, 300.0),
        trigger_seconds: float = 3.0,
        rates: bool = True,
        rates_scale: float = 1.0,
        signing_secret: str = SIGNING_SECRET,
        app_token: str = APP_TOKEN,
        clock: Clock | None = None,
    ) -> None:
        self.app_token = app_token
        self.signing_secret = signing_secret
        self.clock = clock or Clock()
        self.options = Options()
        self.record = Record()
        self.faults = Faults()
        self.rates = Rates(self.clock.now)
        self.rates.enabled, self.rates.scale = rates, rates_scale
        self.store = Store(self.clock)
        self.triggers = Triggers(self.clock.now, seconds=trigger_seconds)
        self.sockets = Sockets(self.triggers, self.record)
        self.delivery = Delivery(
            self.sockets,
            self.record,
            ack_seconds=ack_seconds,
            retry_delays=retry_delays,
            signing_secret=signing_secret,
        )
        self.posting = Posting(self.store, self.delivery)
        self.world = World(self.store, self.posting, self.triggers, self.record, self.options)
        self.server = Server(self.world, self.sockets, self.rates, self.faults, app_token=app_token)
        self.origin = self.api_url = ""
        self._port = port
        self._workspaces: dict[str, Workspace] = {}

    async def __aenter__(self) -> Self:
        port = await self.server.start(self._port)
        self.origin = f"http://127.0.0.1:{port}"
        self.api_url = f"{self.origin}/api/"
        self.world.origin = self.triggers.origin = self.posting.origin = self.origin
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.delivery.close()
        finally:
            await self.sockets.close()
            await self.server.stop()
        if kind is None and self.record.unexpected:
            raise AssertionError("Slack's rules were broken:\n" + "\n".join(map(str, self.record.unexpected)))

    def env(self, workspace: str = "T1") -> dict[str, str]:
        """The environment that points a program here, as the app of one workspace."""
        return {
            "SLACK_BOT_TOKEN": self.workspace(workspace).token,
            "SLACK_APP_TOKEN": self.app_token,
            "SLACK_API_URL": self.api_url,
        }

    # -- the made-up world -------------------------------------------------------------------------------------

    def workspace(self, number: str = "T1", *, is_installed: bool = True) -> Workspace:
        """The workspace with this id; the first call makes it. Not installed: people may install it by OAuth."""
        if number not in self._workspaces:
            self._workspaces[number] = Workspace(self.world, self.delivery, number, is_installed=is_installed)
        return self._workspaces[number]

    @property
    def workspaces(self) -> list[Workspace]:
        return list(self._workspaces.values())

    def channel(self, where: str | Channel) -> Channel:
        """A channel by id, or by name in the first workspace that has it."""
        if isinstance(where, Channel):
            return where
        for one in self._workspaces.values():
            try:
                return one.find(where)
            except KeyError:
                continue
        raise KeyError(where)

    def thread(self, where: str | Channel, ts: str | Message) -> Thread:
        """A thread: `messages` and `replies` as they are now, `history` of every post, edit and deletion."""
        return Thread(self.channel(where), ts.ts if isinstance(ts, Message) else ts)

    def message(self, where: str | Channel, ts: str) -> Message:
        return self.channel(where).messages[ts]

    def apply_manifest(self, body: Mapping[str, Any]) -> None:
        """Hold the app to its manifest: its events, scopes, commands and shortcuts, in every workspace there is."""
        manifest = self.delivery.manifest = Manifest(body)
        self.options.is_agent = manifest.is_agent
        for one in self._workspaces.values():
            one.team.scopes.clear()
            one.team.scopes.update(manifest.scopes)

    def advance(self, seconds: float) -> None:
        """Let time pass: triggers expire, streams end, rates recover, tokens run out."""
        self.clock.advance(seconds)

    # -- what the program did ----------------------------------------------------------------------------------

    @property
    def requests(self) -> list[Call]:
        return self.record.calls

    def calls(self, method: str) -> list[Call]:
        """Calls of one method, "response_url" among them, with `args`, `status`, `error` and `answer`."""
        return [call for call in self.record.calls if call.method == method]

    @property
    def violations(self) -> list[Violation]:
        return self.record.violations

    def allow(self, *codes: str) -> None:
        """Expect violations: an error code of Slack, or "not_acked", "ticket_reused", "unknown_argument", …"""
        self.record.allow(*codes)

    @property
    def pings(self) -> list[tuple[Message, str]]:
        """Whom the app's messages reached: "@U…", "!channel", "!here", "!everyone", "!subteam^…"."""
        return self.posting.pings

    @property
    def events(self) -> list[JSON]:
        """Every event sent to the app, as its payload."""
        return self.delivery.events

    @property
    def interactions(self) -> list[JSON]:
        """Every click, form, command and shortcut sent to the app, as its payload."""
        return self.delivery.interactions

    # -- the wire ----------------------------------------------------------------------------------------------

    def send_events_to(self, url: str, *, interactions: str | None = None, commands: str | None = None) -> None:
        """Use signed HTTP requests in place of sockets."""
        self.delivery.events_url = url
        self.delivery.interactions_url, self.delivery.commands_url = interactions, commands

    async def connected(self, sockets: int = 1, *, within: float = 30.0) -> None:
        """Wait until that many sockets are open."""
        await self.until(lambda: len(self.sockets.live) >= sockets, within=within)

    async def settled(self, *, within: float = 30.0) -> None:
        """Wait until every event was acknowledged."""
        await self.until(lambda: self.delivery.is_idle, within=within)

    def refuse_sockets(self, times: int = 1) -> None:
        """Answer the next socket upgrades with 503; their tickets are spent."""
        self.sockets.refusals = times

    # -- waiting -----------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], T | None], *, within: float = 30.0) -> T:
        """Wait until `condition` is true and return its value; say what the program did if it never is."""
        try:
            async with asyncio.timeout(within):
                while not (value := condition()):
                    await asyncio.sleep(0.01)
                return value
        except TimeoutError:
            rows = [f"  {call.method} -> {call.status} {call.error or ''}" for call in self.requests[-15:]]
            raise AssertionError(f"not so within {within} s; the last requests were:\n" + "\n".join(rows)) from None
