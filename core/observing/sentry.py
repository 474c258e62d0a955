"""Telling Sentry of errors: the only importer of its SDK. `program.py` imports this where SENTRY_DSN is set.

A client of our own: nothing of the SDK's global state is touched, none of its integrations is switched on, so it sees
nothing but the errors it is given. What it sends is chosen in `kept.py`. It sends from a thread, at most a hundred
reports behind; what is more is dropped.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Final

import structlog
from sentry_sdk import Client
from sentry_sdk.transport import HttpTransport
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import BadDsn, event_from_exception

from core.errors import Misconfigured, ThreadworkError
from core.observing.kept import kept_of, tags_of

log = structlog.get_logger(__name__)
# How long a program that ends waits for its last reports to arrive, in seconds.
FLUSH_S: Final = 2.0
_TELL_EVERY_S: Final = 600.0
# What the SDK and its HTTP client log of their own errors is not reported by them again.
_OWN: Final = ("sentry_sdk", "urllib3")


class Reports:
    """Errors on their way to Sentry. `report` returns at once and never raises."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def report(self, error: BaseException, facts: Mapping[str, object]) -> None:
        """Tell of an error. `facts`: what the log line says that tells of it; `TAGS` of that are sent."""
        if str(facts.get("event", "")).startswith(_OWN):
            return
        try:
            event, hint = event_from_exception(
                error, self._client.options, {"type": "threadwork", "handled": facts.get("event") != "program_ended"}
            )
            event["tags"] = dict(tags_of({**facts, **_code_of(error)}))
            self._client.capture_event(event, hint)
        except Exception as failure:  # noqa: BLE001 - a report that fails must not become an error of what it tells of
            log.warning("not_reported", why=type(failure).__name__)


class TellingTransport(HttpTransport):
    """Says once in a while that reports do not arrive, and why in Sentry's words."""

    told_at = float("-inf")

    def on_dropped_event(self, reason: str) -> None:
        now = time.monotonic()
        if now - self.told_at > _TELL_EVERY_S:
            self.told_at = now
            log.warning("reports_not_sent", why=reason)


@contextmanager
def open_reports(given: Mapping[str, str]) -> Iterator[Reports]:
    """Reports to SENTRY_DSN, which have `FLUSH_S` at the end to arrive. Raises `Misconfigured` for what is no DSN."""
    try:
        client = Client(
            given["SENTRY_DSN"],
            # The SDK would look for a git repository in whatever folder we were started.
            release=given.get("SENTRY_RELEASE") or f"threadwork@{version('threadwork')}",
            environment=given.get("SENTRY_ENVIRONMENT"),
            before_send=_before_send,
            transport=TellingTransport,
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            # `send_default_pii` is off unless it is given, and deprecated.
            auto_session_tracking=False,
            send_client_reports=False,
            enable_backpressure_handling=False,
            spotlight=False,
        )
    except (BadDsn, ValueError) as error:
        raise Misconfigured(
            "SENTRY_DSN is wrong: it is not a DSN as Sentry shows it. Example: SENTRY_DSN=https://key@sentry.example.com/1"
        ) from error
    # It would tell of each of its tries; `TellingTransport` tells.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        yield Reports(client)
    finally:
        client.close(timeout=FLUSH_S)


def _code_of(error: BaseException) -> Mapping[str, str]:
    """The code of an error of ours, or of the first one in a group of such."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return {"code": error.code} if isinstance(error, ThreadworkError) else {}


def _before_send(event: Event, _hint: Hint) -> Any:
    return kept_of(event)
