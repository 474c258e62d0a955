"""Recorded output of the agent's program in, events out.

Each file in `claude/` is what one session of the real program printed, line by line; the model was a scripted one.
"""

import json
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain import events as e
from core.domain.turn import Usage
from core.domain.view import StepState, View, fold
from tests.steady import steady
from worker.agent.clip import MAX_INPUT_BYTES, MAX_OUTPUT_CHARS
from worker.agent.results import ResultSeen, read_result
from worker.agent.translate import AgentInit, Translated, Translator

FOLDER = Path(__file__).parent / "claude"
RECORDINGS = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def lines_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


def replayed(lines: list[dict[str, Any]]) -> list[Translated]:
    translator = Translator()
    return [translator.feed(line) for line in lines]


def events_of(name: str) -> list[e.RunEvent]:
    return [event for told in replayed(lines_of(name)) for event in told.events]


def stored(events: list[e.RunEvent]) -> list[e.RunEvent]:
    return [event for event in events if not isinstance(event, e.FLEETING)]


def result_of(name: str, number: int = -1) -> ResultSeen:
    return [told.result for told in replayed(lines_of(name)) if told.result][number]


SESSION = "cffe4dda-cfed-4a24-aec3-cc73cbc111d1"
READY = e.AgentReady(SESSION, "claude-sonnet-5")


def test_an_allowed_command_and_its_answer() -> None:
    command = {"command": "echo hello > hello.txt && cat hello.txt", "description": "Create a file"}
    call = "toolu_5cc1df783e4e4ff19596"
    assert events_of("allowed") == [
        READY,
        e.ThinkingStreamed("The user"),
        e.ThinkingStreamed(" wants a"),
        e.ThinkingStreamed(" file."),
        e.ThinkingDone("The user wants a file."),
        e.TextStreamed("I will c"),
        e.TextStreamed("reate th"),
        e.TextStreamed("e file."),
        e.TextWritten("I will create the file."),
        e.ToolStarted(call, "Bash", "Runs `echo hello > hello.txt && cat hello.txt`", command),
        e.ToolFinished(call, "hello"),
        e.TextStreamed("Create"),
        e.TextStreamed("d hell"),
        e.TextStreamed("o.txt."),
        e.TextWritten("Created hello.txt."),
    ]


def test_the_signals_of_a_turn() -> None:
    told = replayed(lines_of("allowed"))
    message = "ffc6daaa-17a3-4da0-bcd8-c766f55c70dd"
    assert [each.lifecycle for each in told if each.lifecycle] == [
        (message, "queued"),
        (message, "started"),
        (message, "completed"),
    ]
    assert [each.session_state for each in told if each.session_state] == [
        "running",
        "requires_action",
        "running",
        "idle",
    ]
    assert [each.init for each in told if each.init] == [AgentInit(SESSION, "claude-sonnet-5", "default")]
    assert [each.result for each in told if each.result] == [
        ResultSeen(
            text="Created hello.txt.",
            subtype="success",
            is_error=False,
            usage=Usage(5876, 49),
            total_cost_usd=Decimal("0.012242"),
            last_cost_usd=Decimal("0.012242"),
            duration_s=1.294,
            user_message_uuids=(message,),
            session_id=SESSION,
            model="claude-sonnet-5",
            terminal_reason="completed",
        )
    ]


def test_a_denied_command_failed_with_the_reason() -> None:
    call = "toolu_f7a117398ff749bc9b9a"
    assert stored(events_of("denied")) == [
        READY,
        e.ToolStarted(call, "Bash", "Runs `rm hello.txt`", {"command": "rm hello.txt", "description": "Create a file"}),
        e.ToolFailed(call, "Denied by @alice in Slack"),
        e.TextWritten("Okay, I will not."),
    ]
    assert result_of("denied").error is None
    assert result_of("denied").total_cost_usd == Decimal("0.02534")


def test_a_question_and_its_answer() -> None:
    kinds = [(e.kind_of(event), getattr(event, "line", "")) for event in stored(events_of("question"))]
    assert kinds == [
        ("agent_ready", ""),
        ("tool_started", "Asks you something"),
        ("tool_finished", ""),
        ("text_written", ""),
    ]


