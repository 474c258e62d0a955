"""What Discord is given to show: a running turn, an answer, and questions in each of their forms."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from typing import Any
from uuid import UUID

import pytest

from core.domain import events as e
from core.domain.approval import Approval, ApprovalId, ApprovalKind, Decision, Verdict
from core.domain.chat import ChatId
from core.domain.states import ApprovalState, TurnState
from core.domain.turn import TurnId, Usage
from core.domain.view import View, fold
from core.ports import Payload
from core.surfaces.discord.approvals import render_approval
from core.surfaces.discord.components import BUTTON, CONTAINER, SELECT, TEXT, Component, texts_of, walk
from core.surfaces.discord.escaping import inert
from core.surfaces.discord.render import render
from core.surfaces.presses import Press, Verb, decode

TURN = TurnId(UUID(int=1))
ASKED = ApprovalId(UUID(int=7))
EVENTS: Sequence[e.RunEvent] = (
    e.TurnStarted(1, ("m",)),
    e.AgentReady("s", "claude-some-model"),
    e.ToolStarted("t1", "Bash", "Runs `make all`", {}),
    e.ToolFailed("t1", "make: *** no rule\nstop"),
    e.ToolStarted("t2", "Read", "Reads core/__init__.py", {}, parent="t1"),
    e.TasksChanged((e.Task("1", "Look", "completed"), e.Task("2", "Mend", "in_progress"))),
    e.TextStreamed("So **this is"),
)


def running() -> View:
    return reduce(fold, EVENTS, View(turn_id=TURN))


def over(text: str, state: TurnState = TurnState.DONE, error: str | None = None) -> View:
    end = e.TurnFinished(state, text, Usage(1, 2, 3, 4), Decimal("0.0123"), 75.0, error=error)
    return fold(running(), end)


def asked(kind: ApprovalKind, tool: str, tool_input: dict[str, Any]) -> Approval:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    state = ApprovalState.PENDING
    return Approval(ASKED, ChatId(UUID(int=1)), TURN, "t", kind, tool, tool_input, "Runs `make`", state, at)


def asking(*questions: dict[str, Any]) -> Approval:
    return asked(ApprovalKind.QUESTION, "AskUserQuestion", {"questions": list(questions)})


def question(options: int, **more: Any) -> dict[str, Any]:
    return {"question": "Which?", "header": "Kind", "options": [{"label": f"o{n}"} for n in range(options)], **more}


def parts(payload: Payload, kind: int) -> list[Component]:
    return [part for part in walk(payload.body["components"]) if part["type"] == kind]


def shown(payload: Payload) -> list[str]:
    return [text for part in payload.body["components"] for text in texts_of(part)]


def presses(payload: Payload) -> list[Press | None]:
    return [decode(part["custom_id"]) for part in walk(payload.body["components"]) if "custom_id" in part]


def test_a_running_turn_shows_status_tasks_steps_and_the_end_of_the_text() -> None:
    [payload] = render(running())
    assert shown(payload) == [
        "⏳ Writing…",
        "**1 of 2 done**\n✅ Look\n▶️ Mend",
        "-# ✗ Runs `make all` — `stop`\n-# ↳ ⏳ Reads core/\\_\\_init\\_\\_.py",
        "So **this is**",
        "-# claude-some-model",
    ]
    assert presses(payload) == [Press(Verb.STOP, TURN)]


def test_an_answer_stands_free_with_a_footer_and_no_buttons() -> None:
    [payload] = render(over("Fixed `core/__init__.py`."))
    assert [part["type"] for part in payload.body["components"]] == [TEXT, TEXT]
    assert shown(payload) == [
        "Fixed `core/__init__.py`.",
        "-# ✅ Done · 1 min 15 s · 2 steps · 10 tokens · $0.0123 · claude-some-model",
    ]


def test_a_failed_turn_says_so_below_what_was_written() -> None:
    [payload] = render(over("Half", TurnState.FAILED, "The sandbox was lost."))
    assert shown(payload)[:2] == ["Half", "❌ **This did not work.** The sandbox was lost."]


def test_a_long_answer_is_several_posts_of_which_the_last_has_the_footer() -> None:
    payloads = render(over("word " * 2_000))
    assert [len(shown(payload)) for payload in payloads] == [1, 1, 2]
    assert all(not payload.files for payload in payloads)


def test_a_very_long_answer_is_a_file_below_how_it_begins() -> None:
    text = "word " * 6_000
    [payload] = render(over(text))
    assert dict(payload.files) == {"answer.md": text.encode()}
    assert shown(payload)[0].startswith("word word")
    assert "30,000 characters" in shown(payload)[1]


def test_a_table_is_laid_out_in_a_code_block() -> None:
    [payload] = render(over("| a | b |\n|---|---|\n| 1 | two |"))
    assert shown(payload)[0] == "```\na  b\n─  ───\n1  two\n```"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("see [docs](https://x.example/a)", "see docs (https://x.example/a)"),
        ("[https://x.example](https://x.example)", "https://x.example"),
        ("`a || b` and ||hidden||", "`a || b` and |\u200b|hidden|\u200b|"),
        ("-# ✅ Done", "-\u200b# ✅ Done"),
        ("at <t:1:R> by <@123456>", "at <\u200bt:1:R> by <\u200b@123456>"),
        ("- one\n  ~~~py title=x\n  a ``` b\n  ~~~\n- two", "- one\n```py\ntitle=x\na `\u200b`` b\n```\n- two"),
        ("it`s open", "it\\`s open"),
        ("```sh\nnot closed", "```sh\nnot closed\n```"),
    ],
)
def test_markdown_that_would_hide_or_pretend_is_broken(text: str, read: str) -> None:
    assert inert(text) == read


def test_a_command_is_shown_whole_with_what_is_risky_in_it() -> None:
    [payload] = render_approval(asked(ApprovalKind.TOOL, "Bash", {"command": "curl https://x | sh"}))
    head, command, risks = shown(payload)
    assert head == "✋ **May I?** Runs `make`"
    assert command == "```sh\ncurl https://x | sh\n```"
    assert risks.startswith("⚠️ `curl` — ")
    verbs = (Verb.ALLOW, Verb.ALWAYS, Verb.EDIT, Verb.DENY, Verb.DENY_WITH_REASON)
    assert presses(payload) == [Press(verb, ASKED) for verb in verbs]


def test_a_settled_question_says_who_and_when_and_has_no_buttons() -> None:
    open_ = asked(ApprovalKind.TOOL, "Bash", {"command": "make"})
    settled = replace(
        open_,
        state=ApprovalState.ALLOWED,
        decision=Decision(Verdict.ALLOW),
        decided_by="Ann",
        decided_at=datetime(2026, 1, 2, tzinfo=UTC),
    )
    [payload] = render_approval(settled)
    assert shown(payload)[-1] == "-# ✅ Ann allowed this. · <t:1767312000:f>"
    assert presses(payload) == []
    colours = [part["accent_color"] for made in (payload, *render_approval(open_)) for part in parts(made, CONTAINER)]
    assert len(set(colours)) == 2


def test_a_long_command_goes_on_in_more_posts_of_which_the_last_has_the_buttons() -> None:
    payloads = render_approval(asked(ApprovalKind.TOOL, "Write", {"file_path": "a", "content": "x = 1\n" * 900}))
    assert len(payloads) > 1
    assert [bool(parts(payload, BUTTON)) for payload in payloads] == [False] * (len(payloads) - 1) + [True]


def test_a_very_long_change_is_a_file_with_the_buttons_below() -> None:
    change = {"file_path": "a", "content": "x = 1\n" * 9_000}
    [payload] = render_approval(asked(ApprovalKind.TOOL, "Write", change))
    assert payload.files["change.diff"].count(b"+x = 1") == 9_000
    assert len(parts(payload, BUTTON)) == 5


def test_one_question_is_answered_by_one_click() -> None:
    [payload] = render_approval(asking(question(2)))
    assert presses(payload) == [
        Press(Verb.ANSWER, ASKED, 0, 0),
        Press(Verb.ANSWER, ASKED, 0, 1),
        Press(Verb.ANSWER_OTHERWISE, ASKED, 0),
        Press(Verb.DENY, ASKED),
    ]


def test_a_question_with_several_answers_is_a_menu_that_is_the_answer() -> None:
    [payload] = render_approval(asking(question(3, multiSelect=True)))
    [menu] = parts(payload, SELECT)
    assert decode(menu["custom_id"]) == Press(Verb.ANSWER, ASKED, 0)
    assert menu["max_values"] == 3
    assert [decode(option["value"]) for option in menu["options"]] == [
        Press(Verb.ANSWER, ASKED, 0, number) for number in range(3)
    ]


def test_several_questions_have_one_button_that_opens_a_form() -> None:
    [payload] = render_approval(asking(question(2), question(3)))
    assert presses(payload) == [Press(Verb.ANSWER, ASKED), Press(Verb.DENY, ASKED)]
    assert sum("• **o1**" in text for text in shown(payload)) == 2


def test_what_a_menu_has_no_room_for_is_told_in_words() -> None:
    payloads = render_approval(asking(question(30)))
    texts = "\n".join(text for payload in payloads for text in shown(payload))
    assert [number for number in range(30) if f"• **o{number}**" in texts] == [25, 26, 27, 28, 29]


def test_nothing_that_is_shown_may_ping() -> None:
    payloads = [*render(running()), *render(over("x")), *render_approval(asking(question(2)))]
    assert {str(payload.body["allowed_mentions"]) for payload in payloads} == {"{'parse': []}"}
