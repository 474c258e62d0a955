"""What a client asked, what it was told, and which rules it broke.

A refusal that is part of life (no permission, a thread archived meanwhile) is no violation. A request that no careful
client would send is one, and so is breaking the two promises this project makes: a nonce on every send, and
allowed_mentions on everything that could ping.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.doubles.discord.content_rules import Upload, mention_marks
from tests.doubles.discord.errors import ApiError
from tests.doubles.discord.world import User

# Discord's codes that mean the client did wrong: malformed, too large, too late, twice, or too often.
_MISTAKES = {50035, 50006, 40005, 40060, 10062, 50027, 30046}


@dataclass(slots=True)
class Call:
    """One request."""

    method: str
    template: str
    path: str
    params: dict[str, str]
    query: dict[str, str]
    body: Any
    uploads: list[Upload]
    at: float
    status: int = 0
    code: int = 0
    answer: Any = None
    person: User | None = None  # who signed in, where it is with a person's token

    @property
    def route(self) -> str:
        return f"{self.method} {self.template}"


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule: its code ("50035", "429", "no-nonce"), what exactly, and the request."""

    code: str
    detail: str
    call: Call | None = None

    def __str__(self) -> str:
        where = f" in {self.call.method} {self.call.path}" if self.call else ""
        return f"{self.code}: {self.detail}{where}"


@dataclass(slots=True)
class Record:
    """Every request in order, and the violations among them. `house_rules` adds this project's own promises."""

    house_rules: bool = True
    calls: list[Call] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    allowed: set[str] = field(default_factory=set)

    def allow(self, *codes: str) -> None:
        """Expect these violations: they are recorded, and fail nothing."""
        self.allowed.update(codes)

    @property
    def unexpected(self) -> list[Violation]:
        return [one for one in self.violations if one.code not in self.allowed]

    def add(self, code: str, detail: str, call: Call | None = None) -> None:
        self.violations.append(Violation(code, detail, call))

    def refused(self, call: Call, error: ApiError) -> None:
        if error.code in _MISTAKES:
            details = "; ".join(map(str, error.problems))
            self.add(str(error.code), f"{error.message} {details}".strip(), call)
        elif error.status == 429:
            self.add("429", "renamed more often than 2 times in 10 minutes", call)

    def judge(self, call: Call) -> None:
        """Check the promises of this project on a request, whatever Discord says to it."""
        body = call.body
        if not self.house_rules or not isinstance(body, dict):
            return
        if call.route == "POST /channels/{channel}/messages" and (
            body.get("nonce") is None or not body.get("enforce_nonce")
        ):
            self.add("no-nonce", "a message was sent without nonce and enforce_nonce", call)
        for part in (body, body.get("message"), body.get("data")):
            if isinstance(part, dict) and call.method in {"POST", "PATCH"} and "allowed_mentions" not in part:
                content, components = part.get("content"), part.get("components")
                if mention_marks(content if isinstance(content, str) else "", components or []):
                    self.add("no-allowed-mentions", "a text that could ping was sent without allowed_mentions", call)
