"""Why the end of a turn cannot be shown

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turns", sa.Column("unshown_why", sa.Text()))


def downgrade() -> None:
    op.drop_column("turns", "unshown_why")