def test_an_interrupted_turn_is_seen_as_such() -> None:
    end = result_of("interrupted")
    assert (end.is_aborted, end.is_error, end.text, end.subtype) == (True, True, "", "error_during_execution")
    assert end.error is not None
    assert "interrupted" in end.error
    assert isinstance(stored(events_of("interrupted"))[-1], e.ToolFailed)


def test_the_task_list_is_told_once_it_is_known() -> None:
    changes = [event for event in events_of("tasks") if isinstance(event, e.TasksChanged)]
    assert changes == [
        e.TasksChanged((e.Task("1", "Write it", "pending"),), is_whole=False),
        e.TasksChanged((e.Task("2", "Test it", "pending"),), is_whole=False),
        e.TasksChanged((e.Task("1", "", "in_progress"),), is_whole=False),
        e.TasksChanged((e.Task("1", "Wrote it", "completed"),), is_whole=False),
        e.TasksChanged((e.Task("2", "", "deleted"),), is_whole=False),
    ]
    assert reduce(fold, events_of("tasks"), View()).tasks == (e.Task("1", "Wrote it", "completed"),)


def test_a_task_list_of_the_older_kind_is_told_whole() -> None:
    changes = [event for event in events_of("todos") if isinstance(event, e.TasksChanged)]
    assert changes == [e.TasksChanged((e.Task("1", "a", "pending"),))]


def test_a_sub_agents_words_are_not_the_answer_and_its_calls_have_a_parent() -> None:
    events = events_of("sub_agent")
    assert [event.text for event in events if isinstance(event, e.TextWritten)] == ["Let me delegate.", "main done"]
    assert [(event.tool, event.parent) for event in events if isinstance(event, e.ToolStarted)] == [
        ("Agent", None),
        ("Bash", "toolu_1_1"),
    ]
    back = {event.id: (event.output, event.parent) for event in events if isinstance(event, e.ToolFinished)}
    assert back == {"toolu_2_1": ("(Bash completed with no output)", "toolu_1_1"), "toolu_1_1": ("sub done", None)}


def test_retries_are_told_and_a_refused_key_ends_in_words_that_help() -> None:
    retries = [event for event in events_of("retried") if isinstance(event, e.ModelRetried)]
    assert [(event.attempt, event.why) for event in retries] == [
        (1, "no answer"),
        (1, "529 overloaded"),
        (1, "401 authentication failed"),
        (2, "401 authentication failed"),
    ]
    assert retries[0].delay_s == 0.608
    end = result_of("retried")
    assert (end.text, end.is_error, end.api_error_status, end.is_aborted) == ("", True, 401, False)
    assert end.error is not None
    assert "refused the credential" in end.error
    assert "Failed to authenticate" not in str(events_of("retried"))


def test_a_compacted_memory_is_told() -> None:
    assert e.ContextCompacted("manual", 110) in events_of("compacted")
    assert "being continued" not in str(events_of("compacted"))


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_reader_that_begins_at_any_line_stores_the_same_as_one_that_read_all(name: str) -> None:
    lines = lines_of(name)
    whole = replayed(lines)
    for start in range(len(lines)):
        late = replayed(lines[start:])
        for seen, again in zip(whole[start:], late, strict=True):
            # What a task was renamed to stands only in the call; its state stands in the result, too.
            mine = [event for event in stored(list(seen.events)) if not isinstance(event, e.TasksChanged)]
            assert mine == [event for event in stored(list(again.events)) if not isinstance(event, e.TasksChanged)]
            assert (seen.result, seen.init) == (again.result, again.init)
            assert len(stored(list(seen.events))) == len(stored(list(again.events)))


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_event_of_a_recording_can_be_stored_and_no_call_is_left_running(name: str) -> None:
    view = View()
    for event in events_of(name):
        assert e.from_json(json.loads(json.dumps(e.to_json(event)))) == event
        view = fold(view, event)
    assert view.stream == ""
    assert all(step.state is not StepState.RUNNING for step in view.steps)


def test_the_live_text_and_the_blocks_say_the_same() -> None:
    live = ""
    for event in events_of("allowed"):
        if isinstance(event, e.TextStreamed):
            live += event.text
        elif isinstance(event, e.TextWritten):
            assert live == event.text
            live = ""


