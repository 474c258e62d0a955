"""The templates, and what all of them know: who is there, which pages there are, and how times and sums read.

Everything put into a page is escaped, and characters that hide or turn text round are shown as what they are.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import aiohttp_jinja2
import jinja2
from aiohttp import web
from markupsafe import Markup

from bots.web.visitors import visitor_of
from core.domain.chat import Platform
from core.domain.describe import visible
from core.surfaces.inline_code import code_spans

TEMPLATES: Final = Path(__file__).parent / "templates"
PAGES: Final = (
    ("/", "Chats"),
    ("/waiting", "Waiting"),
    ("/usage", "Usage"),
    ("/deliveries", "Deliveries"),
    ("/health", "Health"),
)


def set_up_templates(site: web.Application, doors: Sequence[Platform] = ()) -> None:
    """Let the site's pages be rendered. `doors`: the platforms through which one may sign in."""
    environment = aiohttp_jinja2.setup(
        site,
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.globals["doors"] = [one.value for one in doors]
    environment.filters.update(when=when, usd=usd, seconds=seconds, tokens=tokens, inline=inline)


def render(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:
    """A page: the template with what it needs, and with what all need."""
    known = {"request": request, "session": visitor_of(request), "pages": PAGES}
    return aiohttp_jinja2.render_template(template, request, known | context, status=status)


def _shown(value: Any) -> Any:
    """A value as it goes into a page: text with nothing invisible in it."""
    return visible(value) if type(value) is str else value


def inline(text: str) -> Markup:
    """A text whose inline code looks like code; nothing else in it is markup."""
    shown = Markup("")
    for part, is_code in code_spans(visible(text)):
        ticks = len(part) - len(part.lstrip("`")) if is_code else 0
        shown += Markup("<code>{}</code>").format(part[ticks:-ticks].strip(" ")) if is_code else part
    return shown


def when(moment: datetime | None) -> str:
    """A time, to the second, in UTC: the page's reader may be anywhere."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def usd(amount: Decimal) -> str:
    """A sum, to the cent or, when it is less than a dollar, to a hundredth of one."""
    return f"${amount:.2f}" if amount >= 1 or not amount else f"${amount:.4f}"


def seconds(duration_s: float) -> str:
    """A duration: `4.2 s`, `3 min 10 s`, `2 h 5 min`."""
    if duration_s < 60:
        return f"{duration_s:.1f} s"
    minutes, rest = divmod(round(duration_s), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def tokens(count: int) -> str:
    """A number of tokens: `12,345`."""
    return f"{count:,}"
