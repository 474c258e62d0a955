"""Sending legs as OpenTelemetry spans over OTLP/HTTP: the only importer of its SDK.

`program.py` imports this where an endpoint is set. The provider is our own; the SDK's global one is left alone. The ids
of traces and spans are digests of the legs' keys, so that processes need tell each other nothing. Spans wait in a
bounded queue and are sent from a thread; a collector that is away costs them, and one log line. What is not a setting
of ours (sampler, limits, certificates) the SDK takes from its own variables:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
"""

import hashlib
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final
from urllib.parse import unquote, urlsplit

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from core.domain.legs import Leg, intake_key
from core.errors import Misconfigured
from core.ports import Traces

log = structlog.get_logger(__name__)
ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
# How long a program that ends waits for its last spans to be taken, in seconds.
FLUSH_S: Final = 2.0


@contextmanager
def open_traces(given: Mapping[str, str], program: str) -> Iterator[Traces]:
    """Traces to the endpoint that is set, sent to the last within `FLUSH_S` at the end.

    Raises `Misconfigured` for an endpoint that is no web address, and for another protocol.
    """
    url, headers = address_of(given), headers_of(given.get("OTEL_EXPORTER_OTLP_HEADERS", ""))
    names = {"service.name": given.get("OTEL_SERVICE_NAME") or "threadwork", "threadwork.program": program}
    ids = Ids()
    try:
        exporter = TellingExporter(OTLPSpanExporter(url, headers=headers), urlsplit(url).netloc.rpartition("@")[2])
        provider = TracerProvider(
            resource=Resource.create({**names, "service.version": version("threadwork")}),
            id_generator=ids,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except (ValueError, OSError) as error:
        raise Misconfigured(f"OpenTelemetry refuses what is set for it: {error}") from error
    # It would say the same at every try; `TellingExporter` says it once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    try:
        yield OtelTraces(provider, ids)
    finally:
        _close(provider)


def address_of(given: Mapping[str, str]) -> str:
    """Where spans are posted to. Raises `Misconfigured`."""
    name = TRACES_ENDPOINT if given.get(TRACES_ENDPOINT) else ENDPOINT
    protocol = given.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    if protocol != "http/protobuf":
        raise Misconfigured(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol} is not spoken here. Set it to http/protobuf, and {name} to the "
            "collector's port for that, usually 4318."
        )
    url = given[name]
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise Misconfigured(f"{name} is wrong: it is no web address. Example: {name}=http://127.0.0.1:4318")
    return url if name == TRACES_ENDPOINT else f"{url.rstrip('/')}/v1/traces"


def headers_of(text: str) -> dict[str, str]:
    """What OTEL_EXPORTER_OTLP_HEADERS says: `name=value,name=value`, values percent-encoded. Raises `Misconfigured`."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, is_pair, value = part.partition("=")
        if not is_pair or not name.strip():
            raise Misconfigured(
                "OTEL_EXPORTER_OTLP_HEADERS is wrong: it is a list of name=value with commas between. "
                "Example: OTEL_EXPORTER_OTLP_HEADERS=api-key=secret"
            )
        found[unquote(name.strip()).lower()] = unquote(value.strip())
    return found


class OtelTraces:
    """`core.ports.Traces` on an OpenTelemetry provider, whose ids are `ids`."""

    def __init__(self, provider: TracerProvider, ids: "Ids") -> None:
        self._tracer = provider.get_tracer("threadwork")
        self._sampler = provider.sampler
        self._ids = ids

    def add(self, leg: Leg) -> None:
        """Send a leg as a span, by and by."""
        trace = _number(str(leg.trace), 16)
        # Nobody's current span is the parent, only what the leg itself names.
        context = Context()
        if leg.parent:
            # What the sampler says of a trace is the same in every process: it goes by the id.
            is_sampled = self._sampler.should_sample(context, trace, leg.name).decision is Decision.RECORD_AND_SAMPLE
            context = set_span_in_context(NonRecordingSpan(_named(trace, leg.parent, is_sampled=is_sampled)), context)
        with self._ids.next(trace, _number(leg.key, 8) if leg.key else None):
            span = self._tracer.start_span(
                leg.name,
                context,
                attributes={f"threadwork.{name}": value for name, value in leg.facts.items()},
                links=[Link(_named(_number(str(other), 16), intake_key(other))) for other in leg.links],
                start_time=round(leg.began_at * 1e9),
            )
        if leg.is_failed:
            span.set_status(Status(StatusCode.ERROR))
        # The clocks of two machines may disagree; no leg ends before it began.
        span.end(round(max(leg.began_at, leg.ended_at) * 1e9))


class Ids(RandomIdGenerator):
    """Gives the next span the ids that were set, since the SDK takes none with the span itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trace: int | None = None
        self._span: int | None = None

    @contextmanager
    def next(self, trace: int, span: int | None) -> Iterator[None]:
        """Within the block, the ids of the span that is made there. None: a random one."""
        with self._lock:
            self._trace, self._span = trace, span
            try:
                yield
            finally:
                self._trace = self._span = None

    def generate_trace_id(self) -> int:
        return self._trace or super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self._span or super().generate_span_id()

    def is_trace_id_random(self) -> bool:
        return False


def _number(text: str, size: int) -> int:
    """An id of so many bytes for what `text` names. Samplers rely on ids that are spread evenly; UUIDs are not."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=size).digest()) or 1


def _named(trace: int, key: str, *, is_sampled: bool = True) -> SpanContext:
    """The span of this key, wherever it is, was or will be told."""
    flags = TraceFlags(TraceFlags.SAMPLED if is_sampled else TraceFlags.DEFAULT)
    return SpanContext(trace, _number(key, 8), is_remote=True, trace_flags=flags)


class TellingExporter(SpanExporter):
    """Says once that the collector does not take spans, and once that it does again."""

    def __init__(self, inner: SpanExporter, host: str) -> None:
        self._inner = inner
        self._host = host
        self._is_away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        is_away = result is not SpanExportResult.SUCCESS
        if is_away and not self._is_away:
            log.warning("traces_not_sent", to=self._host, lost=len(spans))
        elif self._is_away and not is_away:
            log.info("traces_sent_again", to=self._host)
        self._is_away = is_away
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


def _close(provider: TracerProvider) -> None:
    """Send what waits. The SDK may take half a minute for that, so it does so in a thread that we do not wait for."""
    closing = threading.Thread(target=provider.shutdown, name="last traces", daemon=True)
    closing.start()
    closing.join(FLUSH_S)
    if closing.is_alive():
        log.warning("traces_not_flushed", after_s=FLUSH_S)