# ---------------------------------------------------------------- lines made by hand


def streamed(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "stream_event", "event": {"type": kind, **more}, "parent_tool_use_id": None}


def delta(text: str) -> dict[str, Any]:
    return streamed("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def said(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": list(blocks)}, "parent_tool_use_id": None, **more}


def came_back(content: Any, *, is_error: bool = False, **more: Any) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": "t1", "content": content, "is_error": is_error}
    return {"type": "user", "message": {"content": [block]}, "parent_tool_use_id": None, **more}


def told(*lines: dict[str, Any]) -> list[e.RunEvent]:
    return [event for each in replayed(list(lines)) for event in each.events]


def test_a_request_that_begins_anew_drops_what_was_streamed() -> None:
    begin = streamed("message_start", message={})
    assert told(begin, delta("Hal"), begin, delta("Hello"), said({"type": "text", "text": "Hello"}), begin) == [
        e.TextStreamed("Hal"),
        e.LiveTextDropped(),
        e.TextStreamed("Hello"),
        e.TextWritten("Hello"),
    ]


def test_a_retry_drops_what_was_streamed() -> None:
    retry = {"type": "system", "subtype": "api_retry", "attempt": 1, "retry_delay_ms": 500, "error_status": 529}
    assert told(delta("Hal"), retry) == [
        e.TextStreamed("Hal"),
        e.LiveTextDropped(),
        e.ModelRetried(1, 0.5, "529 no answer"),
    ]


def test_a_sub_agents_stream_is_not_live_text() -> None:
    assert told({**delta("sub"), "parent_tool_use_id": "t9"}) == []


def test_a_picture_is_named_and_not_dumped() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 4000}}
    assert told(came_back([{"type": "text", "text": "See:"}, picture])) == [
        e.ToolFinished("t1", "See:\n[image: image/png, 3,000 bytes]")
    ]


def test_long_output_keeps_its_beginning_and_its_end() -> None:
    (event,) = told(came_back("begin" + "x" * 50_000 + "end", is_error=True))
    assert isinstance(event, e.ToolFailed)
    assert len(event.output) <= MAX_OUTPUT_CHARS
    assert event.output.startswith("begin")
    assert event.output.endswith("end")
    assert "characters left out" in event.output


def test_notes_for_the_model_are_not_shown() -> None:
    output = "1\tx = 1\n\n<system-reminder>\nBe careful.\n</system-reminder>\n"
    assert told(came_back(output)) == [e.ToolFinished("t1", "1\tx = 1\n")]
    assert told(came_back("<tool_use_error>No such file</tool_use_error>", is_error=True)) == [
        e.ToolFailed("t1", "No such file")
    ]


def test_a_large_input_is_cut_for_storing() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "Write", "input": {"file_path": "/a", "content": "é" * 90_000}}
    (event,) = told(said(call))
    assert isinstance(event, e.ToolStarted)
    assert len(json.dumps(event.input, ensure_ascii=False).encode()) <= MAX_INPUT_BYTES
    assert event.input["file_path"] == "/a"
    many = {"type": "tool_use", "id": "t1", "name": "Odd", "input": {str(number): "x" * 50 for number in range(5000)}}
    (event,) = told(said(many))
    assert isinstance(event, e.ToolStarted)
    assert len(json.dumps(event.input, ensure_ascii=False).encode()) <= MAX_INPUT_BYTES


def test_what_the_database_cannot_keep_is_replaced() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "a\x00b\ud800", "n": float("nan")}}
    events = told(said(call, {"type": "text", "text": "\x00\udfff"}))
    assert events[1] == e.TextWritten("\ufffd\ufffd")
    assert isinstance(events[0], e.ToolStarted)
    assert events[0].input == {"command": "a\ufffdb\ufffd", "n": "nan"}
    json.dumps([e.to_json(event) for event in events], ensure_ascii=False, allow_nan=False).encode()


def test_a_replayed_message_and_control_lines_say_nothing() -> None:
    assert told(came_back("x", isReplay=True)) == []
    assert told({"type": "control_request", "request": {"subtype": "can_use_tool"}}) == []
    assert told({"type": "keep_alive"}, {"type": "something_new"}) == []


