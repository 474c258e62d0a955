import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import text

from bots.web.app import open_web
from core.errors import Misconfigured
from tests.integration.web_page import Page, open_page, settings_for


async def _do(page: Page, statement: str) -> None:
    async with page.engine.begin() as connection:
        await connection.execute(text(statement))


async def _audit(page: Page) -> list[tuple[str, str]]:
    async with page.engine.connect() as connection:
        rows = await connection.execute(text("SELECT actor, action FROM audit ORDER BY id"))
        return [(row.actor, row.action) for row in rows]


async def test_health_is_told_to_anybody_and_names_what_is_needed(page: Page) -> None:
    async with page.stranger() as stranger:
        assert (await stranger.get("/healthz", Host="anything.internal")).status == 200
        ready = await stranger.get("/readyz")
    assert ready.status == 200
    said = json.loads(ready.text)
    assert said["ready"] is True
    assert {name: one["ok"] for name, one in said["needs"].items()} == {"database": True, "redis": True}


async def test_not_ready_says_which_need_is_not_met_while_alive(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    nowhere = f"redis+nowhere://{tmp_path}".replace("redis+nowhere", "unix")
    async with open_page(settings_for(database_url, f"{nowhere}/none.sock", tmp_path)) as page, page.stranger() as one:
        ready = await one.get("/readyz")
        assert (ready.status, json.loads(ready.text)["needs"]["redis"]["ok"]) == (503, False)
        assert json.loads(ready.text)["needs"]["database"]["ok"] is True
        assert str(tmp_path) not in ready.text
        assert (await one.get("/healthz")).status == 200


async def test_a_database_without_our_tables_is_not_ready(
    empty_database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with open_page(settings_for(empty_database_url, redis_url, tmp_path)) as page, page.stranger() as one:
        ready = await one.get("/readyz")
    assert json.loads(ready.text)["needs"]["database"]["ok"] is False


async def test_a_link_signs_in_once_and_the_audit_tells(page: Page) -> None:
    link = await page.link(name="Ann")
    async with page.stranger() as ann, page.stranger() as thief:
        assert (await ann.get("/")).headers["Location"] == "/sign-in"
        shown = await ann.get(link)
        assert "Sign in" in shown.text
        assert ann.cookie == ""
        assert (await ann.post(link)).headers["Location"] == "/"
        home = await ann.get("/")
        assert home.status == 200
        assert "Ann" in home.text

        late = await thief.post(link)
        assert late.status == 403
        assert "used before" in late.text
        assert thief.cookie == ""
    assert await _audit(page) == [("Ann", "asked for a sign-in link"), ("Ann", "signed in")]


async def test_looking_at_a_link_does_not_use_it_up(page: Page) -> None:
    link = await page.link()
    async with page.stranger() as robot:
        for _ in range(3):
            await robot.get(link)
    async with page.stranger() as person:
        assert (await person.post(link)).status == 303


async def test_of_many_who_use_a_link_at_once_one_gets_in(page: Page) -> None:
    link = await page.link()
    async with page.stranger() as one:
        answers = await asyncio.gather(*(one.post(link) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [303] + [403] * 7


async def test_a_link_is_too_old_after_ten_minutes(page: Page) -> None:
    link = await page.link()
    await _do(page, "UPDATE web_links SET good_until = good_until - interval '10 minutes'")
    async with page.stranger() as late:
        assert (await late.post(link)).status == 403


async def test_a_session_planted_before_is_not_the_one_that_begins(page: Page) -> None:
    async with page.visitor(name="Mallory") as mallory, page.stranger() as ann:
        ann.carry(mallory.cookie)
        await ann.post(await page.link(name="Ann"))
        assert ann.cookie != mallory.cookie
        assert "Ann" in (await ann.get("/")).text
        # What was planted is over, so nobody is in it together with somebody else.
        assert (await mallory.get("/")).headers["Location"] == "/sign-in"


async def test_who_signs_out_is_out_also_with_a_kept_cookie(page: Page) -> None:
    async with page.visitor() as root:
        kept = root.cookie
        assert (await root.post("/sign-out")).headers["Location"] == "/sign-in"
        assert root.cookie == ""
        root.carry(kept)
        assert (await root.get("/")).headers["Location"] == "/sign-in"
    assert ("Root", "signed out") in await _audit(page)


@pytest.mark.parametrize("column", ["renewed_at", "began_at"])
async def test_an_old_or_unused_session_is_over(page: Page, column: str) -> None:
    async with page.visitor() as root:
        await _do(page, f"UPDATE web_sessions SET {column} = {column} - interval '8 days'")  # noqa: S608 - ours
        assert (await root.get("/")).headers["Location"] == "/sign-in"


async def test_a_sessions_key_changes_as_it_is_used_and_the_old_one_is_good_for_a_moment(page: Page) -> None:
    async with page.visitor() as root, page.stranger() as thief:
        first = root.cookie
        await _do(page, "UPDATE web_sessions SET renewed_at = renewed_at - interval '16 minutes'")
        assert (await root.get("/")).status == 200
        assert root.cookie != first
        thief.carry(first)
        assert (await thief.get("/")).status == 200
        await _do(page, "UPDATE web_sessions SET renewed_at = renewed_at - interval '2 minutes'")
        assert (await thief.get("/")).headers["Location"] == "/sign-in"
        assert (await root.get("/")).status == 200


async def test_the_database_holds_nothing_that_signs_anybody_in(page: Page) -> None:
    link = await page.link()
    async with page.visitor() as root, page.engine.connect() as connection:
        for table in ("web_links", "web_sessions", "audit"):
            kept = str((await connection.execute(text(f"SELECT * FROM {table}"))).all())  # noqa: S608 - ours
            assert link.rpartition("/")[2] not in kept
            assert root.cookie not in kept


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(page: Page) -> None:
    async with page.stranger() as root:
        answer = await root.post(await page.link())
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "domain" not in cookie


async def test_behind_https_the_cookie_goes_by_https_only_and_other_names_get_nothing(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    public = "https://threadwork.example.com"
    settings = settings_for(database_url, redis_url, tmp_path, threadwork_web_url=public)
    async with open_page(settings) as page, page.stranger() as one:
        assert page.url == public
        one.url = f"http://127.0.0.1:{settings.threadwork_web_port}"
        link = await page.link()
        assert (await one.post(link)).status == 421
        answer = await one.post(link, Host="threadwork.example.com", Origin=public)
    assert answer.status == 303
    assert answer.headers["Set-Cookie"].startswith("__Host-threadwork=")
    assert "; secure" in answer.headers["Set-Cookie"].lower()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ],
)
async def test_a_form_on_another_site_signs_nobody_in_or_out(page: Page, headers: dict[str, str]) -> None:
    async with page.visitor() as root:
        assert (await root.post("/sign-out", None, **headers)).status == 403
        assert (await root.post(await page.link(), None, **headers)).status == 403
        assert (await root.get("/")).status == 200


async def test_a_strangers_name_for_this_machine_gets_nothing(page: Page) -> None:
    async with page.visitor() as root:
        assert (await root.get("/", Host="evil.example")).status == 421


async def test_who_tries_too_often_has_to_wait(page: Page) -> None:
    async with page.stranger() as one:
        answers = [(await one.post("/sign-in/guess")).status for _ in range(12)]
    assert answers == [403] * 10 + [429] * 2


async def test_every_answer_has_the_policy_and_stays_out_of_caches(page: Page) -> None:
    async with page.visitor() as root:
        for path in ("/", "/sign-in", "/nothing-here", "/static/page.css", "/static/none", "/healthz"):
            answer = await root.get(path)
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"], path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == ("no-cache" if path.startswith("/static") else "no-store")


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2f..%2fapp.py", "/static/"])
async def test_nothing_but_the_pages_files_is_served(page: Page, path: str) -> None:
    async with page.stranger() as one:
        assert (await one.get(path)).status in {403, 404, 303}


async def test_who_is_no_browser_is_told_and_not_led_elsewhere(page: Page) -> None:
    async with page.stranger() as one:
        assert (await one.get("/", Accept="application/json")).status == 401
        assert (await one.post("/sign-out")).status == 401


async def test_a_port_in_use_is_said_by_the_name_of_its_setting(page: Page) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with open_web(page.settings):
            pass
    # The command line says the one that is inside.
    assert raised.group_contains(Misconfigured, match="THREADWORK_WEB_PORT")
