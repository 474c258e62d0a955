"""What the program asked for, and which of Slack's rules it broke.

`server.py` writes here, and `double.py` fails the test on what is unexpected.
"""

from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]


@dataclass(slots=True)
class Call:
    """One request to the Web API. `at` is the double's clock; `error` is None when it was done."""

    method: str
    team: str | None
    args: JSON
    at: float
    status: int = 0
    error: str | None = None
    answer: JSON = field(default_factory=dict)
    is_lost: bool = False  # it was done, and the caller was never told


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that was broken: an error code or a name of ours ("not_acked", "ticket_reused", …), where, and how."""

    code: str
    where: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.code} {self.detail}".rstrip()


class Record:
    """Everything asked and everything broken, in order."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.violations: list[Violation] = []
        self._allowed: set[str] = set()

    def allow(self, *codes: str) -> None:
        self._allowed.update(codes)

    def broke(self, code: str, where: str, detail: str = "") -> None:
        self.violations.append(Violation(code, where, detail))

    @property
    def unexpected(self) -> list[Violation]:
        return [one for one in self.violations if one.code not in self._allowed]
