import csv
import io
from decimal import Decimal

import pytest

from bots.web.chart import Bar, bars
from bots.web.usage import csv_of
from core.domain.turn import Usage
from core.ports import Spent


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"])
def test_no_name_is_a_formula_in_a_spreadsheet(name: str) -> None:
    rows = list(
        csv.reader(io.StringIO(csv_of("person", [Spent(name, 1, Usage(1, 2, 3, 4), Decimal("0.5"))]), newline=""))
    )
    assert rows[1] == [f"'{name}", "1", "1", "2", "3", "4", "0.5"]


def test_a_name_with_quotes_commas_and_lines_is_one_field() -> None:
    name = 'Ann, "the\nfirst"'
    rows = list(csv.reader(io.StringIO(csv_of("person", [Spent(name, 1, Usage(), Decimal("1e-7"))]), newline="")))
    assert rows[1][0] == name
    assert rows[1][-1] == "0.0000001"


def test_bars_are_as_high_as_their_values_and_their_words_are_text() -> None:
    drawn = str(bars([Bar(Decimal(2), "a", "<b>"), Bar(Decimal(1), "b", "y"), Bar(Decimal(0), "c", "z")], '"t', "most"))
    heights = [part.split('"')[0] for part in drawn.split(' height="')[1:]]
    assert heights == ["140.0", "70.0", "0.0"]
    assert "<b>" not in drawn
    assert 'aria-label="&#34;t"' in drawn
    assert "style" not in drawn


def test_nothing_spent_is_no_chart() -> None:
    assert bars([Bar(Decimal(0), "a", "a")], "t", "m") == ""
    assert bars([], "t", "m") == ""
