"""Events and their one wire form."""

import json
from dataclasses import fields
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain import events as e
from core.domain.approval import ApprovalKind
from core.domain.states import ApprovalState, TurnState
from core.domain.turn import Usage
from tests.steady import steady

KINDS: tuple[type[Any], ...] = get_args(e.RunEvent)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
st.register_type_strategy(Decimal, st.decimals(min_value=0, max_value=10_000, places=6))
st.register_type_strategy(dict, st.dictionaries(st.text(max_size=5), json_values, max_size=3))


def made(kind: type[Any]) -> st.SearchStrategy[Any]:
    inputs = st.dictionaries(st.text(max_size=5), json_values, max_size=3)
    floats = st.floats(min_value=0, max_value=1e6)
    given_fields: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields(kind):
        if field.name == "input":
            given_fields["input"] = inputs
        elif field.name in ("delay_s", "duration_s"):
            given_fields[field.name] = floats
    return st.builds(kind, **given_fields)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_every_event_comes_back_from_its_wire_form(kind: type[Any]) -> None:
    @steady
    @given(made(kind))
    def comes_back(event: e.RunEvent) -> None:
        wire = json.loads(json.dumps(e.to_json(event)))
        assert e.from_json(wire) == event
        assert wire["type"] == e.kind_of(event)

    comes_back()


def test_the_names_on_the_wire_are_stable() -> None:
    assert sorted(e._TYPES) == [
        "agent_ready",
        "agent_restarted",
        "approval_asked",
        "approval_settled",
        "context_compacted",
        "file_kept",
        "file_shared",
        "live_text_dropped",
        "message_steered",
        "model_retried",
        "noticed",
        "tasks_changed",
        "text_streamed",
        "text_written",
        "thinking_done",
        "thinking_streamed",
        "tool_failed",
        "tool_finished",
        "tool_started",
        "turn_finished",
        "turn_started",
    ]


def test_the_wire_form_is_plain_json() -> None:
    end = e.TurnFinished(TurnState.DONE, "Hi", Usage(1, 2, 3, 4), Decimal("0.012242"), 1.5)
    assert e.to_json(end) == {
        "type": "turn_finished",
        "state": "done",
        "text": "Hi",
        "usage": {"input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 3, "cache_write_tokens": 4},
        "cost_usd": "0.012242",
        "duration_s": 1.5,
        "error": None,
        "model": None,
    }


def test_enums_come_back_as_enums() -> None:
    asked = e.from_json(e.to_json(e.ApprovalAsked("1", ApprovalKind.PLAN, "x")))
    assert isinstance(asked, e.ApprovalAsked)
    assert isinstance(asked.kind, ApprovalKind)
    gone = e.from_json(e.to_json(e.ApprovalSettled("1", ApprovalState.WITHDRAWN)))
    assert isinstance(gone, e.ApprovalSettled)
    assert isinstance(gone.state, ApprovalState)


def test_a_field_of_a_newer_program_is_left_out() -> None:
    assert e.from_json({"type": "noticed", "words": "x", "colour": "red"}) == e.Noticed("x")


def test_a_field_with_a_default_may_be_missing() -> None:
    assert e.from_json({"type": "tool_finished", "id": "1", "output": "x"}) == e.ToolFinished("1", "x")


def test_an_unknown_type_and_a_missing_field_are_refused() -> None:
    with pytest.raises(KeyError):
        e.from_json({"type": "nothing_we_know"})
    with pytest.raises(ValueError, match="without words"):
        e.from_json({"type": "noticed"})


def test_only_deltas_are_fleeting() -> None:
    assert set(e.FLEETING) == {e.TextStreamed, e.ThinkingStreamed, e.LiveTextDropped}
