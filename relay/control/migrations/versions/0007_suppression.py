"""The suppression list, and accounts whose mail gets List-Unsubscribe."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("account", sa.Column("list_unsubscribe", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "suppression",
        sa.Column("account", sa.String(64), primary_key=True),
        sa.Column("address", sa.String(320), primary_key=True),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("ends_at", _INSTANT),
    )
