"""Cutting, closing and laying out Markdown."""

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wcwidth import wcswidth

from core.surfaces.markdown import MIN_LIMIT, balance, fence_after, fenced, neutralise_mentions, split
from core.surfaces.tables import tables
from tests.steady import steady

FENCE_LINE = re.compile(r"(?m)^ {0,3}(`{3,}|~{3,})[^\n]*$")


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def bare(text: str) -> str:
    """The text without fence lines and white space: what must survive any cutting."""
    return re.sub(r"\s+", "", FENCE_LINE.sub("", text))


words = st.text(alphabet=st.sampled_from("abcdeé🎉👩🏽‍💻 .,-_*`()~#é"), max_size=40)
lines = st.one_of(
    words,
    st.just(""),
    st.sampled_from(["```python", "```", "~~~", "````", "x" * 150, "- item", "```js title", "| a | b |"]),
)
texts = st.lists(lines, max_size=40).map("\n".join)
measures = st.sampled_from([len, utf16])


@steady
@given(texts, st.integers(MIN_LIMIT, 400), measures)
@example("```py\n" + "x" * 200 + "\n```", 60, len)
@example("a\n" * 30 + "```\n" + "b\n" * 60 + "```\nend", 50, len)
def test_no_piece_is_over_its_limit(text: str, limit: int, length: Callable[[str], int]) -> None:
    for piece in split(text, limit, length=length):
        assert length(piece) <= limit
        assert piece.strip()


@steady
@given(texts, st.integers(MIN_LIMIT, 400), measures)
def test_the_pieces_together_hold_the_whole_text_in_order(text: str, limit: int, length: Callable[[str], int]) -> None:
    assert bare("\n".join(split(text, limit, length=length))) == bare(text)


@steady
@given(st.text(max_size=2000), st.integers(MIN_LIMIT, 400))
def test_any_text_at_all_is_kept_but_for_white_space(text: str, limit: int) -> None:
    assert bare("\n".join(split(text, limit))) == bare(text)


@steady
@given(texts, st.integers(100, 400))
def test_every_piece_closes_the_code_it_opens(text: str, limit: int) -> None:
    pieces = split(text, limit)
    for piece in pieces[:-1]:
        assert fence_after(piece) is None
    if fence_after(text.strip()) is None and pieces:
        assert fence_after(pieces[-1]) is None


@steady
@given(texts, st.integers(200, 400), st.integers(MIN_LIMIT, 199))
def test_the_first_piece_has_a_limit_of_its_own(text: str, limit: int, first: int) -> None:
    pieces = split(text, limit, first=first)
    assert not pieces or len(pieces[0]) <= first
    assert all(len(piece) <= limit for piece in pieces)


def test_a_text_that_fits_is_one_piece_and_unchanged() -> None:
    text = "Hello **you**.\n\n```py\nprint(1)\n```\n\n- a\n- b"
    assert split(text, 2000) == [text]


def test_an_empty_text_has_no_pieces() -> None:
    assert split(" \n\n ", 100) == []


def test_a_limit_too_small_for_text_is_refused() -> None:
    with pytest.raises(ValueError, match="limit"):
        split("text", MIN_LIMIT - 1)


def test_a_cut_block_is_opened_again_in_its_language() -> None:
    text = "Look:\n\n```python\n" + "\n".join(f"line_{number} = {number}" for number in range(40)) + "\n```\n\nDone."
    pieces = split(text, 150)
    assert len(pieces) > 3
    assert all(piece.startswith("```python\n") for piece in pieces[1:-1])
    assert all(piece.endswith("\n```") for piece in pieces[:-1])
    assert pieces[-1].endswith("Done.")
    assert "line_39 = 39" in pieces[-1]


def test_a_cut_prefers_the_paragraph_then_the_line_then_the_word() -> None:
    assert split("a" * 60 + "\n\n" + "b " * 40, 100)[0] == "a" * 60
    assert split("a" * 60 + "\n" + "b" * 80, 100)[0] == "a" * 60
    assert split("One sentence that is here. " * 6, 100)[0].endswith("here.")
    assert split("word " * 60, 98)[0].endswith("word")


def test_a_short_block_is_moved_whole_to_the_next_piece() -> None:
    text = "p" * 70 + "\n\n```sh\nls\npwd\nwhoami\nid\nuname\n```"
    assert split(text, 100) == ["p" * 70, "```sh\nls\npwd\nwhoami\nid\nuname\n```"]


def test_no_person_of_a_family_is_cut_off() -> None:
    family = "👩‍👩‍👧‍👦"
    for piece in split(family * 40, 50):
        assert piece.replace(family, "") == ""


