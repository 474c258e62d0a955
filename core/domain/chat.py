"""A chat: one thread, one agent memory, one sandbox; who may do what in it, and how it is set.

`ChatKey` is the platform's name of a thread, `ChatId` ours. Next: `message.py`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType
from uuid import UUID

from core.domain.states import SandboxState

ChatId = NewType("ChatId", UUID)
TenantId = NewType("TenantId", UUID)
PersonId = NewType("PersonId", UUID)


class Platform(StrEnum):
    """Where a chat lives."""

    SLACK = "slack"
    DISCORD = "discord"
    CONSOLE = "console"


class Mode(StrEnum):
    """How much the agent may do without asking; see `policy.py` for where the lines are."""

    ASK = "ask"
    AUTO = "auto"
    PLAN = "plan"
    BYPASS = "bypass"


class Busy(StrEnum):
    """What a message does that arrives while a turn runs."""

    STEER = "steer"
    QUEUE = "queue"
    INTERRUPT = "interrupt"


class Role(StrEnum):
    """What a person may do in a tenant."""

    ADMIN = "admin"
    MEMBER = "member"
    GUEST = "guest"


@dataclass(frozen=True, slots=True)
class Place:
    """A thread as its platform names it.

    `tenant`: team or guild id, or `local`. `channel`: channel id, empty on the console. `thread`: thread id or
    parent `ts`, or the console chat's name.
    """

    platform: Platform
    tenant: str
    channel: str
    thread: str

    @property
    def key(self) -> str:
        """The chat's key: `slack:T1:C1:1712.34`, `discord:G1:T1`, `console:<name>`."""
        match self.platform:
            case Platform.SLACK:
                return f"slack:{self.tenant}:{self.channel}:{self.thread}"
            case Platform.DISCORD:
                return f"discord:{self.tenant}:{self.thread}"
            case Platform.CONSOLE:
                return f"console:{self.thread}"

    def message_key(self, message: str) -> str:
        """The dedupe key of a message in this thread, by the platform's id of it."""
        if self.platform is Platform.SLACK:
            return f"slack:{self.tenant}:{self.channel}:{message}"
        return f"{self.key}:{message}"


@dataclass(frozen=True, slots=True)
class Author:
    """A person as a platform names them. `is_decider`: an admin lets them decide in every chat of the tenant."""

    platform_id: str
    name: str
    role: Role = Role.MEMBER
    is_decider: bool = False


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """What can be set per chat; unset fields fall back to the tenant's and then the program's.

    `may_decide` are the platform's ids of those who may answer the agent's questions: who started the chat, and whom
    they invited. Admins of the tenant may always.
    """

    mode: Mode = Mode.AUTO
    busy: Busy = Busy.STEER
    model: str | None = None
    mention_only: bool = False
    may_decide: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentSeat:
    """Where the agent of a chat sits: its sandbox, its process, and how far its journal was read.

    `offset` counts bytes of the journal whose events are recorded. `pending` holds the agent's unanswered
    requests, request id → the exact line, so that a successor can answer them. `cost_seen_usd` is how much of
    the agent's cumulative cost was already accounted for.
    """

    sandbox_id: str | None = None
    sandbox_state: SandboxState = SandboxState.NONE
    pid: int | None = None
    run_dir: str | None = None
    offset: int = 0
    session_id: str | None = None
    pending: dict[str, str] = field(default_factory=dict)
    cost_seen_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat as stored."""

    id: ChatId
    tenant_id: TenantId
    place: Place
    title: str
    settings: ChatSettings
    seat: AgentSeat
    epoch: int
    starter_id: PersonId | None
    created_at: datetime
    active_at: datetime
    turns: int = 0
    cost_usd: Decimal = Decimal(0)
