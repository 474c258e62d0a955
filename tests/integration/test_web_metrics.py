"""`/metrics`: what it tells, and whom."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from core.bus.connection import open_redis
from core.bus.counters import open_counters
from core.domain.access import Access, Rights
from core.domain.chat import AgentSeat, Platform
from core.domain.events import TurnFinished
from core.domain.states import TurnState
from core.domain.turn import Usage
from core.ports import Count, Span
from tests.integration.web_page import Browser, Page, Seen, open_page, settings_for
from tests.valkey import own_valkey

TOKEN = "a-token-for-metrics-only"
_EMPTY = ("", "Bearer", "Bearer ", "Bearer \xff\xfe")
LINE = re.compile(
    r"# (?:HELP [a-z_]+ .+|TYPE [a-z_]+ (?:gauge|counter|histogram))"
    r'|threadwork_[a-z_]+(?:\{[a-z_]+="[a-zA-Z_.0-9+]+"(?:,[a-z_]+="[a-zA-Z_.0-9+]+")*\})? [0-9.e+-]+'
)


@asynccontextmanager
async def opened(database_url: str, redis_url: str, tmp_path: Path, **more: Any) -> AsyncIterator[tuple[Page, Browser]]:
    async with open_page(settings_for(database_url, redis_url, tmp_path, **more)) as page, page.stranger() as asker:
        asker.url = f"http://127.0.0.1:{page.settings.threadwork_web_port}"
        yield page, asker


async def asks(asker: Browser, token: str | None = None, **headers: str) -> Seen:
    return await asker.get("/metrics", **({"Authorization": f"Bearer {token}"} if token else {}), **headers)


def numbers(seen: Seen) -> dict[str, str]:
    assert seen.status == 200, seen.text
    lines = seen.text.splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


async def test_it_tells_of_turns_questions_money_sandboxes_and_what_processes_counted(page: Page) -> None:
    done, asking = await page.runs("a secret wish", thread="1.1"), await page.runs(thread="2.1", name="Zoe")
    end = TurnFinished(TurnState.DONE, "secret words", Usage(1, 2, 3, 4), Decimal("0.25"), 1.0)
    await page.stores.turns.finish(done.fence, done.turn.id, 2, end, AgentSeat())
    await page.asks(asking)
    assert page.settings.redis_url is not None
    async with open_redis(page.settings.redis_url) as redis, open_counters(redis, "host:1") as counters:
        counters.add(Count.EDITS_SENT, Platform.SLACK, 5)
        counters.add(Count.EDITS_SAVED, Platform.SLACK, 50)
        counters.add(Count.RATE_LIMITED, Platform.DISCORD)
        counters.took(Span.START, Platform.SLACK, 0.02)
        counters.took(Span.FIRST_TEXT, Platform.SLACK, 4.0)
    async with page.stranger() as prometheus:
        seen = await asks(prometheus)
    found = numbers(seen)
    assert seen.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    expected = {
        'threadwork_source_up{source="database"}': "1",
        'threadwork_source_up{source="redis"}': "1",
        'threadwork_turns{state="running"}': "1",
        'threadwork_turns_ended_total{state="done"}': "1",
        'threadwork_turns_ended_total{state="failed"}': "0",
        'threadwork_tokens_total{kind="cache_write"}': "4",
        "threadwork_approvals_waiting": "1",
        "threadwork_decision_seconds_count": "0",
        'threadwork_sandboxes{state="running"}': "0",
        "threadwork_workers": "1",
        "threadwork_queue_length": "0",
        'threadwork_edits_sent_total{platform="slack"}': "5",
        'threadwork_edits_saved_total{platform="slack"}': "50",
        'threadwork_rate_limited_total{platform="discord"}': "1",
        'threadwork_start_seconds_bucket{platform="slack",le="0.01"}': "0",
        'threadwork_start_seconds_bucket{platform="slack",le="0.025"}': "1",
        'threadwork_start_seconds_bucket{platform="slack",le="+Inf"}': "1",
        'threadwork_first_text_seconds_sum{platform="slack"}': "4",
    }
    assert {name: found[name] for name in expected} == expected
    assert Decimal(found["threadwork_cost_usd_total"]) == Decimal("0.25")
    for private in ("secret", "Ann", "Zoe", "Root", "T1", "C1", "host:1", "rm -rf", str(done.chat.id)):
        assert private not in seen.text


async def test_a_proxy_a_strangers_name_or_another_sites_page_is_not_this_machine(page: Page) -> None:
    async with page.stranger() as asker:
        assert (await asks(asker)).status == 200
        for headers in (
            {"X-Forwarded-For": "203.0.113.7"},
            {"Forwarded": "for=203.0.113.7"},
            {"X-Real-IP": "127.0.0.1"},
            {"Via": "1.1 proxy"},
            {"Host": "evil.example"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        ):
            refused = await asks(asker, None, **headers)
            assert (refused.status, "threadwork_" in refused.text) == (404, False), headers
        assert (await asker.post("/metrics")).status == 405


async def test_behind_a_public_address_nobody_is_told_without_a_token(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    url = {"threadwork_web_url": "http://threadwork.example.com"}
    async with opened(database_url, redis_url, tmp_path, **url) as (_, asker):
        for headers in ({}, {"Host": "threadwork.example.com"}, {"Authorization": "Bearer "}):
            assert (await asks(asker, None, **headers)).status == 404


async def test_a_missing_or_wrong_token_is_told_nothing(database_url: str, redis_url: str, tmp_path: Path) -> None:
    more = {"threadwork_web_url": "http://threadwork.example.com", "threadwork_metrics_token": TOKEN}
    async with opened(database_url, redis_url, tmp_path, **more) as (_, asker):
        for given in (
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            f"Bearer {TOKEN} {TOKEN}",
            f"Basic {TOKEN}",
            TOKEN,
            *_EMPTY,
        ):
            refused = await asker.get("/metrics", **({"Authorization": given} if given else {}))
            assert (refused.status, "threadwork_" in refused.text) == (401, False), given
            assert TOKEN not in refused.text
        # Inside a network of services the page has another name.
        assert (await asks(asker, TOKEN, Host="web:8030")).status == 200


async def test_a_session_is_no_token_and_the_token_is_no_session(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    url = {"threadwork_metrics_token": TOKEN}
    async with opened(database_url, redis_url, tmp_path, **url) as (page, asker):
        assert (await asker.get("/", Authorization=f"Bearer {TOKEN}")).headers["Location"] == "/sign-in"
        mine = await page.runs()
        async with page.visitor(Rights(tenants={mine.chat.tenant_id: Access.VIEWER})) as ann:
            assert (await ann.get("/metrics", **{"X-Forwarded-For": "203.0.113.7"})).status == 401


async def test_while_redis_is_away_the_rows_are_told_all_the_same(database_url: str, tmp_path: Path) -> None:
    async with own_valkey() as valkey, opened(database_url, valkey.url, tmp_path) as (_, asker):
        assert numbers(await asks(asker))['threadwork_source_up{source="redis"}'] == "1"
        await valkey.stop()
        kept = await asks(asker)
        while (found := numbers(kept))['threadwork_source_up{source="redis"}'] == "1":
            kept = await asks(asker)
        assert 'threadwork_turns{state="running"}' in found
        assert "threadwork_workers" not in found
        await valkey.start()
