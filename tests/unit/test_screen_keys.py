"""The keys that may be pressed are all seen, however narrow the terminal is."""

import pytest
from rich.cells import cell_len

from bots.console.screen import keys

TOOL = "a allow once · A always in this chat · d deny · r deny with reason… · e edit…"


def test_keys_are_in_one_line_where_it_fits() -> None:
    assert keys(TOOL, len(TOOL)) == [TOOL]


def test_lines_are_broken_between_keys() -> None:
    assert keys(TOOL, 39) == [
        "a allow once · A always in this chat",
        "d deny · r deny with reason… · e edit…",
    ]


@pytest.mark.parametrize("width", range(1, 120))
def test_no_line_is_too_long_and_no_word_is_lost(width: int) -> None:
    lines = keys(TOOL, width)

    assert all(0 < cell_len(line) <= width for line in lines)
    assert "".join(" ".join(lines).split()).replace("·", "") == "".join(TOOL.split()).replace("·", "")


def test_a_key_wider_than_the_terminal_is_broken_at_a_space() -> None:
    assert keys("digits to pick, Enter to go on · d decline", 20) == ["digits to pick,", "Enter to go on", "d decline"]


def test_wide_letters_count_twice() -> None:
    assert keys("ああ · いい", 10) == ["ああ", "いい"]
    assert keys("ああ · いい", 11) == ["ああ · いい"]


def test_nothing_to_say_is_still_a_line() -> None:
    assert keys("", 39) == [""]
