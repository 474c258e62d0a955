"""The ledger of posts at work: reserved in the database, sent once, found again, edited.

A post is reserved before it is sent and carries a mark, by which it is looked for where a send may have happened
unseen: so a successor edits what is there instead of posting again. Every effect outside is preceded by `hold.confirm`.
`present.py` brings views to the surface by it, `outbox.py` files.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import Final, TypeVar

from core.domain.chat import Place
from core.domain.turn import TurnId
from core.errors import Ambiguous, PostGone, RateLimited
from core.ports import Call, Count, Counters, EditBudget, FileLimit, Payload, Post, Posts, PostState, Priority, Surface
from worker.hold import Hold

CALL_S: Final = 30.0
# A file takes its time on a slow line.
FILE_S: Final = 90.0
_LOOK_BACK: Final = timedelta(minutes=5)
Answer = TypeVar("Answer")


class Posting:
    """Posts of one chat, one run long."""

    def __init__(
        self, surface: Surface, posts: Posts, budget: EditBudget, hold: Hold, place: Place, *, counters: Counters
    ) -> None:
        self.surface = surface
        self._posts = posts
        self._budget = budget
        self._hold = hold
        self._place = place
        self._counters = counters

    async def put(self, turn_id: TurnId, known: dict[str, Post], slot: str, payload: Payload) -> None:
        """Send or edit one post, so that its slot shows `payload`. `known` holds the turn's posts, and is kept true."""
        posts, print_ = self._posts, fingerprint(payload)
        post = known.get(slot)
        if post is None or post.state is PostState.GONE:
            post = await posts.reserve(self._hold.fence, turn_id, slot)
            known[slot] = post
        if post.external_id is None:
            external_id = await self._send_once(post, payload)
            await posts.sent(self._hold.fence, post.id, external_id, print_)
        else:
            try:
                await self._call(self.surface.edit(self._place, post.external_id, payload), Call.EDIT)
            except PostGone:
                await posts.gone(self._hold.fence, post.id)
                known.pop(slot, None)
                raise
            external_id = post.external_id
            await posts.edited(self._hold.fence, post.id, print_)
        known[slot] = replace(post, state=PostState.SENT, external_id=external_id, fingerprint=print_, tried=True)

    async def put_file(self, turn_id: TurnId, slot: str, payload: Payload) -> None:
        """Post a file, unless this slot was sent already, by whichever run."""
        post = await self._posts.reserve(self._hold.fence, turn_id, slot)
        if post.external_id is not None:
            return
        await self._budget.spend(self.surface.allowance(self._place, Call.SEND), Priority.FINAL)
        external_id = await self._send_once(post, payload)
        await self._posts.sent(self._hold.fence, post.id, external_id, fingerprint(payload))

    async def file_limit(self) -> FileLimit:
        """How large a file the thread takes now."""
        return await self.surface.file_limit(self._place)

    async def _send_once(self, post: Post, payload: Payload) -> str:
        """Send a post that may have been sent already: find it by its mark first, if anybody tried."""
        if post.tried:
            found = await self._find(post)
            if found is not None:
                if not payload.is_file:
                    await self._call(self.surface.edit(self._place, found, payload), Call.EDIT)
                return found
        else:
            await self._posts.trying(self._hold.fence, post.id)
        try:
            within_s = FILE_S if payload.is_file else CALL_S
            return await self._call(self.surface.send(self._place, payload, post.mark), Call.SEND, within_s)
        except Ambiguous:
            found = await self._find(post)
            if found is None:
                raise
            return found

    async def _find(self, post: Post) -> str | None:
        async with asyncio.timeout(CALL_S):
            return await self.surface.find(self._place, post.mark, post.reserved_at - _LOOK_BACK)

    async def _call(self, call: Awaitable[Answer], kind: Call, within_s: float = CALL_S) -> Answer:
        """Make one platform call while the chat is ours; bounded, and its rate limit is everybody's."""
        await self._hold.confirm()
        try:
            async with asyncio.timeout(within_s):
                answer = await call
        except TimeoutError as error:
            raise Ambiguous("The platform did not answer in time.") from error
        except RateLimited as error:
            self._counters.add(Count.RATE_LIMITED, self._place.platform)
            await self._budget.penalise(self.surface.allowance(self._place, kind), error.retry_after_s)
            raise
        self._counters.add(Count.EDITS_SENT if kind is Call.EDIT else Count.POSTS_SENT, self._place.platform)
        return answer


def fingerprint(payload: Payload) -> str:
    """What tells two payloads apart: a digest of their body and the names and sizes of their files."""
    files = sorted((name, len(data)) for name, data in payload.files.items())
    text = json.dumps([payload.body, files], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
