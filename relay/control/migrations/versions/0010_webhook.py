"""Endpoints of webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("conditions", sa.JSON, nullable=False),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
