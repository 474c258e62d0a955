"""Cleaning what people say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.message import MAX_CHARS, clean
from core.errors import BadInput
from tests.steady import steady


@steady
@given(st.text(min_size=1))
def test_a_cleaned_text_can_be_stored_and_sent_and_cleaning_it_again_changes_nothing(text: str) -> None:
    try:
        cleaned = clean(text)
    except BadInput:
        return
    cleaned.encode("utf-8")
    assert "\x00" not in cleaned
    assert cleaned.strip() == cleaned != ""
    assert clean(cleaned) == cleaned


def test_line_breaks_become_one_kind_and_tabs_stay() -> None:
    assert clean(" a\r\nb\rc\td \n") == "a\nb\nc\td"


def test_emoji_and_other_scripts_are_kept() -> None:
    assert clean("👩‍👩‍👧 données 梨") == "👩‍👩‍👧 données 梨"


@pytest.mark.parametrize("text", ["", "  \n ", "\x00", "\ud800"])
def test_a_text_that_says_nothing_is_refused_unless_it_brings_files(text: str) -> None:
    with pytest.raises(BadInput, match="no text"):
        clean(text)
    assert clean(text, has_files=True) == ""


def test_a_text_too_long_is_refused_with_its_length_and_a_mend() -> None:
    assert len(clean("x" * MAX_CHARS)) == MAX_CHARS
    with pytest.raises(BadInput, match=r"400,001 characters.*as a file"):
        clean("x" * (MAX_CHARS + 1))
