"""The Slack bot when things go wrong: what comes twice, servers and sockets that are away, tokens that are refused."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest
from aiohttp import test_utils, web

from bots.slack.app import open_slack
from bots.slack.web import SlackWeb
from core.domain.approval import ApprovalKind
from core.domain.states import ApprovalState, MessageState
from core.errors import Ambiguous, Misconfigured
from core.store.tables import messages
from tests.doubles.slack import SlackDouble
from tests.integration.slack_bot import Scene, free_port, locked, open_scene, settings_for


@asynccontextmanager
async def database_away(database_url: str) -> AsyncIterator[None]:
    """The database refuses everybody meanwhile."""
    name = urlsplit(database_url).path[1:]
    admin = await asyncpg.connect(host=database_url.partition("host=")[2], user="postgres", database="postgres")
    try:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        yield
    finally:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await admin.close()


async def test_what_slack_sends_twice_is_taken_once(scene: Scene) -> None:
    asked = await scene.ann.mentions("general", "go")
    await scene.seen(asked)
    for event in list(scene.slack.events):
        scene.slack.delivery.repeat(event)
    await scene.slack.settled(within=60)
    assert len(await scene.messages(asked)) == 1
    assert len(scene.slack.calls("reactions.add")) == 1


async def test_events_that_are_nothing_to_us_are_acknowledged(scene: Scene) -> None:
    said = await scene.ann.says("general", "hello")
    await scene.ann.reacts(said, "wave")
    await scene.ann.unreacts(said, "wave")
    scene.workspace.channel("other", with_app=False)
    await scene.workspace.invites_app("other", by=scene.ann)
    await scene.workspace.archives("other", by=scene.ann)
    await scene.ann.opens_agent("general")
    await scene.ann.opens_home("messages")
    scene.slack.posting.event("T1", {"type": "something_new", "value": [1]}, None)
    await scene.slack.settled(within=60)
    assert not scene.slack.delivery.given_up


async def test_a_message_is_acknowledged_once_it_is_kept_and_not_before(scene: Scene, database_url: str) -> None:
    async with locked(database_url, messages.name):
        asked = await scene.ann.mentions("general", "go")
        await scene.slack.until(lambda: bool(scene.slack.calls("users.info")), within=60)
        # Long enough for an acknowledgement that waits for nothing.
        await asyncio.sleep(0.3)
        assert not scene.slack.delivery.is_idle
        assert not asked.reactions
    await scene.slack.settled(within=60)
    assert len(await scene.messages(asked)) == 1


async def test_a_message_that_takes_long_to_keep_is_acknowledged_when_it_comes_again(
    scene: Scene, database_url: str
) -> None:
    async with locked(database_url, messages.name):
        asked = await scene.ann.mentions("general", "go")
        await scene.slack.until(lambda: scene.slack.delivery.again, within=60)
    await scene.slack.settled(within=60)
    assert not scene.slack.delivery.given_up
    assert len(await scene.messages(asked)) == 1
    assert len(scene.slack.calls("users.info")) == 1


async def test_while_the_database_is_away_people_are_told_that_nothing_was_taken(
    scene: Scene, database_url: str
) -> None:
    known = await scene.ann.mentions("general", "go")
    await scene.seen(known)
    elsewhere = await scene.ann.says("general", "lunch?")
    scene.slack.delivery.retry_delays = (0.0, 1.0, 300.0)
    async with database_away(database_url):
        asked = await scene.ann.mentions("general", "and go")
        more = await scene.ann.says("general", "and on", thread_ts=known.ts)
        await scene.ann.says("general", "at noon", thread_ts=elsewhere.ts)
        told = await scene.slack.until(lambda: found if len(found := scene.ann.only_hers) == 2 else None, within=60)
        assert {one.thread_ts for one in told} == {asked.ts, known.ts}
        for one in told:
            assert one.shown.startswith("I could not take your message: The database cannot be reached just now.")
            assert one.shown.endswith("Please send it again in a minute.")
        assert not asked.reactions
        assert not more.reactions
    again = await scene.ann.mentions("general", "and go")
    await scene.seen(again)
    assert await scene.no_chat(asked)


async def test_an_edit_and_a_deletion_outlive_a_database_that_is_away(scene: Scene, database_url: str) -> None:
    asked = await scene.ann.mentions("general", "go")
    more = await scene.ann.says("general", "and on", thread_ts=asked.ts)
    await scene.seen(more)
    async with database_away(database_url):
        await scene.ann.edits(asked, f"{scene.workspace.mention} stay")
        await scene.ann.deletes(more)
        await asyncio.sleep(0.7)

    async def changed() -> bool:
        first, second = await scene.messages(asked, 2)
        return (first.text, second.state) == ("stay", MessageState.DROPPED)

    await scene.eventually(changed)


async def test_a_database_that_is_soon_back_costs_a_moment_only(scene: Scene, database_url: str) -> None:
    async with database_away(database_url):
        asked = await scene.ann.mentions("general", "go")
        more = await scene.ann.says("general", "and on", thread_ts=asked.ts)
        await asyncio.sleep(0.7)
    await scene.seen(asked)
    await scene.seen(more)
    assert [one.text for one in await scene.messages(asked, 2)] == ["go", "and on"]
    assert not scene.ann.only_hers


async def test_a_click_while_the_database_is_away_is_told_so(scene: Scene, database_url: str) -> None:
    asked = await scene.ann.mentions("general", "go")
    await scene.seen(asked)
    question = await scene.asks(asked, ApprovalKind.TOOL, "Bash", command="ls")
    async with database_away(database_url):
        await scene.ann.clicks(question.post, "Allow once")
        told = await scene.slack.until(lambda: scene.ann.only_hers, within=60)
        assert "That was not kept: The database cannot be reached" in told[0].shown
        await scene.ann.slash("/threadwork", "ask what now?")
        await scene.slack.until(lambda: len(scene.ann.only_hers) == 2, within=60)
        where = scene.slack.channel("general")
        assert not [one for one in where.messages.values() if "asks:" in one.shown and not one.is_deleted]
    await scene.ann.clicks(question.post, "Allow once")
    assert (await question.settled()).state is ApprovalState.ALLOWED


async def test_reactions_that_slack_limits_come_later_and_what_it_refuses_costs_nothing(scene: Scene) -> None:
    scene.slack.faults.throttle("reactions.add", retry_after=1)
    asked = await scene.ann.mentions("general", "go")
    await scene.seen(asked)
    scene.slack.faults.fail("reactions.add", "missing_scope")
    scene.slack.faults.fail("users.info", "missing_scope", times=None)
    bob = scene.workspace.person("bob")
    await bob.says("general", "and on", thread_ts=asked.ts)
    said = [(one.author_name, one.text) for one in await scene.messages(asked, 2)]
    assert said == [("ann", "go"), (bob.id, "and on")]


async def test_a_thread_that_cannot_be_read_does_not_keep_the_request(scene: Scene) -> None:
    began = await scene.ann.says("general", "the build is red")
    scene.slack.faults.hang("conversations.replies")
    asked = await scene.ann.mentions("general", "mend it", thread_ts=began.ts)
    await scene.seen(asked)
    assert [one.text for one in await scene.messages(began)] == ["mend it"]


@pytest.mark.parametrize("answer", [web.Response(status=500, text="no"), web.Response(status=429, text="slowly")])
async def test_a_server_that_is_not_slack_is_no_answer_of_slack(answer: web.Response) -> None:
    async def anything(_request: web.Request) -> web.Response:
        return answer

    app = web.Application()
    app.router.add_route("*", "/api/{method}", anything)
    async with test_utils.TestServer(app) as server, aiohttp.ClientSession() as session:
        slack = SlackWeb("xoxb-made-up", str(server.make_url("/api/")), session)
        with pytest.raises(Ambiguous):
            await slack.whoami()
        with pytest.raises(Ambiguous):
            await slack.react("C1", "1.1", "eyes")


async def test_a_socket_whose_address_was_refused_gets_a_new_one(scene: Scene) -> None:
    scene.slack.refuse_sockets(1)
    await scene.slack.sockets.cut()
    await scene.slack.connected(within=60)
    asked = await scene.ann.mentions("general", "still there?")
    await scene.seen(asked)


async def test_a_socket_that_slack_renews_loses_nothing(scene: Scene) -> None:
    before = await scene.ann.mentions("general", "before")
    await scene.slack.sockets.disconnect()
    after = await scene.ann.mentions("general", "after")
    await scene.seen(before)
    await scene.seen(after)


async def test_two_bots_side_by_side_take_each_message_once(scene: Scene) -> None:
    async with open_slack(scene.settings):
        await scene.slack.connected(2, within=60)
        asked = await scene.ann.mentions("general", "0")
        await scene.seen(asked)
        for number in range(1, 7):
            await scene.seen(await scene.ann.says("general", str(number), thread_ts=asked.ts))
        assert [one.text for one in await scene.messages(asked, 7)] == list("0123456")


async def test_a_follow_up_to_another_bot_waits_for_the_mention_that_this_one_takes(scene: Scene) -> None:
    scene.slack.faults.delay("users.info", seconds=1.0)
    async with open_slack(scene.settings):
        await scene.slack.connected(2, within=60)
        asked = await scene.ann.mentions("general", "0")
        for number in range(1, 5):
            await scene.ann.says("general", str(number), thread_ts=asked.ts)
        assert sorted(one.text for one in await scene.messages(asked, 5)) == list("01234")


@pytest.mark.parametrize(
    ("setting", "value"),
    [("slack_bot_token", "xoxb-wrong"), ("slack_app_token", "xapp-wrong"), ("slack_bot_token", None)],
)
async def test_a_token_that_is_refused_ends_the_program_with_its_name(
    database_url: str, redis_url: str, tmp_path: Path, setting: str, value: str | None
) -> None:
    async with SlackDouble() as slack:
        slack.allow("invalid_auth", "not_allowed_token_type")
        settings = settings_for(slack, database_url, redis_url, tmp_path, **{setting: value})
        with pytest.raises(Misconfigured, match=setting.upper()):
            async with asyncio.timeout(60), open_slack(settings):
                pass


@pytest.fixture
async def by_http(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[tuple[Scene, str]]:
    port = free_port()
    async with SlackDouble() as slack:
        more = {"slack_signing_secret": slack.signing_secret, "slack_port": port, "slack_app_token": None}
        settings = settings_for(slack, database_url, redis_url, tmp_path, **more)
        url = f"http://127.0.0.1:{port}/slack/events"
        slack.send_events_to(url, interactions=url, commands=url)
        async with open_scene(slack, settings, sockets=0) as scene:
            yield scene, url
            await slack.settled(within=60)


async def test_all_of_it_works_by_http(by_http: tuple[Scene, str]) -> None:
    scene, _ = by_http
    asked = await scene.ann.mentions("general", "go")
    await scene.seen(asked)
    question = await scene.asks(asked, ApprovalKind.TOOL, "Bash", command="ls")
    await scene.ann.clicks(question.post, "Deny with a reason…")
    form = await scene.slack.until(lambda: scene.ann.modal, within=60)
    await scene.ann.submits(form, {"reason": "no"})
    assert (await question.settled()).state is ApprovalState.DENIED
    await scene.ann.slash("/threadwork", "list")
    await scene.slack.until(lambda: scene.ann.only_hers, within=60)
    await scene.ann.reacts(asked, "wave")
    await scene.slack.settled(within=60)
    assert not scene.slack.delivery.given_up


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, "{}", 401),
        ({"X-Slack-Request-Timestamp": "soon", "X-Slack-Signature": "v0=1"}, "{}", 401),
        ({"X-Slack-Request-Timestamp": "1", "X-Slack-Signature": "v0=1"}, "{}", 401),
        ({"X-Slack-Request-Timestamp": "1", "X-Slack-Signature": "v0=ä"}, "{}", 401),
        ({"X-Slack-Request-Timestamp": "²", "X-Slack-Signature": "v0=1"}, "{}", 401),
        ({"X-Slack-Request-Timestamp": "1", "X-Slack-Signature": "v0=1"}, "no json", 400),
        ({"X-Slack-Request-Timestamp": "1", "X-Slack-Signature": "v0=1"}, "[]", 400),
    ],
)
async def test_what_slack_did_not_sign_is_refused_by_http(
    by_http: tuple[Scene, str], headers: dict[str, str], body: str, status: int
) -> None:
    _, url = by_http
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers={"Content-Type": "application/json", **headers}) as answer,
    ):
        assert answer.status == status


@asynccontextmanager
async def program(
    slack: SlackDouble, database_url: str, redis_url: str, folder: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`threadwork slack`, ready; killed at the end if it still lives."""
    env = {**slack.env(), "DATABASE_URL": database_url, "REDIS_URL": redis_url}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "threadwork", "slack", "--data-dir", str(folder)),
        env={"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1", "THREADWORK_LOG_FORMAT": "json", **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(90):
            assert (await process.stdout.readline()).strip() == b"slack ready"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_the_program_says_ready_takes_messages_and_ends_when_told(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with SlackDouble() as slack, program(slack, database_url, redis_url, tmp_path) as process:
        asked = await slack.workspace("T1").person("ann").mentions("general", "go")
        await slack.until(lambda: "eyes" in asked.reactions, within=60)
        await slack.settled(within=60)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            _, said = await process.communicate()
        assert process.returncode == 0, said.decode()
        assert {json.loads(line)["level"] for line in said.decode().splitlines()} == {"info"}, said.decode()


async def test_a_message_outlives_the_bot_that_was_killed_while_it_took_it(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with SlackDouble() as slack:
        ann = slack.workspace("T1").person("ann")
        async with (
            program(slack, database_url, redis_url, tmp_path) as process,
            locked(database_url, messages.name),
        ):
            asked = await ann.mentions("general", "go")
            await slack.until(lambda: bool(slack.calls("users.info")), within=60)
            process.kill()
            await process.communicate()
        assert not asked.reactions
        async with program(slack, database_url, redis_url, tmp_path):
            await slack.until(lambda: "eyes" in asked.reactions, within=60)
            await slack.settled(within=60)
