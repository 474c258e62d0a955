"""Every outside need of Threadwork, as a Protocol whose promises are bullets.

Each bullet has a test in `tests/contracts/` that runs over every implementation. Use cases (`bots/intake.py`,
`worker/run_chat.py`) know only these; `app.py` files choose the implementations. The values are in `core/domain`.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, NewType, Protocol
from uuid import UUID

from core.domain.access import Access, Rights, Scope
from core.domain.approval import Approval, ApprovalId, ApprovalKind, Decision, Rule
from core.domain.chat import AgentSeat, Author, Chat, ChatId, ChatSettings, Place, Platform
from core.domain.events import FileKept, FileShared, RunEvent, TurnFinished
from core.domain.legs import Leg
from core.domain.message import FileIn, Message, MessageId
from core.domain.states import SandboxState, TurnState
from core.domain.turn import Turn, TurnId, Usage
from core.domain.view import View

Cursor = NewType("Cursor", str)


# ---------------------------------------------------------------- the store


@dataclass(frozen=True, slots=True)
class Fence:
    """A run's right to write to a chat: good while the chat's epoch is this one."""

    chat_id: ChatId
    epoch: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of an incoming message: the chat it belongs to, and whether it is new."""

    chat: Chat
    message: Message
    is_new: bool
    is_new_chat: bool


@dataclass(frozen=True, slots=True)
class Recorded:
    """A stored event, numbered within its turn from 1."""

    turn_id: TurnId
    seq: int
    event: RunEvent
    at: datetime


class Chats(Protocol):
    """Chats, their leases and their seats.

    * `take` raises the epoch by one and leases the chat, or returns None while another's lease is live.
    * Time for leases is the database's, so workers' clocks do not matter.
    * Every write with a fence raises `Fenced`, and changes nothing, once the epoch has moved on.
    * `release` ends the lease and leaves the epoch: a released run is still fenced by the next `take` only.
    * `unattended` names every chat that has something to do and no live lease: queued messages, a running turn,
      a waiting turn whose questions are settled or that is asked to stop, an end or a receipt that was not shown.
    """

    async def get(self, chat_id: ChatId) -> Chat: ...
    async def by_key(self, key: str) -> Chat | None: ...
    async def take(self, chat_id: ChatId, worker: str, lease_s: float) -> tuple[Chat, Fence] | None: ...
    async def renew(self, fence: Fence, lease_s: float) -> None: ...
    async def release(self, fence: Fence) -> None: ...
    async def check(self, fence: Fence) -> None: ...
    async def save_seat(self, fence: Fence, seat: AgentSeat) -> None: ...
    async def change_settings(self, chat_id: ChatId, settings: ChatSettings) -> None: ...
    async def unattended(self, limit: int = 500) -> Sequence[ChatId]: ...
    async def idle(self, idle_s: float, limit: int = 100) -> Sequence[Chat]: ...
    async def untouched(self, days: float, limit: int = 100) -> Sequence[Chat]: ...
    async def recent(self, platform: Platform | None = None, limit: int = 50) -> Sequence[Chat]: ...


class Messages(Protocol):
    """What people said.

    * `accept` is one transaction: tenant, person, chat and message are found or made; a key seen before changes
      nothing and returns what is there.
    * `edit` and `drop` touch a message only while it is queued, and say whether they did.
    * `queued` gives a chat's undelivered messages in the order they were accepted.
    """

    async def accept(
        self,
        place: Place,
        author: Author,
        external_id: str,
        text: str,
        files: Sequence[FileIn] = (),
        *,
        settings: ChatSettings | None = None,
        title: str | None = None,
    ) -> Accepted: ...
    async def queued(self, chat_id: ChatId) -> Sequence[Message]: ...
    async def of_turn(self, turn_id: TurnId) -> Sequence[Message]: ...
    async def recent(self, chat_id: ChatId, limit: int = 50) -> Sequence[Message]: ...
    async def edit(self, key: str, text: str) -> bool: ...
    async def drop(self, key: str) -> bool: ...
    async def deliver(self, fence: Fence, turn_id: TurnId, ids: Sequence[MessageId]) -> None: ...
    async def unmarked(self, chat_id: ChatId) -> Sequence[Message]: ...
    async def marked(self, fence: Fence, message_id: MessageId, receipt: str) -> None: ...


