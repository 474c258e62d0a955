"""What admins want done to sandboxes

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sandbox_wishes",
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("wish", sa.Text(), nullable=False),
        sa.Column("wished_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("wish IN ('pause', 'end')", name=op.f("ck_sandbox_wishes_wish")),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name=op.f("fk_sandbox_wishes_chat_id_chats")),
        sa.PrimaryKeyConstraint("chat_id", name=op.f("pk_sandbox_wishes")),
    )


def downgrade() -> None:
    op.drop_table("sandbox_wishes")
