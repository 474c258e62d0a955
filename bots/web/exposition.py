"""Metrics as text in Prometheus's format. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/: a line of help, one of type, then the samples. Labels are
names of ours, from enumerations; nothing that a person wrote or is called comes in here.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from core.ports import Spread

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Labels = Mapping[str, str]


def gauge(name: str, what: str, samples: Iterable[tuple[Labels, Decimal | float]]) -> str:
    """Something that goes up and down."""
    return _metric(name, what, "gauge", [(name, labels, value) for labels, value in samples])


def counter(name: str, what: str, samples: Iterable[tuple[Labels, Decimal | float]]) -> str:
    """Something that only grows, until it begins anew. `name` ends in `_total`."""
    return _metric(name, what, "counter", [(name, labels, value) for labels, value in samples])


def histogram(name: str, what: str, spreads: Iterable[tuple[Labels, Spread]]) -> str:
    """How long something took. `name` ends in `_seconds`."""
    lines: list[tuple[str, Labels, Decimal | float]] = []
    for labels, spread in spreads:
        below = 0
        for bound, count in zip((*spread.bounds, float("inf")), spread.counts, strict=True):
            below += count
            lines.append((f"{name}_bucket", {**labels, "le": _number(bound)}, below))
        lines += [(f"{name}_sum", labels, spread.total_s), (f"{name}_count", labels, below)]
    return _metric(name, what, "histogram", lines)


def _metric(name: str, what: str, kind: str, lines: Iterable[tuple[str, Labels, Decimal | float]]) -> str:
    head = f"# HELP {name} {_escaped(what)}\n# TYPE {name} {kind}\n"
    return head + "".join(f"{line}{_labels(labels)} {_number(value)}\n" for line, labels, value in lines)


def _labels(labels: Labels) -> str:
    quoted = (f'{name}="{_escaped(value).replace(chr(34), chr(92) + chr(34))}"' for name, value in labels.items())
    return "{" + ",".join(quoted) + "}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: Decimal | float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else format(value, "f") if isinstance(value, Decimal) else repr(value)
