"""Console threads

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "console_posts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chat_key", sa.Text(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("position", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("edits", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_console_posts"),
        sa.UniqueConstraint("mark", name="uq_console_posts_mark"),
    )
    op.create_index("ix_console_posts_chat_key", "console_posts", ["chat_key"])
    op.create_table(
        "console_receipts",
        sa.Column("chat_key", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("changes", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.PrimaryKeyConstraint("chat_key", "message", name="pk_console_receipts"),
    )


def downgrade() -> None:
    op.drop_table("console_receipts")
    op.drop_table("console_posts")
