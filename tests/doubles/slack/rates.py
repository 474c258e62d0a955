"""Slack's rate limits: so many calls a minute per method, workspace and app, and posts per channel and second.

Tiers are those of https://docs.slack.dev/apis/web-api/rate-limits; where sources disagree the smaller number stands.
A refused call spends nothing. `server.py` asks before each call.
"""

import math
from collections import deque
from collections.abc import Callable

from tests.doubles.slack.record import JSON

_TIER = {1: 1, 2: 20, 3: 50, 4: 100}
_TIERS: dict[str, int] = {
    "agents.sessions.rename": 3,
    "agents.sessions.setStatus": 3,
    "assistant.threads.setSuggestedPrompts": 3,
    "assistant.threads.setTitle": 3,
    "auth.revoke": 3,
    "bots.info": 3,
    "chat.appendStream": 4,
    "chat.delete": 3,
    "chat.getPermalink": 4,
    "chat.postEphemeral": 4,
    "chat.startStream": 2,
    "chat.stopStream": 2,
    "chat.update": 3,
    "conversations.history": 3,
    "conversations.info": 3,
    "conversations.join": 3,
    "conversations.list": 2,
    "conversations.members": 4,
    "conversations.open": 3,
    "conversations.replies": 3,
    "files.completeUploadExternal": 4,
    "files.getUploadURLExternal": 4,
    "files.info": 4,
    "oauth.v2.access": 4,
    "reactions.add": 3,
    "reactions.get": 3,
    "reactions.remove": 2,
    "team.info": 3,
    "users.info": 4,
    "users.list": 2,
    "views.open": 4,
    "views.publish": 4,
    "views.push": 4,
    "views.update": 4,
}
# "Special" methods, in calls a minute. Ten sockets of a bot start together, so opening one is not held to tier 1.
_PER_MINUTE = {
    "apps.connections.open": 50,
    "assistant.threads.setStatus": 60,
    "auth.test": 600,
    "chat.postMessage": 300,
}
_POST_EVERY = 1.0  # seconds a channel
_POST_BURST = 5


class Rates:
    """Counts calls. `scale` multiplies every allowance; `enabled` False allows all; `per_minute` overrides a method."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.enabled = True
        self.scale = 1.0
        self.per_minute: dict[str, int] = {}
        self._now = now
        self._calls: dict[tuple[str, str], deque[float]] = {}
        self._posts: dict[str, tuple[float, float]] = {}

    def allowance(self, method: str) -> int:
        """Calls a minute."""
        if method in self.per_minute:
            return self.per_minute[method]
        return _PER_MINUTE.get(method) or _TIER[_TIERS.get(method, 3)]

    def wait_for(self, method: str, team: str, args: JSON) -> int:
        """Count a call; returns 0, or the whole seconds to wait when it is one too many."""
        if not self.enabled:
            return 0
        now = self._now()
        calls = self._calls.setdefault((method, team), deque())
        while calls and calls[0] <= now - 60:
            calls.popleft()
        if len(calls) >= max(1, int(self.allowance(method) * self.scale)):
            return max(1, math.ceil(calls[0] + 60 - now))
        if method == "chat.postMessage" and (wait := self._post(f"{team}:{args.get('channel')}", now)):
            return wait
        calls.append(now)
        return 0

    def _post(self, channel: str, now: float) -> int:
        tokens, at = self._posts.get(channel, (float(_POST_BURST), now))
        tokens = min(_POST_BURST, tokens + (now - at) / _POST_EVERY * self.scale)
        if tokens < 1:
            self._posts[channel] = tokens, now
            return max(1, math.ceil((1 - tokens) * _POST_EVERY / self.scale))
        self._posts[channel] = tokens - 1, now
        return 0
