"""One server that takes both: Sentry's envelopes at `/api/<project>/envelope/`, OTLP/HTTP spans at `/v1/traces`.

It keeps every byte that arrived, unpacked, and what it says; what breaks the rules of either protocol is refused with
400 and kept in `violations`: https://develop.sentry.dev/sdk/data-model/envelopes/ and
https://opentelemetry.io/docs/specs/otlp/#otlphttp. It runs in a thread, for tests that wait in whatever way.
"""

import gzip
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

KEY, PROJECT = "0123456789abcdef0123456789abcdef", "42"


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it arrived. Ids are in hex; times in nanoseconds."""

    name: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    links: tuple[str, ...]
    is_failed: bool


class Observer:
    """The server, while the context is open."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.spans: list[Span] = []
        self.headers: list[Mapping[str, str]] = []
        self.bodies: list[bytes] = []
        self.violations: list[str] = []
        self.status = 200
        observer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = observer.take(
                    self.path, {name.lower(): value for name, value in self.headers.items()}, body
                )
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        if self.violations:
            raise AssertionError(self.violations)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def dsn(self) -> str:
        return f"http://{KEY}@{self.address}/{PROJECT}"

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}"

    @property
    def all_bytes(self) -> bytes:
        return b"\n".join(self.bodies)

    def span(self, name: str) -> Span:
        """The only one of that name."""
        (found,) = (span for span in self.spans if span.name == name)
        return found

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Take one request, its headers' names in small letters; the answer's status and body."""
        if self.status != 200:
            return self.status, b""
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.bodies.append(body)
        self.headers.append(headers)
        try:
            if path == f"/api/{PROJECT}/envelope/":
                self.events += _events(headers, body)
                return 200, b"{}"
            if path == "/v1/traces":
                _check(headers["content-type"] == "application/x-protobuf", "spans are protobuf here")
                self.spans += _spans(ExportTraceServiceRequest.FromString(body))
                return 200, ExportTraceServiceResponse().SerializeToString()
            _check(False, f"nothing is at {path}")
        except (AssertionError, KeyError, ValueError) as error:
            self.violations.append(f"{path}: {error!r}")
        return 400, b"{}"


def _check(is_so: bool, what: str) -> None:
    if not is_so:
        raise AssertionError(what)


def _events(headers: Mapping[str, str], body: bytes) -> list[dict[str, Any]]:
    _check(f"sentry_key={KEY}" in headers["x-sentry-auth"], "the key is in X-Sentry-Auth")
    head, _, rest = body.partition(b"\n")
    _check(bool(json.loads(head)["event_id"]), "an envelope with an event has its id")
    found = []
    while rest.strip():
        line, _, rest = rest.partition(b"\n")
        item = json.loads(line)
        size = item["length"]
        payload, rest = rest[:size], rest[size + 1 :]
        _check(item["type"] == "event", f"an item of type {item['type']}")
        event = json.loads(payload)
        _check(len(event["event_id"]) == 32, "an event's id is 32 hex digits")
        found.append(event)
    return found


def _spans(request: ExportTraceServiceRequest) -> list[Span]:
    found = []
    for resource_spans in request.resource_spans:
        resource = _attributes(resource_spans.resource.attributes)
        _check("service.name" in resource, "a resource has a service.name")
        for scope in resource_spans.scope_spans:
            for span in scope.spans:
                _check(len(span.trace_id) == 16 and any(span.trace_id), "a trace's id has 16 bytes, not all of them 0")
                _check(len(span.span_id) == 8 and any(span.span_id), "a span's id has 8 bytes, not all of them 0")
                _check(0 < span.start_time_unix_nano <= span.end_time_unix_nano, "a span ends after it began")
                found.append(
                    Span(
                        name=span.name,
                        trace=span.trace_id.hex(),
                        id=span.span_id.hex(),
                        parent=span.parent_span_id.hex(),
                        began=span.start_time_unix_nano,
                        ended=span.end_time_unix_nano,
                        attributes=_attributes(span.attributes),
                        resource=resource,
                        links=tuple(link.trace_id.hex() for link in span.links),
                        is_failed=span.status.code == 2,
                    )
                )
    return found


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
