"""Things that work once, or for a while: trigger ids, response URLs, socket tickets.

A trigger opens one view within three seconds; a response URL takes five posts within half an hour; a ticket opens one
socket. Sources: https://docs.slack.dev/interactivity/handling-user-interaction and /reference/methods/apps.connections.open.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.store import Channel, Message, Team, User


@dataclass(slots=True)
class Trigger:
    team: Team
    user: User
    made_at: float
    view: str | None = None
    is_used: bool = False


@dataclass(slots=True)
class ResponseUrl:
    team: Team
    channel: Channel
    user: User
    message: Message | None
    thread_ts: str | None
    made_at: float
    uses: int = 0


class Triggers:
    """What was given out, and whether it still works. `seconds` is a trigger's life."""

    def __init__(self, now: Callable[[], float], *, seconds: float = 3.0) -> None:
        self.seconds = seconds
        self.response_urls: dict[str, ResponseUrl] = {}
        self.origin = ""
        self._now = now
        self._triggers: dict[str, Trigger] = {}
        self._tickets: dict[str, bool] = {}
        self._count = itertools.count(1)

    def new(self, team: Team, user: User, view: str | None = None) -> str:
        made_at = self._now()
        number = f"{next(self._count)}.{int(made_at)}.{user.id.lower()}"
        self._triggers[number] = Trigger(team, user, made_at, view)
        return number

    def use(self, number: object, team: Team) -> Trigger:
        """The trigger, spent now. Raises SlackError with the code that Slack gives."""
        trigger = self._triggers.get(str(number))
        if trigger is None or trigger.team is not team:
            raise SlackError("invalid_trigger_id")
        if trigger.is_used:
            raise SlackError("exchanged_trigger_id")
        if self._now() - trigger.made_at > self.seconds:
            raise SlackError("expired_trigger_id")
        trigger.is_used = True
        return trigger

    def response_url(
        self, team: Team, channel: Channel, user: User, message: Message | None, thread_ts: str | None = None
    ) -> str:
        key = f"{team.id}/{next(self._count)}/made-up"
        thread_ts = message.thread_ts if message else thread_ts
        self.response_urls[key] = ResponseUrl(team, channel, user, message, thread_ts, self._now())
        return f"{self.origin}/response/{key}"

    def respond(self, key: str) -> ResponseUrl:
        """The target of a response URL, with one use taken. Raises SlackError when it is used up or too old."""
        found = self.response_urls.get(key)
        if found is None:
            raise SlackError("invalid_response_url")
        if self._now() - found.made_at > 30 * 60:
            raise SlackError("expired_url")
        if found.uses >= 5:
            raise SlackError("used_url")
        found.uses += 1
        return found

    def ticket(self) -> str:
        key = f"ticket-{next(self._count)}"
        self._tickets[key] = False
        return key

    def take_ticket(self, key: str) -> bool:
        """Whether a socket may open with it; it never may again."""
        is_good = self._tickets.get(key) is False
        self._tickets[key] = True
        return is_good
