"""Finding turns by when they ended, for sums of what they cost

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_turns_ended_at", "turns", ["ended_at"])


def downgrade() -> None:
    op.drop_index("ix_turns_ended_at", table_name="turns")
