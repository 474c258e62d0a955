"""What a question looks like in Slack, open and settled."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from core.domain.approval import Approval, ApprovalId, ApprovalKind, Decision, Verdict
from core.domain.chat import ChatId
from core.domain.states import ApprovalState
from core.surfaces.presses import Press, Verb, decode
from core.surfaces.slack.approvals import render_approval
from core.surfaces.slack.blocks import texts_of

ID = ApprovalId(UUID(int=5))
AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
COLOUR = {
    "question": "Which colour?",
    "header": "Colour",
    "options": [{"label": "Blue", "description": "like the sky"}, {"label": "Red"}],
}


def asked(kind: ApprovalKind, tool: str, tool_input: dict[str, Any], **more: Any) -> Approval:
    facts: dict[str, Any] = {"state": ApprovalState.PENDING} | more
    return Approval(
        ID, ChatId(UUID(int=1)), UUID(int=2), "t", kind, tool, tool_input, "Runs `it`", asked_at=AT, **facts
    )


def bash(command: str, **more: Any) -> Approval:
    return asked(ApprovalKind.TOOL, "Bash", {"command": command}, **more)


def posts(approval: Approval) -> list[list[dict[str, Any]]]:
    return [payload.body["blocks"] for payload in render_approval(approval)]


def words(blocks: list[dict[str, Any]]) -> str:
    return "\n".join(texts_of(blocks))


def elements(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for block in blocks if block["type"] == "actions" for one in block["elements"]]


def presses(blocks: list[dict[str, Any]]) -> list[Press | None]:
    return [decode(one["action_id"]) for one in elements(blocks)]


def test_a_command_is_shown_to_the_letter_with_every_way_to_answer() -> None:
    [blocks] = posts(bash("echo '<!channel>' ```\nls", why="It is `needed`"))
    assert blocks[1]["elements"][0]["elements"] == [{"type": "text", "text": "echo '<!channel>' ```\nls"}]
    assert "✋ *May I?* Runs `it`\nIt is `needed`" in words(blocks)
    assert presses(blocks)[:3] == [Press(verb, ID) for verb in (Verb.ALLOW, Verb.ALWAYS, Verb.DENY)]
    overflow = elements(blocks)[3]
    assert [decode(one["value"]) for one in overflow["options"]] == [
        Press(Verb.DENY_WITH_REASON, ID),
        Press(Verb.EDIT, ID),
    ]


def test_the_risky_parts_of_a_command_are_marked() -> None:
    [blocks] = posts(bash("cd /tmp && rm -rf /etc"))
    assert "⚠️ `rm -rf /etc` — " in words(blocks)


def test_characters_that_hide_are_shown() -> None:
    assert "\\u202e" in words(posts(bash("echo \u202e abc"))[0])


def test_a_long_command_is_whole_in_several_blocks_and_posts_and_the_last_has_the_buttons() -> None:
    command = "\n".join(f"echo {number}" for number in range(3_000))
    pages = posts(bash(command))
    assert len(pages) > 2
    shown = [text for page in pages for block in page if block["type"] == "rich_text" for text in texts_of(block)]
    assert "\n".join(shown) == command
    assert [bool(elements(page)) for page in pages] == [False] * (len(pages) - 1) + [True]


def test_an_edit_is_a_diff() -> None:
    edit = {"file_path": "/w/a.py", "old_string": "x = 1", "new_string": "x = 2"}
    shown = words(posts(asked(ApprovalKind.TOOL, "Edit", edit))[0])
    assert "-x = 1\n+x = 2" in shown


def test_one_question_is_answered_by_a_click() -> None:
    [blocks] = posts(asked(ApprovalKind.QUESTION, "AskUserQuestion", {"questions": [COLOUR]}))
    assert "*Colour* · Which colour?" in words(blocks)
    assert "• *Blue* — like the sky" in words(blocks)
    assert presses(blocks) == [
        Press(Verb.ANSWER, ID, 0, 0),
        Press(Verb.ANSWER, ID, 0, 1),
        Press(Verb.ANSWER_OTHERWISE, ID, 0),
        Press(Verb.DENY, ID),
    ]


def test_several_questions_are_a_form_with_a_button_to_send_it() -> None:
    several = {"questions": [COLOUR, COLOUR | {"multiSelect": True}]}
    [blocks] = posts(asked(ApprovalKind.QUESTION, "AskUserQuestion", several))
    menus = [one for one in elements(blocks) if "select" in one["type"]]
    assert [menu["type"] for menu in menus] == ["static_select", "multi_static_select"]
    assert [decode(menu["action_id"]) for menu in menus] == [Press(Verb.ANSWER, ID, 0), Press(Verb.ANSWER, ID, 1)]
    assert [decode(one["value"]) for one in menus[1]["options"]] == [
        Press(Verb.ANSWER, ID, 1, 0),
        Press(Verb.ANSWER, ID, 1, 1),
    ]
    assert [decode(block["block_id"]) for block in blocks if "block_id" in block] == [
        Press(Verb.ANSWER, ID, 0),
        Press(Verb.ANSWER, ID, 1),
    ]
    assert presses(blocks)[-2:] == [Press(Verb.ANSWER, ID), Press(Verb.DENY, ID)]


def test_a_plan_can_be_approved_in_two_ways_or_sent_back() -> None:
    [blocks] = posts(asked(ApprovalKind.PLAN, "ExitPlanMode", {"plan": "# Plan\n\n1. [Do](https://evil.example) it"}))
    assert blocks[1] == {"type": "markdown", "text": "# Plan\n\n1. Do (https://evil.example) it"}
    assert presses(blocks) == [Press(verb, ID) for verb in (Verb.ALLOW, Verb.ACCEPT_EDITS, Verb.DENY_WITH_REASON)]


def test_no_action_id_is_in_a_post_twice() -> None:
    for kind, tool_input in (
        (ApprovalKind.TOOL, {"command": "ls"}),
        (ApprovalKind.QUESTION, {"questions": [COLOUR] * 4}),
        (ApprovalKind.PLAN, {"plan": "x"}),
    ):
        [blocks] = posts(asked(kind, "Bash", tool_input))
        ids = [one["action_id"] for one in elements(blocks)]
        assert len(set(ids)) == len(ids)


def test_a_settled_question_says_who_and_when_and_has_no_buttons() -> None:
    for kind, tool_input in (
        (ApprovalKind.TOOL, {"command": "ls"}),
        (ApprovalKind.QUESTION, {"questions": [COLOUR]}),
        (ApprovalKind.PLAN, {"plan": "x"}),
    ):
        settled = {"decision": Decision(Verdict.ALLOW), "decided_by": "Ann <!here>", "decided_at": AT}
        [payload] = render_approval(asked(kind, "Bash", tool_input, state=ApprovalState.ALLOWED, **settled))
        assert elements(payload.body["blocks"]) == []
        end = words(payload.body["blocks"][-1:])
        assert end.startswith("✅ Ann &lt;\u200b!here&gt; allowed this. · <!date^1767323040^")
        assert end.endswith("|2026-01-02 03:04 UTC>")
        assert "allowed this" in payload.body["text"]


def test_a_question_that_is_no_longer_asked_says_so() -> None:
    [blocks] = posts(bash("ls", state=ApprovalState.WITHDRAWN))
    assert words(blocks[-1:]) == "➖ No longer needed."
