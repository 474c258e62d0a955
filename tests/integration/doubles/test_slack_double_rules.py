"""Slack's rules as the double keeps them, met through the real client: texts, blocks, threads, streams, files, OAuth."""

import io
import json
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.doubles.slack import Message, SlackDouble
from tests.doubles.slack.posting import pings_in
from tests.integration.doubles.slack_app import client_of

Block = dict[str, Any]


async def _refused(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


def _section(text: str, **more: Any) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def _button(label: str = "Go", **more: Any) -> Block:
    return {"type": "button", "text": {"type": "plain_text", "text": label}, **more}


def _markdown(text: str) -> Block:
    return {"type": "markdown", "text": text}


async def test_a_request_that_breaks_a_rule_fails_the_test() -> None:
    async def break_one() -> None:
        async with SlackDouble() as double:
            client = client_of(double, double.workspace())
            assert (
                await _refused(client.chat_postMessage(channel="#general", text="x", blocks=[{}])) == "invalid_blocks"
            )

    with pytest.raises(AssertionError, match=r"chat.postMessage: invalid_blocks"):
        await break_one()


@pytest.mark.parametrize(
    ("blocks", "code"),
    [
        ([_section("x")] * 51, "invalid_blocks"),
        ([_section("x" * 3001)], "invalid_blocks"),
        ([_section("")], "invalid_blocks"),
        ([_section("x", block_id="a"), _section("y", block_id="a")], "invalid_blocks"),
        ([_section("x", block_id="a" * 256)], "invalid_blocks"),
        ([{"type": "actions", "elements": [_button(action_id="a"), _button(action_id="a")]}], "invalid_blocks"),
        ([{"type": "actions", "elements": [_button(action_id="a" * 256)]}], "invalid_blocks"),
        ([{"type": "actions", "elements": [_button("x" * 76)]}], "invalid_blocks"),
        ([{"type": "actions", "elements": [_button(value="x" * 2001)]}], "invalid_blocks"),
        ([{"type": "actions", "elements": [_button()] * 26}], "invalid_blocks"),
        ([{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11}], "invalid_blocks"),
        ([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "invalid_blocks"),
        ([{"type": "banner"}], "invalid_blocks"),
        ([{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * 21]}], "invalid_blocks"),
        ([{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]] * 101}], "invalid_blocks"),
        ([_markdown("x" * 12_001)], "invalid_blocks"),
        ([_markdown("x" * 6_001), _markdown("x" * 6_000)], "msg_blocks_too_long"),
        ([_section("x" * 2_900)] * 5, "msg_blocks_too_long"),
        (["text"], "invalid_blocks_format"),
    ],
)
async def test_blocks_beyond_a_limit_are_refused(blocks: list[Any], code: str) -> None:
    async with SlackDouble() as double:
        double.allow(code)
        client = client_of(double, double.workspace())
        assert await _refused(client.chat_postMessage(channel="#general", text="x", blocks=blocks)) == code
        assert double.channel("general").messages == {}


async def test_blocks_at_their_limits_are_taken_and_get_ids() -> None:
    blocks = [_section("x" * 3000), {"type": "actions", "elements": [_button("x" * 75)] * 25}, _markdown("x" * 8_000)]
    async with SlackDouble() as double:
        client = client_of(double, double.workspace())
        posted = await client.chat_postMessage(channel="#general", text="x", blocks=blocks)
        message = double.message("general", posted["ts"])
        assert len({one["action_id"] for one in message.elements}) == 25
        assert all(one["block_id"] for one in message.blocks)


async def test_texts_have_different_limits_when_posted_and_edited() -> None:
    async with SlackDouble() as double:
        double.allow("text_truncated", "msg_too_long", "markdown_text_conflict")
        client = client_of(double, double.workspace())
        posted = await client.chat_postMessage(channel="#general", text="x" * 40_001)
        message = double.message("general", posted["ts"])
        assert len(message.text) == 40_000
        where: dict[str, Any] = {"channel": message.channel, "ts": message.ts}
        assert await _refused(client.chat_update(**where, text="x" * 4_001)) == "msg_too_long"
        await client.chat_update(**where, text="x" * 4_000)
        assert len(message.text) == 4_000
        long = client.chat_postMessage(channel="#general", markdown_text="x" * 12_001)
        assert await _refused(long) == "msg_too_long"
        both = client.chat_postMessage(channel="#general", markdown_text="x", text="x")
        assert await _refused(both) == "markdown_text_conflict"


