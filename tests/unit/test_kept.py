"""What may leave in a report of an error is listed; nothing else does."""

from core.observing.kept import kept_of

PRIVATE = "what somebody wrote"


def test_what_is_not_listed_is_dropped_wherever_it_stands() -> None:
    frame = {
        "filename": "worker/talk.py",
        "lineno": 7,
        "function": "attend",
        "context_line": "await x",
        "vars": {"x": PRIVATE},
    }
    error = {
        "type": "ValueError",
        "module": "builtins",
        "value": PRIVATE,
        "mechanism": {"type": "threadwork", "handled": True, "data": {"said": PRIVATE}},
        "stacktrace": {"frames": [frame], "registers": PRIVATE},
    }
    event = {
        "event_id": "e1",
        "level": "error",
        "exception": {"values": [error, {"type": "OSError", "stacktrace": None}]},
        "tags": {"turn": "t1", "chat": f"{PRIVATE}!", "said": PRIVATE},
        **dict.fromkeys(
            ("message", "extra", "request", "user", "breadcrumbs", "contexts", "modules", "threads"), PRIVATE
        ),
    }

    kept = kept_of(event)

    assert PRIVATE not in repr(kept)
    assert (kept["event_id"], kept["level"], kept["tags"]) == ("e1", "error", {"turn": "t1"})
    first, second = kept["exception"]["values"]
    assert (first["type"], first["mechanism"]) == ("ValueError", {"type": "threadwork", "handled": True})
    assert first["stacktrace"] == {"frames": [{name: value for name, value in frame.items() if name != "vars"}]}
    assert second == {"type": "OSError", "mechanism": {}, "stacktrace": {"frames": []}}


def test_a_report_of_nothing_is_kept_as_that() -> None:
    assert kept_of({}) == {"tags": {}, "exception": {"values": []}}
