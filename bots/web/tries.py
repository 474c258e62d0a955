"""How often somebody may try to sign in: so many times a minute from one address, and from all together.

Counted in this process. A link's word cannot be guessed anyhow; this keeps the database and the log from being filled.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 60.0
MOST: Final = 10
MOST_OF_ALL: Final = 100
_ADDRESSES: Final = 1000


class Tries:
    """Counts tries; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float], most: int = MOST, most_of_all: int = MOST_OF_ALL) -> None:
        self._clock = clock
        self._most = most
        self._most_of_all = most_of_all
        self._all: deque[float] = deque()
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()

    def may(self, address: str) -> bool:
        """Count a try, unless there were too many; whether it may be made."""
        now = self._clock()
        own = self._by_address.setdefault(address, deque())
        self._by_address.move_to_end(address)
        while len(self._by_address) > _ADDRESSES:
            self._by_address.popitem(last=False)
        for times in (own, self._all):
            while times and times[0] <= now - WINDOW_S:
                times.popleft()
        if len(own) >= self._most or len(self._all) >= self._most_of_all:
            return False
        own.append(now)
        self._all.append(now)
        return True
