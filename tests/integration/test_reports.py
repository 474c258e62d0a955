"""What Sentry is told of errors, with its real SDK and every byte that it sent: whose they are, and no word of anybody."""

import asyncio
import logging
import os
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from bots.intake import Intake
from core.bus.connection import open_redis
from core.bus.control import open_control
from core.domain.chat import Author, Place, Platform
from core.errors import Misconfigured, Unavailable
from core.observing.program import observed
from core.ports import Accepted
from core.queue import ArqWorkQueue
from core.settings import Settings
from core.store.stores import open_stores
from tests.doubles.observing import Observer
from tests.processes import ready_program

ROOT = Path(__file__).parents[2]
WORDS = "please mend the billing of Miss Marple"
SECRET = "hunter2-of-nobody-knows-which-kind"
WAIT_S = 60


async def is_told(observer: Observer, event: str) -> dict[str, Any]:
    """The report of the line that is called so, once it is there."""
    async with asyncio.timeout(WAIT_S):
        while True:
            for report in observer.events:
                if report["tags"].get("event") == event:
                    return report
            await asyncio.sleep(0.05)


def environment(database_url: str, redis_url: str, folder: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    ours = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "THREADWORK_DATA_DIR": str(folder),
        "THREADWORK_SECRET_KEY": b64encode(b"s" * 32).decode(),
    }
    return {**kept, **ours, **settings}


@asynccontextmanager
async def broken_worker(database_url: str, redis_url: str, folder: Path, **settings: str) -> AsyncIterator[None]:
    async with ready_program(
        *(sys.executable, "-m", "tests.integration.broken_worker", WORDS, SECRET),
        ready="worker ready\n",
        env=environment(database_url, redis_url, folder, **settings),
    ):
        yield


async def said(database_url: str, redis_url: str) -> Accepted:
    """Somebody says something, in a chat that is put to work."""
    async with (
        open_stores(database_url) as stores,
        open_redis(redis_url) as redis,
        open_control(redis) as control,
        ArqWorkQueue.open(redis_url) as queue,
    ):
        place, author = Place(Platform.CONSOLE, "local", "", "main"), Author("u1", "Ann")
        return await Intake(stores, control, queue).accept(place, author, "m1", WORDS)


async def test_an_error_in_a_turn_is_told_with_whose_it_is_and_no_word_of_it(
    database_url: str, redis_url: str, tmp_path: Path, observer: Observer
) -> None:
    async with broken_worker(
        database_url, redis_url, tmp_path, SENTRY_DSN=observer.dsn, SENTRY_ENVIRONMENT="stage", SENTRY_RELEASE="r1"
    ):
        accepted = await said(database_url, redis_url)
        ours, theirs = await is_told(observer, "run_failed"), await is_told(observer, "a_library")
        async with open_stores(database_url) as stores:
            (turn,) = await stores.turns.recent(accepted.chat.id)

    for report in (ours, theirs):
        tags = report["tags"]
        assert (tags["tenant"], tags["chat"]) == (str(accepted.chat.tenant_id), str(accepted.chat.id))
        assert (tags["turn"], tags["process"]) == (str(turn.id), "worker")
        assert int(tags["epoch"]) >= 1
        assert (report["environment"], report["release"]) == ("stage", "r1")
    raised = ours["exception"]["values"]
    assert {"ValueError", "RuntimeError"} <= {error["type"] for error in raised}
    frames = [frame for error in raised for frame in error["stacktrace"]["frames"]]
    assert {"publish", "_work"} <= {frame["function"] for frame in frames}
    assert not any("vars" in frame for frame in frames)
    for hidden in (WORDS, SECRET, *WORDS.split()[-2:]):
        assert hidden.encode() not in observer.all_bytes


async def test_the_command_tells_what_ended_it_before_it_leaves(
    database_url: str, redis_url: str, tmp_path: Path, observer: Observer
) -> None:
    settings = environment(database_url, redis_url, tmp_path, SENTRY_DSN=observer.dsn, SLACK_CLIENT_ID="1.2")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "threadwork", "worker"), cwd=ROOT, env=settings, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(WAIT_S):
        _, words = await process.communicate()

    assert process.returncode == 2
    assert words.startswith(b"threadwork: SLACK_CLIENT_ID and SLACK_CLIENT_SECRET go together")
    (report,) = observer.events
    assert report["tags"] == {"event": "program_ended", "process": "worker", "code": "misconfigured"}


def test_an_error_that_ends_the_program_is_told_before_it_ends(observer: Observer, logged: Callable[[], str]) -> None:
    with pytest.raises(Unavailable), observed("web", {"SENTRY_DSN": observer.dsn}):
        raise Unavailable("the database", SECRET)

    (report,) = observer.events
    assert report["tags"] == {"event": "program_ended", "process": "web", "code": "unavailable"}
    assert report["release"].startswith("threadwork@")
    assert SECRET.encode() not in observer.all_bytes


def test_what_is_logged_without_an_error_is_not_told(observer: Observer, logged: Callable[[], str]) -> None:
    with observed("web", {"SENTRY_DSN": observer.dsn}):
        structlog.get_logger("ours").error("no_good", why=WORDS)
        logging.getLogger("theirs").error(WORDS)

    assert observer.bodies == []
    assert WORDS in logged()


def test_a_sentence_is_no_tag(observer: Observer, logged: Callable[[], str]) -> None:
    with observed("web", {"SENTRY_DSN": observer.dsn}):
        structlog.get_logger("ours").warning(WORDS, chat=WORDS, turn="t1", exc_info=ValueError())

    (report,) = observer.events
    assert report["tags"] == {"turn": "t1", "process": "web"}


def test_a_sentry_that_refuses_or_is_away_changes_nothing(observer: Observer, logged: Callable[[], str]) -> None:
    observer.status = 503
    with observed("web", {"SENTRY_DSN": observer.dsn}):
        for number in range(300):
            structlog.get_logger("ours").warning("broke", number=number, exc_info=ValueError())
    assert logged().count("reports_not_sent") == 1
    with observed("web", {"SENTRY_DSN": "http://key@127.0.0.1:1/1"}):
        structlog.get_logger("ours").warning("broke", exc_info=ValueError())

    words = logged()
    assert observer.events == []
    assert (words.count("broke"), words.count("reports_not_sent")) == (1, 1)
    assert "not_reported" not in words
    assert "Retrying" not in words


@pytest.mark.parametrize(
    "dsn", ["https://sentry.example.com/1", "https://key@sentry.example.com/", "https://key@host:port/1", "nonsense"]
)
def test_what_is_no_dsn_is_refused_by_its_name(dsn: str, logged: Callable[[], str]) -> None:
    with pytest.raises(Misconfigured, match="SENTRY_DSN is wrong") as refused, observed("web", {"SENTRY_DSN": dsn}):
        pass
    assert "Example: SENTRY_DSN=" in refused.value.words


@pytest.mark.parametrize(
    ("setting", "library", "ours"),
    [
        ("SENTRY_DSN", "sentry_sdk", "core.observing.sentry"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "opentelemetry.sdk.trace", "core.observing.tracing"),
    ],
)
def test_a_library_that_is_not_there_is_named_with_the_mend(
    setting: str, library: str, ours: str, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    monkeypatch.delitem(sys.modules, ours, raising=False)
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(Misconfigured, match=setting) as refused, observed("web", {setting: "http://key@127.0.0.1:1/1"}):
        pass

    assert "pip install '.[observe]'" in refused.value.words
