"""A question and all its keys are on the screen together, whatever size the terminal has or comes to have."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from prompt_toolkit.application import AppSession, create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from bots.console.app import ConsoleChat, Seen
from bots.console.terminal import Terminal
from core.domain import events as e
from core.domain.approval import Approval, ApprovalId, ApprovalKind
from core.domain.chat import ChatId, ChatSettings
from core.domain.states import ApprovalState
from core.domain.turn import TurnId
from core.ports import Cursor

WAIT_S = 30
LONG = "\n".join(f"echo {number}" for number in range(60))


class Glass(DummyOutput):
    """A terminal of a size that may change; `drawn` is set whenever something was drawn."""

    def __init__(self, columns: int, rows: int) -> None:
        self.size = Size(rows=rows, columns=columns)
        self.drawn = asyncio.Event()

    def get_size(self) -> Size:
        return self.size

    def flush(self) -> None:
        self.drawn.set()


@dataclass(slots=True)
class Looking:
    """Somebody who looks at the terminal."""

    glass: Glass
    session: AppSession
    seen: list[str] = field(default_factory=list)

    async def until(self, *words: str) -> list[str]:
        """The lines on the screen once all the words are on it."""
        async with asyncio.timeout(WAIT_S):
            while not all(word in "\n".join(self._lines()) for word in words):
                self.glass.drawn.clear()
                await self.glass.drawn.wait()
        return self._lines()

    def resize(self, columns: int, rows: int) -> None:
        self.glass.size = Size(rows=rows, columns=columns)
        assert self.session.app is not None
        self.session.app.invalidate()

    def _lines(self) -> list[str]:
        app = self.session.app
        screen = app.renderer.last_rendered_screen if app is not None else None
        if screen is None:
            return []
        size = self.glass.size
        lines = [
            "".join(screen.data_buffer[row][column].char for column in range(size.columns)).rstrip()
            for row in range(size.rows)
        ]
        return "\n".join(lines).rstrip().split("\n")


class Asking:
    """A chat in which a turn waits for the answer to one question."""

    def __init__(self, approval: Approval) -> None:
        self._approval = approval
        turns = SimpleNamespace(unfinished=self._turn, events=self._events)
        self.stores = SimpleNamespace(turns=turns, approvals=SimpleNamespace(get=self._get))

    async def find(self) -> Any:
        return SimpleNamespace(id=self._approval.chat_id)

    async def cursor(self, _chat: Any) -> Cursor:
        return Cursor("")

    async def watch(self, _chat: Any, _after: Cursor) -> AsyncGenerator[Seen, None]:
        await asyncio.Event().wait()
        yield Seen(TurnId(self._approval.turn_id), e.ThinkingDone(""))

    async def _turn(self, _chat: ChatId) -> Any:
        return SimpleNamespace(id=self._approval.turn_id)

    async def _events(self, _turn: TurnId) -> list[Any]:
        asked = e.ApprovalAsked(str(self._approval.id), self._approval.kind, self._approval.line)
        return [SimpleNamespace(event=event) for event in (e.TurnStarted(1, ()), asked)]

    async def _get(self, _approval: ApprovalId) -> Approval:
        return self._approval


def asked(kind: ApprovalKind, tool: str, given: dict[str, Any]) -> Approval:
    return Approval(
        id=ApprovalId(uuid4()),
        chat_id=ChatId(uuid4()),
        turn_id=TurnId(uuid4()),
        tool_use_id="t1",
        kind=kind,
        tool=tool,
        input=given,
        line="Runs it",
        state=ApprovalState.PENDING,
        asked_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@asynccontextmanager
async def terminal_of(approval: Approval, columns: int, rows: int) -> AsyncGenerator[Looking, None]:
    glass = Glass(columns, rows)
    with create_pipe_input() as typed, create_app_session(input=typed, output=glass) as session:
        chat = cast("ConsoleChat", Asking(approval))
        running = asyncio.create_task(Terminal(chat, ChatSettings(), "hello", colour=False).run())
        try:
            yield Looking(glass, session)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait_for(running, WAIT_S)


def options(*, many: bool) -> dict[str, Any]:
    labels = [{"label": label, "description": ""} for label in ("Red", "Blue")]
    return {"questions": [{"question": "Which?", "header": "", "options": labels, "multiSelect": many}]}


@pytest.mark.parametrize(
    ("approval", "keys"),
    [
        pytest.param(
            asked(ApprovalKind.TOOL, "Bash", {"command": LONG}),
            ["a allow once · A always in this chat", "d deny · r deny with reason… · e edit…"],
            id="tool",
        ),
        pytest.param(
            asked(ApprovalKind.PLAN, "ExitPlanMode", {"plan": LONG}),
            ["a approve · A approve and accept edits", "k keep planning…"],
            id="plan",
        ),
        pytest.param(
            asked(ApprovalKind.QUESTION, "AskUserQuestion", options(many=True)),
            ["digits to pick, Enter to go on", "o other… · d decline"],
            id="question",
        ),
    ],
)
async def test_all_keys_are_below_the_question_in_forty_columns(approval: Approval, keys: list[str]) -> None:
    async with terminal_of(approval, 40, 24) as looking:
        lines = await looking.until(*keys)

    assert lines[-2:] == keys
    assert lines[-3] == "›"
    assert lines[-4].startswith("╰")


async def test_the_keys_follow_the_width_and_come_back() -> None:
    approval = asked(ApprovalKind.TOOL, "Bash", {"command": LONG})
    async with terminal_of(approval, 100, 24) as looking:
        in_one = "a allow once · A always in this chat · d deny · r deny with reason… · e edit…"
        assert (await looking.until(in_one))[-3].startswith("╰")
        looking.resize(40, 24)
        narrow = await looking.until("\nd deny · r deny with reason… · e edit…")
        assert narrow[-4].startswith("╰")
        looking.resize(25, 12)
        small = await looking.until("\nd deny\n", "\ne edit…")
        assert small[-7].startswith("╰")
        looking.resize(100, 24)
        assert (await looking.until(in_one))[-3].startswith("╰")
