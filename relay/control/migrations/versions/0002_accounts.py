"""Nested limits, credentials that rotate and are bound, identity rules, resellers that can be suspended, removal."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_INSTANT = sa.DateTime(timezone=True)
_EMPTY_LIST = sa.text("'[]'")
_EMPTY = sa.text("''")


def upgrade() -> None:
    _create_limits()
    _widen_account()
    _widen_credential()
    op.add_column("reseller", sa.Column("is_suspended", sa.Boolean, nullable=False, server_default=sa.false()))


def _create_limits() -> None:
    limit_set = op.create_table(
        "limit_set",
        sa.Column("level", sa.String(16), primary_key=True),
        sa.Column("key", sa.String(640), primary_key=True),
        sa.Column("account", sa.String(64), nullable=False, index=True),
        sa.Column("rcpts_per_hour", sa.Integer),
        sa.Column("rcpts_per_day", sa.Integer),
        sa.Column("unique_rcpts_per_hour", sa.Integer),
        sa.Column("rcpts_per_message", sa.Integer),
        sa.Column("messages_per_hour", sa.Integer),
    )
    account = sa.table("account", sa.column("name", sa.String), sa.column("rcpts_per_hour", sa.Integer))
    own = sa.select(sa.literal("senders"), account.c.name, account.c.name, account.c.rcpts_per_hour)
    op.execute(
        limit_set.insert().from_select(
            ["level", "key", "account", "rcpts_per_hour"], own.where(account.c.rcpts_per_hour.is_not(None))
        )
    )


def _widen_account() -> None:
    op.drop_column("account", "rcpts_per_hour")
    op.add_column("account", sa.Column("identity_rules", sa.JSON, nullable=False, server_default=_EMPTY_LIST))
    op.add_column("account", sa.Column("normalises_line_ends", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("account", sa.Column("removed_at", _INSTANT))


def _widen_credential() -> None:
    for column in (
        sa.Column("previous_hash", sa.Text, nullable=False, server_default=_EMPTY),
        sa.Column("previous_until", _INSTANT),
        sa.Column("networks", sa.JSON, nullable=False, server_default=_EMPTY_LIST),
        sa.Column("sender_domains", sa.JSON, nullable=False, server_default=_EMPTY_LIST),
        sa.Column("end_sender", sa.Text, nullable=False, server_default=_EMPTY),
        sa.Column("last_used_at", _INSTANT),
        sa.Column("last_used_ip", sa.String(64), nullable=False, server_default=_EMPTY),
    ):
        op.add_column("credential", column)
