"""The one queue of a run: journal lines, requests and wakes, in the order they came.

Lines wait when the queue is long (that holds back the journal's reader, and so the agent); everything else may always
come in. The reader can look at the next item without taking it, to take lines in batches.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """A bounded queue with a peek. `limit`: how many items may wait before `put` does."""

    def __init__(self, limit: int = 512) -> None:
        self._items: deque[Item] = deque()
        self._limit = limit
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()

    async def put(self, item: Item) -> None:
        """Add an item, waiting while too many are there."""
        while len(self._items) >= self._limit:
            self._drained.clear()
            await self._drained.wait()
        self.add(item)

    def add(self, item: Item) -> None:
        """Add an item at once, whatever the limit."""
        self._items.append(item)
        self._filled.set()

    def put_back(self, item: Item) -> None:
        """Put an item back in front."""
        self._items.appendleft(item)
        self._filled.set()

    def peek(self) -> Item | None:
        """The next item, left where it is."""
        return self._items[0] if self._items else None

    def take(self) -> Item | None:
        """The next item, if there is one."""
        if not self._items:
            return None
        item = self._items.popleft()
        if len(self._items) < self._limit:
            self._drained.set()
        return item

    async def get(self, within_s: float) -> Item | None:
        """The next item, or None when none came within so many seconds."""
        if not self._items:
            self._filled.clear()
            try:
                async with asyncio.timeout(within_s):
                    await self._filled.wait()
            except TimeoutError:
                return None
        return self.take()
