"""What Slack sends about messages, as values. Pure: what is not understood is None, and never an error.

Shapes: https://docs.slack.dev/reference/events. Clicks, forms and commands are in `asked.py`; recorded payloads of
all of them are replayed in the tests. Next: `listener.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from core.domain.chat import Place, Platform
from core.domain.message import FileIn

log = structlog.get_logger(__name__)
JSON = Mapping[str, Any]

# Messages that people write; every other subtype is Slack telling of something: joins, topics, pins.
_WRITTEN: Final = frozenset({None, "file_share", "thread_broadcast", "me_message"})


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a person. `thread` is None for one that stands in no thread.

    A message in a channel that mentions the app comes twice: as itself, and as `is_mention`.
    """

    team: str
    channel: str
    ts: str
    thread: str | None
    user: str
    text: str
    files: tuple[FileIn, ...] = ()
    is_direct: bool = False
    is_mention: bool = False

    @property
    def place(self) -> Place:
        """The thread it belongs to; the one it would begin, if it stands in none."""
        return Place(Platform.SLACK, self.team, self.channel, self.thread or self.ts)


@dataclass(frozen=True, slots=True)
class Edited:
    """A person changed the text of a message."""

    team: str
    channel: str
    ts: str
    thread: str | None
    user: str
    text: str
    is_direct: bool = False

    @property
    def place(self) -> Place:
        """The thread the message belongs to."""
        return Place(Platform.SLACK, self.team, self.channel, self.thread or self.ts)


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message was taken away."""

    team: str
    channel: str
    ts: str
    thread: str | None

    @property
    def place(self) -> Place:
        """The thread the message belonged to."""
        return Place(Platform.SLACK, self.team, self.channel, self.thread or self.ts)


@dataclass(frozen=True, slots=True)
class AgentStopped:
    """Somebody pressed Slack's own Stop button of an agent."""

    team: str
    user: str
    place: Place


@dataclass(frozen=True, slots=True)
class ContainerOpened:
    """Somebody has the agent's container open at a thread; it comes again when they turn to another channel."""

    team: str
    user: str
    place: Place


@dataclass(frozen=True, slots=True)
class HomeOpened:
    """Somebody looks at the app's home tab."""

    team: str
    user: str


@dataclass(frozen=True, slots=True)
class Uninstalled:
    """A workspace took the app out, or took its token back."""

    team: str


Event = Said | Edited | Deleted | AgentStopped | ContainerOpened | HomeOpened | Uninstalled


def parse_event(body: JSON) -> Event | None:
    """The event in an `event_callback`, or None for one that is nothing to us or that is malformed."""
    try:
        event = body["event"]
        read = _READERS.get(event["type"])
        return None if read is None else read(_team(body), event)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        log.warning("payload_not_understood", type="event", id=body.get("event_id"), why=repr(error))
        return None


def _team(body: JSON) -> str:
    """The workspace whose app hears this. In a channel shared by two, `team_id` may be the other's."""
    heard_by: Sequence[JSON] = body.get("authorizations") or [{}]
    return str(heard_by[0].get("team_id") or body["team_id"])


def _message(team: str, event: JSON) -> Event | None:
    match event.get("subtype"):
        case "message_changed":
            return _changed(team, event)
        case "message_deleted":
            before = event.get("previous_message") or {}
            return Deleted(team, event["channel"], event["deleted_ts"], before.get("thread_ts"))
        case subtype if subtype in _WRITTEN:
            return _said(team, event)
        case _:
            return None


def _said(team: str, event: JSON) -> Said | None:
    if _is_bots(event):
        return None
    return Said(
        team=team,
        channel=event["channel"],
        ts=event["ts"],
        thread=event.get("thread_ts"),
        user=event["user"],
        text=str(event.get("text") or ""),
        files=files_of(event),
        is_direct=_is_direct(event),
        is_mention=event["type"] == "app_mention",
    )


def _changed(team: str, event: JSON) -> Edited | Deleted | None:
    now, before = event["message"], event.get("previous_message") or {}
    if now.get("subtype") == "tombstone":
        return Deleted(team, event["channel"], now["ts"], now.get("thread_ts"))
    if _is_bots(now) or now.get("text") == before.get("text"):
        # A link that Slack shows a preview of counts as a change, too.
        return None
    return Edited(
        team=team,
        channel=event["channel"],
        ts=now["ts"],
        thread=now.get("thread_ts"),
        user=now["user"],
        text=str(now.get("text") or ""),
        is_direct=_is_direct(event),
    )


def _agent_stopped(team: str, event: JSON) -> AgentStopped:
    return AgentStopped(team, event["user"], Place(Platform.SLACK, team, event["channel"], event["thread_ts"]))


def _container_opened(team: str, event: JSON) -> ContainerOpened:
    thread = event["assistant_thread"]
    place = Place(Platform.SLACK, team, thread["channel_id"], thread["thread_ts"])
    return ContainerOpened(team, thread["user_id"], place)


def _home_opened(team: str, event: JSON) -> HomeOpened | None:
    return HomeOpened(team, event["user"]) if event.get("tab", "home") == "home" else None


def _uninstalled(team: str, _event: JSON) -> Uninstalled:
    return Uninstalled(team)


def _tokens_revoked(team: str, event: JSON) -> Uninstalled | None:
    return Uninstalled(team) if (event.get("tokens") or {}).get("bot") else None


_READERS: Final[Mapping[str, Callable[[str, JSON], Event | None]]] = {
    "message": _message,
    "app_mention": _said,
    "agent_session_stopped": _agent_stopped,
    "app_home_opened": _home_opened,
    "assistant_thread_context_changed": _container_opened,
    "assistant_thread_started": _container_opened,
    "app_uninstalled": _uninstalled,
    "tokens_revoked": _tokens_revoked,
}


def _is_bots(message: JSON) -> bool:
    return bool(message.get("bot_id")) or message.get("user") in {None, "", "USLACKBOT"}


def _is_direct(event: JSON) -> bool:
    return event.get("channel_type") == "im" or str(event["channel"]).startswith("D")


def files_of(message: JSON) -> tuple[FileIn, ...]:
    """The files that came with a message and can be fetched."""
    return tuple(
        FileIn(
            name=str(file.get("name") or file.get("title") or file["id"]),
            url=str(file.get("url_private_download") or file["url_private"]),
            size=int(file.get("size") or 0),
            media_type=str(file.get("mimetype") or "application/octet-stream"),
        )
        for file in message.get("files") or ()
        if file.get("mode") not in {"tombstone", "hidden_by_limit"} and file.get("url_private")
    )
