"""Ways to go wrong, chosen by a test and spent one request at a time.

A fault names a route ("POST /channels/{channel}/messages", or a pattern with `*`) and what happens to the next
`times` requests on it. `server.py` asks before and after it acts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from tests.doubles.discord.record import Call

Kind = Literal["error", "throttle", "hang", "drop", "ambiguous", "delay"]


@dataclass(slots=True)
class Fault:
    """One planned failure. `seconds` is a delay, or the retry_after of a throttle."""

    route: str
    kind: Kind
    times: int = 1
    status: int = 500
    code: int = 0
    message: str = "500: Internal Server Error"
    seconds: float = 0.0
    via: bool = True  # without the header a client takes a 429 for a ban of its address
    everywhere: bool = False
    when: Callable[[Call], bool] = field(default=lambda _: True)
    spent: int = 0

    def fits(self, call: Call) -> bool:
        if self.spent >= self.times or not self.when(call):
            return False
        # The braces and brackets of templates are not patterns.
        return fnmatchcase(call.route, self.route.replace("[", "[[]"))


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

    def fail(self, route: str, *, times: int = 1, status: int = 500, code: int = 0, message: str = "error") -> Fault:
        """Answer with an error and do nothing."""
        return self._plan(Fault(route, "error", times, status, code, message))

    def throttle(
        self, route: str, *, retry_after: float, times: int = 1, via: bool = True, everywhere: bool = False
    ) -> Fault:
        """Answer 429."""
        return self._plan(Fault(route, "throttle", times, 429, seconds=retry_after, via=via, everywhere=everywhere))

    def hang(self, route: str, *, seconds: float = 3600.0, times: int = 1) -> Fault:
        """Take the request and say nothing for `seconds`, then drop the connection; nothing is done."""
        return self._plan(Fault(route, "hang", times, seconds=seconds))

    def drop(self, route: str, *, times: int = 1) -> Fault:
        """Drop the connection; nothing is done."""
        return self._plan(Fault(route, "drop", times))

    def ambiguous(self, route: str, *, times: int = 1) -> Fault:
        """Do it, then drop the connection before the answer."""
        return self._plan(Fault(route, "ambiguous", times))

    def delay(self, route: str, *, seconds: float, times: int = 1) -> Fault:
        """Do it after `seconds`."""
        return self._plan(Fault(route, "delay", times, seconds=seconds))

    def clear(self) -> None:
        self.planned.clear()

    def _plan(self, fault: Fault) -> Fault:
        self.planned.append(fault)
        return fault
