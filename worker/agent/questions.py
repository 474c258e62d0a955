"""The agent's requests for permission, on their way to a person and back.

`can_use_tool` is called by the SDK in a task of its own; it only puts a `ToolRequest` into the run's mailbox and waits.
The run rules on it in its turn (policy first, then an approval in the database), so events stay in order. The
answers the SDK gets are built by the pure functions below. Next: `worker/run_turn.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from claude_agent_sdk import PermissionResultAllow, PermissionResultDeny

from core.domain.approval import ApprovalKind, Decision

if TYPE_CHECKING:
    from claude_agent_sdk.types import PermissionResult, ToolPermissionContext


@dataclass(frozen=True, slots=True, eq=False)
class ToolRequest:
    """One request of the agent, as it waits in the mailbox. `answer` is what the SDK's callback waits for."""

    tool_use_id: str
    tool: str
    input: dict[str, Any]
    suggestions: tuple[dict[str, Any], ...] = ()
    blocked_path: str | None = None
    why: str = ""
    answer: "asyncio.Future[PermissionResult]" = field(default_factory=asyncio.Future)

    @property
    def kind(self) -> ApprovalKind:
        """What sort of question this would be."""
        match self.tool:
            case "AskUserQuestion":
                return ApprovalKind.QUESTION
            case "ExitPlanMode":
                return ApprovalKind.PLAN
            case _:
                return ApprovalKind.TOOL

    def settle(self, answer: "PermissionResult") -> None:
        """Give the SDK its answer, unless it no longer waits for one."""
        if not self.answer.done():
            self.answer.set_result(answer)


class Asking:
    """The SDK's `can_use_tool`: puts the request where the run finds it, and waits for as long as it takes."""

    def __init__(self, put: Callable[[ToolRequest], Awaitable[None]]) -> None:
        self._put = put

    async def can_use_tool(
        self, tool: str, tool_input: dict[str, Any], context: "ToolPermissionContext"
    ) -> "PermissionResult":
        """Answer the agent. Cancelled when the agent takes its request back, or when this run detaches."""
        request = ToolRequest(
            tool_use_id=context.tool_use_id or "",
            tool=tool,
            input=tool_input,
            suggestions=tuple(suggestion.to_dict() for suggestion in context.suggestions),
            blocked_path=context.blocked_path,
            why=context.decision_reason or "",
        )
        await self._put(request)
        return await request.answer


def allowed(updated_input: dict[str, Any] | None = None) -> "PermissionResult":
    """The answer "go on".

    Rules stay on our side: the CLI's own matching of them is looser than `core/domain/policy.py`.
    """
    return PermissionResultAllow(updated_input=updated_input)


def denied(words: str) -> "PermissionResult":
    """The answer "no", in words the model reads."""
    return PermissionResultDeny(message=words)


def answer_to(request: ToolRequest, decision: Decision, by: str | None) -> "PermissionResult":
    """What the agent is told when a person has decided."""
    who = by or "Somebody"
    if not decision.verdict.is_yes:
        reason = decision.reason.strip()
        if request.kind is ApprovalKind.PLAN:
            return denied(f"{who} wants you to keep planning. {reason}".strip())
        return denied(f"{who} denied this. {reason or 'Do not try it another way; say what you would have done.'}")
    if request.kind is ApprovalKind.QUESTION:
        return allowed({**request.input, "answers": decision.answers})
    return allowed(decision.updated_input)
