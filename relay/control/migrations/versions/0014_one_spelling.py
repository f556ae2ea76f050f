"""Suppressed addresses of a domain in U-labels are spelled in A-labels: both spellings were rows of their own.

Where both are there, the one that holds longer stays.
"""

import sqlalchemy as sa
from alembic import op

from relay.control.suppression.suppressed import one_spelling

revision = "0014"
down_revision = "0013"

_TABLE = sa.table(
    "suppression",
    sa.column("account", sa.String),
    sa.column("address", sa.String),
    sa.column("ends_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    connection = op.get_bind()
    for account, address, ends_at in connection.execute(sa.select(_TABLE)).all():
        spelled = one_spelling(address)
        if spelled == address:
            continue
        mine = (_TABLE.c.account == account) & (_TABLE.c.address == address)
        other = (_TABLE.c.account == account) & (_TABLE.c.address == spelled)
        known = connection.execute(sa.select(_TABLE.c.ends_at).where(other)).first()
        if known and (known.ends_at is None or (ends_at is not None and known.ends_at >= ends_at)):
            connection.execute(sa.delete(_TABLE).where(mine))
            continue
        connection.execute(sa.delete(_TABLE).where(other))
        connection.execute(sa.update(_TABLE).where(mine).values(address=spelled))
