"""Watching folders by looking again and again, and comparing. Next: `filesystem_rpc.py`, which serves it.

The supervisor takes a folder's fingerprint; what differs from the last one is what happened. A large folder is looked
at less often, so that a watch never takes more than a small share of the sandbox's time.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, Final

from core.errors import Unavailable
from threadwork.sandbox_host.background import Background
from threadwork.sandbox_host.holder import Refused
from threadwork.sandbox_host.sandbox import Sandbox

_PERIOD_S: Final = 0.1
_SHARE: Final = 20
_MOST_EVENTS: Final = 10_000
_MOST_WATCHERS: Final = 100
Event = dict[str, Any]


def differences(before: dict[str, list[int]], after: dict[str, list[int]]) -> list[Event]:
    """What happened between two fingerprints, in the words of filesystem.EventType."""
    events = []
    moved = {figures[0]: path for path, figures in before.items() if path not in after}
    for path, figures in sorted(after.items()):
        known = before.get(path)
        if known is None:
            old = moved.pop(figures[0], None)
            if old is not None:
                events.append({"name": old, "type": "EVENT_TYPE_RENAME"})
            events.append({"name": path, "type": "EVENT_TYPE_CREATE"})
            if old is None and figures[2]:
                events.append({"name": path, "type": "EVENT_TYPE_WRITE"})
        elif known != figures:
            events.append({"name": path, "type": "EVENT_TYPE_WRITE"})
    events += [{"name": path, "type": "EVENT_TYPE_REMOVE"} for path in sorted(moved.values())]
    return events


async def watch(sandbox: Sandbox, path: str, *, is_recursive: bool) -> AsyncGenerator[list[Event], None]:
    """An empty list once the watch has begun, then what changed at each look. Raises `Refused`, `Unavailable`."""
    loop = asyncio.get_running_loop()
    seen: dict[str, list[int]] | None = None
    while True:
        asked_at = loop.time()
        answer, _ = await sandbox.ask("scan", path=path, recursive=is_recursive)
        found = differences(seen, answer["seen"]) if seen is not None else []
        seen = answer["seen"]
        yield found
        await asyncio.sleep(max(_PERIOD_S, _SHARE * (loop.time() - asked_at)))


class Watchers:
    """Watches that clients fetch events from."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._all: dict[tuple[str, str], tuple[deque[Event], asyncio.Task[None]]] = {}

    async def add(self, sandbox: Sandbox, path: str, *, is_recursive: bool) -> str:
        """Begin one; its id. Raises `Refused`, `Unavailable`."""
        changes = watch(sandbox, path, is_recursive=is_recursive)
        await anext(changes)
        events: deque[Event] = deque(maxlen=_MOST_EVENTS)
        key = sandbox.record.id, secrets.token_hex(8)
        self._all[key] = events, self._background.spawn(_collect(changes, events))
        mine = [one for one in self._all if one[0] == key[0]]
        if len(mine) > _MOST_WATCHERS:
            self.remove(*mine[0])
        return key[1]

    def take(self, sandbox_id: str, watcher_id: str) -> list[Event] | None:
        """What happened since the last time; None when there is no such watch."""
        found = self._all.get((sandbox_id, watcher_id))
        if found is None:
            return None
        taken = list(found[0])
        found[0].clear()
        return taken

    def remove(self, sandbox_id: str, watcher_id: str) -> bool:
        """End one; whether there was one."""
        found = self._all.pop((sandbox_id, watcher_id), None)
        if found is not None:
            found[1].cancel()
        return found is not None


async def _collect(changes: AsyncGenerator[list[Event], None], events: deque[Event]) -> None:
    with contextlib.suppress(Refused, Unavailable):
        async for found in changes:
            events.extend(found)