async def test_an_edit_keeps_the_blocks_it_does_not_mention() -> None:
    async with SlackDouble() as double:
        client = client_of(double, double.workspace())
        metadata = {"event_type": "turn", "event_payload": {"id": "1"}}
        posted = await client.chat_postMessage(
            channel="#general", text="x", blocks=[_section("kept")], metadata=metadata
        )
        message = double.message("general", posted["ts"])
        await client.chat_update(channel=message.channel, ts=message.ts, text="y")
        assert message.shown == "kept"
        await client.chat_update(channel=message.channel, ts=message.ts, text="y", blocks=[])
        assert (message.shown, message.metadata) == ("y", metadata)


async def test_only_what_is_ones_own_and_there_can_be_changed() -> None:
    async with SlackDouble() as double:
        workspace = double.workspace()
        client = client_of(double, workspace)
        hers = await workspace.person("ann").says("general", "mine")
        where: dict[str, Any] = {"channel": hers.channel, "ts": hers.ts}
        assert await _refused(client.chat_update(**where, text="x")) == "cant_update_message"
        assert await _refused(client.chat_delete(**where)) == "cant_delete_message"
        posted = await client.chat_postMessage(channel=hers.channel, text="x", thread_ts=hers.ts)
        gone: dict[str, Any] = {"channel": hers.channel, "ts": posted["ts"]}
        await client.chat_delete(**gone)
        assert await _refused(client.chat_update(**gone, text="x")) == "message_not_found"
        lost = client.chat_postMessage(channel=hers.channel, text="x", thread_ts="1.000000")
        assert await _refused(lost) == "thread_not_found"
        react: dict[str, Any] = {"channel": hers.channel, "timestamp": hers.ts, "name": "eyes"}
        await client.reactions_add(**react)
        assert await _refused(client.reactions_add(**react)) == "already_reacted"
        assert (await client.reactions_get(channel=hers.channel, timestamp=hers.ts))["message"]["reactions"]
        await client.reactions_remove(**react)
        assert await _refused(client.reactions_remove(**react)) == "no_reaction"


async def test_channels_scopes_and_tokens_decide_what_is_allowed() -> None:
    async with SlackDouble() as double:
        workspace = double.workspace()
        ann = workspace.person("ann")
        client = client_of(double, workspace)
        away = workspace.channel("away", with_app=False)
        assert await _refused(client.chat_postMessage(channel=away.id, text="x")) == "not_in_channel"
        await client.conversations_join(channel=away.id)
        assert workspace.bot.id in (await client.conversations_members(channel=away.id))["members"]
        await workspace.archives(away, by=ann)
        assert await _refused(client.chat_postMessage(channel=away.id, text="x")) == "is_archived"
        assert await _refused(client.chat_postMessage(channel="C404", text="x")) == "channel_not_found"
        workspace.team.scopes.discard("files:write")
        with pytest.raises(SlackApiError) as caught:
            await client.files_getUploadURLExternal(filename="a", length=1)
        assert caught.value.response["needed"] == "files:write"
        elsewhere = client_of(double, double.workspace("T2"))
        assert (await elsewhere.auth_test())["team_id"] == "T2"
        assert await _refused(elsewhere.chat_postMessage(channel=away.id, text="x")) == "channel_not_found"
        await workspace.uninstalls()
        assert await _refused(client.auth_test()) == "account_inactive"


