"""Presses survive their way through a button, and nothing else becomes one."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.surfaces.presses import Press, Verb, decode
from tests.steady import steady

numbers = st.one_of(st.just((None, None)), st.tuples(st.integers(0, 99), st.none() | st.integers(0, 99)))


@steady
@given(st.sampled_from(Verb), st.uuids(), numbers)
def test_a_press_comes_out_of_a_button_as_it_went_in(
    verb: Verb, subject: UUID, where: tuple[int | None, int | None]
) -> None:
    press = Press(verb, subject, *where)
    assert decode(press.encode()) == press
    assert len(press.encode()) <= 100


@pytest.mark.parametrize(
    "text", ["", "tw", "tw:allow", "tw:allow:x", "tw:dance:" + "0" * 32, "xx:allow:" + "0" * 32, "tw:allow:0:0:0:0:0"]
)
def test_what_is_none_of_ours_is_no_press(text: str) -> None:
    assert decode(text) is None
