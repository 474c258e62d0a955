"""The first tables: chats and what is said and done in them.

The constraints carry the names that `core/store/tables.py` gives them; a test compares the two catalogues.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The audit is append-only for everybody, TRUNCATE included; only a migration may take the trigger away.
REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$
"""
GUARD = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
TABLES = (
    "posts",
    "messages",
    "events",
    "approvals",
    "turns",
    "rules",
    "chats",
    "secrets",
    "people",
    "tenants",
    "audit",
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("chat_id", sa.Uuid(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_chat_id_at", "audit", ["chat_id", "at"], unique=False)
    op.create_table(
        "tenants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("platform IN ('slack', 'discord', 'console')", name=op.f("ck_tenants_platform")),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("platform", "external_id", name="uq_tenants_platform_external_id"),
    )
    op.create_table(
        "people",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('admin', 'member', 'guest')", name=op.f("ck_people_role")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_people_tenant_id_tenants"),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        sa.UniqueConstraint("tenant_id", "platform_id", name="uq_people_tenant_id_platform_id"),
    )
    op.create_table(
        "secrets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_secrets_tenant_id_tenants"),
        sa.PrimaryKeyConstraint("id", name="pk_secrets"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_secrets_tenant_id_name", postgresql_nulls_not_distinct=True),
    )
    op.create_table(
        "chats",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("place_tenant", sa.Text(), nullable=False),
        sa.Column("place_channel", sa.Text(), nullable=False),
        sa.Column("place_thread", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        sa.Column("starter_id", sa.Uuid(), nullable=True),
        sa.Column("sandbox_id", sa.Text(), nullable=True),
        sa.Column("sandbox_state", sa.Text(), server_default="none", nullable=False),
        sa.Column("agent_pid", sa.BigInteger(), nullable=True),
        sa.Column("run_dir", sa.Text(), nullable=True),
        sa.Column("journal_offset", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("pending", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("cost_seen_usd", sa.Numeric(precision=18, scale=8), server_default="0", nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_worker", sa.Text(), nullable=True),
        sa.Column("turns", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cost_usd", sa.Numeric(precision=18, scale=8), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("active_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("platform IN ('slack', 'discord', 'console')", name=op.f("ck_chats_platform")),
        sa.CheckConstraint("sandbox_state IN ('none', 'running', 'paused', 'lost')", name=op.f("ck_chats_sandbox_state")),
        sa.ForeignKeyConstraint(["starter_id"], ["people.id"], name="fk_chats_starter_id_people"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_chats_tenant_id_tenants"),
        sa.PrimaryKeyConstraint("id", name="pk_chats"),
        sa.UniqueConstraint("key", name="uq_chats_key"),
    )
    op.create_index("ix_chats_active_at", "chats", ["active_at"], unique=False)
    op.create_index(
        "ix_chats_sandbox",
        "chats",
        ["sandbox_state", "active_at"],
        unique=False,
        postgresql_where=sa.text("sandbox_state IN ('running', 'paused')"),
    )
    op.create_index("ix_chats_tenant_id", "chats", ["tenant_id"], unique=False)
    op.create_table(
        "rules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=True),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name="fk_rules_chat_id_chats"),
        sa.PrimaryKeyConstraint("id", name="pk_rules"),
        sa.UniqueConstraint(
            "chat_id", "tool", "pattern", name="uq_rules_chat_id_tool_pattern", postgresql_nulls_not_distinct=True
        ),
    )
    op.create_table(
        "turns",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cost_usd", sa.Numeric(precision=18, scale=8), server_default="0", nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("is_shown", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("restarts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("stop_asked_by", sa.Text(), nullable=True),
        sa.Column("stop_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(ended_at IS NULL) = (state IN ('running', 'waiting'))", name=op.f("ck_turns_ended")),
        sa.CheckConstraint("state IN ('running', 'waiting', 'done', 'failed', 'stopped')", name=op.f("ck_turns_state")),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name="fk_turns_chat_id_chats"),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
        sa.UniqueConstraint("chat_id", "number", name="uq_turns_chat_id_number"),
    )
    op.create_index(
        "ix_turns_unshown",
        "turns",
        ["chat_id"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NOT NULL AND NOT is_shown"),
    )
    op.create_index(
        "uq_turns_unfinished",
        "turns",
        ["chat_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('running', 'waiting')"),
    )
    op.create_table(
        "approvals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("tool_use_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("input", postgresql.JSONB(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("suggestions", postgresql.JSONB(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("decision", postgresql.JSONB(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('tool', 'plan', 'question')", name=op.f("ck_approvals_kind")),
        sa.CheckConstraint("state IN ('pending', 'allowed', 'denied', 'withdrawn')", name=op.f("ck_approvals_state")),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name="fk_approvals_chat_id_chats"),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name="fk_approvals_turn_id_turns"),
        sa.PrimaryKeyConstraint("id", name="pk_approvals"),
        sa.UniqueConstraint("chat_id", "tool_use_id", name="uq_approvals_chat_id_tool_use_id"),
    )
    op.create_index(
        "ix_approvals_pending",
        "approvals",
        ["chat_id", "turn_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending')"),
    )
    op.create_index("ix_approvals_turn_id", "approvals", ["turn_id"], unique=False)
    op.create_table(
        "events",
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("seq >= 1", name=op.f("ck_events_seq")),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name="fk_events_turn_id_turns"),
        sa.PrimaryKeyConstraint("turn_id", "seq", name="pk_events"),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("author_name", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("files", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'delivered', 'answered', 'stopped', 'failed', 'dropped')", name=op.f("ck_messages_state")
        ),
        sa.ForeignKeyConstraint(["author_id"], ["people.id"], name="fk_messages_author_id_people"),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name="fk_messages_chat_id_chats"),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name="fk_messages_turn_id_turns"),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.UniqueConstraint("chat_id", "position", name="uq_messages_chat_id_position"),
        sa.UniqueConstraint("key", name="uq_messages_key"),
    )
    op.create_index(
        "ix_messages_queued",
        "messages",
        ["chat_id", "position"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued')"),
    )
    op.create_index("ix_messages_turn_id", "messages", ["turn_id"], unique=False)
    op.create_index(
        "ix_messages_unmarked",
        "messages",
        ["chat_id", "position"],
        unique=False,
        postgresql_where=sa.text(
            "state IN ('answered', 'stopped', 'failed', 'dropped') AND receipt IS DISTINCT FROM state"
        ),
    )
    op.create_table(
        "posts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("turn_id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("is_tried", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("reserved_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('reserved', 'sent', 'gone')", name=op.f("ck_posts_state")),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name="fk_posts_chat_id_chats"),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name="fk_posts_turn_id_turns"),
        sa.PrimaryKeyConstraint("id", name="pk_posts"),
        sa.UniqueConstraint("mark", name="uq_posts_mark"),
    )
    op.create_index("ix_posts_chat_id", "posts", ["chat_id"], unique=False)
    op.create_index("ix_posts_turn_id", "posts", ["turn_id"], unique=False)
    op.create_index(
        "uq_posts_slot",
        "posts",
        ["turn_id", "slot"],
        unique=True,
        postgresql_where=sa.text("state IN ('reserved', 'sent')"),
    )
    op.execute(REFUSE)
    op.execute(GUARD)


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change()")
