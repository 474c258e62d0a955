"""Pictures of Threadwork's posts for the docs, from the very blocks it sends: `python -m tests.doubles.slack.pictures`.

Writes `docs/images/slack-*.svg`: the double's page inside an SVG, which browsers draw. Nobody measures the text here,
so a picture's height is reckoned from its lines.
"""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Any
from uuid import UUID

from core.domain import events as e
from core.domain.approval import Approval, ApprovalId, ApprovalKind, Decision, Verdict
from core.domain.chat import ChatId, Place, Platform
from core.domain.states import ApprovalState, TurnState
from core.domain.turn import TurnId, Usage
from core.domain.view import View, fold
from core.ports import Payload
from core.surfaces.slack.approvals import render_approval
from core.surfaces.slack.client import SlackSurface
from core.surfaces.slack.render import render
from tests.doubles.slack.clock import Clock
from tests.doubles.slack.double import SlackDouble
from tests.doubles.slack.page import Page
from tests.doubles.slack.page_style import STYLE
from tests.doubles.slack.store import texts_of

FOLDER = Path(__file__).parents[3] / "docs" / "images"
WIDTH = 760
_AT = 1_780_000_000.0
_ID = UUID(int=1)
_ANSWER = """The tests pass again. `total()` lost the last row, because its range ended one too early.

```python
for row in rows[:-1]:  # was: every row but the last
```

| file | change |
|------|--------|
| `report.py` | the whole range |
| `test_report.py` | a test with one row |

I ran all **214 tests**; the slowest took 1.2 s."""
_PLAN = """## Move the settings into one file

1. Read `config/*.ini` and write `settings.toml` with the same values.
2. Let `load()` read the new file, and warn about an old one.
3. Change the three callers, and their tests.

Nothing is deleted before the tests pass."""


def _turn(*events: e.RunEvent) -> Payload:
    ready = e.AgentReady("s", "claude-sonnet")
    return render(reduce(fold, [ready, *events], View(turn_id=TurnId(_ID))))[0]


def _end(state: TurnState, text: str, error: str | None = None) -> e.TurnFinished:
    return e.TurnFinished(state, text, Usage(9_000, 1_240, 8_100), Decimal("0.0312"), 74.0, error=error)


def _ask(kind: ApprovalKind, tool: str, tool_input: dict[str, Any], line: str, **more: Any) -> Payload:
    facts: dict[str, Any] = {"state": ApprovalState.PENDING} | more
    at = datetime.fromtimestamp(_AT, UTC)
    asked = Approval(ApprovalId(_ID), ChatId(_ID), _ID, "t", kind, tool, tool_input, line, asked_at=at, **facts)
    return render_approval(asked)[0]


def _pictures() -> dict[str, list[Payload]]:
    tasks = ("Find why the build fails", "Mend it", "Run all tests")
    states = ("completed", "in_progress", "pending")
    steps: list[e.RunEvent] = [
        e.TasksChanged(
            tuple(e.Task(str(n), text, state) for n, (text, state) in enumerate(zip(tasks, states, strict=True)))
        ),
        e.ToolStarted("1", "Bash", "Runs `make test`", {}),
        e.ToolFailed("1", "FAILED test_report.py::test_total"),
        e.ToolStarted("2", "Read", "Reads report.py", {}),
        e.ToolFinished("2", ""),
        e.ToolStarted("3", "Edit", "Edits report.py (+1 −1)", {}),
    ]
    command = {"command": "git add -A && git commit -m 'Count every row'\ngit push origin main"}
    line = "Runs `git add -A && git commit -m 'Count every row'…`"
    settled = {
        "state": ApprovalState.ALLOWED,
        "decision": Decision(Verdict.ALLOW),
        "decided_by": "Ann",
        "decided_at": datetime.fromtimestamp(_AT + 60, UTC),
    }
    colours = {
        "question": "Which database should the new service use?",
        "header": "Database",
        "options": [
            {"label": "Postgres", "description": "what the other services use"},
            {"label": "SQLite", "description": "nothing to run, one writer"},
        ],
    }
    lost = "The sandbox was lost and could not be made again. The thread is kept: write again to go on."
    return {
        "live": [
            _turn(
                *steps[:-1],
                e.TextWritten("The total leaves out the last row: its **range** ends one too early."),
                steps[-1],
            )
        ],
        "final": [_turn(*steps, _end(TurnState.DONE, _ANSWER))],
        "question": [
            _ask(ApprovalKind.TOOL, "Bash", command, line),
            _ask(ApprovalKind.TOOL, "Bash", command, line, **settled),
            _ask(ApprovalKind.QUESTION, "AskUserQuestion", {"questions": [colours]}, "Asks you something"),
        ],
        "plan": [_ask(ApprovalKind.PLAN, "ExitPlanMode", {"plan": _PLAN}, "Shows you its plan")],
        "error": [_turn(*steps, _end(TurnState.FAILED, "I found the cause in `report.py`.", lost))],
    }


def _height(payloads: Sequence[Payload]) -> int:
    height = 16
    for payload in payloads:
        height += 44
        for block in payload.body["blocks"]:
            if block["type"] == "actions":
                height += 48
                continue
            lines = sum(1 + len(line) // 88 for text in texts_of(block) for line in text.split("\n"))
            height += 14 + lines * (18 if block["type"] == "context" else 24)
    return height


def _svg(body: str, height: int) -> str:
    # An SVG is XML: every tag is closed, and it knows five names of characters.
    body = re.sub(r"<(br|hr|img|input)\b([^>]*?)/?>", r"<\1\2/>", body).replace("&nbsp;", "&#160;")
    body = re.sub(r"\s(selected|disabled)(?=[\s>])", r' \1="\1"', body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
        f'<foreignObject width="100%" height="100%"><div xmlns="http://www.w3.org/1999/xhtml" class="bare">'
        f"<style>{STYLE.replace('body.bare', '.bare').replace('body{', '.bare{')}\n.bare{{display:block;height:100%}}</style>"
        f'<section id="messages">{body}</section></div></foreignObject></svg>\n'
    )


async def draw() -> dict[str, str]:
    """Every picture by its name."""
    made = {}
    for name, payloads in _pictures().items():
        async with SlackDouble(clock=Clock(stands_at=_AT), rates=False) as double:
            workspace = double.workspace("T1")
            root = await workspace.person("ann").says("general", "go")
            place = Place(Platform.SLACK, "T1", root.channel, root.ts)

            async def token_of(tenant: str, double: SlackDouble = double) -> str:
                return double.workspace(tenant).token

            async with SlackSurface.open(token_of, double.api_url) as surface:
                for number, payload in enumerate(payloads):
                    await surface.send(place, payload, str(number))
            page, thread = Page(double.store), double.thread("general", root)
            drawn = [page.message(one, workspace.team, thread.channel, in_thread=True) for one in thread.ours]
            made[name] = _svg("".join(drawn), _height(payloads))
    return made


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for _name, _text in asyncio.run(draw()).items():
        (FOLDER / f"slack-{_name}.svg").write_text(_text)