class Turns(Protocol):
    """Turns and their events.

    * At most one unfinished turn a chat, kept by the database itself.
    * `begin` makes the turn, delivers its messages and stores `TurnStarted` as event 1, in one transaction.
    * `record` stores events and the seat (with its journal offset) in one transaction, or neither.
    * Recording a seq that is stored already changes nothing and raises `Fenced`: somebody else wrote it.
    * `finish` stores the end: state, usage, cost, final text, its event, the messages' final states (those not in
      `answered` go back to the queue), and withdraws what is still asked, all in one transaction; a second
      `finish` raises `IllegalStep`.
    * `ask_stop` is remembered until the turn ends, also while no worker runs it.
    * `cannot_show` leaves an end unshown, with the reason: nobody tries again by himself, `unshown` still has it.
    * `handed_over` is the last that was told of each file in the chat's outbox, by its path.
    """

    async def begin(self, fence: Fence, ids: Sequence[MessageId]) -> Turn: ...
    async def unfinished(self, chat_id: ChatId) -> Turn | None: ...
    async def get(self, turn_id: TurnId) -> Turn: ...
    async def recent(self, chat_id: ChatId, limit: int = 20) -> Sequence[Turn]: ...
    async def record(
        self, fence: Fence, turn_id: TurnId, first_seq: int, events: Sequence[RunEvent], seat: AgentSeat
    ) -> None: ...
    async def finish(
        self,
        fence: Fence,
        turn_id: TurnId,
        seq: int,
        end: TurnFinished,
        seat: AgentSeat,
        *,
        answered: Collection[MessageId] | None = None,
    ) -> None: ...
    async def park(self, fence: Fence, turn_id: TurnId) -> None: ...
    async def unpark(self, fence: Fence, turn_id: TurnId) -> None: ...
    async def restarted(self, fence: Fence, turn_id: TurnId) -> int: ...
    async def ask_stop(self, chat_id: ChatId, by: str) -> TurnId | None: ...
    async def stop_asked(self, turn_id: TurnId) -> str | None: ...
    async def events(self, turn_id: TurnId, after: int = 0) -> Sequence[Recorded]: ...
    async def unshown(self, chat_id: ChatId) -> Sequence[Turn]: ...
    async def shown(self, fence: Fence, turn_id: TurnId) -> None: ...
    async def cannot_show(self, fence: Fence, turn_id: TurnId, why: str) -> None: ...
    async def handed_over(self, chat_id: ChatId) -> Mapping[str, FileShared | FileKept]: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about to be stored."""

    turn_id: TurnId
    tool_use_id: str
    kind: ApprovalKind
    tool: str
    input: dict[str, Any]
    line: str
    suggestions: tuple[dict[str, Any], ...] = ()
    why: str = ""


class Approvals(Protocol):
    """Questions and decisions.

    * `ask` is idempotent by (chat, tool_use_id): asked again it returns the row that is there, whatever its state,
      and False; when new it stores the `ApprovalAsked` event with number `seq` in the same transaction, and True.
    * `decide` settles a pending question once: of two racing clicks one wins, the other gets `AlreadyDecided`
      whose words name who decided.
    * A withdrawn question cannot be decided: `AlreadyDecided`.
    * `rekey` gives a question the id of the call that asks it again, after the agent's program was lost.
    """

    async def ask(self, fence: Fence, asked: Asked, seq: int) -> tuple[Approval, bool]: ...
    async def get(self, approval_id: ApprovalId) -> Approval: ...
    async def by_tool_use(self, chat_id: ChatId, tool_use_id: str) -> Approval | None: ...
    async def of_turn(self, turn_id: TurnId) -> Sequence[Approval]: ...
    async def pending(self, chat_id: ChatId | None = None) -> Sequence[Approval]: ...
    async def decide(self, approval_id: ApprovalId, decision: Decision, by: str) -> Approval: ...
    async def withdraw(self, fence: Fence, approval_id: ApprovalId) -> Approval: ...
    async def rekey(self, fence: Fence, approval_id: ApprovalId, tool_use_id: str) -> Approval: ...
    async def add_rule(self, chat_id: ChatId, rule: Rule, by: str) -> None: ...
    async def rules(self, chat_id: ChatId) -> Sequence[Rule]: ...


class PostState(StrEnum):
    """How far a post of ours has got."""

    RESERVED = "reserved"
    SENT = "sent"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Post:
    """A platform message of ours. `slot` names it within its turn (`turn:0`, `ask:<id>`, `file:<digest>`); `mark` is
    what a recovery looks for on the platform; `fingerprint` is of the last payload that is surely on screen.
    """

    id: UUID
    chat_id: ChatId
    turn_id: TurnId
    slot: str
    mark: str
    state: PostState
    external_id: str | None
    fingerprint: str | None
    reserved_at: datetime
    tried: bool


class Posts(Protocol):
    """Posts, reserved before they are sent.

    * `reserve` is idempotent by (turn, slot): the same mark comes back until the post is sent or gone.
    * `trying` is stored before the first send, so a successor knows whether one may have happened.
    * `sent` and `edited` keep what is on screen.
    """

    async def of_turn(self, turn_id: TurnId) -> Sequence[Post]: ...
    async def reserve(self, fence: Fence, turn_id: TurnId, slot: str) -> Post: ...
    async def trying(self, fence: Fence, post_id: UUID) -> None: ...
    async def sent(self, fence: Fence, post_id: UUID, external_id: str, fingerprint: str) -> None: ...
    async def edited(self, fence: Fence, post_id: UUID, fingerprint: str) -> None: ...
    async def gone(self, fence: Fence, post_id: UUID) -> None: ...


@dataclass(frozen=True, slots=True)
class Installation:
    """What a tenant gave the app when it was installed there. `expires_at` None: the token is good until taken back."""

    tenant: str
    token: str
    refresh_token: str | None = None
    expires_at: datetime | None = None


class Installations(Protocol):
    """The tenants that installed the app. Tokens are encrypted where they are kept.

    * `save` replaces what was kept of the tenant; `remove` of one that is not there is not an error.
    * `renew` calls `exchange` only for a token that runs out before the given time, and of several processes that
      renew at once one does; the others get what it got. What `exchange` raises leaves everything as it was.
    """

    async def find(self, tenant: str) -> Installation | None: ...
    async def save(self, installation: Installation) -> None: ...
    async def remove(self, tenant: str) -> None: ...
    async def renew(
        self, tenant: str, before: datetime, exchange: Callable[[Installation], Awaitable[Installation]]
    ) -> Installation | None: ...


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who signed in to the admin page. `is_due`: its key is to be renewed."""

    id: UUID
    name: str
    rights: Rights
    is_due: bool = False