def test_no_flag_is_cut_in_two_when_measured_in_utf_16() -> None:
    for piece in split("🇩🇪" * 60, 50, length=utf16):
        assert piece.replace("🇩🇪", "") == ""


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("plain", "plain"),
        ("```py\nx = 1", "```py\nx = 1\n```"),
        ("```py\nx = 1\n", "```py\nx = 1\n```"),
        ("text\n```py", "text"),
        ("```py", ""),
        ("```py\nx\n```", "```py\nx\n```"),
        ("run `ls -l", "run `ls -l`"),
        ("run `", "run "),
        ("some **bold", "some **bold**"),
        ("some **bold**", "some **bold**"),
        ("`a ** b` done", "`a ** b` done"),
        ("~~~\nx", "~~~\nx\n~~~"),
    ],
)
def test_a_streaming_tail_is_closed(text: str, closed: str) -> None:
    assert balance(text) == closed


@steady
@given(texts)
def test_a_balanced_text_has_no_open_code_block(text: str) -> None:
    assert fence_after(balance(text)) is None


@pytest.mark.parametrize("text", ["@everyone", "hi @here!", "@Everyone", "<@U12345678>", "<@123456789012345678>", "<@!123456789012345678>", "<@&123456789012345678>", "<!channel>", "<!here|here>", "<!subteam^S123>", "<#C12345678|general>", "x@everyone"])  # fmt: skip
def test_a_mention_no_longer_acts_and_still_reads_the_same(text: str) -> None:
    made = neutralise_mentions(text)
    assert made != text
    assert made.replace("\u200b", "") == text
    assert not re.search(r"@(everyone|here|channel)|<[@!#]", made, re.IGNORECASE)


@pytest.mark.parametrize("text", ["ann@example.org", "bob@here.com", "List<@NonNull T>", "@decorator", "a < b", "@hereby", "<!-- x -->", "<!DOCTYPE html>"])  # fmt: skip
def test_addresses_and_code_are_left_alone(text: str) -> None:
    assert neutralise_mentions(text) == text


def test_nothing_within_a_block_can_close_it() -> None:
    made = fenced("a\n```\nb\n````\nc", "py")
    assert made.startswith("```py\n")
    assert made.endswith("\n```")
    assert "```" not in made[5:-3]
    assert made.replace("\u200b", "") == "```py\na\n```\nb\n````\nc\n```"


TABLE = "Before\n\n| Name | Count |\n|:-----|------:|\n| **apples** | 3 |\n| `pears` and\\|or 梨 | 12 |\n\nAfter"


def test_a_table_becomes_a_monospace_block() -> None:
    assert tables(TABLE, 60) == (
        "Before\n\n```\nName             Count\n───────────────  ─────\napples           3\npears and|or 梨  12\n```\n\nAfter"
    )


def test_a_wide_table_is_wrapped_within_the_width() -> None:
    text = "| One | Two |\n|---|---|\n| " + "long words here " * 5 + "| " + "x" * 50 + " |"
    made = tables(text, 40)
    assert all(wcswidth(line) <= 40 for line in made.split("\n"))
    assert bare(made).count("x") == 50
    assert made.count("long") == 5


def test_a_table_with_more_columns_than_fit_becomes_records() -> None:
    head = "|" + "|".join(f"c{number}" for number in range(12)) + "|"
    made = tables(head + "\n|" + "---|" * 12 + "\n|" + "|".join(f"v{number}" for number in range(12)) + "|", 40)
    assert "c11: v11" in made


@pytest.mark.parametrize(
    "text", ["a | b\nc | d", "```\n| a | b |\n|---|---|\n| 1 | 2 |\n```", "| a |\n| - | - |", "- | -"]
)
def test_what_is_no_table_is_left_alone(text: str) -> None:
    assert tables(text, 40) == text


@steady
@given(
    st.lists(st.lists(words.filter(lambda word: "|" not in word), min_size=2, max_size=4), min_size=2, max_size=5),
    st.integers(30, 80),
)
def test_no_cell_of_a_table_is_lost(rows: list[list[str]], width: int) -> None:
    rows = [["h" + cell.replace("`", "").replace("*", "").replace("_", "") for cell in row] for row in rows]
    columns = len(rows[0])
    rows = [(row + ["h"] * columns)[:columns] for row in rows]
    text = "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], ["---"] * columns, *rows[1:]])
    made = tables(text, width)
    for row in rows:
        for cell in row:
            for char in re.sub(r"\s", "", cell):
                assert char in made
    assert made.count("h") >= sum(cell.count("h") for row in rows for cell in row)
