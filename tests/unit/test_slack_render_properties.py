"""Whatever text there is: Slack takes the posts, they hold all of it in order, and nothing in it acts."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from core.domain import events as e
from core.domain.approval import Approval, ApprovalId, ApprovalKind
from core.domain.chat import ChatId
from core.domain.describe import visible
from core.domain.states import ApprovalState, TurnState
from core.domain.turn import TurnId, Usage
from core.domain.view import ShownStep, StepState, View, fold
from core.ports import Payload
from core.surfaces.slack.approvals import render_approval
from core.surfaces.slack.blocks import texts_of, units
from core.surfaces.slack.escaping import cleaned, inert
from core.surfaces.slack.pieces import pieces
from core.surfaces.slack.plainly import plainly
from core.surfaces.slack.render import render
from tests.contracts.surfaces import bare
from tests.doubles.slack.block_rules import check_blocks
from tests.doubles.slack.posting import pings_in
from tests.steady import steady as slow_to_shrink

# The texts are meant to be long.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
# They would take minutes to be made short again for a test that fails.
steady = settings(slow_to_shrink, phases=[Phase.explicit, Phase.generate])
TURN = TurnId(UUID(int=1))
MENTIONS = ["<!channel>", "<!here|x>", "<@U0123ABCD>", "<@W0123ABCD|ann>", "<!subteam^S0123ABCD>", "<#C0123ABCD|all>"]
LIKE_MENTIONS = ["@everyone", "@here now", "&lt;!channel&gt;", "ann@example.com", "List<@NonNull T> x", "a<b>c"]
CODE = ["```", "```python", "~~~", "````", "`", "``", "`<!here>`", "\\`", "    indented <@U0123ABCD>"]
LINKS = [
    "[bank](https://evil.example)",
    "![pixel](https://evil.example/?q=secret)",
    "[a [b]](https://evil.example)",
    "[x](<https://evil.example> 'title')",
    '[x](https://evil.example "title")',
    "[x][ref]",
    "[ref]: https://evil.example",
    "<https://evil.example|https://bank.example>",
    "<slack://open|x>",
    "<https://fine.example>",
    "https://fine.example/a_b(c)",
]
TABLE = ["| a | b |", "|---|:-:|", "| 1 | x\\|y |", "a | b", "-|-"]
LONG = ["x" * 40_000, "🎉" * 15_000, "word, " * 3_000, "`" * 5_000, "[" * 20_000, "<" * 20_000, "```" + "y" * 15_000]

words = st.text(alphabet=st.sampled_from("abcé🎉👩🏽‍💻 .,-_*`()[]<>~#|&!@\\\"'\x00\x1b\u202e\ud800\r\t"), max_size=30)
fragments = st.one_of(words, st.sampled_from([*MENTIONS, *LIKE_MENTIONS, *CODE, *TABLE, ""]))
with_links = st.one_of(fragments, st.sampled_from(LINKS))


def texts(parts: st.SearchStrategy[str], long: Sequence[str] = LONG) -> st.SearchStrategy[str]:
    line = st.lists(parts, max_size=4).map("".join)
    few, one = st.lists(line, max_size=25), st.sampled_from(long)
    return st.one_of(few, st.tuples(few, one, few).map(lambda three: [*three[0], three[1], *three[2]])).map("\n".join)


def over(text: str) -> View:
    return fold(View(turn_id=TURN), e.TurnFinished(TurnState.DONE, text, Usage(), Decimal(0), 1.0))


def blocks_of(payloads: Sequence[Payload], kind: str | None = None) -> list[dict[str, Any]]:
    blocks = [block for payload in payloads for block in payload.body["blocks"]]
    return [block for block in blocks if kind in (None, block["type"])]


def must_be_taken(payloads: Sequence[Payload]) -> None:
    assert payloads
    for payload in payloads:
        check_blocks(payload.body["blocks"])
        check_blocks(plainly(payload.body)["blocks"])
        assert 0 < len(payload.body["text"].encode()) <= 4_000


def must_be_inert(payloads: Sequence[Payload]) -> None:
    for payload in payloads:
        assert pings_in(payload.body["text"], payload.body["blocks"]) == []
        assert not re.search(r"<(?!!date\^)", payload.body["text"])
        for block in payload.body["blocks"]:
            if block["type"] == "markdown":
                assert list(hidden_links(block["text"])) == []


def hidden_links(text: str) -> Iterator[str]:
    """Links that do not show where they lead, and pictures, as CommonMark reads a text."""
    for token in MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).parse(text):
        address = ""
        for child in token.children or ():
            if child.type == "image":
                yield str(child.attrs["src"])
            if child.type == "link_open":
                address = str(child.attrs["href"])
            elif child.type == "text" and address:
                if child.content not in address:
                    yield address
                address = ""


@steady
@given(texts(with_links))
@example("[" * 20_000 + "](https://evil.example)")
@example("\\`[x](https://evil.example)`")
@example("`\n>[bank](https://evil.example)`")
@example("- a\n  ```\nb [x](https://evil.example)\n```\nc\n```\n[x](https://evil.example)")
@example("a\n\n```\n[x](https://evil.example)\n```\n[y](https://evil.example)")
def test_a_final_answer_fits_and_does_nothing(text: str) -> None:
    payloads = render(over(text))
    must_be_taken(payloads)
    must_be_inert(payloads)


@steady
@given(texts(fragments, LONG[:-1]))  # what is cut off the first line of a code block counts as text, then
def test_a_final_answer_is_whole_and_in_order(text: str) -> None:
    shown = "\n".join(texts_of(blocks_of(render(over(text)), "markdown")))
    if cleaned(text).strip():
        assert bare(shown) == bare(cleaned(text))


@steady
@given(texts(with_links), texts(with_links))
def test_a_running_turn_fits_one_post_and_does_nothing(text: str, told: str) -> None:
    steps = tuple(
        ShownStep(str(n), "Bash", told[n * 5 :], StepState.FAILED, output=told, parent="x" if n % 2 else None)
        for n in range(9)
    )
    tasks = tuple(e.Task(str(n), told, "in_progress") for n in range(30))
    view = View(
        turn_id=TURN, status=told, model=told, tasks=tasks, steps=steps, texts=(told,), stream=text, notices=(told,) * 9
    )
    payloads = render(view)
    assert len(payloads) == 1
    must_be_taken(payloads)
    must_be_inert(payloads)


@steady
@given(texts(with_links), st.sampled_from(list(ApprovalState)), texts(with_links))
@example("🎉" * 15_000, ApprovalState.PENDING, "")
def test_a_question_fits_does_nothing_and_shows_the_whole_command(text: str, state: ApprovalState, told: str) -> None:
    approval = asked(ApprovalKind.TOOL, "Bash", {"command": text}, state, told)
    payloads = render_approval(approval)
    must_be_taken(payloads)
    must_be_inert(payloads)
    shown = "".join(texts_of(blocks_of(payloads, "rich_text")))
    if text:
        assert shown.replace("\n", "") == visible(text).replace("\n", "")


@settings(steady, max_examples=50)
@given(texts(with_links), st.booleans(), st.integers(0, 30), st.integers(1, 6))
def test_questions_and_plans_fit_and_do_nothing(text: str, is_multiple: bool, options: int, questions: int) -> None:
    question = {
        "question": text,
        "header": text,
        "multiSelect": is_multiple,
        "options": [{"label": f"{n}{text}", "description": text} for n in range(options)],
    }
    for approval in (
        asked(ApprovalKind.QUESTION, "AskUserQuestion", {"questions": [question] * questions}),
        asked(ApprovalKind.PLAN, "ExitPlanMode", {"plan": text}),
        asked(ApprovalKind.TOOL, "Edit", {"file_path": text, "old_string": text, "new_string": text[1:]}),
    ):
        payloads = render_approval(approval)
        must_be_taken(payloads)
        must_be_inert(payloads)


@steady
@given(texts(with_links))
def test_making_inert_twice_changes_no_more(text: str) -> None:
    once = inert(text)
    assert list(hidden_links(inert(once))) == []
    assert bare(inert(once)) == bare(once)


@steady
@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(80, 400))
def test_a_cut_table_has_its_header_again_and_every_row_once(rows: list[int], limit: int) -> None:
    head = ["| name | value |", "|------|-------|"]
    body = [f"| r{number} | {'v' * size} |" for number, size in enumerate(rows)]
    made = pieces("\n".join(["Before.", "", *head, *body, "", "After."]), max(limit, 110))
    assert [line for piece in made for line in piece.split("\n") if line.startswith("| r")] == body
    for piece in made:
        assert units(piece) <= max(limit, 110)
        lines = piece.split("\n")
        if any(line.startswith("| r") for line in lines):
            first = next(at for at, line in enumerate(lines) if line.startswith("| r"))
            assert lines[first - 2 : first] == head


def asked(
    kind: ApprovalKind,
    tool: str,
    tool_input: dict[str, Any],
    state: ApprovalState = ApprovalState.PENDING,
    told: str = "",
) -> Approval:
    return Approval(
        ApprovalId(UUID(int=7)),
        ChatId(UUID(int=1)),
        TURN,
        "t",
        kind,
        tool,
        tool_input,
        told or "Runs it",
        state,
        datetime(2026, 1, 2, tzinfo=UTC),
        why=told,
        decided_by=told or None,
        decided_at=None if state is ApprovalState.PENDING else datetime(2026, 1, 2, tzinfo=UTC),
    )
