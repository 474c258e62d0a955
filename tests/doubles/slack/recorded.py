"""One payload of every kind that the app is sent, for tests of its parsers: `python -m tests.doubles.slack.recorded`.

Writes `tests/replay/slack/*.json`: what the double sends, in the shapes that Slack documents, at a time that stands
still. Events are whole callbacks; interactions are what is inside the envelope.
"""

import asyncio
import json
from pathlib import Path

from aiohttp import web

from tests.doubles.slack.clock import Clock
from tests.doubles.slack.double import SlackDouble
from tests.doubles.slack.store import JSON, View
from tests.doubles.slack.web_api.views import put

FOLDER = Path(__file__).parents[2] / "replay" / "slack"
_AT = 1_780_000_000.0
_PORT_MARK = "http://127.0.0.1:1"
_QUESTION: list[JSON] = [
    {"type": "section", "block_id": "what", "text": {"type": "mrkdwn", "text": "Run `make`?"}},
    {
        "type": "actions",
        "block_id": "ask:42",
        "elements": [
            {
                "type": "button",
                "action_id": "tw:allow",
                "text": {"type": "plain_text", "text": "Allow once"},
                "style": "primary",
                "value": "42",
            },
            {
                "type": "overflow",
                "action_id": "tw:more",
                "options": [{"text": {"type": "plain_text", "text": "Deny with reason…"}, "value": "42:reason"}],
            },
            {
                "type": "static_select",
                "action_id": "tw:choose",
                "options": [{"text": {"type": "plain_text", "text": "Blue"}, "value": "42:blue"}],
            },
        ],
    },
]
_FORM: JSON = {
    "type": "modal",
    "callback_id": "tw:reason",
    "private_metadata": "42",
    "title": {"type": "plain_text", "text": "Deny"},
    "submit": {"type": "plain_text", "text": "Deny"},
    "notify_on_close": True,
    "blocks": [
        {
            "type": "input",
            "block_id": "reason",
            "label": {"type": "plain_text", "text": "Reason"},
            "element": {"type": "plain_text_input", "action_id": "text", "multiline": True},
        },
        *_QUESTION[1:],
    ],
}


class _Tape:
    """Names payloads as they come."""

    def __init__(self, double: SlackDouble) -> None:
        self.double = double
        self.made: dict[str, JSON] = {}

    def event(self, name: str, kind: str | None = None) -> None:
        """Keep the latest event, or the latest of one kind."""
        rows = [one for one in self.double.events if kind is None or one["event"]["type"] == kind]
        self.made[name] = rows[-1]

    def interaction(self, name: str) -> None:
        self.made[name] = self.double.interactions[-1]


async def _messages(tape: _Tape) -> None:
    double = tape.double
    workspace = double.workspace("T1")
    ann = workspace.person("ann")
    asked = await ann.mentions("general", "fix the build, <@U404> says & see <https://example.com|this>")
    tape.event("message_channel_mention", "message")
    tape.event("app_mention")
    reply = await ann.says("general", "and the *tests*\n```\nmake test\n```", thread_ts=asked.ts)
    tape.event("message_thread")
    await ann.mentions("general", "again", thread_ts=asked.ts)
    tape.event("app_mention_thread")
    await ann.edits(reply, "and all tests")
    tape.event("message_changed")
    await ann.deletes(reply)
    tape.event("message_deleted")
    await ann.says("general", "see this", thread_ts=asked.ts, files=[("log.txt", b"error: no\n")])
    tape.event("message_file_share")
    await ann.dms("hello")
    tape.event("message_dm")
    await workspace.other_bot("ci").says("general", "build failed", thread_ts=asked.ts)
    tape.event("message_other_bot")
    ci = workspace.other_bot("ci").user
    double.posting.create(double.channel("general"), ci, "build failed", subtype="bot_message")
    tape.event("message_bot_message")
    metadata = {"event_type": "threadwork_post", "event_payload": {"post": "p1"}}
    own = double.posting.create(
        double.channel("general"), workspace.bot, "On it", thread_ts=asked.ts, metadata=metadata
    )
    tape.event("message_own")
    double.posting.edit(own, text="Done")
    tape.event("message_changed_own")
    await ann.reacts(own, "+1")
    tape.event("reaction_added")
    await ann.deletes(asked)
    tape.event("message_changed_tombstone")
    await workspace.invites_app("general", by=ann)
    tape.event("member_joined_channel")