@dataclass(frozen=True, slots=True)
class Knock:
    """One try to sign in through a platform: random words that prove later that what comes back belongs to it.

    `state` goes through the browser, `nonce` into the platform's answer, `verifier` to the platform alone.
    """

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Voucher:
    """Who somebody is, as a platform says. `tenants`: what they are where, by the platform's own names."""

    platform: Platform
    person: str
    name: str
    tenants: Mapping[str, Access]


class Vouches(Protocol):
    """A platform that says who somebody is.

    * `page` is where the browser goes, and comes to `back` from, with a code; nothing secret is in it.
    * A code is good once, for its own knock and `back`; `BadInput` says that one is no good (any more).
    * Guests are nobody. What the platform gave for the code is kept nowhere.
    """

    def page(self, knock: Knock, back: str) -> str: ...
    async def vouch(self, knock: Knock, code: str, back: str) -> Voucher: ...


class Sessions(Protocol):
    """Signing in to the admin page.

    * A link's word is good once and for ten minutes; of two who use it at once, one gets in.
    * A session is found by its own key only; the key before is good for a minute after it was renewed.
    * A session ends when it is told to, after a day without use, and after a week in any case.
    * Neither words nor keys can be read from what is kept.
    * A word of another's making is spent once; of two who spend it at once, one succeeds.
    """

    async def offer(self, name: str, rights: Rights) -> str: ...
    async def begin(self, word: str) -> tuple[Session, str]: ...
    async def spend(self, word: str) -> None: ...
    async def admit(self, voucher: Voucher, rights: Rights) -> tuple[Session, str]: ...
    async def find(self, session_id: UUID, key: str) -> Session | None: ...
    async def renew(self, session_id: UUID, key: str) -> str | None: ...
    async def end(self, session: Session) -> None: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which chats to list: those whose title, name or starter has `text` in it; empty fields ask for nothing."""

    text: str = ""
    platform: Platform | None = None
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class ChatLine:
    """A chat in a list. `turn_state`: of its unfinished turn, if there is one; `asks`: how many questions are open."""

    chat: Chat
    starter: str
    turn_state: TurnState | None
    asks: int


class Looks(Protocol):
    """What people see who look on from the admin page.

    * Only what is in their scope: whatever else they ask for is not there, as if it never was.
    """

    async def chats(self, scope: Scope, wanted: Wanted, limit: int = 100) -> Sequence[ChatLine]: ...
    async def chat(self, scope: Scope, chat_id: ChatId) -> ChatLine: ...
    async def waiting(self, scope: Scope, limit: int = 200) -> Sequence[tuple[Approval, Chat]]: ...
    async def waiting_ids(self, scope: Scope, limit: int = 1000) -> Sequence[ApprovalId]: ...


class SpentBy(StrEnum):
    """What sums of cost are told apart by."""

    DAY = "day"
    TENANT = "tenant"
    CHANNEL = "channel"
    PERSON = "person"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Spent:
    """What some turns that ended cost together. `name`: what they have in common; of days, as in 2026-07-31."""

    name: str
    turns: int
    usage: Usage
    cost_usd: Decimal


class Spending(Protocol):
    """What was spent, within somebody's scope.

    * Each turn that ended in those days (UTC, both included) counts once, whole, on the day it ended.
    """

    async def by(self, scope: Scope, by: SpentBy, first: date, last: date) -> Sequence[Spent]: ...


class Audit(Protocol):
    """Who did what, for good: nothing in it changes or goes.

    * What the repositories do they note themselves; this is for what happens outside of them.
    """

    async def note(self, chat_id: ChatId | None, actor: str, action: str, **details: Any) -> None: ...


class OwedKind(StrEnum):
    """What did not arrive: a message at the agent, a turn's end on the surface; or what ended badly."""

    MESSAGE = "message"
    END = "end"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Owed:
    """Something that did not arrive. `why`: what is known of it; `posts`: how many are not surely sent."""

    kind: OwedKind
    chat: Chat
    since: datetime
    why: str = ""
    posts: int = 0


