"""What bolt calls when Slack sends something: acknowledge, understand, and hand on.

Bolt acknowledges an event before its listener runs. A message must be kept first, or its author told that it was not,
or a kill in between would lose it: so events are taken in before, in a middleware. One that takes longer than Slack's
three seconds is left unacknowledged: Slack sends it again, here or to another process, and what was begun with it is
not begun twice. Events that are nothing to us are acknowledged as well. Next: `handling.py`.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import uuid4

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.response import BoltResponse

from bots.errands import Errands
from bots.slack import modals
from bots.slack.asked import Submitted, parse_command, parse_interaction
from bots.slack.handling import Handling
from bots.slack.parse import Event, parse_event

JSON = Mapping[str, Any]
Ack = Callable[..., Awaitable[Any]]
# Slack sends again what was not acknowledged within three seconds; half of them are for a machine that is busy.
ACK_S: Final = 1.5
# An event is waited for as long as may be, since it comes again otherwise: at once, in a minute, in five.
TAKE_S: Final = 2.5
_MOST_KNOWN: Final = 2000
_ANY: Final = re.compile(".*", re.DOTALL)


class Listener:
    """The callbacks. `listen` registers them."""

    def __init__(self, handling: Handling, errands: Errands) -> None:
        self._handling = handling
        self._errands = errands
        # What is done with the events of late, by id: one that comes again is the same work.
        self._taken: OrderedDict[str, asyncio.Task[None]] = OrderedDict()

    def listen(self, app: AsyncApp) -> None:
        """Register with bolt."""
        app.middleware(self._before_acknowledging)
        app.event(_ANY)(_nothing_more)
        app.action(_ANY)(self._asked)
        app.shortcut(_ANY)(self._asked)
        app.command(_ANY)(self._commanded)
        app.view_submission(_ANY)(self._submitted)
        app.view_closed(_ANY)(_acknowledge)

    async def _before_acknowledging(
        self,
        body: JSON,
        next: Callable[[], Awaitable[None]],  # noqa: A002 - bolt's name
    ) -> BoltResponse | None:
        event = parse_event(body) if body.get("type") == "event_callback" else None
        if event is not None:
            # Slack names every event; one without a name is nobody's repetition.
            event_id = str(body.get("event_id") or uuid4())
            _done, late = await asyncio.wait({self._take(event_id, event)}, timeout=TAKE_S)
            if late:
                return BoltResponse(status=503, body="not taken in yet")
        await next()
        return None

    def _take(self, event_id: str, event: Event) -> "asyncio.Task[None]":
        work = self._taken.get(event_id)
        if work is None:
            work = self._errands.start(self._handling.event(event), f"take in {type(event).__name__}")
            self._taken[event_id] = work
            if len(self._taken) > _MOST_KNOWN:
                self._taken.popitem(last=False)
        return work

    async def _asked(self, ack: Ack, body: JSON) -> None:
        await ack()
        asked = parse_interaction(body)
        if asked is not None:
            self._errands.start(self._handling.asked(asked), f"do what was asked: {type(asked).__name__}")

    async def _commanded(self, ack: Ack, body: JSON) -> None:
        await ack()
        command = parse_command(body)
        if command is not None:
            self._errands.start(self._handling.command(command), "do what was commanded")

    async def _submitted(self, ack: Ack, body: JSON) -> None:
        """Acknowledge a form with what is wrong with it; when that takes too long, the form says so later."""
        form = parse_interaction(body)
        if not isinstance(form, Submitted):
            await ack()
            return
        outcome = asyncio.get_running_loop().create_future()
        self._errands.start(self._handling.submitted(form, outcome), "take a form in")
        await asyncio.wait({outcome}, timeout=ACK_S)
        if not outcome.done():
            await ack(response_action="update", view=modals.loading())
            self._errands.start(self._handling.late(form, outcome), "tell what became of a form")
        elif wrong := outcome.result():
            await ack(response_action="errors", errors=wrong)
        else:
            await ack()


async def _nothing_more() -> None:
    """By the time bolt comes here, the event is taken in."""


async def _acknowledge(ack: Ack) -> None:
    await ack()
