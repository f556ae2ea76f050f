"""The tree reseller > account > domain and sender, its credentials and networks, decisions and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "reseller",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("created_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "account",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("reseller", sa.String(64), sa.ForeignKey("reseller.name")),
        sa.Column("shared_host", sa.Boolean, nullable=False),
        sa.Column("contact", sa.Text, nullable=False),
        sa.Column("rcpts_per_hour", sa.Integer),
        sa.Column("is_suspended", sa.Boolean, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
    )
    _create_below_account()
    _create_logs()


def _create_below_account() -> None:
    op.create_table(
        "domain",
        sa.Column("account", sa.String(64), sa.ForeignKey("account.name"), primary_key=True),
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("created_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "sender",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("account", sa.String(64), nullable=False, index=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "credential",
        sa.Column("login", sa.String(255), primary_key=True),
        sa.Column("account", sa.String(64), sa.ForeignKey("account.name"), nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("revoked_at", _INSTANT),
    )
    op.create_table(
        "network",
        sa.Column("network", sa.String(64), primary_key=True),
        sa.Column("account", sa.String(64), sa.ForeignKey("account.name"), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
    )


def _create_logs() -> None:
    op.create_table(
        "decision",
        sa.Column("node", sa.String(16), primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("sender", sa.Text, nullable=False, index=True),
        sa.Column("effect", sa.String(16), nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("starts_at", _INSTANT, nullable=False),
        sa.Column("ends_at", _INSTANT),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("certainty", sa.Float),
        sa.Column("value", sa.Float),
        sa.Column("supersedes", sa.String(64), nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("node", sa.String(16), primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("logged_at", _INSTANT, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("command", sa.String(64), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
