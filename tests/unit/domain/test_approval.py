"""Questions and how their decisions read."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from core.domain.approval import (
    Approval,
    ApprovalId,
    ApprovalKind,
    Decision,
    Option,
    Question,
    Rule,
    Verdict,
    decided_words,
    questions_of,
)
from core.domain.chat import ChatId
from core.domain.states import ApprovalState

ASKED = Approval(
    id=ApprovalId(uuid4()),
    chat_id=ChatId(uuid4()),
    turn_id=uuid4(),
    tool_use_id="toolu_1",
    kind=ApprovalKind.TOOL,
    tool="Bash",
    input={"command": "ls"},
    line="Runs `ls`",
    state=ApprovalState.PENDING,
    asked_at=datetime.now(UTC),
)


def settled(state: ApprovalState, decision: Decision | None, by: str | None = "Ann") -> str:
    return decided_words(replace(ASKED, state=state, decision=decision, decided_by=by))


def test_only_a_denial_is_a_no() -> None:
    assert [verdict for verdict in Verdict if not verdict.is_yes] == [Verdict.DENY]


def test_an_open_question_has_no_words_of_a_decision() -> None:
    assert decided_words(ASKED) == ""


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (None, "Ann allowed this."),
        (Decision(Verdict.ALLOW), "Ann allowed this."),
        (Decision(Verdict.ALWAYS), "Ann allowed this, and the like in this thread."),
        (Decision(Verdict.ACCEPT_EDITS), "Ann approved the plan and accepts edits."),
        (Decision(Verdict.ALLOW, updated_input={"command": "ls -l"}), "Ann allowed this with changes."),
        (Decision(Verdict.ALLOW, answers={"Which?": "Red", "Why?": "Warm"}), "Ann answered: Red; Warm"),
    ],
)
def test_an_allowed_question_says_who_and_how(decision: Decision | None, words: str) -> None:
    assert settled(ApprovalState.ALLOWED, decision) == words


def test_a_denied_question_says_who_and_why() -> None:
    assert settled(ApprovalState.DENIED, Decision(Verdict.DENY)) == "Ann denied this."
    assert settled(ApprovalState.DENIED, Decision(Verdict.DENY, reason="too risky")) == "Ann denied this: too risky"


def test_a_question_settled_by_nobody_was_settled_by_a_rule_or_withdrawn() -> None:
    assert settled(ApprovalState.ALLOWED, None, None) == "A rule of this chat allowed this."
    assert settled(ApprovalState.WITHDRAWN, None, None) == "No longer needed."


def test_a_rule_is_written_as_the_agents_settings_write_it() -> None:
    assert str(Rule("Bash", "git status")) == "Bash(git status)"
    assert str(Rule("WebSearch")) == "WebSearch"


def test_questions_are_read_and_the_malformed_left_out() -> None:
    raw = {
        "questions": [
            {
                "question": "Which colour?",
                "header": "Colour",
                "multiSelect": True,
                "options": [{"label": "Red", "description": "warm"}, {"label": "Blue"}, {"description": "x"}, "odd"],
            },
            {"header": "no question"},
            "odd",
        ]
    }
    expected = Question("Which colour?", "Colour", (Option("Red", "warm"), Option("Blue")), is_multiple=True)
    assert questions_of(raw) == (expected,)
    assert questions_of({}) == ()
