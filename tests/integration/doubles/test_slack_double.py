"""The Slack double against the real slack_bolt: messages, events, sockets, clicks, forms, commands.

Web API rules are in `test_slack_double_rules.py`, limits and faults in `test_slack_double_limits.py`.
"""

import asyncio
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient

from tests.doubles.slack import CannotDo, NotAnswered, SlackDouble
from tests.integration.doubles.slack_app import app_of, client_of, connected

_BUTTONS: list[dict[str, Any]] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "Run *it*?"}},
    {
        "type": "actions",
        "block_id": "ask",
        "elements": [
            {"type": "button", "action_id": "allow", "text": {"type": "plain_text", "text": "Allow"}, "value": "7"},
            {
                "type": "static_select",
                "action_id": "pick",
                "options": [{"text": {"type": "plain_text", "text": "Two"}, "value": "2"}],
            },
        ],
    },
]
_FORM: dict[str, Any] = {
    "type": "modal",
    "callback_id": "why",
    "title": {"type": "plain_text", "text": "Why?"},
    "submit": {"type": "plain_text", "text": "Send"},
    "blocks": [
        {
            "type": "input",
            "block_id": "reason",
            "label": {"type": "plain_text", "text": "Reason"},
            "element": {"type": "plain_text_input", "action_id": "text"},
        }
    ],
}


async def test_a_mention_is_answered_in_its_thread_and_the_answer_is_edited() -> None:
    async with SlackDouble() as double:
        workspace = double.workspace("T1")
        ann = workspace.person("ann")
        client = client_of(double, workspace)
        async with connected(double, workspace) as heard:
            asked = await ann.mentions("general", "fix the build")
            await double.until(lambda: {one["type"] for one in heard} == {"message", "app_mention"})

            answer = await client.chat_postMessage(channel=asked.channel, thread_ts=asked.ts, text="working")
            await client.chat_update(channel=asked.channel, ts=answer["ts"], text="done")
            await client.reactions_add(channel=asked.channel, timestamp=asked.ts, name="eyes")

            thread = double.thread("general", asked)
            assert thread.texts == [f"{workspace.mention} fix the build", "done"]
            assert [(one.kind, one.text) for one in thread.history[1:]] == [("posted", "working"), ("edited", "done")]
            assert asked.reactions == {"eyes": [workspace.bot.id]}
            await double.until(lambda: [one.get("subtype") for one in heard].count("message_changed") == 1)
            own = next(one for one in heard if one.get("bot_id"))
            assert own["parent_user_id"] == ann.id
            await double.settled()


async def test_what_people_write_edit_and_delete_reaches_the_app() -> None:
    async with SlackDouble() as double:
        workspace = double.workspace("T1")
        ann = workspace.person("ann")
        async with connected(double, workspace) as heard:
            said = await ann.says("general", "a < b & <@U1>", files=[("a.txt", b"hello")])
            await ann.edits(said, "second")
            reply = await ann.says("general", "reply", thread_ts=said.ts)
            await ann.deletes(reply)
            await ann.says("general", "kept", thread_ts=said.ts)
            await ann.deletes(said)
            await ann.dms("hi")
            await double.until(lambda: len(heard) == 7)
        kinds = [one.get("subtype") for one in heard]
        changed = "message_changed"
        assert kinds == ["file_share", changed, None, "message_deleted", None, changed, None]
        assert heard[0]["text"] == "a &lt; b &amp; <@U1>"
        assert heard[0]["files"][0]["name"] == "a.txt"
        assert heard[1]["previous_message"]["text"] == heard[0]["text"]
        assert heard[5]["message"]["subtype"] == "tombstone"
        assert heard[6]["channel_type"] == "im"


async def test_an_event_nobody_acknowledges_comes_again_with_a_number() -> None:
    async with SlackDouble(ack_seconds=0.2, retry_delays=(0.0, 0.1)) as double:
        double.allow("not_acked")
        workspace = double.workspace("T1")
        bare = AsyncApp(client=client_of(double, workspace), signing_secret="x")
        async with connected(double, workspace) as heard:
            await workspace.person("ann").says("general", "once")
            await double.until(lambda: heard)
            assert heard[0]["retry"] == "0"
        handler = AsyncSocketModeHandler(bare, double.app_token)
        try:
            await handler.connect_async()  # type: ignore[no-untyped-call]
            await double.connected()
            await workspace.person("ann").says("general", "nobody listens for this")
            await double.until(lambda: double.delivery.given_up)
            attempts = [one["retry_attempt"] for one in double.sockets.ever[-1].envelopes]
        finally:
            await handler.close_async()  # type: ignore[no-untyped-call]
    assert attempts == [0, 1, 2]
    assert {one.code for one in double.violations} == {"not_acked"}


