"""Customers' DKIM keys, and what is proved of their domains."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("domain", sa.Column("verified_at", _INSTANT))
    op.add_column("domain", sa.Column("return_path_host", sa.String(255), nullable=False, server_default=sa.text("''")))
    op.add_column("domain", sa.Column("return_path_verified_at", _INSTANT))
    op.create_table(
        "dkim_key",
        sa.Column("account", sa.String(64), sa.ForeignKey("account.name"), primary_key=True),
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("selector", sa.String(63), primary_key=True),
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("private_key", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("seen_at", _INSTANT),
        sa.Column("retired_at", _INSTANT),
    )
