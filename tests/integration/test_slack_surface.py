"""The Slack surface against the double: what it sends, and what becomes of Slack's refusals."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from core.domain.approval import Approval
from core.domain.chat import Place, Platform
from core.errors import Ambiguous, PlaceGone, PostGone, RateLimited, SurfaceError, TooLarge, Unavailable
from core.ports import Call, Payload, Receipt
from core.surfaces.slack.client import SlackSurface
from tests.contracts.surfaces import SlackGround, slack_ground
from tests.contracts.test_surface import LONG, approvals, first, over
from tests.doubles.slack.store import texts_of


@pytest.fixture
async def slack() -> AsyncIterator[SlackGround]:
    async with slack_ground() as ground:
        yield ground


def lately() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=5)


def hello(slack: SlackGround) -> Payload:
    return first(slack.surface, "Hello <https://a.example>")


async def test_a_post_is_in_the_thread_has_its_mark_and_unfolds_no_links(slack: SlackGround) -> None:
    await slack.surface.send(slack.place, hello(slack), "m1")
    [call] = slack.double.calls("chat.postMessage")
    assert call.args["thread_ts"] == slack.root.ts
    assert call.args["metadata"] == {"event_type": "threadwork_post", "event_payload": {"mark": "m1"}}
    assert call.args["unfurl_links"] is False
    assert call.args["unfurl_media"] is False


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ("not_in_channel", PlaceGone, "/invite"),
        ("channel_not_found", PlaceGone, "/invite"),
        ("is_archived", PlaceGone, "archived"),
        ("thread_not_found", PlaceGone, "new thread"),
        ("account_inactive", PlaceGone, "install the app again"),
        ("token_revoked", PlaceGone, "install the app again"),
        ("invalid_auth", SurfaceError, "SLACK_BOT_TOKEN"),
        ("token_expired", SurfaceError, "install the app again"),
        ("missing_scope", SurfaceError, "OAuth & Permissions"),
        ("ratelimited", RateLimited, "rate limited"),
        ("internal_error", Ambiguous, "may have been done"),
        ("something_new", SurfaceError, "something_new"),
    ],
)
async def test_a_refusal_is_an_error_of_ours_with_words_to_act_on(
    slack: SlackGround, code: str, error: type[SurfaceError], words: str
) -> None:
    slack.double.faults.fail("chat.postMessage", code)
    with pytest.raises(error) as caught:
        await slack.surface.send(slack.place, hello(slack), "m1")
    assert type(caught.value) is error
    assert words in caught.value.words


async def test_a_missing_scope_is_named(slack: SlackGround) -> None:
    slack.double.workspace("T1").team.scopes.remove("reactions:write")
    with pytest.raises(SurfaceError, match="lacks the scope reactions:write"):
        await slack.surface.receipt(slack.place, slack.root.ts, Receipt.ANSWERED, None)


async def test_a_file_is_in_the_thread_with_its_name_and_its_bytes(slack: SlackGround) -> None:
    payload = slack.surface.render_file("report.csv", b"a,b\n")
    file = await slack.surface.send(slack.place, payload, "m1")
    shared = slack.double.thread("general", slack.root).ours[-1]
    assert [(one.id, one.name, one.content) for one in shared.files] == [(file, "report.csv", b"a,b\n")]
    assert shared.shown == "report.csv · 4 bytes"


async def test_without_the_scope_for_files_the_mend_is_said(slack: SlackGround) -> None:
    slack.double.workspace("T1").team.scopes.discard("files:write")
    with pytest.raises(SurfaceError, match=r"lacks the scope files:write.*OAuth & Permissions") as caught:
        await slack.surface.send(slack.place, slack.surface.render_file("report.csv", b"a,b\n"), "m1")
    assert not caught.value.retryable


async def test_a_file_that_slack_finds_too_large_is_said_to_be(slack: SlackGround) -> None:
    slack.double.faults.fail("files.getUploadURLExternal", "file_upload_size_restricted")
    with pytest.raises(TooLarge):
        await slack.surface.send(slack.place, slack.surface.render_file("report.csv", b"a,b\n"), "m1")


@pytest.mark.parametrize("code", ["message_not_found", "cant_update_message", "edit_window_closed"])
async def test_a_post_that_cannot_be_edited_is_gone(slack: SlackGround, code: str) -> None:
    post = await slack.surface.send(slack.place, hello(slack), "m1")
    slack.double.faults.fail("chat.update", code)
    with pytest.raises(PostGone):
        await slack.surface.edit(slack.place, post, hello(slack))


async def test_out_of_the_channel_nothing_goes_and_nothing_is_found(slack: SlackGround) -> None:
    await slack.double.workspace("T1").removes_app("general", by=slack.person)
    with pytest.raises(PlaceGone):
        await slack.surface.send(slack.place, hello(slack), "m1")
    with pytest.raises(PlaceGone):
        await slack.surface.find(slack.place, "m1", lately())


async def test_a_thread_whose_first_message_was_deleted_is_gone(slack: SlackGround) -> None:
    await slack.person.deletes(slack.root)
    with pytest.raises(PlaceGone, match="new thread"):
        await slack.surface.send(slack.place, hello(slack), "m1")


# ------------------------------------------------------------ blocks that are refused


@pytest.mark.parametrize("code", ["invalid_blocks", "msg_too_long", "msg_blocks_too_long"])
async def test_a_refused_answer_is_shown_without_markup_whole(slack: SlackGround, code: str) -> None:
    for number, payload in enumerate(slack.surface.render(over(LONG[:30_000]))):
        slack.double.faults.fail("chat.postMessage", code)
        slack.double.faults.fail("chat.update", code)
        post = await slack.surface.send(slack.place, payload, f"m{number}")
        await slack.surface.edit(slack.place, post, payload)
        told = [block["text"] for block in payload.body["blocks"] if block["type"] == "markdown"]
        blocks = slack.double.message("general", post).blocks
        shown = "".join(texts_of(blocks))
        assert {block["type"] for block in blocks} == {"section"}
        assert "".join(told).replace("\n", "") in shown.replace("\n", "")


async def test_a_refused_question_can_still_be_answered(slack: SlackGround) -> None:
    asked: list[Approval] = [one for one in approvals() if one.decided_at is None]
    for number, approval in enumerate(asked):
        payload = slack.surface.render_approval(approval)[-1]
        slack.double.faults.fail("chat.postMessage", "invalid_blocks")
        post = await slack.surface.send(slack.place, payload, f"m{number}")
        elements = [one for block in payload.body["blocks"] for one in block.get("elements", [])]
        wanted = [one["action_id"] for one in elements if "action_id" in one]
        assert [one["action_id"] for one in slack.double.message("general", post).elements] == wanted


async def test_what_is_refused_twice_is_too_large(slack: SlackGround) -> None:
    slack.double.faults.fail("chat.postMessage", "invalid_blocks", times=2)
    with pytest.raises(TooLarge):
        await slack.surface.send(slack.place, hello(slack), "m1")
    assert len(slack.double.calls("chat.postMessage")) == 2


# ------------------------------------------------------------ the network


async def test_each_call_is_made_once(slack: SlackGround) -> None:
    slack.double.faults.drop("chat.postMessage")
    with pytest.raises(Ambiguous):
        await slack.surface.send(slack.place, hello(slack), "m1")
    assert len(slack.double.calls("chat.postMessage")) == 1


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_server_error_may_have_been_done(slack: SlackGround, status: int) -> None:
    slack.double.faults.http("chat.update", status)
    post = await slack.surface.send(slack.place, hello(slack), "m1")
    with pytest.raises(Ambiguous):
        await slack.surface.edit(slack.place, post, hello(slack))


async def test_a_page_in_place_of_an_answer_is_ambiguous(slack: SlackGround) -> None:
    slack.double.faults.http("chat.postMessage", 200)
    with pytest.raises(Ambiguous):
        await slack.surface.send(slack.place, hello(slack), "m1")


async def test_a_slack_that_is_not_there_is_unavailable_and_surely_not_done(slack: SlackGround) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with SlackSurface.open(token, f"http://127.0.0.1:{taken.getsockname()[1]}/api/") as surface:
            with pytest.raises(Unavailable):
                await surface.send(slack.place, hello(slack), "m1")


async def test_an_address_without_a_slash_at_its_end_will_do(slack: SlackGround) -> None:
    async with SlackSurface.open(slack.surface._token_of, slack.double.api_url.rstrip("/")) as surface:
        assert await surface.send(slack.place, hello(slack), "m1")


async def test_a_send_that_was_given_up_is_looked_for_before_it_is_made_again(slack: SlackGround) -> None:
    slack.double.faults.delay("chat.postMessage", seconds=30)
    sending = asyncio.ensure_future(slack.surface.send(slack.place, hello(slack), "m1"))
    await slack.double.until(lambda: slack.double.thread("general", slack.root).ours)
    sending.cancel()
    await asyncio.wait([sending])
    post = await slack.surface.send(slack.place, hello(slack), "m1")
    assert [one.id for one in await slack.posts()] == [post]


async def test_a_post_is_found_in_a_thread_of_many_pages(slack: SlackGround) -> None:
    slack.double.options.replies_limit = 15
    posts = [await slack.surface.send(slack.place, hello(slack), f"m{number}") for number in range(40)]
    assert await slack.surface.find(slack.place, "m37", lately()) == posts[37]
    assert await slack.surface.find(slack.place, "m99", lately()) is None


async def test_only_what_is_younger_is_looked_at(slack: SlackGround) -> None:
    await slack.surface.send(slack.place, hello(slack), "m1")
    assert await slack.surface.find(slack.place, "m1", datetime.now(UTC) + timedelta(minutes=5)) is None


# ------------------------------------------------------------ workspaces and counts


async def test_each_workspace_is_spoken_to_with_its_own_token() -> None:
    async with slack_ground() as ground:
        other = ground.double.workspace("T2")
        asked = await other.person("bob").mentions("general", "hello")
        place = Place(Platform.SLACK, "T2", asked.channel, asked.ts)
        await ground.surface.send(ground.place, hello(ground), "m1")
        await ground.surface.send(place, hello(ground), "m2")
        assert [call.team for call in ground.double.calls("chat.postMessage")] == ["T1", "T2"]


async def test_a_workspace_without_a_token_is_the_callers_error(slack: SlackGround) -> None:
    async def no_token(tenant: str) -> str:
        raise PlaceGone(f"{tenant} has not installed it")

    async with SlackSurface.open(no_token, slack.double.api_url) as surface:
        with pytest.raises(PlaceGone, match="T1 has not installed it"):
            await surface.send(slack.place, hello(slack), "m1")


async def test_a_receipt_that_looks_like_the_one_before_costs_no_call(slack: SlackGround) -> None:
    await slack.surface.receipt(slack.place, slack.root.ts, Receipt.QUEUED, None)
    await slack.surface.receipt(slack.place, slack.root.ts, Receipt.WORKING, Receipt.QUEUED)
    await slack.surface.receipt(slack.place, slack.root.ts, Receipt.WORKING, None)
    assert len(slack.double.calls("reactions.add")) == 1
    assert slack.double.calls("reactions.remove") == []


async def test_no_minute_hands_out_more_than_slack_takes(slack: SlackGround) -> None:
    for call, tier in {Call.EDIT: 50, Call.MARK: 20, Call.SEND: 60}.items():
        allowance = slack.surface.allowance(slack.place, call)
        assert allowance.per_minute + allowance.burst <= tier


async def token(_: str) -> str:
    return "xoxb-1"
