"""Doubles of what watches programs: Sentry's envelopes and an OpenTelemetry collector, both on loopback."""

from tests.doubles.observing.double import Observer, Span

__all__ = ["Observer", "Span"]
