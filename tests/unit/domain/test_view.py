"""Folding events into what is on screen."""

from decimal import Decimal
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain import events as e
from core.domain.approval import ApprovalKind
from core.domain.states import ApprovalState, TurnState
from core.domain.turn import Usage
from core.domain.view import MAX_STEPS_KEPT, StepState, View, fold
from tests.steady import steady
from tests.unit.domain.test_events import KINDS, made

END = e.TurnFinished(TurnState.DONE, "All done.", Usage(1, 2), Decimal("0.5"), 2.0, None, "claude-x")
any_event = st.one_of([made(kind) for kind in KINDS if kind is not e.TurnFinished])


def after(*events: e.RunEvent, view: View | None = None) -> View:
    return reduce(fold, events, view or View())


def tool(number: int, parent: str | None = None) -> e.ToolStarted:
    return e.ToolStarted(f"t{number}", "Bash", f"Runs `{number}`", {}, parent)


@steady
@given(st.lists(any_event, max_size=30), st.lists(any_event, max_size=10))
def test_nothing_changes_a_view_after_the_turn_ended(before: list[e.RunEvent], late: list[e.RunEvent]) -> None:
    ended = after(*before, END)
    assert ended.is_over
    assert after(*late, END, view=ended) == ended
    assert ended.final == "All done."
    assert ended.asks == ()
    assert ended.running_steps == ()
    assert ended.stream == ""


@steady
@given(st.lists(any_event, max_size=30))
def test_any_events_in_any_order_fold(events: list[e.RunEvent]) -> None:
    assert after(*events).state is TurnState.RUNNING


@steady
@given(st.lists(any_event, max_size=30))
def test_deltas_leave_no_trace_once_the_blocks_are_written(events: list[e.RunEvent]) -> None:
    stored = [event for event in events if not isinstance(event, e.FLEETING)]
    all_of_it, again = after(*events, END), after(*stored, END)
    assert all_of_it.final == again.final
    assert all_of_it.texts == again.texts
    assert all_of_it.steps == again.steps


def test_streamed_text_is_replaced_by_the_written_block() -> None:
    live = after(e.TextStreamed("Hel"), e.TextStreamed("lo"))
    assert (live.answer, live.status) == ("Hello", "Writing…")
    written = fold(live, e.TextWritten("Hello"))
    assert (written.answer, written.stream) == ("Hello", "")
    assert fold(written, e.TextStreamed("More")).answer == "Hello\n\nMore"


def test_a_dropped_stream_is_no_longer_shown() -> None:
    view = after(e.TextWritten("One"), e.TextStreamed("half"), e.LiveTextDropped())
    assert view.answer == "One"


def test_thinking_is_shown_while_it_lasts() -> None:
    view = after(e.ThinkingStreamed("Hm"), e.ThinkingStreamed("m."))
    assert (view.thinking, view.status) == ("Hmm.", "Thinking…")
    assert fold(view, e.ThinkingDone("Hmm.")).thinking == ""
    assert fold(view, e.TextStreamed("x")).thinking == ""


def test_a_tool_call_runs_and_comes_back() -> None:
    view = after(tool(1), tool(2))
    assert [step.id for step in view.running_steps] == ["t1", "t2"]
    assert view.status == "Runs `2`…"
    view = after(e.ToolFinished("t1", "fine"), e.ToolFailed("t2", "x" * 900), view=view)
    assert [(step.state, len(step.output)) for step in view.steps] == [(StepState.DONE, 4), (StepState.FAILED, 500)]


def test_a_sub_agents_call_keeps_its_parent() -> None:
    assert after(tool(1, "t0")).steps[0].parent == "t0"


def test_a_sub_agents_call_does_not_interrupt_the_answer_being_written() -> None:
    assert after(e.TextStreamed("Half a"), tool(1, "t0"), e.TextStreamed(" line")).answer == "Half a line"


