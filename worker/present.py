"""The presenter: keeps what is on the surface equal to the view, within the edit budget.

`show` says what should be on screen; `run` brings it there: questions first, then ends, then progress. Payloads that
are on screen already are not sent. Posts are sent and edited by `posting.py`, which keeps the ledger of them. Next:
`core/surfaces/<platform>`.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from core.bus.counters import LocalCounters
from core.domain.approval import Approval
from core.domain.chat import Place
from core.domain.states import ApprovalState
from core.domain.turn import TurnId
from core.domain.view import View
from core.errors import Fenced, PlaceGone, RateLimited, ThreadworkError, TooLarge
from core.ports import Call, Count, Counters, EditBudget, Fence, Payload, Post, Priority, Span, Stores, Surface
from worker.hold import Hold
from worker.posting import Posting, fingerprint
from worker.receipts import Receipts

log = structlog.get_logger(__name__)

_REFUSALS: Final = 5


@dataclass(slots=True)
class _Wanted:
    """What should be on screen of one turn, and what is."""

    view: View
    asks: dict[str, Approval] = field(default_factory=dict)
    posts: dict[str, Post] | None = None
    is_dirty: bool = True
    refusals: int = 0
    brought_at: float = float("-inf")
    has_text: bool = False
    is_kept_back: bool = False

    def is_refused(self) -> bool:
        """Count one more refusal; whether it is time to give up."""
        self.refusals += 1
        return self.refusals >= _REFUSALS or self.is_kept_back

    @property
    def dirty_asks(self) -> list[Approval]:
        shown = self.posts or {}
        return [ask for ask in self.asks.values() if f"ask:{ask.id}" in shown or ask.state is ApprovalState.PENDING]


class Presenter:
    """Shows the turns of one chat, one run long."""

    def __init__(
        self,
        surface: Surface,
        stores: Stores,
        budget: EditBudget,
        hold: Hold,
        place: Place,
        *,
        counters: Counters | None = None,
    ) -> None:
        self._surface = surface
        self._stores = stores
        self._budget = budget
        self._hold = hold
        self._place = place
        self._wanted: dict[TurnId, _Wanted] = {}
        self._news = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._counters = counters or LocalCounters()
        self.posting = Posting(surface, stores.posts, budget, hold, place, counters=self._counters)
        self.receipts = Receipts(surface, stores.messages, budget, hold, place, counters=self._counters)

    def show(self, turn_id: TurnId, view: View, asks: Mapping[str, Approval], *, was_kept_back: bool = False) -> None:
        """Say what should be on screen of a turn from now on. Returns at once.

        `was_kept_back`: a run before this one could not show its end, which is tried once more.
        """
        wanted = self._wanted.get(turn_id)
        if wanted is None:
            wanted = self._wanted[turn_id] = _Wanted(view, is_kept_back=was_kept_back)
            # Somebody wrote, so the place may be open again: first what it does not show yet.
            for other in self._wanted.values():
                other.is_dirty |= other.is_kept_back
        elif wanted.is_dirty:
            # What was to be shown before this never will be: one edit shows both.
            self._counters.add(Count.EDITS_SAVED, self._place.platform)
        wanted.view, wanted.asks, wanted.is_dirty = view, dict(asks), True
        self._tell()

    def mark_messages(self) -> None:
        """Say that states of messages changed, so their receipts are looked at. Returns at once."""
        self.receipts.is_dirty = True
        self._tell()

    @property
    def fence(self) -> Fence:
        """The right to write that this run has."""
        return self._hold.fence

    def took(self, span: Span, seconds: float) -> None:
        """Count how long something of this chat took. Returns at once."""
        self._counters.took(span, self._place.platform, seconds)

    def _tell(self) -> None:
        self._settled.clear()
        self._news.set()

    async def settled(self, within_s: float) -> bool:
        """Wait until all that was asked for is on screen; whether it came to that within so many seconds."""
        try:
            async with asyncio.timeout(within_s):
                await self._settled.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Present for ever. Raises `Fenced` when the chat is another's; everything else is tried again."""
        failures = 0
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                wait_s = await self._bring()
                failures = 0
            except Fenced:
                raise
            except ThreadworkError as error:
                failures += 1
                wait_s = min(0.1 * 2**failures, 15.0)
                if isinstance(error, RateLimited):
                    wait_s = max(wait_s, error.retry_after_s)
                log.warning("not_presented", code=error.code, why=str(error)[:300], again_in_s=wait_s)
            if wait_s > 0:
                await self._wait(wait_s, urgent_only=failures > 0)
                self._news.set()

    async def _wait(self, seconds: float, *, urgent_only: bool) -> None:
        """Wait, but not past news, unless we are waiting because of a failure."""
        try:
            async with asyncio.timeout(seconds):
                if urgent_only:
                    await asyncio.sleep(seconds)
                await self._news.wait()
        except TimeoutError:
            pass

    async def _bring(self) -> float:
        """Bring to the surface what may be brought now; the seconds until more may, 0 when all is there."""
        wait_s = 0.0
        for turn_id in list(self._wanted):
            wanted = self._wanted[turn_id]
            if not wanted.is_dirty:
                continue
            if wanted.posts is None:
                wanted.posts = {post.slot: post for post in await self._stores.posts.of_turn(turn_id)}
            wanted.is_dirty = False
            try:
                wait_s = max(wait_s, await self._bring_turn(turn_id, wanted))
            except BaseException:
                wanted.is_dirty = True
                raise
        if self.receipts.is_dirty:
            wait_s = max(wait_s, await self.receipts.bring())
        if wait_s == 0.0 and not self._news.is_set():
            self._settled.set()
        return wait_s

    async def _bring_turn(self, turn_id: TurnId, wanted: _Wanted) -> float:
        view = wanted.view
        try:
            for ask in wanted.dirty_asks:
                # What was decided holds nobody up any more.
                priority = Priority.QUESTION if ask.state is ApprovalState.PENDING else Priority.FINAL
                await self._reconcile(turn_id, wanted, f"ask:{ask.id}", self._surface.render_approval(ask), priority)
            if not view.is_over:
                return await self._bring_progress(turn_id, wanted)
            await self._reconcile(turn_id, wanted, "turn", self._surface.render(view), Priority.FINAL)
        except PlaceGone as error:
            # Nothing can be shown there now; the turn's state stays true in the database.
            log.warning("place_gone", why=str(error), turn=str(turn_id))
            await self._keep_back(turn_id, wanted, view, error)
        except TooLarge as error:
            if not view.is_over or not wanted.is_refused():
                raise
            # It will not fit by being tried for ever, which would keep this chat from its rest. Its state stays true.
            log.exception("end_not_shown", code=error.code, turn=str(turn_id))
            await self._keep_back(turn_id, wanted, view, error)
        else:
            if wanted.view is view:
                await self._stores.turns.shown(self._hold.fence, turn_id)
                self._wanted.pop(turn_id, None)
                if wanted.is_kept_back:
                    # What people saw on their messages could not be changed then, either.
                    self.receipts.put_again(await self._stores.messages.of_turn(turn_id))
        return 0.0

    async def _keep_back(self, turn_id: TurnId, wanted: _Wanted, view: View, why: ThreadworkError) -> None:
        """Leave an end unshown until something happens in the chat: a message, or an admin who wants it tried again."""
        if view.is_over:
            await self._stores.turns.cannot_show(self._hold.fence, turn_id, why.words)
            wanted.is_kept_back = True

    async def _bring_progress(self, turn_id: TurnId, wanted: _Wanted) -> float:
        call = Call.EDIT if self._external(wanted, "turn:0") else Call.SEND
        allowance = self._surface.allowance(self._place, call)
        # The first words of an answer are not made to wait.
        is_paced = call is Call.EDIT and (wanted.has_text or not wanted.view.answer)
        if is_paced and (wait_s := wanted.brought_at + allowance.pace_s - time.monotonic()) > 0:
            wanted.is_dirty = True
            return wait_s
        payloads = self._surface.render(wanted.view)
        if all(self._is_on_screen(wanted, f"turn:{number}", payload) for number, payload in enumerate(payloads)):
            return 0.0
        wait_s = await self._budget.try_spend(allowance, Priority.PROGRESS)
        if wait_s > 0:
            wanted.is_dirty = True
            return wait_s
        # Once the budget let us, show the newest there is.
        wanted.has_text = bool(wanted.view.answer)
        await self._put(turn_id, wanted, "turn:0", self._surface.render(wanted.view)[0])
        wanted.brought_at = time.monotonic()
        return 0.0

    async def _reconcile(
        self, turn_id: TurnId, wanted: _Wanted, role: str, payloads: Sequence[Payload], priority: Priority
    ) -> None:
        """Make the posts of one role equal to `payloads`, in order."""
        for number, payload in enumerate(payloads):
            slot = f"{role}:{number}" if role == "turn" or number else role
            if self._is_on_screen(wanted, slot, payload):
                continue
            call = Call.EDIT if self._external(wanted, slot) else Call.SEND
            await self._budget.spend(self._surface.allowance(self._place, call), priority)
            await self._put(turn_id, wanted, slot, payload)

    @staticmethod
    def _external(wanted: _Wanted, slot: str) -> str | None:
        post = (wanted.posts or {}).get(slot)
        return post.external_id if post else None

    @staticmethod
    def _is_on_screen(wanted: _Wanted, slot: str, payload: Payload) -> bool:
        post = (wanted.posts or {}).get(slot)
        return post is not None and post.external_id is not None and post.fingerprint == fingerprint(payload)

    async def _put(self, turn_id: TurnId, wanted: _Wanted, slot: str, payload: Payload) -> None:
        """Make one slot show `payload`."""
        assert wanted.posts is not None  # noqa: S101 - _bring has loaded them
        await self.posting.put(turn_id, wanted.posts, slot, payload)
