"""Recorded Discord payloads in, values out; and what is malformed is None, never an error."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.discord.asked import (
    ABOUT,
    ASK_ABOUT,
    AskedAbout,
    Commanded,
    Completing,
    Pressed,
    Strange,
    Submitted,
    parse_interaction,
)
from bots.discord.context import line_of
from bots.discord.markup import mentioned, readable, roles_and_channels, without_mention
from bots.discord.modals import about_form, answers_form, edit_form, other_form, reason_form
from bots.discord.parse import DIRECT, Deleted, Edited, Person, Said, parse_event
from bots.discord.slash import COMMANDS
from core.domain.approval import Approval, ApprovalId, ApprovalKind
from core.domain.chat import ChatId, Place, Platform
from core.domain.states import ApprovalState
from core.domain.turn import TurnId
from core.surfaces.presses import Press, Verb
from tests.doubles.discord.command_rules import check_commands
from tests.doubles.discord.component_rules import check_modal
from tests.steady import steady

_FOLDER = Path(__file__).parent.parent / "replay" / "discord"
_EVERYTHING = {path.stem: json.loads(path.read_text()) for path in sorted(_FOLDER.glob("*.json"))}
_ID = UUID(int=42)
_BOT, _ANN, _BOB = "1551597206241280000", "1551597269155840000", "1551597279641600000"
_GUILD, _CHANNEL, _THREAD = "1551597211484160000", "1551597242941440000", "1551597290127360000"
_ROLE = "1551597248184320000"


def recorded(name: str) -> dict[str, Any]:
    """What a recorded frame carries; its clicks are about the question `_ID`."""
    text = json.dumps(_EVERYTHING[name]["d"]).replace(":42", f":{_ID.hex}")
    body: dict[str, Any] = json.loads(text)
    return body


def said(name: str) -> Said:
    event = parse_event("MESSAGE_CREATE", recorded(name), _BOT)
    assert isinstance(event, Said), event
    return event


def test_a_mention_is_said_in_its_channel() -> None:
    event = said("message_create_channel_mention")
    assert (event.guild, event.channel, event.is_mention, event.is_direct) == (_GUILD, _CHANNEL, True, False)
    assert event.person == Person(_ANN, "Ann", (_ROLE,))
    assert mentioned(event.text) == (_BOT,)
    assert roles_and_channels(event.text) == (_CHANNEL,)
    assert readable(without_mention(event.text, _BOT), {_CHANNEL: "general"}) == "fix the build in #general, please"


def test_a_message_in_a_thread_and_a_direct_one_say_where_they_stand() -> None:
    event = said("message_create_thread")
    assert (event.channel, event.is_mention, event.person.name) == (_THREAD, False, "Bob")
    direct = said("message_create_dm")
    assert (direct.guild, direct.is_direct, direct.text) == (DIRECT, True, "hello in private")


def test_a_reply_mentions_whom_it_answers_and_not_in_its_text() -> None:
    event = said("message_create_reply")
    assert mentioned(event.text) == ()
    assert event.names == {_BOB: "Bob"}
    assert not event.is_mention


def test_files_come_with_what_is_said() -> None:
    log, screen = said("message_create_attachments").files
    assert (log.name, log.size, log.media_type) == ("build.log", 180, "application/octet-stream")
    assert (screen.name, screen.media_type) == ("screen.png", "image/png")
    assert screen.url.startswith("https://cdn.discordapp.com/")


def test_what_is_forwarded_is_said_too() -> None:
    body = recorded("message_create_thread")
    files = recorded("message_create_attachments")["attachments"]
    body["message_snapshots"] = [{"message": {"content": "it is red", "attachments": files}}]
    event = parse_event("MESSAGE_CREATE", body, _BOT)
    assert isinstance(event, Said)
    assert event.text == "and the docs too\n\nit is red"
    assert len(event.files) == 2


@pytest.mark.parametrize(
    "name",
    [
        "message_create_own",
        "message_create_other_bot",
        "message_create_webhook",
        "message_create_thread_starter",
    ],
)
def test_what_no_person_wrote_is_nothing(name: str) -> None:
    assert parse_event("MESSAGE_CREATE", recorded(name), _BOT) is None


def test_what_cannot_be_read_is_said_without_words() -> None:
    event = said("message_create_without_content_intent")
    assert (event.text, event.files) == ("", ())


def test_an_edit_by_a_person_is_one_and_a_preview_or_a_thread_is_none() -> None:
    event = parse_event("MESSAGE_UPDATE", recorded("message_update_edited"), _BOT)
    assert isinstance(event, Edited)
    assert (event.channel, event.text) == (_CHANNEL, "just talking, edited")
    for name in ("message_update_unfurled", "message_update_has_thread"):
        assert parse_event("MESSAGE_UPDATE", recorded(name), _BOT) is None


def test_deletions_are_one_or_many() -> None:
    one = parse_event("MESSAGE_DELETE", recorded("message_delete"), _BOT)
    many = parse_event("MESSAGE_DELETE_BULK", recorded("message_delete_bulk"), _BOT)
    assert isinstance(one, Deleted)
    assert isinstance(many, Deleted)
    assert one.ids == many.ids[:1]
    assert (many.guild, many.channel, len(many.ids)) == (_GUILD, _CHANNEL, 2)


def test_other_events_are_nothing() -> None:
    for name, frame in _EVERYTHING.items():
        if not name.startswith("message_") or name == "message_reaction_add":
            assert parse_event(frame["t"], recorded(name), _BOT) is None


def test_a_threads_first_row_quotes_the_message_it_began_with() -> None:
    line = line_of(recorded("message_create_thread_starter"))
    assert line is not None
    assert (line.name, line.text) == ("Ann", "@threadwork fix the build in #1551597242941440000, please")
    assert line_of(recorded("message_create_own")) is None


def test_a_click_says_what_where_and_by_whom() -> None:
    pressed = parse_interaction(recorded("interaction_create_button"))
    assert isinstance(pressed, Pressed)
    assert pressed.press == Press(Verb.ALLOW, _ID)
    assert pressed.where.place == Place(Platform.DISCORD, _GUILD, _CHANNEL, _THREAD)
    assert (pressed.where.is_thread, pressed.where.person.id) == (True, _ANN)
    assert pressed.where.person.rights == 380105116736


def test_a_choice_in_a_menu_is_by_question() -> None:
    body = recorded("interaction_create_select")
    body["data"]["custom_id"] = Press(Verb.ANSWER, _ID, 1).encode()
    other = Press(Verb.ANSWER, UUID(int=7), 1, 3).encode()
    body["data"]["values"] = [Press(Verb.ANSWER, _ID, 1, 2).encode(), Press(Verb.ANSWER, _ID, 1, 0).encode(), other]
    pressed = parse_interaction(body)
    assert isinstance(pressed, Pressed)
    assert pressed.chosen == {1: (0, 2)}


def test_a_click_on_a_button_of_old_is_strange() -> None:
    body = recorded("interaction_create_button")
    body["data"]["custom_id"] = "tw:allow:nonsense"
    assert isinstance(parse_interaction(body), Strange)


@pytest.mark.parametrize("name", ["interaction_create_modal_submit", "interaction_create_modal_submit_rows"])
def test_a_form_has_its_texts_under_labels_and_in_rows(name: str) -> None:
    form = parse_interaction(recorded(name))
    assert isinstance(form, Submitted)
    assert (form.press, form.about) == (Press(Verb.DENY_WITH_REASON, _ID), None)
    assert form.texts == {"reason": "use make clean"}


def test_a_form_about_a_message_names_it() -> None:
    body = recorded("interaction_create_modal_submit")
    body["data"]["custom_id"] = f"{ABOUT}17"
    form = parse_interaction(body)
    assert isinstance(form, Submitted)
    assert (form.press, form.about) == (None, "17")


def test_a_slash_command_has_its_verb_options_and_files() -> None:
    command = parse_interaction(recorded("interaction_create_slash_attachment"))
    assert isinstance(command, Commanded)
    assert (command.verb, command.options) == ("ask", {"prompt": "read this"})
    assert [(one.name, one.size) for one in command.files] == [("a.txt", 3)]
    direct = parse_interaction(recorded("interaction_create_slash_dm"))
    assert isinstance(direct, Commanded)
    assert (direct.where.guild, direct.where.is_thread, direct.where.person.name) == (DIRECT, False, "Ann")


def test_what_is_typed_is_to_be_completed() -> None:
    typing = parse_interaction(recorded("interaction_create_autocomplete"))
    assert isinstance(typing, Completing)
    assert (typing.verb, typing.option, typing.typed) == ("model", "name", "op")


def test_the_menus_command_names_the_message() -> None:
    body = recorded("interaction_create_context_menu")
    assert body["data"]["name"] == ASK_ABOUT
    asked = parse_interaction(body)
    assert isinstance(asked, AskedAbout)
    assert (asked.message, asked.text) == ("1551597332070400000", "and the docs too")
    body["data"]["name"] = "Something else"
    assert parse_interaction(body) is None


@pytest.mark.parametrize("name", sorted(_EVERYTHING))
@settings(steady, max_examples=25)
@given(st.data())
def test_a_payload_with_parts_missing_is_never_an_error(name: str, data: st.DataObject) -> None:
    body = recorded(name)
    for _ in range(data.draw(st.integers(1, 3))):
        _damage(body, data)
    if name.startswith("interaction"):
        parse_interaction(body)
    else:
        parse_event(_EVERYTHING[name]["t"], body, _BOT)


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
        ("<@1> and <@!1>", "@ann and @ann"),
        ("<@&2> in <#3> of <#4>", "@devs in #general of #4"),
        ("<:party:5> <a:dance:6>", ":party: :dance:"),
        ("</threadwork ask:7>", "/threadwork ask"),
        ("a < b > c <3", "a < b > c <3"),
        ("<https://example.com>", "<https://example.com>"),
        ("<t:1790000000:R>", "<t:1790000000:R>"),
    ],
)
def test_discords_writing_reads_as_people_saw_it(written: str, read: str) -> None:
    assert readable(written, {"1": "ann", "2": "devs", "3": "general"}) == read


@steady
@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    readable(text, {})
    assert mentioned(without_mention(f"<@1>, {text}", "1")) == mentioned(without_mention(text, "1"))


def test_discord_takes_the_commands() -> None:
    assert check_commands(list(COMMANDS)) == []


def _asking(kind: ApprovalKind, tool: str, **given: Any) -> Approval:
    return Approval(
        id=ApprovalId(_ID),
        chat_id=ChatId(_ID),
        turn_id=TurnId(_ID),
        tool_use_id="tu1",
        kind=kind,
        tool=tool,
        input=given,
        line="",
        state=ApprovalState.PENDING,
        asked_at=datetime.now(UTC),
    )


@steady
@given(
    st.lists(st.tuples(st.text(), st.text(max_size=50), st.lists(st.text(), max_size=30)), max_size=8), st.booleans()
)
def test_discord_takes_the_forms_whatever_is_asked(asked: list[tuple[str, str, list[str]]], is_multiple: bool) -> None:
    questions = [
        {
            "question": text,
            "header": header,
            "multiSelect": is_multiple,
            "options": [{"label": label, "description": label} for label in labels],
        }
        for text, header, labels in asked
    ]
    approval = _asking(ApprovalKind.QUESTION, "AskUserQuestion", questions=questions)
    assert check_modal(dict(answers_form(Press(Verb.ANSWER, _ID), approval))) == []
    assert check_modal(dict(other_form(Press(Verb.ANSWER_OTHERWISE, _ID, 0), approval))) == []


@steady
@given(st.text())
def test_discord_takes_the_forms_of_a_command(command: str) -> None:
    approval = _asking(ApprovalKind.TOOL, "Bash", command=command)
    form = edit_form(Press(Verb.EDIT, _ID), approval)
    assert isinstance(form, str) or check_modal(dict(form)) == []
    for one in (reason_form(Press(Verb.DENY_WITH_REASON, _ID), approval), about_form("1" * 19)):
        assert check_modal(dict(one)) == []
