"""Finding questions by when they were decided, for how long people take

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_approvals_decided_at", "approvals", ["decided_at"])


def downgrade() -> None:
    op.drop_index("ix_approvals_decided_at", table_name="approvals")
