"""What bolt calls when Slack sends something: acknowledge at once, understand, and hand on.

Bolt acknowledges an event before its listener runs. A message must be kept first, or a kill in between would lose it:
so events are taken in before, in a middleware, which waits for that as long as Slack's three seconds allow. Every event
is acknowledged, those that are nothing to us as well; Slack would send them again. Next: `taking.py`.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, assert_never

import structlog
from slack_bolt.app.async_app import AsyncApp

from bots.slack.errands import Errands
from bots.slack.parse import AgentStopped, Deleted, Edited, Event, HomeOpened, Said, Uninstalled, parse_event
from bots.slack.taking import Taking
from bots.slack.workspaces import Workspace, Workspaces

log = structlog.get_logger(__name__)
JSON = Mapping[str, Any]
# Slack sends again what was not acknowledged within three seconds.
ACK_S: Final = 2.4


class Listener:
    """The callbacks. `listen` registers them."""

    def __init__(self, workspaces: Workspaces, errands: Errands, taking: Taking) -> None:
        self._workspaces = workspaces
        self._errands = errands
        self._taking = taking

    def listen(self, app: AsyncApp) -> None:
        """Register with bolt. What is registered last is asked last."""
        app.middleware(self._before_acknowledging)
        app.event(re.compile(".*"))(_nothing_more)

    async def _before_acknowledging(self, body: JSON, next: Callable[[], Awaitable[None]]) -> None:  # noqa: A002 - bolt's name
        if body.get("type") == "event_callback":
            event = parse_event(body)
            if event is not None:
                work = self._errands.start(self._happened(event), f"take in {type(event).__name__}")
                await asyncio.wait({work}, timeout=ACK_S)
        await next()

    async def _happened(self, event: Event) -> None:
        workspace = await self._workspaces.find(event.team)
        if workspace is None:
            log.warning("workspace_unknown", team=event.team)
            return
        await self._hand_on(event, workspace)

    async def _hand_on(self, event: Event, workspace: Workspace) -> None:
        match event:
            case Said():
                await self._taking.said(event, workspace)
            case Edited():
                await self._taking.edited(event, workspace)
            case Deleted():
                await self._taking.deleted(event)
            case AgentStopped() | HomeOpened():
                pass
            case Uninstalled():
                await self._workspaces.forget(event.team)
            case _:
                assert_never(event)


async def _nothing_more() -> None:
    """By the time bolt comes here, the event is taken in."""
