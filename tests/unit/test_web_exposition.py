import re
from decimal import Decimal

import pytest

from bots.web.exposition import counter, gauge, histogram
from core.ports import Spread


def test_a_sample_has_its_help_and_type_before_it() -> None:
    text = gauge("threadwork_turns", "Turns under way.", [({"state": "running"}, 3), ({"state": "waiting"}, 0)])
    assert text.splitlines() == [
        "# HELP threadwork_turns Turns under way.",
        "# TYPE threadwork_turns gauge",
        'threadwork_turns{state="running"} 3',
        'threadwork_turns{state="waiting"} 0',
    ]


def test_buckets_add_up_and_end_with_all() -> None:
    text = histogram("a_seconds", "A.", [({"platform": "slack"}, Spread((0.5, 2), (1, 2, 4), 30.25))])
    assert text.splitlines()[2:] == [
        'a_seconds_bucket{platform="slack",le="0.5"} 1',
        'a_seconds_bucket{platform="slack",le="2"} 3',
        'a_seconds_bucket{platform="slack",le="+Inf"} 7',
        'a_seconds_sum{platform="slack"} 30.25',
        'a_seconds_count{platform="slack"} 7',
    ]


@pytest.mark.parametrize(
    ("value", "written"),
    [(Decimal("0.00000001"), "0.00000001"), (Decimal("12.50000000"), "12.50000000"), (Decimal(0), "0"), (0.25, "0.25")],
)
def test_sums_of_money_are_written_out(value: Decimal | float, written: str) -> None:
    assert counter("c_total", "C.", [({}, value)]).splitlines()[-1] == f"c_total {written}"


def test_nothing_in_a_label_or_help_ends_its_line() -> None:
    text = gauge("g", "two\nlines \\", [({"l": 'a"b\n\\'}, 1)])
    assert text == '# HELP g two\\nlines \\\\\n# TYPE g gauge\ng{l="a\\"b\\n\\\\"} 1\n'
    assert re.fullmatch(r"(?:[^\n]+\n){3}", text)
