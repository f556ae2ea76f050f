"""Egress sources, the pools they stand in, and the pool an account has of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "egress_source",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("ehlo", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("is_warming", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "egress_member",
        sa.Column("pool", sa.String(64), primary_key=True),
        sa.Column("source", sa.String(64), sa.ForeignKey("egress_source.name"), primary_key=True),
        sa.Column("weight", sa.Integer, nullable=False),
    )
    op.add_column("account", sa.Column("pool", sa.String(64), nullable=False, server_default=sa.text("''")))
