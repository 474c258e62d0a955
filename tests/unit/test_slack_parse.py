"""Recorded Slack payloads in, values out; and what is malformed is None, never an error."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.bang import parse_bang
from bots.context import HEADING, MOST_CHARS, Line, with_context, with_new_text
from bots.slack.asked import ASK_ABOUT, AskedAbout, Commanded, Pressed, Submitted, parse_command, parse_interaction
from bots.slack.markup import mentioned, readable, without_mention
from bots.slack.parse import (
    AgentStopped,
    ContainerOpened,
    Deleted,
    Edited,
    HomeOpened,
    Said,
    Uninstalled,
    parse_event,
)
from core.domain.chat import Place, Platform
from core.domain.message import FileIn
from core.surfaces.presses import Press, Verb
from tests.steady import steady

_FOLDER = Path(__file__).parent.parent / "replay" / "slack"
_EVERYTHING = {path.stem: json.loads(path.read_text()) for path in sorted(_FOLDER.glob("*.json"))}
_ID = UUID(int=42)
_BOT, _ANN = "U000000001", "U000000004"


def recorded(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(json.dumps(_EVERYTHING[name]))
    return body


def test_a_mention_is_said_in_the_thread_it_begins() -> None:
    said = parse_event(recorded("app_mention"))
    assert isinstance(said, Said)
    assert (said.team, said.user, said.thread, said.is_mention, said.is_direct) == ("T1", _ANN, None, True, False)
    assert said.place == Place(Platform.SLACK, "T1", said.channel, said.ts)
    assert mentioned(said.text) == (_BOT, "U404")
    words = readable(without_mention(said.text, _BOT), {"U404": "bob"})
    assert words == "fix the build, @bob says & see this (https://example.com)"


def test_a_reply_is_said_in_its_thread() -> None:
    said = parse_event(recorded("message_thread"))
    assert isinstance(said, Said)
    assert said.place.thread == said.thread != said.ts


def test_files_come_with_what_is_said() -> None:
    said = parse_event(recorded("message_file_share"))
    assert isinstance(said, Said)
    url = "http://127.0.0.1:1/files-pri/download/T1-F000000014/log.txt"
    assert said.files == (FileIn("log.txt", url, 10, "text/plain"),)


def test_a_direct_message_is_said_directly() -> None:
    said = parse_event(recorded("message_dm"))
    assert isinstance(said, Said)
    assert said.is_direct


@pytest.mark.parametrize("name", ["message_own", "message_other_bot", "message_bot_message", "message_changed_own"])
def test_what_bots_say_is_nothing_to_us(name: str) -> None:
    assert parse_event(recorded(name)) is None


def test_changes_and_deletions_name_the_message() -> None:
    edited = parse_event(recorded("message_changed"))
    assert isinstance(edited, Edited)
    assert edited.text == recorded("message_changed")["event"]["message"]["text"]
    deleted = parse_event(recorded("message_deleted"))
    assert isinstance(deleted, Deleted)
    assert (deleted.ts, deleted.place.thread) == ("1780000000.000001", "1780000000.000000")
    gone = parse_event(recorded("message_changed_tombstone"))
    assert isinstance(gone, Deleted)
    assert gone.ts == "1780000000.000000"


def test_a_preview_of_a_link_is_no_change() -> None:
    body = recorded("message_changed")
    body["event"]["previous_message"]["text"] = body["event"]["message"]["text"]
    assert parse_event(body) is None


def test_in_a_channel_shared_by_two_the_workspace_is_the_one_that_hears() -> None:
    body = recorded("app_mention")
    body["team_id"] = "T9"
    said = parse_event(body)
    assert said is not None
    assert said.team == "T1"


def test_other_events_are_what_they_are_or_nothing() -> None:
    kinds = {name: type(parse_event(body)) for name, body in _EVERYTHING.items() if "event" in body}
    assert kinds["agent_session_stopped"] is AgentStopped
    assert kinds["assistant_thread_started"] is kinds["assistant_thread_context_changed"] is ContainerOpened
    assert kinds["app_home_opened"] is HomeOpened
    assert kinds["app_uninstalled"] is Uninstalled
    assert kinds["tokens_revoked"] is Uninstalled
    for name in ("app_home_opened_messages", "reaction_added", "channel_archive", "member_joined_channel"):
        assert kinds[name] is type(None)


def _pressing(name: str, **action: Any) -> dict[str, Any]:
    body = recorded(name)
    body["actions"][0] |= action
    return body


def test_a_button_is_pressed_in_the_thread_of_its_post() -> None:
    press = Press(Verb.ALLOW, _ID)
    pressed = parse_interaction(_pressing("block_actions_button", action_id=press.encode()))
    assert isinstance(pressed, Pressed)
    assert (pressed.press, pressed.team, pressed.user) == (press, "T1", _ANN)
    assert (pressed.channel, pressed.thread) == ("C000000003", "1780000000.000014")
    assert pressed.trigger


def test_the_option_of_an_overflow_menu_is_what_is_pressed() -> None:
    press = Press(Verb.EDIT, _ID)
    option = {"text": {"type": "plain_text", "text": "Edit…"}, "value": press.encode()}
    pressed = parse_interaction(_pressing("block_actions_overflow", selected_option=option))
    assert isinstance(pressed, Pressed)
    assert pressed.press == press


def test_a_choice_in_a_menu_waits_until_it_is_sent() -> None:
    press = Press(Verb.ANSWER, _ID, 1, 2)
    body = _pressing("block_actions_select", action_id=Press(Verb.ANSWER, _ID, 1).encode())
    assert parse_interaction(body) is None
    send = _pressing("block_actions_button", action_id=Press(Verb.ANSWER, _ID).encode())
    other = Press(Verb.ANSWER, UUID(int=7), 0, 0).encode()
    send["state"]["values"] = {
        "a": {"x": {"type": "static_select", "selected_option": {"value": press.encode()}}},
        "b": {
            "y": {
                "type": "multi_static_select",
                "selected_options": [{"value": Press(Verb.ANSWER, _ID, 0, at).encode()} for at in (3, 1)],
            }
        },
        "c": {"z": {"type": "static_select", "selected_option": {"value": other}}},
        "d": {"z": {"type": "static_select", "selected_option": None}},
    }
    pressed = parse_interaction(send)
    assert isinstance(pressed, Pressed)
    assert pressed.chosen == {1: (2,), 0: (1, 3)}


def test_a_form_comes_back_with_what_it_is_about() -> None:
    body = recorded("view_submission")
    body["view"]["private_metadata"] = json.dumps({"approval": _ID.hex, "chosen": {"1": [0]}})
    form = parse_interaction(body)
    assert isinstance(form, Submitted)
    assert (form.form, form.texts, form.chosen) == ("tw:reason", {"reason": "not now"}, {1: (0,)})


def test_the_shortcut_names_the_message_and_its_thread() -> None:
    assert recorded("message_shortcut")["callback_id"] == ASK_ABOUT
    asked = parse_interaction(recorded("message_shortcut"))
    assert isinstance(asked, AskedAbout)
    assert (asked.text, asked.ts, asked.thread) == ("go", "1780000000.000014", "1780000000.000014")


def test_a_slash_command_has_its_text() -> None:
    command = parse_command(recorded("slash_command"))
    assert isinstance(command, Commanded)
    assert command.text == "ask what is &lt;this&gt;?"


@pytest.mark.parametrize("name", sorted(_EVERYTHING))
@settings(steady, max_examples=25)
@given(st.data())
def test_a_payload_with_parts_missing_is_never_an_error(name: str, data: st.DataObject) -> None:
    body = recorded(name)
    for _ in range(data.draw(st.integers(1, 3))):
        _damage(body, data)
    parse: Callable[[Any], object] = parse_interaction
    if name.startswith("slash_command"):
        parse = parse_command
    elif "event" in _EVERYTHING[name]:
        parse = parse_event
    parse(body)


def _damage(part: Any, data: st.DataObject) -> None:
    """Take one thing out of a payload, or put something else in its place."""
    while isinstance(part, dict | list) and part:
        at: Any = data.draw(st.sampled_from(sorted(part) if isinstance(part, dict) else range(len(part))))
        if not isinstance(part[at], dict | list) or not part[at] or data.draw(st.booleans()):
            if data.draw(st.booleans()):
                del part[at]
            else:
                part[at] = data.draw(st.sampled_from([None, "", 7, [], {}, "text", [None], {"value": None}]))
            return
        part = part[at]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("<@U1> and <@U2|old>", "@ann and @old"),
        ("<#C1|general> <#C2>", "#general #C2"),
        ("<!here> <!channel> <!subteam^S1|@devs> <!subteam^S2>", "@here @channel @devs @S2"),
        ("<!date^1^{date}|yesterday>", "yesterday"),
        ("<https://a.b/c?d=1&amp;e=2>", "https://a.b/c?d=1&e=2"),
        ("<http://example.com|example.com>", "example.com"),
        ("<https://example.com|the page>", "the page (https://example.com)"),
        ("<mailto:ann@example.com|ann@example.com>", "ann@example.com"),
        ("if a &lt; b then <<x>>", "if a < b then <<x>>"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
    ],
)
def test_slacks_writing_reads_as_people_typed_it(written: str, read: str) -> None:
    assert readable(written, {"U1": "ann"}) == read


@steady
@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    readable(text, {})
    assert mentioned(without_mention(f"<@U1>, {text}", "U1")) == mentioned(without_mention(text, "U1"))


def test_only_a_command_is_a_command() -> None:
    place = Place(Platform.SLACK, "T1", "C1", "1.0")
    for text, name, rest in [("!stop", "stop", ""), (" !MODE  plan ", "mode", "plan"), ("!new a\nb", "new", "a\nb")]:
        command = parse_bang(text, "U1", place)
        assert command is not None
        assert (command.name, command.rest) == (name, rest)
    for text in ("stop", "!important", "! stop", "!stopped", "please !stop", ""):
        assert parse_bang(text, "U1", place) is None


@steady
@given(st.lists(st.text(max_size=5000), max_size=8))
def test_context_keeps_the_newest_that_fits(texts: list[str]) -> None:
    whole = with_context("do it", [Line("ann", text) for text in texts])
    assert whole.startswith("do it")
    assert len(whole) <= MOST_CHARS + len(HEADING) + 100
    if texts and len(texts[-1]) < MOST_CHARS - 10:
        assert whole.endswith(f"ann: {texts[-1]}")


def test_an_edit_leaves_the_context() -> None:
    whole = with_context("do it", [Line("ann", "before")])
    assert with_new_text(whole, "do that") == with_context("do that", [Line("ann", "before")])
    assert with_new_text("alone", "other") == "other"
