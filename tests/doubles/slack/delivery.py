"""Carries events and interactions to the app, over sockets or signed HTTP, and repeats events nobody acknowledged.

Events go at once; unacknowledged after three seconds they come again with a retry number, as
https://docs.slack.dev/apis/events-api#retries says. Interactions are tried once: a person sees what went wrong.
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp

from tests.doubles.slack.errors import CannotDo, NotAnswered
from tests.doubles.slack.manifest import Manifest
from tests.doubles.slack.record import JSON, Record
from tests.doubles.slack.sockets import Outcome, Sockets

Kind = Literal["events_api", "interactive", "slash_commands"]


class Delivery:
    """One app's inbox. With `events_url` set, everything goes there by HTTP, signed with `signing_secret`."""

    def __init__(
        self,
        sockets: Sockets,
        record: Record,
        *,
        ack_seconds: float,
        retry_delays: Sequence[float],
        signing_secret: str,
    ) -> None:
        self.sockets = sockets
        self.ack_seconds = ack_seconds
        self.retry_delays = tuple(retry_delays)
        self.signing_secret = signing_secret
        self.events_url: str | None = None
        self.interactions_url: str | None = None
        self.commands_url: str | None = None
        self.events: list[JSON] = []
        self.interactions: list[JSON] = []
        self.manifest: Manifest | None = None
        self.given_up: list[JSON] = []
        self.again: list[JSON] = []  # what had to be sent once more
        self.held: list[float] = []  # the next events wait so many seconds each, and so change their order
        self._record = record
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors: list[BaseException] = []

    # -- events ------------------------------------------------------------------------------------------------

    def event(self, payload: JSON) -> None:
        """Send an event in the background."""
        if self.manifest is not None and not self.manifest.hears(payload["event"]):
            return
        self.events.append(payload)
        self._spawn(self._deliver(payload))

    def repeat(self, payload: JSON | None = None) -> None:
        """Deliver an event once more (by default the latest), as Slack does after a lost acknowledgement."""
        self._spawn(self._deliver(payload or self.events[-1], attempt=1))

    @property
    def is_idle(self) -> bool:
        """Whether every event was acknowledged or given up."""
        return not self._tasks

    async def _deliver(self, payload: JSON, attempt: int = 0) -> None:
        if self.held:
            await asyncio.sleep(self.held.pop(0))
        while True:
            outcome = await self._send("events_api", payload, attempt)
            if outcome.kind == "acked":
                return
            if attempt >= len(self.retry_delays):
                # One that is late may mean to have it again; one that never comes lost it.
                self._record.broke("not_acked", "events", f"{payload['event']['type']} {payload['event_id']}")
                self.given_up.append(payload)
                return
            self.again.append(payload)
            # After a cut socket the next delivery waits for a connection anyway.
            is_waiting = outcome.kind == "late" or self.events_url is not None
            await asyncio.sleep(self.retry_delays[attempt] if is_waiting else 0)
            attempt += 1

    # -- interactions ------------------------------------------------------------------------------------------

    async def ask(self, kind: Kind, payload: JSON) -> JSON:
        """Deliver an interaction and return the acknowledgement's payload. Raises NotAnswered, or CannotDo when the
        app's manifest declares no such command or shortcut, or no interactivity.
        """
        self._must_be_declared(kind, payload)
        self.interactions.append(payload)
        try:
            async with asyncio.timeout(self.ack_seconds * 2):
                outcome = await self._send(kind, payload, 0)
        except TimeoutError:
            raise NotAnswered("no connection of the app is open") from None
        if outcome.kind != "acked":
            what = payload.get("command") or payload.get("type")
            if outcome.kind == "late":
                self._record.broke("not_acked", "interactions", str(what))
            raise NotAnswered(f"{what} was not acknowledged ({outcome.kind})")
        return outcome.payload or {}

    def _must_be_declared(self, kind: Kind, payload: JSON) -> None:
        if self.manifest is None:
            return
        if kind == "slash_commands":
            if payload["command"] not in self.manifest.commands:
                raise CannotDo(f"{payload['command']} is not a valid command")
        elif not self.manifest.is_interactive:
            raise CannotDo("this app is not configured to handle interactive responses")
        elif (
            payload["type"] in {"message_action", "shortcut"} and payload["callback_id"] not in self.manifest.shortcuts
        ):
            raise CannotDo(f"there is no shortcut {payload['callback_id']!r}")

    # -- the two ways ------------------------------------------------------------------------------------------

    async def _send(self, kind: Kind, payload: JSON, attempt: int) -> Outcome:
        url = {
            "events_api": self.events_url,
            "interactive": self.interactions_url or self.events_url,
            "slash_commands": self.commands_url or self.events_url,
        }[kind]
        if url:
            return await self._post(url, kind, payload, attempt)
        envelope: JSON = {
            "envelope_id": str(uuid4()),
            "payload": payload,
            "type": kind,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": attempt, "retry_reason": "timeout" if attempt else ""}
        return await self.sockets.deliver(envelope, seconds=self.ack_seconds)

    async def _post(self, url: str, kind: Kind, payload: JSON, attempt: int) -> Outcome:
        if kind == "events_api":
            body, content = json.dumps(payload), "application/json"
        else:
            form = {"payload": json.dumps(payload)} if kind == "interactive" else payload
            body, content = urlencode(form), "application/x-www-form-urlencoded"
        headers = {"Content-Type": content, **self.signature(body)}
        if attempt:
            headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": "http_timeout"}
        try:
            async with (
                asyncio.timeout(self.ack_seconds),
                self._client().post(url, data=body, headers=headers) as answer,
            ):
                text = await answer.text()
        except TimeoutError:
            return Outcome("late")
        except aiohttp.ClientError:
            return Outcome("lost")
        if answer.status != 200:
            return Outcome("late")
        if "json" in answer.content_type and text:
            return Outcome("acked", json.loads(text))
        return Outcome("acked", {"text": text} if text else None)

    def signature(self, body: str, *, at: float | None = None) -> dict[str, str]:
        """The headers that prove a request comes from Slack."""
        stamp = str(int(time.time() if at is None else at))
        digest = hmac.new(self.signing_secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}

    async def verify_url(self) -> bool:
        """Whether the events URL answers Slack's challenge."""
        assert self.events_url is not None
        body = json.dumps({"token": "made-up", "challenge": "made-up-challenge", "type": "url_verification"})
        headers = {"Content-Type": "application/json", **self.signature(body)}
        async with self._client().post(self.events_url, data=body, headers=headers) as answer:
            return answer.status == 200 and "made-up-challenge" in await answer.text()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    # -- life --------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._errors.append(error)

    async def close(self) -> None:
        """Stop; raise what went wrong in the background."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        if self._errors:
            raise self._errors[0]
