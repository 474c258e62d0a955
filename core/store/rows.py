"""Rows to values and back: the one place that knows both shapes.

Next: the repositories, `chats.py` first.
"""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from core.domain.approval import Approval, ApprovalId, ApprovalKind, Decision, Rule, Verdict
from core.domain.chat import AgentSeat, Busy, Chat, ChatId, ChatSettings, Mode, PersonId, Place, Platform, TenantId
from core.domain.message import FileIn, Message, MessageId
from core.domain.states import ApprovalState, MessageState, SandboxState, TurnState
from core.domain.turn import Turn, TurnId, Usage
from core.ports import Post, PostState


def chat_of(row: Row[Any]) -> Chat:
    """A row of `chats` as a value."""
    return Chat(
        id=ChatId(row.id),
        tenant_id=TenantId(row.tenant_id),
        place=Place(Platform(row.platform), row.place_tenant, row.place_channel, row.place_thread),
        title=row.title,
        settings=settings_of(row.settings),
        seat=AgentSeat(
            sandbox_id=row.sandbox_id,
            sandbox_state=SandboxState(row.sandbox_state),
            pid=row.agent_pid,
            run_dir=row.run_dir,
            offset=row.journal_offset,
            session_id=row.session_id,
            pending=row.pending,
            cost_seen_usd=row.cost_seen_usd,
        ),
        epoch=row.epoch,
        starter_id=None if row.starter_id is None else PersonId(row.starter_id),
        created_at=row.created_at,
        active_at=row.active_at,
        turns=row.turns,
        cost_usd=row.cost_usd,
    )


def settings_of(body: dict[str, Any]) -> ChatSettings:
    """Stored settings as a value; what an older program did not store has its default."""
    default = ChatSettings()
    return ChatSettings(
        mode=Mode(body.get("mode", default.mode)),
        busy=Busy(body.get("busy", default.busy)),
        model=body.get("model", default.model),
        mention_only=body.get("mention_only", default.mention_only),
        may_decide=tuple(body.get("may_decide", default.may_decide)),
    )


def settings_body(settings: ChatSettings) -> dict[str, Any]:
    """Settings as stored."""
    return asdict(settings)


def seat_columns(seat: AgentSeat) -> dict[str, Any]:
    """A seat as columns of `chats`."""
    return {
        "sandbox_id": seat.sandbox_id,
        "sandbox_state": seat.sandbox_state.value,
        "agent_pid": seat.pid,
        "run_dir": seat.run_dir,
        "journal_offset": seat.offset,
        "session_id": seat.session_id,
        "pending": seat.pending,
        "cost_seen_usd": seat.cost_seen_usd,
    }


def message_of(row: Row[Any]) -> Message:
    """A row of `messages` as a value."""
    return Message(
        id=MessageId(row.id),
        chat_id=ChatId(row.chat_id),
        key=row.key,
        external_id=row.external_id,
        author_name=row.author_name,
        text=row.text,
        state=MessageState(row.state),
        files=tuple(FileIn(file["name"], file["url"], file["size"], file["media_type"]) for file in row.files),
        turn_id=row.turn_id,
        created_at=row.created_at,
        receipt=row.receipt,
    )


def turn_of(row: Row[Any]) -> Turn:
    """A row of `turns` as a value."""
    return Turn(
        id=TurnId(row.id),
        chat_id=ChatId(row.chat_id),
        number=row.number,
        state=TurnState(row.state),
        started_at=row.started_at,
        ended_at=row.ended_at,
        usage=Usage(row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cache_write_tokens),
        cost_usd=row.cost_usd,
        text=row.text,
        error=row.error,
        is_shown=row.is_shown,
        unshown_why=row.unshown_why,
        restarts=row.restarts,
    )


def approval_of(row: Row[Any]) -> Approval:
    """A row of `approvals` as a value."""
    return Approval(
        id=ApprovalId(row.id),
        chat_id=ChatId(row.chat_id),
        turn_id=row.turn_id,
        tool_use_id=row.tool_use_id,
        kind=ApprovalKind(row.kind),
        tool=row.tool,
        input=row.input,
        line=row.line,
        state=ApprovalState(row.state),
        asked_at=row.asked_at,
        suggestions=tuple(row.suggestions),
        why=row.why,
        decision=None if row.decision is None else _decision_of(row.decision),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )


def _decision_of(body: dict[str, Any]) -> Decision:
    return Decision(
        verdict=Verdict(body["verdict"]),
        reason=body.get("reason", ""),
        updated_input=body.get("updated_input"),
        answers=body.get("answers", {}),
    )


def rule_of(row: Row[Any]) -> Rule:
    """A row of `rules` as a value."""
    return Rule(row.tool, row.pattern)


def post_of(row: Row[Any]) -> Post:
    """A row of `posts` as a value."""
    return Post(
        id=row.id,
        chat_id=ChatId(row.chat_id),
        turn_id=TurnId(row.turn_id),
        slot=row.slot,
        mark=row.mark,
        state=PostState(row.state),
        external_id=row.external_id,
        fingerprint=row.fingerprint,
        reserved_at=row.reserved_at,
        tried=row.is_tried,
    )