async def test_arguments_come_from_json_form_and_query() -> None:
    async with SlackDouble() as double:
        double.allow("invalid_auth", "not_authed", "invalid_arguments", "unknown_method", "unknown_argument")
        workspace = double.workspace()
        url = f"{double.api_url}chat.postMessage"
        token = {"Authorization": f"Bearer {workspace.token}"}
        blocks = json.dumps([_section("b")])
        given = {"channel": "#general", "blocks": blocks, "team_id": "T9"}
        async with aiohttp.ClientSession() as session:
            for options in ({"params": given}, {"data": given}, {"json": given}, {"data": given | {"token": "x"}}):
                async with session.post(url, headers=token, **options) as answer:  # type: ignore[arg-type]
                    body = await answer.json()
                assert body.get("error") == ("invalid_auth" if "token" in options.get("data", {}) else None)
            async with session.get(f"{double.api_url}auth.test") as answer:
                assert (await answer.json())["error"] == "not_authed"
            async with session.post(url, headers=token, json={"text": "x", "colour": "red"}) as answer:
                assert (await answer.json())["error"] == "invalid_arguments"
            async with session.post(f"{double.api_url}chat.shout", headers=token) as answer:
                assert (await answer.json())["error"] == "unknown_method"
        assert len(double.channel("general").messages) == 3
        assert [one.detail for one in double.violations if one.code == "unknown_argument"] == ["colour"]


async def test_a_thread_is_read_in_pages_with_metadata_when_asked() -> None:
    async with SlackDouble() as double:
        double.options.replies_limit = 15
        workspace = double.workspace()
        client = client_of(double, workspace)
        asked = await workspace.person("ann").says("general", "0")
        for number in range(1, 21):
            await workspace.person("ann").says("general", str(number), thread_ts=asked.ts)
        metadata = {"event_type": "turn", "event_payload": {"id": "1"}}
        double.advance(10)
        await client.chat_postMessage(channel=asked.channel, text="end", thread_ts=asked.ts, metadata=metadata)
        texts: list[str] = []
        page: Any = {"response_metadata": {"next_cursor": None}}
        while (cursor := page["response_metadata"]["next_cursor"]) != "":
            page = await client.conversations_replies(
                channel=asked.channel, ts=asked.ts, cursor=cursor, include_all_metadata=True
            )
            texts += [one["text"] for one in page["messages"]]
        assert texts == [*map(str, range(21)), "end"]
        assert page["messages"][-1]["metadata"] == metadata
        newest = await client.conversations_history(channel=asked.channel, limit=1)
        assert newest["messages"][0]["reply_count"] == 21


async def test_what_one_person_sees_is_nobody_elses() -> None:
    async with SlackDouble() as double:
        workspace = double.workspace()
        ann, bob = workspace.person("ann"), workspace.person("bob")
        client = client_of(double, workspace)
        asked = await ann.says("general", "hi")
        await client.chat_postEphemeral(channel=asked.channel, user=ann.id, text="psst", thread_ts=asked.ts)
        assert [one.text for one in ann.only_hers] == ["psst"]
        assert (bob.only_hers, double.thread("general", asked).replies) == ([], [])
        stranger = client.chat_postEphemeral(channel=asked.channel, user=bob.id, text="psst")
        assert await _refused(stranger) == "user_not_in_channel"


async def _stream(double: SlackDouble) -> tuple[AsyncWebClient, dict[str, Any], Message]:
    workspace = double.workspace()
    ann = workspace.person("ann")
    asked = await ann.says("general", "hi")
    client = client_of(double, workspace)
    place: dict[str, Any] = {"channel": asked.channel, "thread_ts": asked.ts}
    double.allow("missing_recipient_team_id", "missing_recipient_user_id", "msg_too_long")
    assert await _refused(client.chat_startStream(**place)) == "missing_recipient_team_id"
    one_only = client.chat_startStream(**place, recipient_team_id="T1")
    assert await _refused(one_only) == "missing_recipient_user_id"
    started = await client.chat_startStream(**place, recipient_team_id="T1", recipient_user_id=ann.id)
    return client, {"channel": asked.channel, "ts": started["ts"]}, double.message("general", started["ts"])


