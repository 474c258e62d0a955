"""The promises of `core.ports.Traces`, over OpenTelemetry's real SDK and a collector on loopback."""

import time
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from core.domain.legs import Leg, LegName, intake_key, run_key, turn_key
from core.errors import Misconfigured
from core.observing.program import observed
from tests.doubles.observing import Observer

HERE = "http://127.0.0.1:4318"


@pytest.fixture(autouse=True)
def often(logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The program sends what it has every 20 ms; its logging ends with the test."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")


def leg(message: UUID, name: LegName = LegName.POST, key: str = "", parent: str = "") -> Leg:
    now = time.time()
    return Leg(name, message, now - 1, now, key=key, parent=parent)


def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, or fail after a minute."""
    patience = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < patience
        time.sleep(0.01)


def test_legs_of_one_message_are_one_trace_whichever_process_tells_them(observer: Observer) -> None:
    message, other, turn = uuid4(), uuid4(), uuid4()
    with observed("slack", {"OTEL_EXPORTER_OTLP_ENDPOINT": observer.endpoint}) as traces:
        assert traces is not None
        traces.add(leg(message, LegName.INTAKE, intake_key(message)))
        traces.add(leg(other, LegName.INTAKE, intake_key(other)))
        until(lambda: len(observer.spans) == 2)
    given = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{observer.endpoint}/v1/traces", "OTEL_SERVICE_NAME": "tw"}
    with observed("worker", given) as traces:
        assert traces is not None
        # The child comes before its parent, as it does when runs end before their turn.
        traces.add(leg(message, LegName.RUN, run_key(turn, 7), turn_key(turn)))
        facts: dict[str, str | int | bool] = {"outcome": "done", "messages": 2, "is_new": True}
        parent = intake_key(message)
        traces.add(Leg(LegName.TURN, message, 5.0, 4.0, turn_key(turn), parent, facts, [other], is_failed=True))
        until(lambda: len(observer.spans) == 4)

    intakes, run, whole = (
        [span for span in observer.spans if span.name == "intake"],
        *map(observer.span, ("run", "turn")),
    )
    assert [span.trace == whole.trace for span in intakes] == [True, False]
    assert (run.trace, run.parent, whole.parent) == (whole.trace, whole.id, intakes[0].id)
    assert whole.links == (intakes[1].trace,)
    assert whole.attributes == {
        "threadwork.outcome": "done",
        "threadwork.messages": 2,
        "threadwork.is_new": True,
    }
    # No leg ends before it began, whatever the clocks say.
    assert (whole.began, whole.ended, whole.is_failed) == (5_000_000_000, 5_000_000_000, True)
    assert (intakes[0].resource["service.name"], run.resource["service.name"]) == ("threadwork", "tw")
    assert (intakes[0].resource["threadwork.program"], run.resource["threadwork.program"]) == ("slack", "worker")
    assert len({span.id for span in observer.spans}) == 4


def test_a_sampler_keeps_or_drops_a_trace_as_a_whole(observer: Observer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    messages = [uuid4() for _ in range(200)]
    for program in ("slack", "worker"):
        with observed(program, {"OTEL_EXPORTER_OTLP_ENDPOINT": observer.endpoint}) as traces:
            assert traces is not None
            for message in messages:
                if program == "slack":
                    traces.add(leg(message, LegName.INTAKE, intake_key(message)))
                else:
                    traces.add(leg(message, LegName.TURN, turn_key(message), intake_key(message)))
            before = len(observer.spans)

            def has_come_to_the_last(before: int = before) -> bool:
                # Spans arrive in their order; about every second of these is kept.
                traces.add(leg(uuid4()))
                return any(span.name == "post" for span in observer.spans[before:])

            until(has_come_to_the_last)

    by_name = {name: {span.trace for span in observer.spans if span.name == name} for name in ("intake", "turn")}
    assert by_name["intake"] == by_name["turn"]
    assert 40 < len(by_name["intake"]) < 160


def test_a_collector_that_refuses_costs_a_log_line_and_nothing_else(
    observer: Observer, logged: Callable[[], str]
) -> None:
    observer.status = 400
    with observed("worker", {"OTEL_EXPORTER_OTLP_ENDPOINT": observer.endpoint}) as traces:
        assert traces is not None
        for _ in range(3000):
            traces.add(leg(uuid4()))

    words = logged()
    assert words.count("traces_not_sent") == 1
    assert words.count("\n") <= 2


def test_a_program_does_not_wait_long_for_a_collector_that_is_away(logged: Callable[[], str]) -> None:
    with observed("worker", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}) as traces:
        assert traces is not None
        for _ in range(3000):
            traces.add(leg(uuid4()))

    # The SDK itself would try for ten seconds for each batch.
    words = logged()
    assert "traces_not_flushed" in words
    assert words.count("\n") <= 2


def test_a_collector_that_is_back_gets_what_comes_then(observer: Observer, logged: Callable[[], str]) -> None:
    observer.status = 400
    with observed("worker", {"OTEL_EXPORTER_OTLP_ENDPOINT": observer.endpoint}) as traces:
        assert traces is not None
        traces.add(leg(uuid4()))
        until(lambda: "traces_not_sent" in logged())
        observer.status = 200
        traces.add(leg(uuid4()))
        until(lambda: len(observer.spans) == 1)

    assert "traces_sent_again" in logged()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, "OTEL_EXPORTER_OTLP_ENDPOINT is wrong"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is wrong"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": HERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "Set it to http/protobuf",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": HERE, "OTEL_EXPORTER_OTLP_HEADERS": "key"},
            "OTEL_EXPORTER_OTLP_HEADERS is wrong",
        ),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(given: dict[str, str], named: str) -> None:
    with pytest.raises(Misconfigured, match=named), observed("worker", given):
        pass


@pytest.mark.parametrize("word", ["true", "True", "1"])
def test_the_sdks_own_switch_turns_it_off(word: str) -> None:
    with observed("worker", {"OTEL_EXPORTER_OTLP_ENDPOINT": HERE, "OTEL_SDK_DISABLED": word}) as traces:
        assert traces is None
