"""*Usage*: what turns cost, by day, tenant, channel, person or model; as a page, and as CSV for a spreadsheet.

Next: `chart.py`, and `core/store/usage.py`, which sums.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from urllib.parse import urlencode

from aiohttp import web
from markupsafe import Markup

from bots.web.chart import Bar, bars
from bots.web.templating import render, usd
from bots.web.visitors import session_of
from core.errors import BadInput
from core.ports import Spending, Spent, SpentBy

DAYS: Final = 30
MOST_DAYS: Final = 366
# What a spreadsheet would run: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_HEAD: Final = ("turns", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost_usd")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: sums by what, from which day to which."""

    by: SpentBy
    first: date
    last: date

    @property
    def query(self) -> str:
        """As in an address."""
        return urlencode({"by": self.by.value, "from": self.first.isoformat(), "to": self.last.isoformat()})


class UsagePage:
    """The page and its file."""

    def __init__(self, spending: Spending) -> None:
        self._spending = spending

    @property
    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [web.get("/usage", self.page), web.get("/usage.csv", self.file)]

    async def page(self, request: web.Request) -> web.Response:
        """The sums, with a chart of the days' cost."""
        asked, scope = _asked(request), session_of(request).rights.scope
        lines = await self._spending.by(scope, asked.by, asked.first, asked.last)
        is_by_day = asked.by is SpentBy.DAY
        days = lines if is_by_day else await self._spending.by(scope, SpentBy.DAY, asked.first, asked.last)
        total = sum((line.cost_usd for line in lines), Decimal(0))
        chart = chart_of(days, asked)
        return render(request, "usage.html", asked=asked, lines=lines, total=total, chart=chart, kinds=list(SpentBy))

    async def file(self, request: web.Request) -> web.Response:
        """The same sums as CSV (RFC 4180)."""
        asked = _asked(request)
        lines = await self._spending.by(session_of(request).rights.scope, asked.by, asked.first, asked.last)
        name = f"threadwork-usage-by-{asked.by.value}-{asked.first}-{asked.last}.csv"
        return web.Response(
            text=csv_of(asked.by.value, lines),
            content_type="text/csv",
            charset="utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


def chart_of(days: Sequence[Spent], asked: Asked) -> Markup:
    """What each day cost, days without a turn included."""
    by_day = {day.name: day.cost_usd for day in days}
    count = (asked.last - asked.first).days + 1
    all_days = [(asked.first + timedelta(days=at)).isoformat() for at in range(count)]
    given = [(day, by_day.get(day, Decimal(0))) for day in all_days]
    drawn = [Bar(cost, day[5:], f"{day}: {usd(cost)}") for day, cost in given]
    return bars(drawn, "Cost by day", f"{usd(max(cost for _, cost in given))} at most")


def csv_of(by: str, lines: Sequence[Spent]) -> str:
    """The lines as CSV; a name that a spreadsheet would take for a formula begins with an apostrophe."""
    written = io.StringIO()
    out = csv.writer(written)
    out.writerow((by, *_HEAD))
    for line in lines:
        name = f"'{line.name}" if line.name.startswith(_FORMULA) else line.name
        use = line.usage
        tokens = (use.input_tokens, use.output_tokens, use.cache_read_tokens, use.cache_write_tokens)
        out.writerow((name, line.turns, *tokens, f"{line.cost_usd:f}"))
    return written.getvalue()


def _asked(request: web.Request) -> Asked:
    by, today = request.query.get("by", "day"), datetime.now(UTC).date()
    if by not in set(SpentBy):
        raise BadInput("Choose by what to sum.")
    last = _day(request, "to", today)
    default = date.fromordinal(max(1, last.toordinal() - DAYS + 1))
    first = _day(request, "from", default)
    if not 0 <= (last - first).days < MOST_DAYS or last == date.max:
        raise BadInput("Choose a first day and a last one, at most a year apart.")
    return Asked(SpentBy(by), first, last)


def _day(request: web.Request, name: str, default: date) -> date:
    given = request.query.get(name, "")
    try:
        return date.fromisoformat(given) if given else default
    except ValueError:
        raise BadInput("A day is written like 2026-07-31.") from None
