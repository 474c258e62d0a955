"""The people of a test: `ann = double.workspace("T1").person("ann")`, then `await ann.says("general", "hello")`.

Methods read as sentences and are coroutines, so that the program under test runs in between. What people do with
buttons, forms and commands is in `asking.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.doubles.slack import payloads
from tests.doubles.slack.asking import Asks
from tests.doubles.slack.errors import CannotDo
from tests.doubles.slack.posting import Posting
from tests.doubles.slack.store import SCOPES, Channel, ChannelKind, File, Message, Team, User, View
from tests.doubles.slack.web_api.access import new_token
from tests.doubles.slack.web_api.request import World, open_dm
from tests.doubles.slack.web_api.views import stack

if TYPE_CHECKING:
    from tests.doubles.slack.delivery import Delivery

Upload = Path | tuple[str, bytes]


class Person(Asks):
    """Somebody in one workspace."""

    def __init__(self, workspace: "Workspace", user: User) -> None:
        super().__init__(workspace.world, workspace.delivery, workspace.team, user)
        self.workspace = workspace

    @property
    def id(self) -> str:
        return self.user.id

    @property
    def mention(self) -> str:
        """How a text mentions her."""
        return f"<@{self.user.id}>"

    @property
    def dm(self) -> Channel:
        """Her direct messages with the app."""
        return open_dm(self.world.store, self.team, self.user.id)

    @property
    def only_hers(self) -> list[Message]:
        """What only she sees, oldest first."""
        rows = [one for where in self.team.channels.values() for one in where.messages.values()]
        rows = [one for one in rows if one.only_for == self.user.id and not one.is_deleted]
        return sorted(rows, key=lambda one: one.ts)

    @property
    def modal(self) -> View | None:
        """The modal on top of her screen."""
        mine = [one for one in self.team.views.values() if one.user == self.user.id and one.is_open]
        return stack(self.team, mine[-1].root)[-1] if mine else None

    @property
    def home(self) -> View | None:
        """Her home tab, once the app has published one."""
        return self.team.homes.get(self.user.id)

    def channel(self, where: "str | Channel") -> Channel:
        return self.workspace.find(where)

    async def says(
        self, where: "str | Channel", text: str, thread_ts: str | None = None, files: Sequence[Upload] = ()
    ) -> Message:
        """Post a message, in a thread with `thread_ts`. `where`: a name, an id or a channel; files: (name, bytes)."""
        channel = self.channel(where)
        if channel.is_archived:
            raise CannotDo(f"{channel.name} is archived")
        if channel.kind != "im":
            channel.members.add(self.user.id)
        posting = self.posting
        made = [posting.file(self.team, self.user, *_named(one)) for one in files]
        escaped = payloads.typed(text)
        return posting.create(
            channel,
            self.user,
            escaped,
            blocks=payloads.rich_text(escaped, self.world.store.new_id("b")),
            thread_ts=thread_ts,
            files=made,
            subtype="file_share" if made else None,
        )

    async def mentions(
        self, where: "str | Channel", text: str, thread_ts: str | None = None, files: Sequence[Upload] = ()
    ) -> Message:
        """Post a message that begins with a mention of the app."""
        return await self.says(where, f"<@{self.team.bot.id}> {text}", thread_ts, files)

    async def dms(self, text: str, thread_ts: str | None = None, files: Sequence[Upload] = ()) -> Message:
        return await self.says(self.dm, text, thread_ts, files)

    async def edits(self, message: Message, text: str) -> Message:
        self._must_own(message)
        escaped = payloads.typed(text)
        blocks = payloads.rich_text(escaped, self.world.store.new_id("b"))
        self.posting.edit(message, text=escaped, blocks=blocks)
        return message

    async def deletes(self, message: Message) -> None:
        """Take a message away; admins may do that to anyone's."""
        if not self.user.is_admin:
            self._must_own(message)
        self.posting.delete(message)

    def _must_own(self, message: Message) -> None:
        if message.author is not self.user or message.is_deleted:
            raise CannotDo(f"{self.user.name} cannot change this message")

    async def reacts(self, message: Message, name: str) -> None:
        self.posting.react(message, self.user, name, add=True)

    async def unreacts(self, message: Message, name: str) -> None:
        self.posting.react(message, self.user, name, add=False)

    async def stops_stream(self, message: Message) -> None:
        """Press Stop on a message that is being written."""
        if self.posting.live_stream(message) is None:
            raise CannotDo("this message is not being written")
        self.posting.end_stream(message, "stopped_by_user")
        self._session_stopped(message.channel, message.thread_ts or message.ts, [message.ts])

    async def stops_agent(self, where: "str | Channel", thread_ts: str) -> None:
        """Press the agent's own Stop button, shown while its session is `processing`."""
        channel = self.channel(where)
        if channel.sessions.get(thread_ts, {}).get("status") != "processing":
            raise CannotDo("there is no Stop button: the session is not processing")
        live = [one for one in channel.replies(thread_ts) if self.posting.live_stream(one)]
        for one in live:
            self.posting.end_stream(one, "stopped_by_user")
        self._session_stopped(channel.id, thread_ts, [one.ts for one in live])

    def _session_stopped(self, channel: str, thread_ts: str, streaming: list[str]) -> None:
        event = {
            "type": "agent_session_stopped",
            "channel": channel,
            "thread_ts": thread_ts,
            "streaming_message_ts": streaming,
            "user": self.user.id,
            "event_ts": self.world.store.clock.ts(),
        }
        self.posting.event(self.team.id, event)

    def sits_at_the_browser(self) -> None:
        """Be who Slack's page for signing in asks from now on."""
        self.world.sign_ins.at_browser = self.user

    async def installs(self, authorize_url: str) -> str:
        """Say yes on the page behind "Add to Slack"; returns the URL that the browser is sent back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(authorize_url).query).items()}
        if asked.get("client_id") != self.world.options.client_id:
            raise CannotDo(f"no app has the client id {asked.get('client_id')!r}")
        self.team.scopes |= {one for one in asked.get("scope", "").split(",") if one}
        code = f"{self.team.id}.{self.world.store.new_id('code')}"
        redirect = asked.get("redirect_uri") or self.world.options.redirect_uri
        self.world.codes[code] = {
            "team": self.team.id,
            "user": self.user.id,
            "at": self.world.store.clock.now(),
            "redirect_uri": asked.get("redirect_uri"),
            "is_used": False,
        }
        return f"{redirect or ''}?{urlencode({'code': code, 'state': asked.get('state', '')})}"


class Workspace:
    """One workspace. It begins with the channel "general", which the app is in."""

    def __init__(self, world: World, delivery: "Delivery", number: str, *, is_installed: bool) -> None:
        self.world = world
        self.delivery = delivery
        bot = User(world.store.new_id("U"), "threadwork", number, bot_id=world.store.new_id("B"))
        self.team = Team(number, number.title(), bot, set(SCOPES), {bot.id: bot}, is_installed=is_installed)
        world.store.teams[number] = self.team
        self.token = new_token(world.store, self.team).value if is_installed else ""
        self.people: dict[str, Person] = {}
        self.channel("general")

    @property
    def id(self) -> str:
        return self.team.id

    @property
    def bot(self) -> User:
        return self.team.bot

    @property
    def mention(self) -> str:
        """How a text mentions the app."""
        return f"<@{self.team.bot.id}>"

    @property
    def posting(self) -> Posting:
        return self.world.posting

    def person(self, name: str, *, admin: bool = False, guest: bool = False) -> Person:
        if name not in self.people:
            user = User(self.world.store.new_id("U"), name, self.id, is_admin=admin, is_guest=guest)
            self.team.users[user.id] = user
            self.people[name] = Person(self, user)
        return self.people[name]

    def other_bot(self, name: str) -> Person:
        """Another app's bot: it can talk, and its messages carry its bot id."""
        one = self.person(name)
        one.user.bot_id = one.user.bot_id or self.world.store.new_id("B")
        return one

    def channel(self, name: str, *, kind: ChannelKind = "channel", with_app: bool = True) -> Channel:
        """The channel of this name; the first call makes it, with the app in it unless told otherwise."""
        for one in self.team.channels.values():
            if one.name == name and one.kind != "im":
                return one
        number = self.world.store.new_id("C")
        members = {self.bot.id} if with_app else set[str]()
        made = Channel(number, name, self.id, kind, int(self.world.store.clock.now()), members)
        self.team.channels[number] = made
        return made

    def find(self, where: "str | Channel") -> Channel:
        """A channel by name, id, or itself."""
        if isinstance(where, Channel):
            return where
        for one in self.team.channels.values():
            if where == one.id or (where.removeprefix("#") == one.name and one.kind != "im"):
                return one
        raise KeyError(f"no channel {where!r} in {self.id}")

    async def invites_app(self, where: "str | Channel", by: Person) -> None:
        channel = self.find(where)
        channel.members |= {self.bot.id, by.id}
        self._moved("member_joined_channel", channel, inviter=by.id)

    async def removes_app(self, where: "str | Channel", by: Person) -> None:
        channel = self.find(where)
        self._moved("channel_left", channel, actor_id=by.id)
        channel.members.discard(self.bot.id)

    async def archives(self, where: "str | Channel", by: Person) -> None:
        channel = self.find(where)
        channel.is_archived = True
        self._moved("channel_archive", channel, user=by.id)

    def _moved(self, kind: str, channel: Channel, **more: str) -> None:
        event = {
            "type": kind,
            "user": self.bot.id,
            "channel": channel.id,
            "channel_type": "C",
            "team": self.id,
            "event_ts": self.world.store.clock.ts(),
            **more,
        }
        self.posting.event(self.id, event, channel)

    async def uninstalls(self) -> None:
        """Remove the app: it is told, and its tokens are good for nothing."""
        store = self.world.store
        tokens = {"oauth": [], "bot": [self.bot.id]}
        self.posting.event(self.id, {"type": "tokens_revoked", "tokens": tokens, "event_ts": store.clock.ts()})
        self.posting.event(self.id, {"type": "app_uninstalled", "event_ts": store.clock.ts()})
        self.team.is_installed = False
        for token in store.tokens.values():
            token.is_revoked = token.is_revoked or token.team == self.id

    def file(self, number: str) -> File:
        return self.team.files[number]


def _named(file: Upload) -> tuple[str, bytes]:
    return (file.name, file.read_bytes()) if isinstance(file, Path) else file
