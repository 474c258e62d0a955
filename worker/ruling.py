"""Ruling on the agent's requests: policy, then rules people made, then a person.

A request that needs a person becomes an approval in the database; `settle` looks which were decided and answers the
agent. After the agent's program was lost, the request it makes again takes over the question that is still on
screen (`_orphan`), so nothing is asked twice. Next: `core/domain/policy.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import loads
from typing import Any

import structlog

from core.domain import events as e
from core.domain.approval import Approval, ApprovalKind, Rule, Verdict, decided_words
from core.domain.chat import Chat, Mode
from core.domain.describe import line_of
from core.domain.policy import Allow, Deny, decide, rule_from
from core.domain.states import ApprovalState
from core.domain.view import StepState
from core.ports import Asked, Fence, Stores
from worker.agent.questions import ToolRequest, allowed, answer_to, denied
from worker.present import Presenter
from worker.telling import Telling

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of looking: events to tell, and the mode the chat is in after an approved plan."""

    events: Sequence[e.RunEvent] = ()
    mode: Mode | None = None


class Rulings:
    """The open requests of one process of the agent."""

    def __init__(self, stores: Stores, presenter: Presenter, rules: Sequence[Rule]) -> None:
        self._stores = stores
        self.presenter = presenter
        self._rules = list(rules)
        self._open: dict[str, ToolRequest] = {}
        self._seen: set[str] = set()
        self._taken_back: set[str] = set()

    async def rule(self, request: ToolRequest, telling: Telling, chat: Chat, fence: Fence) -> None:
        """Answer a request now, or store it as a question; `settle`, called next, answers what is decided."""
        self._seen.add(request.tool_use_id)
        approval = await self._stores.approvals.by_tool_use(chat.id, request.tool_use_id)
        if approval is None:
            approval = await self._orphan(request, telling, fence)
        if approval is None:
            ruling = decide(
                chat.settings.mode, request.tool, request.input, self._rules, blocked_path=request.blocked_path
            )
            match ruling:
                case Allow():
                    request.settle(allowed())
                    return
                case Deny():
                    request.settle(denied(ruling.message))
                    return
                case _:
                    approval = await self._ask(request, ruling.why, telling, fence)
        self._open[str(approval.id)] = request

    async def _ask(self, request: ToolRequest, why: str, telling: Telling, fence: Fence) -> Approval:
        asked = Asked(
            turn_id=telling.turn.id,
            tool_use_id=request.tool_use_id,
            kind=request.kind,
            tool=request.tool,
            input=request.input,
            line=line_of(request.tool, request.input),
            suggestions=request.suggestions,
            why=why or request.why,
        )
        approval, _is_new = await self._stores.approvals.ask(fence, asked, telling.seq + 1)
        await telling.asked(approval)
        return approval

    async def _orphan(self, request: ToolRequest, telling: Telling, fence: Fence) -> Approval | None:
        """The question of a lost program that this request asks again, now under this request's id."""
        running = {step.id for step in telling.view.steps if step.state is StepState.RUNNING}
        for approval in telling.asks.values():
            if (
                approval.tool_use_id in running - self._seen
                and approval.tool == request.tool
                and approval.input == request.input
                and approval.state is not ApprovalState.WITHDRAWN
            ):
                adopted = await self._stores.approvals.rekey(fence, approval.id, request.tool_use_id)
                telling.asks[str(adopted.id)] = adopted
                return adopted
        return None

    async def settle(self, telling: Telling, chat: Chat) -> Settled:
        """Look which of the turn's questions are decided or were taken back; answer the agent."""
        if not (telling.view.asks or self._open or self._taken_back):
            return Settled()
        told: list[e.RunEvent] = []
        mode: Mode | None = None
        for stored in await self._stores.approvals.of_turn(telling.turn.id):
            approval = stored
            if approval.state is ApprovalState.PENDING and approval.tool_use_id in self._taken_back:
                approval = await self._stores.approvals.withdraw(self.presenter.fence, approval.id)
            if approval.state is ApprovalState.PENDING:
                continue
            if str(approval.id) in telling.view.asks:
                told.append(telling.settled(approval, decided_words(approval)))
            if str(approval.id) in self._open:
                await self._answer(approval, chat)
                mode = _mode_after(approval) or mode
        self._taken_back.clear()
        return Settled(told, mode)

    async def _answer(self, approval: Approval, chat: Chat) -> None:
        request = self._open.pop(str(approval.id))
        if approval.decision is None:
            return
        if approval.decision.verdict is Verdict.ALWAYS and approval.kind is ApprovalKind.TOOL:
            rule = rule_from(approval.tool, approval.input, approval.suggestions)
            await self._stores.approvals.add_rule(chat.id, rule, approval.decided_by or "")
            self._rules.append(rule)
        request.settle(answer_to(request, approval.decision, approval.decided_by))

    def taken_back(self, body: Mapping[str, Any], pending: Mapping[str, str]) -> None:
        """Note that the agent no longer asks (a `control_cancel_request` line)."""
        raw = pending.get(str(body.get("request_id")))
        if raw is not None:
            tool_use_id = str(loads(raw)["request"].get("tool_use_id"))
            self._taken_back.add(tool_use_id)
            self._open = {key: request for key, request in self._open.items() if request.tool_use_id != tool_use_id}

    @property
    def has_news(self) -> bool:
        """Whether a request was taken back since the last look."""
        return bool(self._taken_back)

    @property
    def waits(self) -> bool:
        """Whether the agent waits for a person."""
        return bool(self._open)

    def forget(self) -> None:
        """The turn is over: nothing is open any more."""
        self._open.clear()
        self._taken_back.clear()


def _mode_after(approval: Approval) -> Mode | None:
    """An approved plan ends planning; the agent's program leaves its own plan mode by itself."""
    if approval.kind is not ApprovalKind.PLAN or approval.decision is None or not approval.decision.verdict.is_yes:
        return None
    return Mode.AUTO if approval.decision.verdict is Verdict.ACCEPT_EDITS else Mode.ASK
