"""Signing in with Slack and with Discord: what holds for both."""

import asyncio
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from yarl import URL

from core.domain.chat import Platform
from tests.integration.town import SENT_ON, Town, open_town
from tests.integration.web_page import Browser, open_page, settings_for

BOTH = pytest.mark.parametrize("platform", ["slack", "discord"])
KNOCK = "threadwork-knock"


@pytest.fixture
async def town(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with open_town(database_url, redis_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def open_house(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    """The same, where others than admins may look on."""
    async with open_town(database_url, redis_url, tmp_path, threadwork_web_viewers=True) as opened:
        yield opened


def _knock(browser: Browser) -> str:
    found = browser.session.cookie_jar.filter_cookies(URL(browser.url)).get(KNOCK)
    return found.value if found else ""


def _carry_knock(browser: Browser, value: str) -> None:
    browser.session.cookie_jar.update_cookies({KNOCK: value}, URL(browser.url))


def _with(back: str, **changes: str) -> str:
    parts = urlsplit(back)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changes
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{urlencode(query)}"


async def _is_out(browser: Browser) -> bool:
    return browser.cookie == "" and (await browser.get("/")).headers.get("Location") == "/sign-in"


@BOTH
async def test_an_admin_of_the_place_sees_its_chats_may_act_there_and_nowhere_else(town: Town, platform: str) -> None:
    ann = town.person(platform, "ann")
    async with town.page.stranger() as browser:
        answer = await town.signs_in(browser, platform, ann)
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        assert _knock(browser) == ""
        home = (await browser.get("/")).words
        assert f"a job in {platform.title()}" in home
        assert "Ann" in home
        for hidden in ("secret", {"slack": "a job in Discord", "discord": "a job in Slack"}[platform]):
            assert hidden not in home
        tenant = "T1" if platform == "slack" else town.discord.guild("G1").id
        chat = await town.chat(Platform(platform), tenant, "")
        assert (await browser.post(f"/chats/{chat.id}/messages", {"text": "faster"})).status == 303
        other = await town.chat(Platform(platform), "T2" if platform == "slack" else town.discord.guild("G2").id, "")
        assert (await browser.get(f"/chats/{other.id}")).status == 404
        assert (await browser.post(f"/chats/{other.id}/stop")).status == 404
    async with town.page.engine.connect() as connection:
        query = text("SELECT actor, details FROM audit WHERE action = 'signed in'")
        ((actor, details),) = (await connection.execute(query)).all()
    assert (actor, details["person"], list(details["rights"].values())) == ("Ann", f"{platform}:{ann.id}", ["admin"])


@BOTH
async def test_who_is_no_admin_is_told_whom_to_ask(town: Town, platform: str) -> None:
    async with town.page.stranger() as browser:
        answer = await town.signs_in(browser, platform, town.person(platform, "bob"))
        assert answer.status == 403
        assert "THREADWORK_WEB_VIEWERS=1" in answer.words
        assert await _is_out(browser)
    assert await town.page.audit() == []


@BOTH
async def test_where_viewers_may_they_look_and_change_nothing(open_house: Town, platform: str) -> None:
    town = open_house
    async with town.page.stranger() as browser:
        assert (await town.signs_in(browser, platform, town.person(platform, "bob"))).status == 303
        home = (await browser.get("/")).words
        assert f"a job in {platform.title()}" in home
        assert "secret" not in home
        tenant = "T1" if platform == "slack" else town.discord.guild("G1").id
        chat = await town.chat(Platform(platform), tenant, "")
        assert (await browser.get(f"/chats/{chat.id}")).status == 200
        assert (await browser.post(f"/chats/{chat.id}/stop")).status == 403


@BOTH
async def test_a_stranger_is_refused_even_where_all_may_look(open_house: Town, platform: str) -> None:
    async with open_house.page.stranger() as browser:
        answer = await open_house.signs_in(browser, platform, open_house.stranger(platform))
        assert answer.status == 403
        assert "T1" not in answer.text
        assert await _is_out(browser)
    assert await open_house.page.audit() == []


@BOTH
async def test_another_state_or_none_or_another_browser_gets_nobody_in(town: Town, platform: str) -> None:
    town.person(platform, "ann").sits_at_the_browser()
    async with town.page.stranger() as browser, town.page.stranger() as other:
        for state in ("guess", "", "ü" * 43):
            back = await town.begins(browser, platform)
            answer = await town.returns(browser, _with(back, state=state))
            assert answer.status == 403
            assert "Begin anew" in answer.words
        # A link that somebody else's sign-in ends with: opened by the victim, who never began.
        assert (await town.returns(other, await town.begins(browser, platform))).status == 403
        assert await _is_out(browser)
        assert await _is_out(other)


@BOTH
async def test_coming_back_twice_gets_nobody_in_a_second_time(town: Town, platform: str) -> None:
    town.person(platform, "ann").sits_at_the_browser()
    async with town.page.stranger() as browser, town.page.stranger() as thief:
        back = await town.begins(browser, platform)
        kept = _knock(browser)
        assert (await town.returns(browser, back)).status == 303
        # Even with the cookie, and with a code that is fresh.
        _carry_knock(thief, kept)
        fresh = parse_qs(urlsplit(await town.begins(browser, platform)).query)["code"][0]
        answer = await town.returns(thief, _with(back, code=fresh))
        assert answer.status == 403
        assert "used before" in answer.words
        assert await _is_out(thief)


async def test_of_many_who_come_back_with_the_same_at_once_one_gets_in(town: Town) -> None:
    town.person("slack", "ann").sits_at_the_browser()
    async with town.page.stranger() as browser:
        back = await town.begins(browser, "slack")
        answers = await asyncio.gather(*(town.returns(browser, back) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [303] + [403] * 7


@BOTH
async def test_a_code_that_was_used_or_is_of_another_try_is_refused(town: Town, platform: str) -> None:
    town.person(platform, "ann").sits_at_the_browser()
    async with town.page.stranger() as ann, town.page.stranger() as mallory:
        used = await town.begins(ann, platform)
        code = parse_qs(urlsplit(used).query)["code"][0]
        unused = parse_qs(urlsplit(await town.begins(mallory, platform)).query)["code"][0]
        assert (await town.returns(mallory, _with(await town.begins(mallory, platform), code=unused))).status in {
            400,
            403,
        }
        assert (await town.returns(ann, await town.begins(ann, platform))).status == 303
        second = _with(await town.begins(mallory, platform), code=unused)
        assert (await town.returns(mallory, second)).status == 400
        assert (await town.returns(mallory, _with(await town.begins(mallory, platform), code=code))).status in {
            400,
            403,
        }
        assert await _is_out(mallory)


@BOTH
async def test_a_session_planted_before_is_not_the_one_that_begins_either(town: Town, platform: str) -> None:
    async with town.page.visitor(name="Mallory") as mallory, town.page.stranger() as browser:
        browser.carry(mallory.cookie)
        assert (await town.signs_in(browser, platform, town.person(platform, "ann"))).status == 303
        assert browser.cookie != mallory.cookie
        assert (await mallory.get("/")).headers["Location"] == "/sign-in"


@BOTH
async def test_what_one_platform_said_is_not_taken_for_the_others(town: Town, platform: str) -> None:
    other = {"slack": "discord", "discord": "slack"}[platform]
    town.person(platform, "ann").sits_at_the_browser()
    async with town.page.stranger() as browser:
        back = (await town.begins(browser, platform)).replace(f"/with/{platform}/", f"/with/{other}/")
        assert (await town.returns(browser, back)).status == 403
        assert await _is_out(browser)
    asked = town.slack.calls("openid.connect.token") + town.discord.calls("POST /oauth2/token")
    assert asked == []


@BOTH
async def test_who_says_no_there_is_not_signed_in_and_nothing_foreign_is_shown(town: Town, platform: str) -> None:
    town.person(platform, "ann").sits_at_the_browser()
    town.denies(platform)
    async with town.page.stranger() as browser:
        back = await town.begins(browser, platform)
        answer = await town.returns(browser, _with(back, error_description="<b>call 0900-1234</b>"))
        assert answer.status == 403
        assert "was not allowed" in answer.words
        assert "0900" not in answer.text
        assert f"/sign-in/with/{platform}" in answer.text
        assert await _is_out(browser)


@BOTH
async def test_a_platform_that_is_down_is_named_and_the_next_try_may_succeed(town: Town, platform: str) -> None:
    ann = town.person(platform, "ann")
    town.slack.faults.http("openid.connect.token", 502)
    town.discord.faults.fail("POST /oauth2/token", status=502)
    async with town.page.stranger() as browser:
        answer = await town.signs_in(browser, platform, ann)
        assert (answer.status, platform.title() in answer.words) == (503, True)
        assert "Traceback" not in answer.text
        town.slack.faults.drop("openid.connect.userInfo")
        town.discord.faults.drop("GET /users/@me/guilds", times=2)  # aiohttp asks once more
        assert (await town.signs_in(browser, platform, ann)).status == 503
        back = await town.begins(browser, platform)
        again = await town.begins(browser, platform)
        await town.down(platform)
        assert (await town.returns(browser, again)).status == 503
        assert (await town.returns(browser, back)).status == 403
        assert await _is_out(browser)


@BOTH
async def test_a_wrong_secret_is_said_by_the_name_of_its_setting(
    database_url: str, redis_url: str, tmp_path: Path, platform: str
) -> None:
    wrong = {f"{platform}_client_secret": "not it"}
    async with open_town(database_url, redis_url, tmp_path, **wrong) as town, town.page.stranger() as browser:
        town.slack.allow("bad_client_secret")
        answer = await town.signs_in(browser, platform, town.person(platform, "ann"))
    assert answer.status == 503
    assert f"{platform.upper()}_CLIENT_ID" in answer.words
    assert "not it" not in answer.text


async def test_no_token_and_no_code_is_kept_or_logged(town: Town) -> None:
    with capture_logs() as logged:
        codes = []
        for platform in ("slack", "discord"):
            async with town.page.stranger() as browser:
                town.person(platform, "ann").sits_at_the_browser()
                back = await town.begins(browser, platform)
                codes += [value for values in parse_qs(urlsplit(back).query).values() for value in values]
                assert (await town.returns(browser, back)).status == 303
                await town.returns(browser, back)
    given = [call.answer for call in town.slack.calls("openid.connect.token")]
    given += [call.answer for call in town.discord.calls("POST /oauth2/token")]
    secrets = [one[name] for one in given for name in ("access_token", "id_token", "refresh_token") if name in one]
    assert len(secrets) == 4
    async with town.page.engine.connect() as connection:
        kept = str(logged)
        for table in ("web_links", "web_sessions", "audit", "secrets"):
            kept += str((await connection.execute(text(f"SELECT * FROM {table}"))).all())  # noqa: S608 - ours
    assert [one for one in secrets + codes if one in kept] == []
    assert "sign_in_refused" in str(logged)


async def test_only_what_is_set_up_is_offered(database_url: str, redis_url: str, tmp_path: Path) -> None:
    settings = settings_for(database_url, redis_url, tmp_path, discord_client_id="1", discord_client_secret="s")
    async with open_page(settings) as page, page.stranger() as browser:
        shown = (await browser.get("/sign-in")).text
        assert "Sign in with Discord" in shown
        assert "Slack" not in shown
        for path in ("slack", "console", "nothing", "slack/back?code=1&state=2"):
            assert (await browser.get(f"/sign-in/with/{path}")).status == 404


async def test_without_an_address_to_come_back_to_nothing_is_offered(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = settings_for(
        database_url,
        redis_url,
        tmp_path,
        threadwork_web_host="0.0.0.0",
        discord_client_id="1",
        discord_client_secret="s",
    )
    async with open_page(settings) as page, page.stranger() as browser:
        browser.url = f"http://127.0.0.1:{settings.threadwork_web_port}"
        assert "Discord" not in (await browser.get("/sign-in")).text


@BOTH
async def test_the_buttons_are_links_that_lead_to_the_platform_and_nowhere_else(town: Town, platform: str) -> None:
    async with town.page.stranger() as browser:
        shown = await browser.get("/sign-in")
        assert f'href="/sign-in/with/{platform}"' in shown.text
        assert "form-action 'self'" in shown.headers["Content-Security-Policy"]
        gone = await browser.get(f"/sign-in/with/{platform}?redirect_uri=https://evil.example&next=//evil.example")
        asked = parse_qs(urlsplit(unescape(gone.headers["Location"])).query)
        assert asked["redirect_uri"] == [f"{town.page.url}/sign-in/with/{platform}/back"]
        assert "evil" not in gone.headers["Location"]
        cookie = gone.headers["Set-Cookie"].lower()
        assert all(word in cookie for word in ("httponly", "samesite=lax", "max-age=600"))
        assert asked["state"][0] not in cookie
        port = town.page.settings.threadwork_web_port
        by_name = await browser.get(f"/sign-in/with/{platform}", Host=f"localhost:{port}")
        assert by_name.headers["Location"] == f"{town.page.url}/sign-in/with/{platform}"


async def test_behind_https_the_way_back_and_the_cookie_are_by_https(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    public = "https://threadwork.example.com"
    async with (
        open_town(database_url, redis_url, tmp_path, threadwork_web_url=public) as town,
        town.page.stranger() as browser,
    ):
        browser.url = f"http://127.0.0.1:{town.page.settings.threadwork_web_port}"
        gone = await browser.get("/sign-in/with/slack", Host="threadwork.example.com")
    assert parse_qs(urlsplit(gone.headers["Location"]).query)["redirect_uri"] == [f"{public}/sign-in/with/slack/back"]
    assert gone.headers["Set-Cookie"].startswith("__Host-threadwork-knock=")
    assert "; secure" in gone.headers["Set-Cookie"].lower()


async def test_who_comes_back_too_often_has_to_wait(town: Town) -> None:
    async with town.page.stranger() as browser:
        answers = [(await browser.get("/sign-in/with/slack/back?state=x&code=y", **SENT_ON)).status for _ in range(12)]
        assert answers == [403] * 10 + [429] * 2
        # Both ways in are counted together.
        assert (await browser.post("/sign-in/guess")).status == 429


async def test_another_sites_page_cannot_come_back_for_somebody(town: Town) -> None:
    async with town.page.stranger() as browser:
        within = {**SENT_ON, "Sec-Fetch-Dest": "iframe"}
        assert (await browser.get("/sign-in/with/slack/back?state=x&code=y", **within)).status == 403
        assert (await browser.get("/sign-in/with/slack", **within)).status == 403
