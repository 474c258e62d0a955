"""Rate limits as a client meets them: buckets with headers, one limit over all, and two that no header tells of.

Bucket sizes of the live service are not documented; these are the ones people report. A test may scale the windows
down, or switch all of it off. `server.py` asks `admit` before it does anything.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field

_SEND = ("POST", "/channels/{channel}/messages")
_EDIT = ("PATCH", "/channels/{channel}/messages/{message}")
_REACTION = "/channels/{channel}/messages/{message}/reactions/{emoji}/@me"
_BUCKETS: dict[tuple[str, str], tuple[int, float]] = {
    _SEND: (5, 5.0),
    _EDIT: (5, 5.0),
    ("DELETE", "/channels/{channel}/messages/{message}"): (5, 1.0),
    ("POST", "/channels/{channel}/typing"): (5, 5.0),
    ("PATCH", "/channels/{channel}"): (5, 15.0),
    ("PUT", _REACTION): (1, 0.25),
    ("DELETE", _REACTION): (1, 0.25),
}
_ELSE = (10, 1.0)
_GLOBAL = (50, 1.0)
_TOKEN = (5, 2.0)  # follow-ups of one interaction


@dataclass(slots=True)
class _Window:
    limit: int
    seconds: float
    started: float = 0.0
    used: int = 0

    def take(self, now: float) -> bool:
        if now >= self.started + self.seconds:
            self.started, self.used = now, 0
        if self.used >= self.limit:
            return False
        self.used += 1
        return True

    def wait(self, now: float) -> float:
        """Seconds until it opens, rounded up to the millisecond that headers carry."""
        return math.ceil(max(0.0, self.started + self.seconds - now) * 1000) / 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may go on, and the headers its answer carries."""

    admitted: bool
    headers: dict[str, str]
    retry_after: float = 0.0
    everywhere: bool = False


@dataclass(slots=True)
class RateLimits:
    """Every limit of one double. `scale` shortens the windows of buckets; `enabled` switches them off."""

    now: Callable[[], float]
    enabled: bool = True
    scale: float = 1.0
    old_edits: int = 3
    old_edits_seconds: float = 20.0
    renames: int = 2
    renames_seconds: float = 600.0
    _windows: dict[str, _Window] = field(default_factory=dict)
    _spent: dict[str, list[float]] = field(default_factory=dict)

    def admit(self, method: str, template: str, major: str) -> Verdict:
        if not self.enabled or template.startswith("/interactions"):
            return Verdict(admitted=True, headers={})
        now = self.now()
        by_token = template.startswith("/webhooks")
        everything = self._window("global", *_GLOBAL)
        if not by_token and not everything.take(now):
            return Verdict(
                False, {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"}, everything.wait(now), True
            )
        limit, seconds = _TOKEN if by_token else _BUCKETS.get((method, template), _ELSE)
        name = _REACTION if template == _REACTION else f"{method} {template}"
        window = self._window(f"{name} {major}", limit, seconds)
        admitted = window.take(now)
        wait = window.wait(now)
        headers = {
            "X-RateLimit-Bucket": hashlib.md5(name.encode(), usedforsecurity=False).hexdigest(),
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(limit - window.used),
            "X-RateLimit-Reset": f"{now + wait:.3f}",
            "X-RateLimit-Reset-After": f"{wait:.3f}",
        }
        if not admitted:
            headers["X-RateLimit-Scope"] = "user"
        return Verdict(admitted, headers, wait)

    def may_rename(self, channel_id: str) -> float:
        """0 when the channel may be renamed (which this counts), else the seconds to wait."""
        return self._hidden(f"rename {channel_id}", self.renames, self.renames_seconds)

    def may_edit_old(self, channel_id: str) -> float:
        """The same for an edit of a message older than an hour."""
        return self._hidden(f"old {channel_id}", self.old_edits, self.old_edits_seconds)

    def _hidden(self, key: str, limit: int, seconds: float) -> float:
        if not self.enabled:
            return 0.0
        now = self.now()
        recent = [at for at in self._spent.get(key, []) if at > now - seconds]
        self._spent[key] = recent
        if len(recent) >= limit:
            return round(recent[0] + seconds - now, 3)
        recent.append(now)
        return 0.0

    def _window(self, key: str, limit: int, seconds: float) -> _Window:
        return self._windows.setdefault(key, _Window(limit, seconds * self.scale))
