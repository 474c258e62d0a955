"""Playing prompts given on the command line, one turn after another, without a person at the keys.

`--json` prints every event as one JSON object a line; otherwise the answer is printed as it is written. Questions are
answered as `--approve` says; `ask` shows them and leaves them open, so somebody else must answer. Next: `terminal.py`,
for people.
"""

import json
import sys
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import aclosing
from enum import StrEnum
from typing import Final
from uuid import UUID

from bots.console.app import BEGINNING, ConsoleChat, Seen
from bots.console.safe import escaped, plain
from bots.console.screen import question, to_text
from core.domain import events as e
from core.domain.approval import Approval, ApprovalId, ApprovalKind, Decision, Verdict, questions_of
from core.domain.chat import ChatSettings
from core.domain.message import MessageId
from core.domain.states import ApprovalState, TurnState
from core.errors import AlreadyDecided

EXIT: Final = {TurnState.DONE: 0, TurnState.FAILED: 1, TurnState.STOPPED: 3}
WIDTH: Final = 100


class Approve(StrEnum):
    """How questions are answered when nobody is there."""

    ASK = "ask"
    ALLOW = "allow"
    DENY = "deny"


def decision_for(approve: Approve, approval: Approval) -> Decision:
    """The decision of somebody who always says the same; of options, the first is taken."""
    if approve is Approve.DENY:
        return Decision(Verdict.DENY, reason="No.")
    if approval.kind is ApprovalKind.QUESTION:
        answers = {
            question.text: question.options[0].label if question.options else "Your choice."
            for question in questions_of(approval.input)
        }
        return Decision(Verdict.ALLOW, answers=answers)
    return Decision(Verdict.ALLOW)


Answer = Callable[[Approval], Awaitable[Decision | None]]


def always(approve: Approve) -> Answer:
    """Somebody who always says the same, or nothing at all (`ask`)."""

    async def answer(approval: Approval) -> Decision | None:
        return None if approve is Approve.ASK else decision_for(approve, approval)

    return answer


class Player:
    """Plays prompts in a chat. `answer` decides questions; None leaves one open for somebody else."""

    def __init__(self, console: ConsoleChat, settings: ChatSettings, answer: Answer, *, as_json: bool) -> None:
        self._console = console
        self._settings = settings
        self._decide = answer
        self._as_json = as_json
        self._is_in_line = False

    async def play(self, prompts: AsyncIterable[str]) -> int:
        """Run the turns; 0 when each is done, 1 when one failed, 3 when one was stopped, which ends the play."""
        async for prompt in prompts:
            state = await self.turn(prompt)
            if state is not TurnState.DONE:
                return EXIT[state]
        return 0

    async def turn(self, prompt: str) -> TurnState:
        """Say one thing, show what comes of it, and return how it ended."""
        before = await self._console.find()
        cursor = await self._console.cursor(before) if before else None
        chat, message = await self._console.say(prompt, self._settings)
        if before is not None and before.settings != self._settings:
            await self._console.intake.change(chat, mode=self._settings.mode, model=self._settings.model)
        mine: UUID | None = None
        async with aclosing(self._console.watch(chat, cursor or BEGINNING)) as seen:
            async for item in seen:
                if mine is None and not _takes_up(item, message.id):
                    continue
                mine = mine or item.turn_id
                if item.turn_id != mine:
                    continue
                await self._show(item)
                if isinstance(item.event, e.MessageSteered):
                    # It joined a turn that may have asked before.
                    for approval in await self._console.stores.approvals.pending(chat.id):
                        await self._answer(str(approval.id))
                if isinstance(item.event, e.ApprovalAsked):
                    await self._answer(item.event.approval_id)
                if isinstance(item.event, e.TurnFinished):
                    return item.event.state
        return TurnState.FAILED

    async def _answer(self, approval_id: str) -> None:
        approval = await self._console.stores.approvals.get(ApprovalId(UUID(approval_id)))
        if approval.state is not ApprovalState.PENDING:
            return
        decision = await self._decide(approval)
        if decision is None:
            if not self._as_json:
                self._leave_open(approval)
            return
        try:
            await self._console.decide(approval_id, decision)
        except AlreadyDecided:
            return

    def _leave_open(self, approval: Approval) -> None:
        _print(to_text(question(approval), WIDTH, colour=False) + "\n")
        _print(f"It waits for an answer: threadwork chat --name {self._console.place.thread}\n")

    async def _show(self, item: Seen) -> None:
        if self._as_json:
            body = e.to_json(item.event)
            if "cost_usd" in body:
                # Whoever reads this reckons with it; the stored form is text, so that nothing is lost.
                body["cost_usd"] = float(body["cost_usd"])
            line = {"type": body.pop("type"), "turn": str(item.turn_id), **body}
            _print(escaped(json.dumps(line, ensure_ascii=False)) + "\n")
            return
        match item.event:
            case e.TextStreamed():
                self._say(item.event.text)
            case e.TextWritten():
                self._new_line()
            case e.ToolStarted() if item.event.parent is None:
                self._new_line()
                _print(f"· {item.event.line}\n")
            case e.ApprovalAsked():
                self._new_line()
                _print(f"? {item.event.line}\n")
            case e.ApprovalSettled() if item.event.words:
                _print(f"  {item.event.words}\n")
            case e.Noticed() | e.AgentRestarted():
                self._new_line()
                _print(f"! {item.event.words}\n")
            case e.TurnFinished() if item.event.error:
                self._new_line()
                _print(f"! {item.event.error}\n")
            case _:
                pass

    def _say(self, text: str) -> None:
        self._is_in_line = not text.endswith("\n")
        _print(text)

    def _new_line(self) -> None:
        if self._is_in_line:
            _print("\n")
        self._is_in_line = False


def _takes_up(item: Seen, message: MessageId) -> bool:
    return (isinstance(item.event, e.TurnStarted) and str(message) in item.event.message_ids) or (
        isinstance(item.event, e.MessageSteered) and item.event.message_id == str(message)
    )


def _print(text: str) -> None:
    # Lone surrogates and the like must not end the program; they are shown as what they are.
    sys.stdout.write(plain(text).encode("utf-8", "backslashreplace").decode())
    sys.stdout.flush()