async def _interactions(tape: _Tape) -> None:
    double = tape.double
    workspace = double.workspace("T1")
    ann = workspace.person("ann")
    asked = await ann.says("general", "go")
    where = double.channel("general")
    question = double.posting.create(where, workspace.bot, "Run make?", blocks=_QUESTION, thread_ts=asked.ts)
    for action in ("button", "overflow", "select"):
        name = {"button": "tw:allow", "overflow": "42:reason", "select": "42:blue"}[action]
        await ann.clicks(question, name)
        tape.interaction(f"block_actions_{action}")
    private = double.posting.create(where, workspace.bot, "Only you", blocks=_QUESTION, only_for=ann.id)
    await ann.clicks(private, "tw:allow")
    tape.interaction("block_actions_ephemeral")

    def modal() -> View:
        return put(double.posting, workspace.team, ann.id, _FORM)

    await ann.clicks(modal(), "tw:allow")
    tape.interaction("block_actions_view")
    await ann.submits(modal(), {"reason": "not now"})
    tape.interaction("view_submission")
    await ann.closes(modal())
    tape.interaction("view_closed")
    await ann.slash("/threadwork", "ask what is <this>?")
    tape.interaction("slash_command")
    await ann.slash("/threadwork", "status", ann.dm)
    tape.interaction("slash_command_dm")
    await ann.shortcut("ask_about_this", asked)
    tape.interaction("message_shortcut")
    await ann.shortcut("new_chat")
    tape.interaction("global_shortcut")


async def _places(tape: _Tape) -> None:
    double = tape.double
    workspace = double.workspace("T1")
    ann = workspace.person("ann")
    await ann.opens_home()
    tape.event("app_home_opened")
    await ann.opens_home("messages")
    tape.event("app_home_opened_messages")
    thread_ts = await ann.opens_agent("general")
    tape.event("assistant_thread_started")
    await ann.looks_at(thread_ts, "general")
    tape.event("assistant_thread_context_changed")
    await ann.dms("hello", thread_ts=thread_ts)
    tape.event("message_agent")
    ann.dm.sessions[thread_ts] = {"status": "processing"}
    await ann.stops_agent(ann.dm, thread_ts)
    tape.event("agent_session_stopped")
    await workspace.archives("general", by=ann)
    tape.event("channel_archive")
    await workspace.removes_app("general", by=ann)
    tape.event("channel_left")
    await workspace.uninstalls()
    tape.event("tokens_revoked", "tokens_revoked")
    tape.event("app_uninstalled")


async def record() -> dict[str, JSON]:
    """Every payload by its name."""

    async def take(_: web.Request) -> web.Response:
        return web.Response()

    site = web.Application()
    site.router.add_post("/", take)
    runner = web.AppRunner(site)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with SlackDouble(clock=Clock(stands_at=_AT)) as double:
            double.send_events_to(f"http://127.0.0.1:{runner.addresses[0][1]}/")
            tape = _Tape(double)
            for part in (_messages, _interactions, _places):
                await part(tape)
                await double.settled()
            text = json.dumps(tape.made).replace(double.origin, _PORT_MARK)
    finally:
        await runner.cleanup()
    made: dict[str, JSON] = json.loads(text)
    return made


def write(folder: Path, made: dict[str, JSON]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, payload in made.items():
        (folder / f"{name}.json").write_text(json.dumps(payload, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write(FOLDER, asyncio.run(record()))
