"""The schema, as SQLAlchemy tables; `migrations/versions` makes it.

Times are aware UTC, money is `Numeric(18, 8)`, states are text with a CHECK made from the enum that owns them.
A partial unique index keeps one unfinished turn a chat, whatever the code does. Next: `engine.py`.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    and_,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from core.domain.approval import ApprovalKind
from core.domain.chat import Platform, Role
from core.domain.states import ApprovalState, MessageState, SandboxState, TurnState, is_final
from core.ports import PostState, Wish
from core.store.columns import Moment, Money, PlainText

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _quoted(values: Iterable[str]) -> str:
    """Names of states for the text of an SQL `IN`; they are ours, never a person's."""
    return ", ".join(f"'{value}'" for value in values)


def any_of(column: ColumnElement[Any], values: Iterable[str]) -> ColumnElement[bool]:
    """`column IN ('a', 'b')` with the values written out: a bound one would keep Postgres from the partial indexes."""
    return column.in_([literal_column(f"'{value}'", Text) for value in values])


def _one_of(column: str, kind: type[StrEnum]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({_quoted(kind)})", name=column)


UNFINISHED: Final = tuple(state for state in TurnState if not is_final(state))
FINAL_MESSAGE: Final = tuple(state for state in MessageState if is_final(state))


tenants: Final = Table(
    "tenants",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("name", PlainText, nullable=False, server_default=""),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    UniqueConstraint("platform", "external_id"),
    _one_of("platform", Platform),
)

people: Final = Table(
    "people",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Uuid, ForeignKey(tenants.c.id), nullable=False),
    Column("platform_id", Text, nullable=False),
    Column("name", PlainText, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    UniqueConstraint("tenant_id", "platform_id"),
    _one_of("role", Role),
)

chats: Final = Table(
    "chats",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Uuid, ForeignKey(tenants.c.id), nullable=False, index=True),
    Column("key", Text, nullable=False, unique=True),
    Column("platform", Text, nullable=False),
    # The platform's name of the tenant stands here too, so that a chat reads in one row.
    Column("place_tenant", Text, nullable=False),
    Column("place_channel", Text, nullable=False),
    Column("place_thread", Text, nullable=False),
    Column("title", PlainText, nullable=False),
    Column("settings", JSONB, nullable=False),
    Column("starter_id", Uuid, ForeignKey(people.c.id)),
    Column("sandbox_id", Text),
    Column("sandbox_state", Text, nullable=False, server_default=SandboxState.NONE.value),
    Column("agent_pid", BigInteger),
    Column("run_dir", Text),
    Column("journal_offset", BigInteger, nullable=False, server_default="0"),
    Column("session_id", Text),
    Column("pending", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("cost_seen_usd", Money, nullable=False, server_default="0"),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("lease_until", Moment),
    Column("lease_worker", Text),
    Column("turns", Integer, nullable=False, server_default="0"),
    Column("cost_usd", Money, nullable=False, server_default="0"),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("active_at", Moment, nullable=False, server_default=func.now(), index=True),
    _one_of("platform", Platform),
    _one_of("sandbox_state", SandboxState),
)
Index(
    "ix_chats_sandbox",
    chats.c.sandbox_state,
    chats.c.active_at,
    postgresql_where=any_of(chats.c.sandbox_state, [SandboxState.RUNNING, SandboxState.PAUSED]),
)

turns: Final = Table(
    "turns",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("chat_id", Uuid, ForeignKey(chats.c.id), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("started_at", Moment, nullable=False, server_default=func.now()),
    Column("ended_at", Moment, index=True),
    Column("input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("output_tokens", BigInteger, nullable=False, server_default="0"),
    Column("cache_read_tokens", BigInteger, nullable=False, server_default="0"),
    Column("cache_write_tokens", BigInteger, nullable=False, server_default="0"),
    Column("cost_usd", Money, nullable=False, server_default="0"),
    Column("text", PlainText, nullable=False, server_default=""),
    Column("error", PlainText),
    Column("is_shown", Boolean, nullable=False, server_default=text("false")),
    # The surface takes no post in that place any more: it is tried again only when something happens in the chat.
    Column("unshown_why", PlainText),
    Column("restarts", Integer, nullable=False, server_default="0"),
    Column("stop_asked_by", PlainText),
    Column("stop_asked_at", Moment),
    UniqueConstraint("chat_id", "number"),
    _one_of("state", TurnState),
    CheckConstraint(f"(ended_at IS NULL) = (state IN ({_quoted(UNFINISHED)}))", name="ended"),
)
Index("uq_turns_unfinished", turns.c.chat_id, unique=True, postgresql_where=any_of(turns.c.state, UNFINISHED))
Index("ix_turns_unshown", turns.c.chat_id, postgresql_where=text("ended_at IS NOT NULL AND NOT is_shown"))

messages: Final = Table(
    "messages",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("chat_id", Uuid, ForeignKey(chats.c.id), nullable=False),
    Column("author_id", Uuid, ForeignKey(people.c.id), nullable=False),
    Column("turn_id", Uuid, ForeignKey(turns.c.id), index=True),
    Column("key", Text, nullable=False, unique=True),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("external_id", Text, nullable=False),
    Column("author_name", PlainText, nullable=False),
    Column("text", PlainText, nullable=False),
    Column("files", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("receipt", Text),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("edited_at", Moment),
    UniqueConstraint("chat_id", "position"),
    _one_of("state", MessageState),
)
Index(
    "ix_messages_queued",
    messages.c.chat_id,
    messages.c.position,
    postgresql_where=any_of(messages.c.state, [MessageState.QUEUED]),
)
# A receipt is named like the final state it shows, so one that differs is not shown yet.
IS_UNMARKED: Final = and_(
    any_of(messages.c.state, FINAL_MESSAGE), messages.c.receipt.is_distinct_from(messages.c.state)
)
Index("ix_messages_unmarked", messages.c.chat_id, messages.c.position, postgresql_where=IS_UNMARKED)

events: Final = Table(
    "events",
    metadata,
    Column("turn_id", Uuid, ForeignKey(turns.c.id), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("at", Moment, nullable=False, server_default=func.now()),
    CheckConstraint("seq >= 1", name="seq"),
)

approvals: Final = Table(
    "approvals",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("chat_id", Uuid, ForeignKey(chats.c.id), nullable=False),
    Column("turn_id", Uuid, ForeignKey(turns.c.id), nullable=False, index=True),
    Column("tool_use_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("tool", PlainText, nullable=False),
    Column("input", JSONB, nullable=False),
    Column("line", PlainText, nullable=False),
    Column("suggestions", JSONB, nullable=False),
    Column("why", PlainText, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked_at", Moment, nullable=False, server_default=func.now()),
    Column("decision", JSONB(none_as_null=True)),
    Column("decided_by", PlainText),
    Column("decided_at", Moment, index=True),
    UniqueConstraint("chat_id", "tool_use_id"),
    _one_of("kind", ApprovalKind),
    _one_of("state", ApprovalState),
)
Index(
    "ix_approvals_pending",
    approvals.c.chat_id,
    approvals.c.turn_id,
    postgresql_where=any_of(approvals.c.state, [ApprovalState.PENDING]),
)

rules: Final = Table(
    "rules",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("chat_id", Uuid, ForeignKey(chats.c.id), nullable=False),
    Column("tool", PlainText, nullable=False),
    Column("pattern", PlainText),
    Column("added_by", PlainText, nullable=False),
    Column("added_at", Moment, nullable=False, server_default=func.now()),
    UniqueConstraint("chat_id", "tool", "pattern", postgresql_nulls_not_distinct=True),
)

posts: Final = Table(
    "posts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("chat_id", Uuid, ForeignKey(chats.c.id), nullable=False, index=True),
    Column("turn_id", Uuid, ForeignKey(turns.c.id), nullable=False, index=True),
    Column("slot", Text, nullable=False),
    Column("mark", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("external_id", Text),
    Column("fingerprint", Text),
    Column("is_tried", Boolean, nullable=False, server_default=text("false")),
    Column("reserved_at", Moment, nullable=False, server_default=func.now()),
    _one_of("state", PostState),
)
# A post that was deleted leaves its slot free for another; its row stays, as does its mark.
IS_THERE: Final = any_of(posts.c.state, [PostState.RESERVED, PostState.SENT])
Index("uq_posts_slot", posts.c.turn_id, posts.c.slot, unique=True, postgresql_where=IS_THERE)

# Who did what. A trigger refuses UPDATE and DELETE, and nothing refers to it, so it outlives what it tells of.
audit: Final = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", Moment, nullable=False, server_default=func.now()),
    Column("chat_id", Uuid),
    Column("actor", PlainText, nullable=False),
    Column("action", Text, nullable=False),
    Column("details", JSONB, nullable=False),
)
Index("ix_audit_chat_id_at", audit.c.chat_id, audit.c.at)

secrets: Final = Table(
    "secrets",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Uuid, ForeignKey(tenants.c.id)),
    Column("name", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=func.now()),
    Column("changed_at", Moment, nullable=False, server_default=func.now()),
    UniqueConstraint("tenant_id", "name", postgresql_nulls_not_distinct=True),
)

# What admins want done to sandboxes; a worker takes it up within seconds.
sandbox_wishes: Final = Table(
    "sandbox_wishes",
    metadata,
    Column("chat_id", Uuid, ForeignKey(chats.c.id), primary_key=True),
    Column("wish", Text, nullable=False),
    Column("wished_at", Moment, nullable=False, server_default=func.now()),
    _one_of("wish", Wish),
)

# The console's threads: what other platforms keep for us, this one keeps here. `mark` makes a repeated send harmless.
console_posts: Final = Table(
    "console_posts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("chat_key", Text, nullable=False, index=True),
    Column("mark", Text, nullable=False, unique=True),
    Column("body", JSONB, nullable=False),
    Column("position", BigInteger, Identity(), nullable=False),
    Column("edits", Integer, nullable=False, server_default=text("0")),
    Column("is_deleted", Boolean, nullable=False, server_default=text("false")),
    Column("posted_at", Moment, nullable=False, server_default=func.now()),
)

console_receipts: Final = Table(
    "console_receipts",
    metadata,
    Column("chat_key", Text, primary_key=True),
    Column("message", Text, primary_key=True),
    Column("receipt", Text, nullable=False),
    Column("changes", Integer, nullable=False, server_default=text("1")),
)

# Who may sign in to the admin page, and who has. What opens a row is kept as a hash only.
web_links: Final = Table(
    "web_links",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("name", PlainText, nullable=False),
    Column("rights", JSONB, nullable=False),
    Column("made_at", Moment, nullable=False, server_default=func.now()),
    Column("good_until", Moment, nullable=False),
    Column("used_at", Moment),
)

web_sessions: Final = Table(
    "web_sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    # The key before, which requests under way may still carry for a moment.
    Column("old_hash", LargeBinary),
    Column("name", PlainText, nullable=False),
    Column("rights", JSONB, nullable=False),
    Column("began_at", Moment, nullable=False, server_default=func.now()),
    Column("renewed_at", Moment, nullable=False, server_default=func.now()),
    Column("ended_at", Moment),
)
