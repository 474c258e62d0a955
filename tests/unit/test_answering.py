"""Which key settles a question, and how."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from bots.console.answering import Answering, Typing
from core.domain.approval import Approval, ApprovalId, ApprovalKind, Verdict
from core.domain.chat import ChatId
from core.domain.states import ApprovalState
from core.domain.turn import TurnId


def _asked(kind: ApprovalKind, tool: str, given: dict[str, Any]) -> Answering:
    return Answering(
        Approval(
            id=ApprovalId(uuid4()),
            chat_id=ChatId(uuid4()),
            turn_id=TurnId(uuid4()),
            tool_use_id="t1",
            kind=kind,
            tool=tool,
            input=given,
            line="",
            state=ApprovalState.PENDING,
            asked_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
    )


@pytest.fixture
def command() -> Answering:
    return _asked(ApprovalKind.TOOL, "Bash", {"command": "make", "timeout": 5})


@pytest.fixture
def choice() -> Answering:
    options = [{"label": label, "description": ""} for label in ("Red", "Blue")]
    questions = [
        {"question": "Which?", "header": "", "options": options, "multiSelect": False},
        {"question": "And?", "header": "", "options": options, "multiSelect": True},
    ]
    return _asked(ApprovalKind.QUESTION, "AskUserQuestion", {"questions": questions})


@pytest.mark.parametrize(
    ("key", "verdict"),
    [("a", Verdict.ALLOW), ("y", Verdict.ALLOW), ("A", Verdict.ALWAYS), ("d", Verdict.DENY), ("n", Verdict.DENY)],
)
def test_one_key_decides_a_command(command: Answering, key: str, verdict: Verdict) -> None:
    decision = command.key(key).decision
    assert decision is not None
    assert decision.verdict is verdict


def test_other_keys_decide_nothing(command: Answering) -> None:
    for key in "qxYD0159 ":
        assert command.key(key) == command


def test_a_denial_takes_its_reason(command: Answering) -> None:
    asked = command.key("r")
    assert (asked.typing, asked.decision) == (Typing.REASON, None)
    decision = asked.typed(" Not today. ").decision
    assert decision is not None
    assert (decision.verdict, decision.reason) == (Verdict.DENY, "Not today.")


def test_an_edited_command_keeps_the_rest_of_the_input(command: Answering) -> None:
    asked = command.key("e")
    assert asked.prefill == "make"
    decision = asked.typed("make test").decision
    assert decision is not None
    assert decision.updated_input == {"command": "make test", "timeout": 5}


def test_an_edit_that_changes_nothing_is_a_plain_yes(command: Answering) -> None:
    decision = command.key("e").typed("make").decision
    assert decision is not None
    assert (decision.verdict, decision.updated_input) == (Verdict.ALLOW, None)


def test_an_edit_that_is_no_json_is_asked_for_again() -> None:
    asked = _asked(ApprovalKind.TOOL, "Write", {"file_path": "a", "content": "b"}).key("e").typed("{")
    assert (asked.typing, asked.prefill, asked.decision) == (Typing.EDIT, "{", None)


def test_questions_are_answered_one_after_another(choice: Answering) -> None:
    second = choice.key("2")
    assert second.decision is None
    assert second.key("enter") == second, "nothing is picked yet"
    decision = second.key("1").key("2").key("1").key("enter").decision
    assert decision is not None
    assert decision.answers == {"Which?": "Blue", "And?": "Blue"}


def test_an_answer_of_ones_own(choice: Answering) -> None:
    asked = choice.key("o")
    assert asked.typing is Typing.ANSWER
    decision = asked.typed("Green").key("o").typed("").decision
    assert decision is not None
    assert decision.answers == {"Which?": "Green", "And?": "No answer."}


def test_a_plan_is_approved_with_or_without_edits_or_sent_back() -> None:
    plan = _asked(ApprovalKind.PLAN, "ExitPlanMode", {"plan": "# Do"})
    for key, verdict in (("a", Verdict.ALLOW), ("A", Verdict.ACCEPT_EDITS)):
        decision = plan.key(key).decision
        assert decision is not None
        assert decision.verdict is verdict
    assert plan.key("k").typing is Typing.REASON
