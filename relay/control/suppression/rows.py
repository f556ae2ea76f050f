"""The SQL of the suppression list: rows to values and back, on the state thread."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, tuple_

from relay.control.state import schema
from relay.control.suppression.suppressed import Reason, Suppression

_table = schema.suppression
# A row that is over tells the next hard bounce that it is not the first one (spec 2.12)
_KEPT_AFTER_END = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows to list: None is any. `after` is the account and address of the last row that was seen."""

    account: str | None = None
    address: str | None = None
    reason: Reason | None = None
    after: tuple[str, str] | None = None
    limit: int = 200


def drop_outlived(connection: Connection, now: datetime) -> None:
    """Forget rows that were over long ago."""
    connection.execute(delete(_table).where(_table.c.ends_at < now - _KEPT_AFTER_END))


def load(connection: Connection) -> Iterator[Suppression]:
    """Read all rows, as much of them as is kept in memory."""
    columns = select(_table.c.account, _table.c.address, _table.c.reason, _table.c.ends_at)
    reasons = {str(reason): reason for reason in Reason}
    # on the statement: on the connection it would hold for all that follows, and PostgreSQL has no cursor for a DELETE
    for account, address, reason, ends_at in connection.execute(columns.execution_options(yield_per=5_000)):
        yield Suppression(account, address, reasons[reason], ends_at=ends_at)


def put(connection: Connection, rows: Sequence[Suppression], now: datetime) -> None:
    """Write rows in the place of those of the same account and address."""
    remove(connection, [(row.account, row.address) for row in rows])
    connection.execute(
        insert(_table),
        [
            {
                "account": row.account,
                "address": row.address,
                "reason": row.reason.value,
                "evidence": row.evidence,
                "created_at": row.created_at or now,
                "ends_at": row.ends_at,
            }
            for row in rows
        ],
    )


def remove(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    statement = delete(_table).where(_table.c.account == bindparam("of"), _table.c.address == bindparam("to"))
    connection.execute(statement, [{"of": account, "to": address} for account, address in keys])


def found(connection: Connection, wanted: Wanted, now: datetime) -> list[Suppression]:
    """Return rows in force, in the order of account and address."""
    statement = select(_table).where((_table.c.ends_at.is_(None)) | (_table.c.ends_at > now))
    for column, value in ((_table.c.account, wanted.account), (_table.c.address, wanted.address)):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.reason is not None:
        statement = statement.where(_table.c.reason == wanted.reason.value)
    if wanted.after is not None:
        statement = statement.where(tuple_(_table.c.account, _table.c.address) > wanted.after)
    ordered = statement.order_by(_table.c.account, _table.c.address).limit(wanted.limit)
    return [_suppression(row) for row in connection.execute(ordered)]


def _suppression(row: Row[Any]) -> Suppression:
    return Suppression(**{**row._asdict(), "reason": Reason(row.reason)})
