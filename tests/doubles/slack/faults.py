"""Ways to go wrong, chosen by a test and spent one request at a time.

A fault names a method ("chat.postMessage", a pattern such as "chat.*", or one of "upload", "download" and
"response_url") and what happens to its next `times` calls.
`server.py` asks before it acts. An ordered failure is no violation: the program is not to blame for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from tests.doubles.slack.record import Call

When = Callable[[Call], bool]
Kind = Literal["error", "http", "throttle", "hang", "drop", "ambiguous", "delay"]


def _always(_: Call) -> bool:
    return True


@dataclass(slots=True)
class Fault:
    """One planned failure. `times` None: until cleared. `seconds` is a delay, or the Retry-After of a throttle."""

    method: str
    kind: Kind
    times: int | None = 1
    error: str = "internal_error"
    status: int = 500
    seconds: float = 0.0
    when: When = _always
    spent: int = 0

    def fits(self, call: Call) -> bool:
        is_left = self.times is None or self.spent < self.times
        return is_left and fnmatchcase(call.method, self.method) and self.when(call)


class Faults:
    """The plan of failures; nothing planned, nothing fails."""

    def __init__(self) -> None:
        self.planned: list[Fault] = []

    def next(self, call: Call) -> Fault | None:
        for fault in self.planned:
            if fault.fits(call):
                fault.spent += 1
                return fault
        return None

    def clear(self) -> None:
        self.planned.clear()

    def fail(self, method: str, error: str = "internal_error", *, times: int | None = 1, when: When = _always) -> Fault:
        """Answer 200 with `ok: false` and this code, and do nothing."""
        return self._plan(Fault(method, "error", times, error, when=when))

    def http(self, method: str, status: int = 500, *, times: int | None = 1, when: When = _always) -> Fault:
        """Answer with an HTTP status and a page that is no JSON; nothing is done."""
        return self._plan(Fault(method, "http", times, status=status, when=when))

    def throttle(self, method: str, *, retry_after: float = 1, times: int | None = 1, when: When = _always) -> Fault:
        """Answer 429 with Retry-After."""
        return self._plan(Fault(method, "throttle", times, "ratelimited", 429, retry_after, when=when))

    def hang(self, method: str, *, seconds: float = 3600.0, times: int | None = 1, when: When = _always) -> Fault:
        """Take the request and say nothing for `seconds`, then drop the connection; nothing is done."""
        return self._plan(Fault(method, "hang", times, seconds=seconds, when=when))

    def drop(self, method: str, *, times: int | None = 1, when: When = _always) -> Fault:
        """Drop the connection; nothing is done."""
        return self._plan(Fault(method, "drop", times, when=when))

    def ambiguous(self, method: str, *, times: int | None = 1, when: When = _always) -> Fault:
        """Do it, then drop the connection without an answer."""
        return self._plan(Fault(method, "ambiguous", times, when=when))

    def delay(self, method: str, *, seconds: float, times: int | None = 1, when: When = _always) -> Fault:
        """Do it, and answer after `seconds`."""
        return self._plan(Fault(method, "delay", times, seconds=seconds, when=when))

    def _plan(self, fault: Fault) -> Fault:
        self.planned.append(fault)
        return fault