class Deliveries(Protocol):
    """What did not arrive, within somebody's scope.

    * Messages that no worker took within a minute, ends that are not shown a minute later, and failed turns of a week.
      An end whose place takes no post any more is told of for a month.
    """

    async def owed(self, scope: Scope, limit: int = 200) -> Sequence[Owed]: ...


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker has a chat, and nobody else may until then."""

    worker: str
    chat: Chat
    until: datetime


class Leases(Protocol):
    """Who works on what, within somebody's scope.

    * Only leases that hold, by the database's clock.
    * `resting` has the chats that keep a sandbox and are not at work, those active last first, and what is wished.
    """

    async def live(self, scope: Scope, limit: int = 500) -> Sequence[Lease]: ...
    async def sandboxes(self, scope: Scope) -> Mapping[SandboxState, int]: ...
    async def resting(self, scope: Scope, limit: int = 200) -> Sequence[tuple[Chat, "Wish | None"]]: ...


class Wish(StrEnum):
    """What an admin wants done to a chat's sandbox."""

    PAUSE = "pause"
    END = "end"


class Wishes(Protocol):
    """What admins want done to sandboxes, until a worker takes it up.

    * A chat at work is left alone: a wish for one with an unfinished turn or a live lease raises `IllegalStep`, as does
      one for a sandbox that is not there, or not running. The words say which.
    * A wish stands in the audit. The last one for a chat counts.
    * Each is given out once; one that nobody took for some minutes is forgotten.
    """

    async def wish(self, chat_id: ChatId, wish: Wish, by: str) -> None: ...
    async def given(self) -> Sequence[tuple[ChatId, Wish]]: ...