def test_an_error_told_as_an_answer_is_left_to_the_result() -> None:
    assert told(said({"type": "text", "text": "API Error: 529"}, error="overloaded")) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"subtype": "success", "api_error_status": 401, "terminal_reason": "api_error"}, "refused the credential"),
        ({"subtype": "success", "api_error_status": 429, "terminal_reason": "api_error"}, "too many requests"),
        ({"subtype": "success", "api_error_status": 529, "terminal_reason": "api_error"}, "overloaded"),
        ({"subtype": "success", "api_error_status": 500, "terminal_reason": "api_error"}, "failed (500)"),
        ({"subtype": "success", "api_error_status": 400, "result": "API Error: 400 no good"}, "It says: no good"),
        ({"subtype": "success", "api_error_status": 404, "terminal_reason": "api_error"}, "does not know this model"),
        ({"subtype": "success", "terminal_reason": "prompt_too_long", "api_error_status": 400}, "grew too long"),
        ({"subtype": "success", "terminal_reason": "api_error", "result": "Connection error."}, "Connection error"),
        ({"subtype": "success", "api_error_status": 400, "result": "Your credit balance is too low"}, "no credit"),
        ({"subtype": "error_max_turns", "terminal_reason": "max_turns"}, "limit of steps"),
        ({"subtype": "error_max_budget_usd"}, "budget is spent"),
        ({"subtype": "error_during_execution", "terminal_reason": "aborted_streaming"}, "interrupted"),
        ({"subtype": "error_during_execution", "terminal_reason": "model_error"}, "could not be reached"),
        ({"subtype": "error_during_execution"}, "broke off"),
        ({"subtype": "error_of_a_new_kind"}, "could not finish"),
    ],
)
def test_every_failure_has_words_for_people(line: dict[str, Any], words: str) -> None:
    end = read_result({"type": "result", "is_error": True, **line})
    assert end.error is not None
    assert words in end.error
    assert end.error[-1] in ".!"
    assert end.text == ""


def test_a_turn_begun_by_background_work_says_so() -> None:
    assert read_result({"subtype": "success", "origin": {"kind": "task-notification"}}).origin == "task-notification"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
KEYS = ["message", "event", "content", "subtype", "parent_tool_use_id", "tool_use_result", "usage", "delta", "origin"]
types = st.sampled_from(["assistant", "user", "system", "result", "stream_event", "command_lifecycle", "odd"])
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "thinking", "tool_use", "tool_result", "odd"]) | values},
    optional=dict.fromkeys(("id", "name", "input", "text", "thinking", "tool_use_id", "content", "is_error"), values),
)
odd_lines = st.one_of(
    values,
    st.fixed_dictionaries({"type": types}, optional=dict.fromkeys(KEYS, values)),
    st.fixed_dictionaries(
        {"type": types, "message": st.fixed_dictionaries({"content": st.lists(blocks | values, max_size=4)})},
        optional={"tool_use_result": values, "error": values},
    ),
    st.fixed_dictionaries(
        {"type": st.just("stream_event"), "event": st.fixed_dictionaries({"type": values}, optional={"delta": blocks})}
    ),
    st.fixed_dictionaries(
        {"type": st.just("system"), "subtype": st.sampled_from(["init", "api_retry", "compact_boundary"])},
        optional=dict.fromkeys(("session_id", "attempt", "retry_delay_ms", "error_status", "compact_metadata"), values),
    ),
    st.fixed_dictionaries(
        {"type": st.just("result")},
        optional=dict.fromkeys(("is_error", "usage", "total_cost_usd", "modelUsage", "result", "duration_ms"), values),
    ),
)


@steady
@given(st.lists(odd_lines, max_size=6))
def test_nothing_that_stands_in_a_line_raises_and_all_of_it_can_be_stored(lines: list[Any]) -> None:
    translator = Translator()
    for line in lines:
        for event in translator.feed(line).events:
            text = json.dumps(e.to_json(event), allow_nan=False)
            assert "\\u0000" not in text
            assert e.from_json(json.loads(text)) == event
