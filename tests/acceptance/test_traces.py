"""A message's way as a collector sees it: one trace, told by the programs it went through, and no word of it."""

from tests.acceptance.program import running, until
from tests.doubles.observing import Observer

WORDS = "write fizzbuzz.py and run it"
SAID = (WORDS, "fizzbuzz.py", "FizzBuzz")
NAMES = {"intake", "queue", "turn", "run", "sandbox", "agent", "first_text", "approval", "post"}


def test_a_turn_is_one_trace_from_the_message_to_its_last_post() -> None:
    with Observer() as observer:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": observer.endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=it%3Ds%20me",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "SENTRY_DSN": observer.dsn,
        }
        with running(**settings) as (installed, up):
            spoken = installed.chat("main", WORDS)
            assert spoken.code == 0, spoken.err
            until(lambda: {span.name for span in observer.spans} >= NAMES)
            assert up.stop()[0] == 0

    turn, run, intake = observer.span("turn"), observer.span("run"), observer.span("intake")
    assert len({span.trace for span in observer.spans}) == 1
    parents = {span.name: span.parent for span in observer.spans}
    assert parents == {
        "intake": "",
        "queue": intake.id,
        "turn": intake.id,
        "run": turn.id,
        "approval": turn.id,
        **dict.fromkeys(("sandbox", "agent", "first_text", "post"), run.id),
    }
    assert {span.resource["threadwork.program"] for span in observer.spans} == {"chat", "worker"}
    assert (intake.resource["threadwork.program"], turn.resource["service.name"]) == ("chat", "threadwork")
    whose = {"threadwork.tenant", "threadwork.chat", "threadwork.turn", "threadwork.epoch"}
    for span in observer.spans:
        assert span.attributes.keys() >= (
            whose if span is not intake else whose - {"threadwork.turn", "threadwork.epoch"}
        )
        assert span.attributes["threadwork.chat"] == intake.attributes["threadwork.chat"]
        assert not span.is_failed
    assert turn.attributes["threadwork.turn"] == spoken.last["turn"]
    assert [span.attributes["threadwork.outcome"] for span in (turn, run)] == ["done", "done"]
    asked = [span.attributes for span in observer.spans if span.name == "approval"]
    assert {(ask["threadwork.kind"], ask["threadwork.outcome"]) for ask in asked} == {("tool", "allowed")}
    assert observer.span("sandbox").attributes["threadwork.is_new"] is True
    assert turn.began <= run.began <= run.ended
    assert turn.ended <= run.ended
    posts = [span.attributes["threadwork.call"] for span in observer.spans if span.name == "post"]
    assert {"send", "edit"} == set(posts)
    assert {headers["x-key"] for headers in observer.headers} == {"it=s me"}
    assert [words for words in SAID if words.encode() in observer.all_bytes] == []
    assert observer.events == []
