"""A reseller has a contact, can be removed and brought back, and has a brand, in versions."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("reseller", sa.Column("contact", sa.Text, nullable=False, server_default=""))
    op.add_column("reseller", sa.Column("removed_at", sa.DateTime(timezone=True)))
    op.create_table(
        "brand",
        sa.Column("reseller", sa.String(64), sa.ForeignKey("reseller.name"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("colour", sa.String(7), nullable=False),
        sa.Column("logo", sa.LargeBinary, nullable=False),
        sa.Column("logo_type", sa.String(16), nullable=False),
        sa.Column("reply_to", sa.String(320), nullable=False),
        sa.Column("notice_text", sa.Text, nullable=False),
        sa.Column("web_host", sa.String(255), nullable=False),
        sa.Column("release_host", sa.String(255), nullable=False),
        sa.Column("bounce_host", sa.String(255), nullable=False),
        sa.Column("dashboard_host", sa.String(255), nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
    )
