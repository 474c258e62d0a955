"""What a method is given: its arguments, the workspace of its token, and the parts of the double it acts on."""

from dataclasses import dataclass, field

from tests.doubles.slack import payloads
from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.posting import Posting
from tests.doubles.slack.record import Record
from tests.doubles.slack.sign_ins import SignIns
from tests.doubles.slack.store import JSON, Channel, Store, Team, Token
from tests.doubles.slack.triggers import Triggers


@dataclass(slots=True)
class Options:
    """How this Slack is set up; a test may change any of it."""

    client_id: str = "1111.2222"
    client_secret: str = "made-up-client-secret"
    redirect_uri: str | None = None
    rotates_tokens: bool = False
    replies_limit: int = 1000  # 15 for distributed apps outside the marketplace
    is_agent: bool = True
    most_bytes: int = 1_000_000_000


@dataclass(slots=True)
class World:
    """Everything that methods act on."""

    store: Store
    posting: Posting
    triggers: Triggers
    record: Record
    options: Options
    codes: dict[str, JSON] = field(default_factory=dict)
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    sign_ins: SignIns = field(default_factory=SignIns)
    origin: str = ""


@dataclass(slots=True)
class Request:
    """One call. `team` is that of the token."""

    method: str
    args: JSON
    team: Team
    token: Token | None
    world: World

    def channel(self, name: str = "channel", *, must_be_in: bool = False, must_be_live: bool = False) -> Channel:
        """The conversation an argument names: an id, "#name", or a person's id for direct messages."""
        given = str(self.args[name])
        if given.startswith("U") and given in self.team.users:
            found = open_dm(self.world.store, self.team, given)
        elif given.startswith("#"):
            rows = [one for one in self.team.channels.values() if one.name == given[1:] and one.kind != "im"]
            found = rows[0] if rows else self.team.channel(given)
        else:
            found = self.team.channel(given)
        if found.kind == "group" and self.team.bot.id not in found.members:
            raise SlackError("channel_not_found")
        if must_be_in and self.team.bot.id not in found.members:
            raise SlackError("not_in_channel")
        if must_be_live and found.is_archived:
            raise SlackError("is_archived")
        return found

    def writable(self) -> Channel:
        return self.channel(must_be_in=True, must_be_live=True)

    def message_json(self, ts: str, where: Channel) -> JSON:
        return payloads.message(where.messages[ts], where)


def open_dm(store: Store, team: Team, user_id: str) -> Channel:
    """The direct messages of the app and a person, made at first use."""
    user = team.user(user_id)
    found = team.dm_with(user)
    if found is None:
        number = store.new_id("D")
        found = Channel(number, user.name, team.id, "im", int(store.clock.now()), {user.id, team.bot.id})
        team.channels[number] = found
    return found


def paged(rows: list[JSON], args: JSON, *, most: int, default: int) -> tuple[list[JSON], JSON]:
    """One page of a list, and the part of the answer that says how to go on."""
    limit = int(args.get("limit") or default)
    if not 1 <= limit <= 1000:
        raise SlackError("invalid_limit")
    limit = min(limit, most)
    cursor = str(args.get("cursor") or "")
    if cursor and not cursor.startswith("next_"):
        raise SlackError("invalid_cursor")
    start = int(cursor.removeprefix("next_") or 0)
    rest = start + limit < len(rows)
    more = {"next_cursor": f"next_{start + limit}" if rest else ""}
    return rows[start : start + limit], {"has_more": rest, "response_metadata": more}
