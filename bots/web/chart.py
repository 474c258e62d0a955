"""A bar chart as SVG, drawn here so that the page needs no script for it. Pure.

Colours come from the style sheet (`svg.chart` in `static/page.css`); the numbers stand in a table beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from markupsafe import Markup

WIDTH, HEIGHT, FOOT, HEAD = 720, 180, 22, 18


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: how high, what stands below it, and what it says when it is pointed at."""

    value: Decimal
    label: str
    words: str


def bars(given: Sequence[Bar], title: str, most: str) -> Markup:
    """The chart; empty without a bar that is above zero. `most` says what the highest one is."""
    highest = max((bar.value for bar in given), default=Decimal(0))
    if highest <= 0:
        return Markup("")
    step = WIDTH / len(given)
    # About ten labels, however many bars.
    every = max(1, -(-len(given) // 10))
    parts = [
        Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, title),
        Markup('<text x="0" y="11">{}</text>').format(most),
        Markup('<line class="axis" x1="0" x2="{}" y1="{}" y2="{}"/>').format(WIDTH, HEIGHT - FOOT, HEIGHT - FOOT),
    ]
    for at, bar in enumerate(given):
        tall = float(bar.value / highest) * (HEIGHT - FOOT - HEAD) if bar.value > 0 else 0.0
        shape = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>')
        parts.append(shape.format(at * step + step * 0.1, HEIGHT - FOOT - tall, min(step * 0.8, 48), tall, bar.words))
        if at % every == 0:
            parts.append(Markup('<text x="{:.1f}" y="{}">{}</text>').format(at * step, HEIGHT - 7, bar.label))
    return Markup("").join([*parts, Markup("</svg>")])
