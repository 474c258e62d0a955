import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.steady import steady
from worker.gateway.meter import LONGEST_LINE, Meter, Metered


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


USAGE = {
    "input_tokens": 7,
    "output_tokens": 1,
    "cache_creation_input_tokens": 300,
    "cache_read_input_tokens": 20,
    "service_tier": "standard",
    "server_tool_use": None,
}
ANSWER = b"".join(
    [
        event("message_start", message={"model": "claude-x", "usage": USAGE}),
        event("ping"),
        event("content_block_delta", delta={"type": "text_delta", "text": 'a trap: "usage": {"output_tokens": 9}\nñ'}),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 42}),
        event("message_stop"),
    ]
)


def measure(*chunks: bytes, streaming: bool = True) -> Metered:
    meter = Meter(streaming=streaming, model="asked")
    for chunk in chunks:
        meter.feed(chunk)
    return meter.result("c1", 200, 1.5)


@steady
@given(cuts=st.lists(st.integers(0, len(ANSWER)), max_size=30))
def test_usage_is_read_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    marks = [0, *sorted(cuts), len(ANSWER)]

    metered = measure(*(ANSWER[a:b] for a, b in itertools.pairwise(marks)))

    assert metered == Metered("c1", "claude-x", 200, 1.5, 7, 42, 300, 20)


def test_an_answer_broken_off_counts_what_was_said_until_then() -> None:
    assert measure(ANSWER[: ANSWER.index(b"event: message_delta")]).output_tokens == 1


def test_an_answer_in_one_piece_is_metered_too() -> None:
    whole = json.dumps({"type": "message", "model": "claude-y", "usage": {"input_tokens": 3, "output_tokens": 4}})

    assert measure(whole[:20].encode(), whole[20:].encode(), streaming=False) == Metered(
        "c1", "claude-y", 200, 1.5, 3, 4
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"not json",
        b'{"usage": 5}',
        b'["usage"]',
        b'{"usage": {"input_tokens": -4, "output_tokens": "many"}}',
        b"\xff\xfe",
    ],
)
def test_an_answer_that_makes_no_sense_counts_as_nothing(raw: bytes) -> None:
    nothing = Metered("c1", "asked", 200, 1.5)

    assert measure(raw, streaming=False) == nothing
    assert measure(b"data: " + raw + b"\n\n") == nothing


def test_an_endless_line_is_not_kept_and_what_follows_is_read() -> None:
    meter = Meter(streaming=True)
    for _ in range(20):
        meter.feed(b"x" * LONGEST_LINE)

    assert len(meter._rest) <= LONGEST_LINE

    meter.feed(b"\n" + ANSWER)
    assert meter.result("c1", 200, 0).output_tokens == 42