async def test_a_repeated_event_has_the_same_id() -> None:
    async with SlackDouble() as double:
        workspace = double.workspace("T1")
        async with connected(double, workspace) as heard:
            await workspace.person("ann").says("general", "once")
            await double.until(lambda: heard)
            double.delivery.repeat()
            await double.until(lambda: len(heard) == 2)
        assert [one["retry"] for one in heard] == ["0", "1"]
        assert heard[0]["ts"] == heard[1]["ts"]


async def test_an_event_on_a_dying_connection_goes_to_the_next() -> None:
    async with SlackDouble(ack_seconds=1.0, retry_delays=(0.0,) * 8) as double:
        double.allow("not_acked")  # a busy machine may be slower than this Slack is patient
        workspace = double.workspace("T1")
        ann = workspace.person("ann")
        async with connected(double, workspace) as first, connected(double, workspace) as second:
            for number in range(4):
                await ann.says("general", str(number))
            await double.until(lambda: len(first) == len(second) == 2)
            double.sockets.live[0].is_swallowing = True
            lost = await ann.says("general", "lost?")
            await double.until(lambda: any(one.envelopes[-1:] for one in double.sockets.ever if one.is_swallowing))
            await ann.says("general", "other")
            await double.until(lambda: lost.ts in [one["ts"] for one in first + second])


async def test_a_client_that_is_told_to_reconnect_misses_nothing() -> None:
    async with SlackDouble() as double:
        workspace = double.workspace("T1")
        ann = workspace.person("ann")
        async with connected(double, workspace) as heard:
            await double.sockets.disconnect()
            await ann.says("general", "while it was away")
            await double.until(lambda: heard)
            assert len(double.calls("apps.connections.open")) == 2


async def test_a_refused_upgrade_spends_its_ticket() -> None:
    async with SlackDouble() as double:
        double.allow("ticket_reused")
        workspace = double.workspace("T1")
        double.refuse_sockets(1)
        app, _ = app_of(double, workspace)
        client = SocketModeClient(app_token=double.app_token, web_client=app.client, ping_interval=0.05)
        try:
            async with asyncio.TaskGroup() as tasks:
                # The stock client tries the same URL for ever: https://github.com/slackapi/python-slack-sdk/issues/1922
                stuck = tasks.create_task(client.connect())  # type: ignore[no-untyped-call]
                await double.until(lambda: len(double.violations) >= 2)
                assert len(double.calls("apps.connections.open")) == 1
                client.wss_uri = None
                await double.connected()
                await stuck
        finally:
            await client.close()  # type: ignore[no-untyped-call]


async def test_a_socket_says_hello_and_answers_pings() -> None:
    async with SlackDouble() as double, aiohttp.ClientSession() as session:
        client = client_of(double, double.workspace())
        opened = await client.apps_connections_open(app_token=double.app_token)
        async with asyncio.timeout(30), session.ws_connect(opened["url"], autoping=False) as socket:
            assert (await socket.receive_json())["type"] == "hello"
            await socket.ping(b"sdk-ping-pong:1")
            answer = await socket.receive()
            assert (answer.type, bytes(answer.data)) == (aiohttp.WSMsgType.PONG, b"sdk-ping-pong:1")


async def test_a_silent_connection_is_left_by_the_client() -> None:
    async with SlackDouble() as double:
        workspace = double.workspace("T1")
        async with connected(double, workspace, ping_interval=0.2):
            double.sockets.swallow()
            await double.until(lambda: len(double.sockets.ever) > 1)


async def test_a_click_is_acknowledged_and_answers_in_place() -> None:
    clicks: list[dict[str, Any]] = []

    def prepare(app: AsyncApp) -> None:
        @app.action("allow")
        async def allow(ack: Any, body: dict[str, Any], respond: Any) -> None:
            await ack()
            clicks.append(body)
            await respond(text="Ann allowed this.", replace_original=True)

        @app.action("pick")
        async def pick(ack: Any) -> None:
            await ack()

    async with SlackDouble() as double:
        workspace = double.workspace("T1")
        ann = workspace.person("ann")
        async with connected(double, workspace, prepare):
            posted = await client_of(double, workspace).chat_postMessage(channel="#general", text="?", blocks=_BUTTONS)
            question = double.message("general", posted["ts"])
            await ann.clicks(question, "pick", "2")
            assert await ann.clicks(question, "allow") == {}
            await double.until(lambda: question.text == "Ann allowed this.")
            assert question.blocks == []
            with pytest.raises(CannotDo, match="nothing"):
                await ann.clicks(question, "allow")
    (body,) = clicks
    assert body["actions"][0]["value"] == "7"
    assert body["message"]["ts"] == posted["ts"]
    assert body["state"]["values"]["ask"]["pick"]["selected_option"]["value"] == "2"