async def test_a_stream_grows_cannot_be_edited_and_ends_with_blocks() -> None:
    async with SlackDouble() as double:
        client, where, message = await _stream(double)
        task = {"type": "task_update", "id": "1", "title": "Read", "status": "in_progress"}
        await client.chat_appendStream(**where, chunks=[{"type": "markdown_text", "text": "one "}, task])
        await client.chat_appendStream(**where, chunks=[{"type": "task_update", "id": "1", "status": "complete"}])
        assert await _refused(client.chat_update(**where, text="x")) == "streaming_state_conflict"
        await client.chat_stopStream(**where, markdown_text="two", blocks=[_section("end")])
        assert message.shown == "Read\none two\nend"
        assert message.blocks[0]["status"] == "complete"
        more = client.chat_appendStream(**where, markdown_text="x")
        assert await _refused(more) == "message_not_in_streaming_state"
        await client.chat_update(**where, text="edited", blocks=[])
        assert message.shown == "edited"


async def test_a_stream_is_full_at_twelve_thousand_characters_and_over_after_five_minutes() -> None:
    async with SlackDouble() as double:
        client, where, message = await _stream(double)
        await client.chat_appendStream(**where, markdown_text="x" * 11_990)
        assert await _refused(client.chat_appendStream(**where, markdown_text="y" * 11)) == "msg_too_long"
        await client.chat_appendStream(**where, markdown_text="y" * 10)
        assert len(message.text) == 12_000
        double.advance(300)
        late = client.chat_stopStream(**where)
        assert await _refused(late) == "message_not_in_streaming_state"


async def test_a_person_may_stop_a_stream() -> None:
    async with SlackDouble() as double:
        client, where, message = await _stream(double)
        await double.workspace().person("ann").stops_stream(message)
        assert await _refused(client.chat_appendStream(**where, markdown_text="x")) == "stopped_by_user"
        assert double.events[-1]["event"]["type"] == "agent_session_stopped"


async def test_files_go_up_in_three_steps_and_down_with_a_token() -> None:
    async with SlackDouble() as double:
        workspace = double.workspace()
        client = client_of(double, workspace)
        asked = await workspace.person("ann").says("general", "look", files=[("in.txt", b"hello")])
        await client.files_upload_v2(
            channel=asked.channel, thread_ts=asked.ts, filename="out.txt", file=io.BytesIO(b"bye"), initial_comment="so"
        )
        (reply,) = double.thread("general", asked).replies
        assert (reply.text, reply.files[0].name, reply.files[0].content) == ("so", "out.txt", b"bye")
        assert (await client.files_info(file=reply.files[0].id))["file"]["shares"]["public"]
        async with aiohttp.ClientSession() as session:
            url = asked.files[0].url
            async with session.get(url, headers={"Authorization": f"Bearer {workspace.token}"}) as answer:
                assert (answer.content_type, await answer.read()) == ("text/plain", b"hello")
            async with session.get(url) as answer:
                assert (answer.status, answer.content_type) == (200, "text/html")


async def test_an_upload_url_takes_the_announced_bytes_once() -> None:
    async with SlackDouble() as double:
        double.allow("upload_length", "upload_url_reused", "file_update_failed")
        client = client_of(double, double.workspace())
        given = await client.files_getUploadURLExternal(filename="a.txt", length=3)
        files = [{"id": given["file_id"]}]
        early = client.files_completeUploadExternal(files=files, channel_id="#general")
        assert await _refused(early) == "file_update_failed"
        async with aiohttp.ClientSession() as session:
            answers = []
            for content in (b"four", b"abc", b"abc"):
                async with session.post(given["upload_url"], data=content) as answer:
                    answers.append(answer.status)
        assert answers == [400, 200, 404]
        await client.files_completeUploadExternal(files=files, channel_id="#general")
        assert [one.files[0].content for one in double.channel("general").messages.values()] == [b"abc"]


async def test_a_response_url_takes_five_posts() -> None:
    async with SlackDouble() as double:
        double.allow("used_url", "expired_url")
        workspace = double.workspace()
        ann = workspace.person("ann")
        where = double.channel("general")
        urls = [double.triggers.response_url(workspace.team, where, ann.user, None) for _ in range(2)]
        async with aiohttp.ClientSession() as session:
            answers = []
            for _ in range(6):
                async with session.post(urls[0], json={"text": "x"}) as answer:
                    answers.append(answer.status)
            double.advance(1801)
            async with session.post(urls[1], json={"text": "x"}) as answer:
                assert (await answer.json())["error"] == "expired_url"
        assert answers == [200] * 5 + [404]
        assert len(ann.only_hers) == 5