@dataclass(frozen=True, slots=True)
class Figures:
    """What the rows of everybody say together. What ended, was spent and was decided is that of the day (UTC)."""

    unfinished: Mapping[TurnState, int]
    ended: Mapping[TurnState, int]
    usage: Usage
    cost_usd: Decimal
    approvals_waiting: int
    decisions: "Spread"


class Overview(Protocol):
    """Sums over everybody's rows, without a name in them, for whoever watches.

    * Every state has its number, also when that is nothing.
    * A day's sums only grow, until the next day begins.
    """

    async def figures(self) -> Figures: ...


@dataclass(frozen=True, slots=True)
class Stores:
    """The store, one repository per aggregate."""

    chats: Chats
    messages: Messages
    turns: Turns
    approvals: Approvals
    posts: Posts


# ---------------------------------------------------------------- the bus


@dataclass(frozen=True, slots=True)
class Published:
    """An event on the bus. `seq` is None for what is not stored."""

    cursor: Cursor
    turn_id: TurnId
    seq: int | None
    event: RunEvent


@dataclass(frozen=True, slots=True)
class Missed:
    """The bus no longer has what came after the cursor asked for: read the store, then go on from `cursor`."""

    cursor: Cursor


class EventBus(Protocol):
    """Carries run events from a worker to whoever shows them.

    * A subscriber sees every event published after its cursor, in order, and none twice.
    * A cursor taken yesterday still works: a gap is reported as `Missed`, never skipped.
    * Publishing with no subscriber is not an error; publishing while Redis is away is not one either, but leaves a gap.
    * A subscription outlives a restart of Redis; a flush is a gap.
    """

    async def publish(
        self, chat_id: ChatId, turn_id: TurnId, events: Sequence[tuple[int | None, RunEvent]]
    ) -> None: ...
    async def cursor(self, chat_id: ChatId) -> Cursor: ...
    def subscribe(self, chat_id: ChatId, after: Cursor | None = None) -> AsyncIterator[Published | Missed]: ...


class WakeKind(StrEnum):
    """Why a chat's run should look at the database."""

    MESSAGE = "message"
    DECISION = "decision"
    STOP = "stop"
    SETTINGS = "settings"


class ControlChannel(Protocol):
    """Tells the run of a chat, wherever it is, that there is news in the database.

    * A wake carries no data: losing one costs time, never work (runs also look by themselves).
    * A listener gets every wake sent while it listens, within milliseconds.
    * `wake` while Redis is away does not raise.
    """

    async def wake(self, chat_id: ChatId, kind: WakeKind) -> None: ...
    def listen(self, chat_id: ChatId) -> AbstractAsyncContextManager[AsyncIterator[WakeKind]]: ...


class WorkQueue(Protocol):
    """Puts chats to work.

    * A chat put twice before a worker takes it is worked once.
    * A chat put while its job ends is worked again.
    * `put` while Redis is away does not raise: the sweeper finds the chat in the database.
    """

    async def put(self, chat_id: ChatId) -> None: ...