def test_only_the_last_steps_are_kept_and_the_others_counted() -> None:
    view = after(*(tool(number) for number in range(MAX_STEPS_KEPT + 7)))
    assert (len(view.steps), view.hidden_steps, view.steps[0].id) == (MAX_STEPS_KEPT, 7, "t7")


def test_a_result_of_an_unknown_call_changes_no_step() -> None:
    assert after(tool(1), e.ToolFinished("other", "x")).steps[0].state is StepState.RUNNING


def test_questions_open_once_and_close() -> None:
    asked = e.ApprovalAsked("a1", ApprovalKind.TOOL, "Runs")
    view = after(asked, asked, e.ApprovalAsked("a2", ApprovalKind.PLAN, "Plan"))
    assert (view.asks, view.status) == (("a1", "a2"), "Waiting for your answer")
    view = fold(view, e.ApprovalSettled("a1", ApprovalState.ALLOWED, "Ann"))
    assert (view.asks, view.status) == (("a2",), "Waiting for your answer")
    view = fold(view, e.ApprovalSettled("a2", ApprovalState.WITHDRAWN))
    assert (view.asks, view.status) == ((), "Working…")


def test_a_whole_task_list_replaces_and_a_change_merges() -> None:
    view = after(e.TasksChanged((e.Task("1", "Write", "pending"), e.Task("2", "Test", "pending"))))
    view = after(
        e.TasksChanged((e.Task("1", "", "completed"), e.Task("3", "Ship", "pending")), is_whole=False),
        e.TasksChanged((e.Task("3", "Ship it", ""),), is_whole=False),
        e.TasksChanged((e.Task("2", "", "deleted"),), is_whole=False),
        view=view,
    )
    assert view.tasks == (e.Task("1", "Write", "completed"), e.Task("3", "Ship it", "pending"))
    assert after(e.TasksChanged((e.Task("9", "New", "pending"),)), view=view).tasks == (e.Task("9", "New", "pending"),)


def test_a_change_of_a_task_nobody_saw_is_shown_by_its_number() -> None:
    view = after(e.TasksChanged((e.Task("4", "", ""),), is_whole=False))
    assert view.tasks == (e.Task("4", "4", "pending"),)


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        (e.TurnStarted(7, ("m",)), "turn_number", 7),
        (e.AgentReady("s", "claude-x"), "model", "claude-x"),
        (e.MessageSteered("m", "Ann", "also\nthis"), "notices", ("Ann added: also this",)),
        (e.MessageSteered("m", "", "x" * 100), "notices", ("Someone added: " + "x" * 79 + "…",)),
        (e.ModelRetried(1, 0.5, "529"), "status", "The model did not answer (529); asking again, attempt 2…"),
        (e.AgentRestarted("It came back."), "notices", ("It came back.",)),
        (e.Noticed("Look."), "notices", ("Look.",)),
    ],
)
def test_news_is_shown(event: e.RunEvent, field: str, value: Any) -> None:
    assert getattr(after(event), field) == value


def test_a_compacted_memory_is_told() -> None:
    assert "summarised" in after(e.ContextCompacted("auto", 5)).notices[0]


def test_the_end_shows_the_text_written_when_the_agent_gave_none() -> None:
    failed = e.TurnFinished(TurnState.FAILED, "", Usage(), Decimal(0), 1.0, "It broke.")
    view = after(e.TextWritten("One"), tool(1), e.TextStreamed("Tw"), failed)
    assert (view.answer, view.status, view.error) == ("One\n\nTw", "Failed", "It broke.")
    assert view.steps[0].state is StepState.FAILED


def test_the_end_keeps_cost_usage_and_model() -> None:
    view = after(e.AgentReady("s", "first"), END)
    assert (view.cost_usd, view.usage, view.duration_s, view.model) == (Decimal("0.5"), Usage(1, 2), 2.0, "claude-x")
    unnamed = e.TurnFinished(TurnState.STOPPED, "", Usage(), Decimal(0), 0.0)
    assert after(e.AgentReady("s", "first"), unnamed).model == "first"
