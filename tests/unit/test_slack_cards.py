"""What a stream shows, whatever text comes in whatever pieces: only added to, never over its limit, and inert."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain import events as e
from core.domain.view import ShownStep, StepState, View
from core.surfaces.slack.blocks import units
from core.surfaces.slack.cards import MOST_TEXT, Shown, begin, grow, streamed
from core.surfaces.slack.escaping import inert
from tests.doubles.slack.block_rules import check_blocks
from tests.doubles.slack.posting import pings_in
from tests.unit.test_slack_render_properties import LONG, TURN, hidden_links, steady, texts, with_links

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


def writing(text: str) -> dict[str, Any]:
    return streamed(View(turn_id=TURN, stream=text))


def written(chunks: Sequence[Any]) -> str:
    return "".join(chunk["text"] for chunk in chunks if chunk["type"] == "markdown_text")


def must_be_inert(text: str) -> None:
    assert pings_in("", [{"type": "markdown", "text": text}]) == []
    assert list(hidden_links(text)) == []


@steady
@given(texts(with_links), st.lists(st.floats(0, 1), min_size=1, max_size=6).map(sorted))
def test_text_is_only_added_to_and_does_nothing_at_any_moment(text: str, moments: list[float]) -> None:
    shown, chunks = begin(writing(text[: int(len(text) * moments[0])]), "b")
    seen = written(chunks)
    for moment in [*moments[1:], 1.0]:
        assert seen == shown.text
        must_be_inert(seen)
        grown = grow(shown, writing(text[: int(len(text) * moment)]))
        if grown is None:
            break
        shown, chunks = grown
        seen += written(chunks)


@pytest.mark.parametrize("text", LONG)
def test_a_long_text_begins_near_its_end(text: str) -> None:
    shown, chunks = begin(writing(f"{text} and more "), "b")
    assert not shown.is_full
    assert units(written(chunks)) <= MOST_TEXT


def test_a_code_block_that_a_stream_begins_in_is_one_there_too() -> None:
    text = "```python\n" + "x = 1\n" * 2_000
    shown, chunks = begin(writing(text), "b")
    assert written(chunks).startswith("…\n\n```python\nx = 1\n")
    grown = grow(shown, writing(text + "<!channel> = [a](b)\n"))
    assert grown is not None
    must_be_inert(grown[0].text)


def test_a_text_of_no_words_is_shown_only_once_it_is_whole() -> None:
    shown, _ = begin(writing("see [the"), "b")
    assert shown.text == "see "
    assert grow(shown, writing("see [the page](https://a.example"))[0].text == "see "  # type: ignore[index]
    grown = grow(shown, writing("see [the page](https://a.example) "))
    assert grown is not None
    assert written(grown[1]) == "the page (https://a.example) "


def test_what_changes_in_the_text_cannot_go_on() -> None:
    shown, _ = begin(writing("one two "), "b")
    assert grow(shown, writing("one three ")) is None
    assert grow(shown, writing("one ")) is None


def test_a_stream_that_holds_too_much_says_so() -> None:
    words = "word " * 2_100
    grown = grow(Shown(), writing(words))
    assert grown is not None
    assert grown[0].is_full
    cards = {"cards": [{"id": str(number), "title": "t", "status": "complete"} for number in range(60)]}
    grown = grow(Shown(), writing("") | cards)
    assert grown is not None
    assert grown[0].is_full


@steady
@given(texts(with_links))
def test_cards_are_short_lines_that_do_nothing(told: str) -> None:
    steps = tuple(ShownStep(told or "1", "Bash", told, StepState.FAILED, output=told) for _ in range(2))
    tasks = (e.Task(told or "1", told, "in_progress"),)
    view = View(turn_id=TURN, status=told, tasks=tasks, steps=steps, notices=(told,))
    _, chunks = begin(streamed(view), "b")
    for chunk in chunks:
        if chunk["type"] == "blocks":
            check_blocks(chunk["blocks"])
            continue
        lines = [chunk[name] for name in ("title", "output") if name in chunk]
        for line in lines:
            assert line
            assert "\n" not in line
            must_be_inert(line)
        assert chunk.get("status") in {None, "error", "in_progress", "complete"}
        assert len(chunk.get("id", "")) <= 80
        str(chunk).encode()


def test_steps_of_before_stay_out_and_later_ones_come_in() -> None:
    steps = tuple(ShownStep(f"s{number}", "Bash", f"Step {number}") for number in range(9))
    view = View(turn_id=TURN, steps=steps)
    shown, _ = begin(streamed(view), "b")
    assert list(shown.cards) == [f"step:s{number}" for number in range(4, 9)]
    done = tuple(replace(step, state=StepState.DONE) for step in steps)
    grown = grow(shown, streamed(replace(view, steps=(*done, ShownStep("s9", "Bash", "Step 9")))))
    assert grown is not None
    assert [chunk["id"] for chunk in grown[1]] == [f"step:s{number}" for number in range(4, 10)]
    assert inert("Step 9") == grown[1][-1]["title"]