class Priority(IntEnum):
    """Who goes first when edits are scarce."""

    QUESTION = 0
    FINAL = 1
    PROGRESS = 2


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a platform lets us do: `per_minute` calls under this key, `burst` of them at once.

    `pace_s`: how many seconds lie at least between two changes of one post that only show progress.
    """

    key: str
    per_minute: float
    burst: int
    pace_s: float = 0.0


class EditBudget(Protocol):
    """Shares a platform's call limits among all workers.

    * `spend` returns once the call may be made; while calls are scarce, a higher priority never waits for a lower one.
    * Over any minute no more than the allowance (and its burst) is handed out, whichever workers ask.
    * After `penalise` nothing is handed out under that key for so many seconds.
    * While Redis is away, each worker keeps to a cautious share of its own.
    """

    async def spend(self, allowance: Allowance, priority: Priority) -> None: ...
    async def try_spend(self, allowance: Allowance, priority: Priority) -> float: ...
    async def penalise(self, allowance: Allowance, seconds: float) -> None: ...


class Count(StrEnum):
    """What only the processes that do it know of, counted."""

    POSTS_SENT = "posts_sent"
    EDITS_SENT = "edits_sent"
    EDITS_SAVED = "edits_saved"
    RATE_LIMITED = "rate_limited"


class Span(StrEnum):
    """What takes time: from a message's acceptance to its turn's begin, and from there to the first text."""

    START = "start"
    FIRST_TEXT = "first_text"


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took, so many times: `counts` of those up to each of `bounds`, in seconds, and of the rest."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total_s: float


@dataclass(frozen=True, slots=True)
class Counted:
    """What all processes counted, by platform, and how many workers are alive."""

    counts: Mapping[tuple[Count, Platform], int]
    spans: Mapping[tuple[Span, Platform], Spread]
    workers: int


class Counters(Protocol):
    """Counts what no row tells, for whoever watches. Nothing depends on it.

    * `add` and `took` return at once, wait for nobody and never raise, whatever becomes of Redis.
    * What was counted is in `read` about a second later, summed over all processes; nothing is counted twice.
    * While Redis is away what is counted may be lost; counting goes on when it is back.
    * What is kept does not grow, however much is counted.
    * A worker that counts is alive in `read`, and no longer is so half a minute after its end.
    """

    def add(self, count: Count, platform: Platform, by: int = 1) -> None: ...
    def took(self, span: Span, platform: Platform, seconds: float) -> None: ...
    async def read(self) -> Counted: ...


class Traces(Protocol):
    """Tells whoever looks where the time went, leg by leg, on a message's way. Nothing depends on it.

    * `add` returns at once, waits for nobody and never raises, whatever becomes of the collector.
    * Legs of one message are one trace, and a leg with a parent is its child, whichever processes tell them.
    * What waits to be sent does not grow: what does not fit is lost.
    """

    def add(self, leg: Leg) -> None: ...


# ---------------------------------------------------------------- surfaces


class Call(StrEnum):
    """A kind of platform call, as the edit budget counts them."""

    SEND = "send"
    EDIT = "edit"
    MARK = "mark"


class Receipt(StrEnum):
    """What a person sees on their own message."""

    QUEUED = "queued"
    WORKING = "working"
    STEERED = "steered"
    ANSWERED = "answered"
    FAILED = "failed"
    STOPPED = "stopped"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Payload:
    """One post as a platform wants it: plain JSON values, and files by name.

    With `is_file` the post is there for its one file: it is never edited, and is nothing without the file.
    """

    body: dict[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)
    is_file: bool = False


@dataclass(frozen=True, slots=True)
class FileLimit:
    """How large a file a place takes, and what would make it take larger ones, if anything would."""

    most_bytes: int
    mend: str = ""


class Surface(Protocol):
    """Where views are shown.

    * `render` and `render_approval` are pure, give at least one payload, and keep within the platform's limits;
      the parts of a final view hold its whole text, in order.
    * `send` returns the platform's id of the post. Where the platform can, sending again with the same mark does
      not make a second post.
    * `find` finds a post by its mark, even when the answer to `send` was lost.
    * `edit` of a deleted post raises `PostGone`; any call to a closed place raises `PlaceGone`.
    * A full platform raises `RateLimited` with its own waiting time; an answer that never came raises `Ambiguous`.
    * `receipt` is idempotent and replaces the one before it; where two `looks_alike`, changing them costs no call.
    * `render_file` is pure; its payload is sent and found like any other, and once sent it stands. A file of more than
      the place takes raises `TooLarge`, a missing right another `SurfaceError`, whose words name the mend.
    * `file_limit` says what a place takes now, seldom asks the platform for it, and raises nothing.
    """

    @property
    def platform(self) -> Platform: ...

    def render(self, view: View) -> Sequence[Payload]: ...
    def render_approval(self, approval: Approval) -> Sequence[Payload]: ...
    async def file_limit(self, place: Place) -> FileLimit: ...
    def render_file(self, name: str, data: bytes) -> Payload: ...
    def allowance(self, place: Place, call: Call) -> Allowance: ...
    async def send(self, place: Place, payload: Payload, mark: str) -> str: ...
    async def find(self, place: Place, mark: str, since: datetime) -> str | None: ...
    async def edit(self, place: Place, external_id: str, payload: Payload) -> None: ...
    async def delete(self, place: Place, external_id: str) -> None: ...
    def looks_alike(self, receipt: Receipt, before: Receipt | None) -> bool: ...
    async def receipt(self, place: Place, message: str, receipt: Receipt, before: Receipt | None) -> None: ...


class FileSource(Protocol):
    """Where the files are that people attach.

    * `fetch` returns all of a file's bytes. One of more than `limit` bytes raises `TooLarge`, one that is gone or not
      to be had `SurfaceError`, one that may be had later `Ambiguous`; the words say why, and fit behind a colon.
    """

    async def fetch(self, place: Place, file: FileIn, limit: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ConsolePost:
    """A post of a console thread as it stands."""

    id: str
    mark: str
    body: dict[str, Any]
    edits: int


class ConsoleThreads(Protocol):
    """The console's side of what other platforms keep for us: threads, with posts and receipts.

    * `put` with the same mark twice makes one post and returns its id.
    * `replace` says whether the post was there.
    * `posts` are in the order they were first put.
    """

    async def put(self, key: str, mark: str, body: dict[str, Any]) -> str: ...
    async def replace(self, post_id: str, body: dict[str, Any]) -> bool: ...
    async def remove(self, post_id: str) -> bool: ...
    async def by_mark(self, key: str, mark: str) -> str | None: ...
    async def posts(self, key: str) -> Sequence[ConsolePost]: ...
    async def put_receipt(self, key: str, message: str, receipt: str) -> None: ...
    async def receipts(self, key: str) -> Mapping[str, str]: ...


# ---------------------------------------------------------------- sandboxes


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class SandboxInfo:
    """A sandbox as its server lists it."""

    id: str
    is_running: bool
    metadata: Mapping[str, str]


class Sandbox(Protocol):
    """The isolated machine of a chat, connected.

    * `run` returns what a command printed, whatever its exit code; one past its time raises `Unavailable`.
    * `start` runs a command in the background with an open stdin and no deadline, and lets go of it: it lives on
      when we die. Returns the pid that `send_stdin` takes.
    * `follow` yields what a command prints until it ends or its time is over, in pieces, decoded; giving it up kills
      the command.
    * `send_stdin` and the file calls may be repeated.
    * `read_file` of more than `limit` bytes raises `TooLarge`, and never holds much more than that.
    * A sandbox that is gone raises `SandboxLost`, one that is not running `SandboxPaused`, a process that is not
      there `ProcessGone`, anything else that may pass `Unavailable`.
    * No path leads out of it, whatever links were made inside.
    """

    id: str

    async def run(self, command: str, *, time_s: float = 60, envs: Mapping[str, str] | None = None) -> Ran: ...
    async def start(self, command: str, *, envs: Mapping[str, str] | None = None) -> int: ...
    def follow(self, command: str, *, time_s: float) -> AsyncGenerator[str, None]: ...
    async def send_stdin(self, pid: int, data: str) -> None: ...
    async def read_file(self, path: str, limit: int | None = None) -> bytes: ...
    async def write_file(self, path: str, data: bytes) -> None: ...
    async def upload(self, path: str, source: Path) -> None: ...
    async def list_files(self, path: str, depth: int = 1) -> Sequence[tuple[str, bool, int]]: ...
    async def keep_alive(self, seconds: float) -> None: ...


class SandboxProvider(Protocol):
    """Makes, finds and pauses sandboxes.

    * `connect` resumes a paused sandbox; one that is gone raises `SandboxLost`.
    * `create` with the same `idempotency` key twice makes one sandbox.
    * `pause` of a paused one and `kill` of one that is gone are not errors.
    """

    async def create(self, metadata: Mapping[str, str], *, idempotency: str, time_s: float) -> Sandbox: ...
    async def connect(self, sandbox_id: str, *, time_s: float) -> Sandbox: ...
    async def pause(self, sandbox_id: str) -> None: ...
    async def kill(self, sandbox_id: str) -> None: ...
    async def list(self) -> Sequence[SandboxInfo]: ...
