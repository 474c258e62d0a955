"""Whatever text there is: Discord takes the posts, they hold all of it in order, and nothing in it acts."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.domain import events as e
from core.domain.approval import Approval, ApprovalId, ApprovalKind
from core.domain.chat import ChatId
from core.domain.describe import visible
from core.domain.states import ApprovalState, TurnState
from core.domain.turn import TurnId, Usage
from core.domain.view import ShownStep, StepState, View, fold
from core.ports import Payload
from core.surfaces.discord.approvals import render_approval
from core.surfaces.discord.components import texts_of, units, walk
from core.surfaces.discord.escaping import cleaned, escape, inert
from core.surfaces.discord.pieces import pieces
from core.surfaces.discord.plainly import classic, plainly, unattached
from core.surfaces.discord.render import render
from core.surfaces.markdown import ZERO_WIDTH
from core.surfaces.presses import decode
from tests.doubles.discord.content_rules import Upload, check_message
from tests.steady import steady

# The texts are meant to be long.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
TURN = TurnId(UUID(int=1))
CONTROL = ["<@123456789>", "<@!1>", "<@&123456789>", "<#123456789>", "<:smile:12345>", "<a:b:1>", "<t:1700000000:R>"]
CONTROL += ["</stop:123>", "<id:guide>", "<discord://open>", "@everyone", "@here now", "ann@example.com", "a<b>c"]
CODE = ["```", "~~~", "````", "`", "``", "`<@1>`", "\\`", "\\\\", "\\", "    ```", "> ```", "```x```", "- `"]
LANGUAGES = ["```python", "~~~sh", "```c++ title=1", "```{r}"]
LINKS = [
    "[bank](https://evil.example)",
    "![pixel](https://evil.example/?q=secret)",
    "[a [b]](https://evil.example)",
    "[`b`](https://evil.example)",
    "[x](<https://evil.example> 'title')",
    "<https://fine.example>",
    "https://fine.example/a_b(c)",
    "https://a.example/[x](https://evil.example)",
]
HIDING = ["||spoiler||", "|", "-# ✅ Done · 3 steps", "> -# small", "- -# small", "# big", ">>> quote", "**", "__"]
TABLE = ["| a | b |", "|---|:-:|", "| 1 | x\\|y |", "a | b", "-|-"]
LONG = ["x" * 40_000, "🎉" * 15_000, "word, " * 3_000, "`" * 5_000, "[" * 20_000, "<" * 20_000, "```" + "y" * 15_000]

words = st.text(alphabet=st.sampled_from("abcé🎉👩🏽‍💻 .,-_*`()[]<>~#&!@\\\"'\x00\x1b\u202e\ud800\r\t"), max_size=30)
fragments = st.one_of(words, st.sampled_from([*CONTROL, *CODE, ""]))
anything = st.one_of(fragments, st.sampled_from([*LANGUAGES, *LINKS, *HIDING, *TABLE]))


def texts(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    line = st.lists(parts, max_size=4).map("".join)
    most = st.lists(line, max_size=25)
    return st.one_of(
        most, st.tuples(most, st.sampled_from(LONG), most).map(lambda three: [*three[0], three[1], *three[2]])
    ).map("\n".join)


def over(text: str) -> View:
    return fold(View(turn_id=TURN), e.TurnFinished(TurnState.DONE, text, Usage(), Decimal(0), 1.0))


def shown_of(payload: Payload) -> list[str]:
    return [text for part in payload.body["components"] for text in texts_of(part)]


def must_be_taken(payloads: Sequence[Payload]) -> None:
    assert payloads
    for payload in payloads:
        for form in (payload, plainly(payload), classic(payload), unattached(payload)):
            uploads = [Upload(number, name, data) for number, (name, data) in enumerate(form.files.items())]
            assert check_message(form.body, uploads) == []
            assert form.body["allowed_mentions"] == {"parse": []}
        assert sum(map(units, shown_of(payload))) <= 4_000
        ids = [part["custom_id"] for part in walk(payload.body["components"]) if "custom_id" in part]
        assert None not in map(decode, ids)


def must_be_inert(payloads: Sequence[Payload]) -> None:
    for payload in payloads:
        for text in shown_of(payload):
            ours = re.sub(r"(?m)^-# ", "", text) if text.startswith("-# ") else text
            assert acting(re.sub(r" · <t:\d+:f>$", "", ours)) == []


def acting(text: str) -> list[str]:
    """What a text hides, pretends or does, as Discord reads it: see `rules` in its client, made with simple-markdown."""
    prose, at = "", 0
    while at < len(text):
        if found := re.compile(r"\\[^0-9A-Za-z\s]").match(text, at):
            prose += "\x01"
        elif (found := CODE_BLOCK.match(text, at)) or (found := INLINE.match(text, at)):
            prose += "\x02"
        else:
            prose += text[at]
            at += 1
            continue
        at = found.end()
    return [found[0] for found in ACTING.finditer(prose)]


CODE_BLOCK = re.compile(r"```(?:[A-Za-z0-9_+\-.#]+?\n)?\n*[^\n][\s\S]*?\n*```")
INLINE = re.compile(r"(`+)[\s\S]*?[^`]\1(?!`)")
ACTING = re.compile(
    r"\]\(|\|\||(?m:^)[ \t>*+\d.-]*-#|<(?:@[!&]?\d+|\#\d+|a?:\w+:\d+|t:\d+|/\w+:|id:|(?!https?:|mailto:)\w+:)|@(?:everyone|here)\b|```"
)


def letters(text: str) -> str:
    """What must survive any cutting and escaping."""
    return re.sub(r"[\s`~\\]", "", cleaned(text).replace(ZERO_WIDTH, ""))


@steady
@given(texts(anything))
@example("[" * 20_000 + "](https://evil.example)")
@example("\\`[x](https://evil.example)`")
@example("`\n>[bank](https://evil.example)`")
@example("> `a\n[bank](https://evil.example)`")
@example("```\n\n```\n[x](https://evil.example)\n```\ncode\n```")
@example("it`s\n\n```\necho `date`\n```\n[x](https://evil.example)")
@example("`" + "a " * 4_000 + "[x](https://evil.example)`")
def test_a_final_answer_fits_and_does_nothing(text: str) -> None:
    payloads = render(over(text))
    must_be_taken(payloads)
    must_be_inert(payloads)
    for piece in pieces(text, 1_000):
        assert units(piece) <= 1_000
        assert acting(piece) == []


@steady
@given(texts(fragments))
@example("```python\n" + "x = 1\n" * 900 + "```")
def test_a_final_answer_is_whole_and_in_order(text: str) -> None:
    payloads = render(over(text))
    files = [data.decode() for payload in payloads for data in payload.files.values()]
    shown = [words for payload in payloads for words in shown_of(payload) if not words.startswith("-# ✅ Done")]
    if letters(text):
        assert letters("\n".join(files or shown)).replace("python", "") == letters(text).replace("python", "")


@steady
@given(texts(anything), texts(anything))
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
@given(texts(anything), st.sampled_from(list(ApprovalState)), texts(anything))
def test_a_question_fits_does_nothing_and_shows_the_whole_command(text: str, state: ApprovalState, told: str) -> None:
    approval = asked(ApprovalKind.TOOL, "Bash", {"command": text}, state, told)
    payloads = render_approval(approval)
    must_be_taken(payloads)
    must_be_inert(payloads)
    if files := [data for payload in payloads for data in payload.files.values()]:
        assert files == [text.encode("utf-8", "replace")]
    elif text.strip():
        blocks = [words for payload in payloads for words in shown_of(payload) if words.startswith("```sh\n")]
        shown = "".join(block.removeprefix("```sh\n").removesuffix("\n```") for block in blocks)
        assert shown.replace(ZERO_WIDTH, "").replace("\n", "") == visible(text).replace("\n", "")


@steady
@given(texts(anything), st.booleans(), st.integers(0, 30), st.integers(1, 6))
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
@given(texts(anything))
def test_making_inert_twice_changes_no_more(text: str) -> None:
    once = inert(text)
    assert acting(once) == []
    assert inert(once) == once


@steady
@given(texts(anything))
def test_escaped_text_reads_as_it_was_written(text: str) -> None:
    text = text.replace("`", "").replace("://", "")
    read = re.sub(r"\\([^0-9A-Za-z\s])", r"\1", escape(text)).replace(ZERO_WIDTH, "")
    assert read == cleaned(text)
    assert acting(escape(text)) == []


@steady
@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(0, 300), st.integers(400, 900))
def test_a_cut_table_has_its_header_again_and_every_row_once(rows: list[int], before: int, limit: int) -> None:
    body = [f"| r{number} | {'v' * size} |" for number, size in enumerate(rows)]
    made = pieces("\n".join(["b" * before, "", "| name | value |", "|------|-------|", *body, "", "After."]), limit)
    names = [line.split()[0] for piece in made for line in piece.split("\n") if re.match(r"r\d", line)]
    assert names == [f"r{number}" for number in range(len(rows))]
    for piece in made:
        assert units(piece) <= limit
        assert len(re.findall(r"(?m)^```$", piece)) == 2 * len(re.findall(r"(?m)^name  +value", piece))


@pytest.mark.parametrize("size", range(3_300, 4_000, 20))
def test_an_answer_leaves_room_for_what_stands_below_it(size: int) -> None:
    view = fold(View(turn_id=TURN), e.Noticed("n" * 500))
    end = e.TurnFinished(TurnState.FAILED, "x" * size, Usage(1, 2, 3, 4), Decimal(1), 1.0, error="e_" * 5_000)
    must_be_taken(render(fold(view, end)))


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