async def test_a_modal_opens_once_on_a_fresh_trigger_and_takes_an_answer() -> None:
    submitted: list[dict[str, Any]] = []
    triggers: list[str] = []

    def prepare(app: AsyncApp) -> None:
        @app.action("allow")
        async def allow(ack: Any, body: dict[str, Any], client: Any) -> None:
            await ack()
            triggers.append(body["trigger_id"])
            await client.views_open(trigger_id=body["trigger_id"], view=_FORM)

        @app.view("why")
        async def why(ack: Any, view: dict[str, Any]) -> None:
            text = view["state"]["values"]["reason"]["text"]["value"]
            if text == "no":
                await ack(response_action="errors", errors={"reason": "Say more."})
                return
            await ack()
            submitted.append(view)

    async with SlackDouble() as double:
        double.allow("exchanged_trigger_id", "expired_trigger_id")
        workspace = double.workspace("T1")
        ann = workspace.person("ann")
        client = client_of(double, workspace)
        async with connected(double, workspace, prepare):
            posted = await client.chat_postMessage(channel="#general", text="?", blocks=_BUTTONS)
            await ann.clicks(double.message("general", posted["ts"]), "allow")
            modal = await double.until(lambda: ann.modal)
            refused = await ann.submits(modal, {"reason": "no"})
            assert refused["errors"] == {"reason": "Say more."}
            assert await ann.submits(modal, {"reason": "because"}) == {}
            assert ann.modal is None
            for code, wait in (("exchanged_trigger_id", 0), ("expired_trigger_id", 10)):
                trigger = triggers[0] if not wait else double.triggers.new(workspace.team, ann.user)
                double.advance(wait)
                with pytest.raises(Exception, match=code):
                    await client.views_open(trigger_id=trigger, view=_FORM)
    assert submitted[0]["callback_id"] == "why"


async def test_commands_shortcuts_and_the_home_tab_reach_the_app() -> None:
    seen: list[Any] = []

    def prepare(app: AsyncApp) -> None:
        @app.command("/threadwork")
        async def command(ack: Any, body: dict[str, Any]) -> None:
            seen.append(body["text"])
            await ack("here is help")

        @app.shortcut("ask_about_this")
        async def shortcut(ack: Any, shortcut: dict[str, Any]) -> None:
            await ack()
            seen.append(shortcut["message"]["text"])

        @app.event("app_home_opened")
        async def home(event: dict[str, Any], client: Any) -> None:
            await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": _BUTTONS[:1]})

    async with SlackDouble() as double:
        workspace = double.workspace("T1")
        ann = workspace.person("ann")
        async with connected(double, workspace, prepare):
            assert (await ann.slash("/threadwork", "help"))["text"] == "here is help"
            assert [one.text for one in ann.only_hers] == ["here is help"]
            with pytest.raises(CannotDo):
                await ann.slash("/threadwork", "help", thread_ts="1.000000")
            await ann.shortcut("ask_about_this", await ann.says("general", "this"))
            await ann.opens_home()
            await double.until(lambda: ann.home)
    assert seen == ["help", "this"]


async def test_a_click_that_nobody_takes_is_a_failure_for_the_person() -> None:
    async with SlackDouble(ack_seconds=0.2) as double:
        double.allow("not_acked")
        workspace = double.workspace("T1")
        ann = workspace.person("ann")
        posted = await client_of(double, workspace).chat_postMessage(channel="#general", text="?", blocks=_BUTTONS)
        question = double.message("general", posted["ts"])
        with pytest.raises(NotAnswered, match="no connection"):
            await ann.clicks(question, "allow")
        async with connected(double, workspace):
            with pytest.raises(NotAnswered, match="late"):
                await ann.clicks(question, "allow")


async def test_the_agent_container_starts_a_thread_and_stops_a_stream() -> None:
    async with SlackDouble() as double:
        workspace = double.workspace("T1")
        ann = workspace.person("ann")
        client = client_of(double, workspace)
        async with connected(double, workspace) as heard:
            thread_ts = await ann.opens_agent("general")
            await ann.looks_at(thread_ts, "general")
            await ann.dms("go", thread_ts=thread_ts)
            await client.assistant_threads_setStatus(channel_id=ann.dm.id, thread_ts=thread_ts, status="is thinking")
            assert ann.dm.statuses[thread_ts]["status"] == "is thinking"
            await client.agents_sessions_setStatus(channel_id=ann.dm.id, thread_ts=thread_ts, status="processing")
            stream = await client.chat_startStream(channel=ann.dm.id, thread_ts=thread_ts, markdown_text="one")
            await ann.stops_agent(ann.dm, thread_ts)
            with pytest.raises(Exception, match="stopped_by_user"):
                await client.chat_appendStream(channel=ann.dm.id, ts=stream["ts"], markdown_text="two")
            await double.until(lambda: any(one["type"] == "agent_session_stopped" for one in heard))
        kinds = [one["type"] for one in heard]
        assert kinds.count("assistant_thread_started") == kinds.count("assistant_thread_context_changed") == 1
        assert next(one for one in heard if one["type"] == "agent_session_stopped")["streaming_message_ts"] == [
            stream["ts"]
        ]