async def test_modals_lie_three_high_and_keep_their_limits() -> None:
    def view(**more: Any) -> dict[str, Any]:
        return {"type": "modal", "title": {"type": "plain_text", "text": "x"}, "blocks": [], **more}

    async with SlackDouble() as double:
        double.allow("invalid_arguments", "push_limit_reached")
        workspace = double.workspace()
        ann = workspace.person("ann")
        client = client_of(double, workspace)

        def trigger() -> str:
            return double.triggers.new(workspace.team, ann.user, ann.modal.id if ann.modal else None)

        long = view(title={"type": "plain_text", "text": "x" * 25})
        assert await _refused(client.views_open(trigger_id=trigger(), view=long)) == "invalid_arguments"
        long = view(private_metadata="x" * 3001)
        assert await _refused(client.views_open(trigger_id=trigger(), view=long)) == "invalid_arguments"
        opened = await client.views_open(trigger_id=trigger(), view=view())
        await client.views_push(trigger_id=trigger(), view=view())
        await client.views_push(trigger_id=trigger(), view=view())
        assert await _refused(client.views_push(trigger_id=trigger(), view=view())) == "push_limit_reached"
        number, first = opened["view"]["id"], opened["view"]["hash"]
        await client.views_update(view_id=number, view=view(callback_id="new"), hash=first)
        again = client.views_update(view_id=number, view=view(), hash=first)
        assert await _refused(again) == "hash_conflict"


# The client itself uses what aiohttp is about to drop.
@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")
async def test_an_installation_gives_tokens_that_rotate_and_can_be_revoked() -> None:
    async with SlackDouble() as double:
        double.allow("invalid_client_id")
        double.options.rotates_tokens = True
        workspace = double.workspace("T2", is_installed=False)
        client = AsyncWebClient(base_url=double.api_url)
        app: dict[str, Any] = {"client_id": double.options.client_id, "client_secret": double.options.client_secret}
        page = f"https://slack.com/oauth/v2/authorize?client_id={app['client_id']}&scope=chat:write&state=s1"
        back = await workspace.person("ann").installs(page)
        code = back.partition("code=")[2].partition("&")[0]
        assert "state=s1" in back
        given = await client.oauth_v2_access(**app, code=code)
        assert given["team"]["id"] == "T2"
        assert await _refused(client.oauth_v2_access(**app, code=code)) == "code_already_used"
        assert await _refused(client.oauth_v2_access(client_id="x", client_secret="y", code="z")) == "invalid_client_id"
        double.advance(given["expires_in"])
        assert await _refused(client.auth_test(token=given["access_token"])) == "token_expired"
        refresh: dict[str, Any] = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
        fresh = await client.oauth_v2_access(**app, **refresh)
        assert (await client.auth_test(token=fresh["access_token"]))["team_id"] == "T2"
        assert await _refused(client.oauth_v2_access(**app, **refresh)) == "invalid_refresh_token"
        await client.auth_revoke(token=fresh["access_token"])
        assert await _refused(client.auth_test(token=fresh["access_token"])) == "token_revoked"


async def test_whom_a_message_reaches_is_noticed() -> None:
    assert pings_in("<!channel> and <@U1|ann> &lt;!here&gt;") == ["!channel", "@U1"]
    assert pings_in("", [_section("<!here>"), _markdown("`<!channel>` <@U2>")]) == ["!here", "@U2"]
    user = {
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": [{"type": "user", "user_id": "U3"}]}],
    }
    assert pings_in("", [user]) == ["@U3"]
    async with SlackDouble() as double:
        client = client_of(double, double.workspace())
        await client.chat_postMessage(channel="#general", text="<!channel>")
        assert [who for _, who in double.pings] == ["!channel"]
