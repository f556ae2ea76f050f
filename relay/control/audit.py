"""The audit log: who did what, each row chained to the one before it, so that a changed or missing row shows.

A chain cannot show that its end was cut off: who kept a head (node, number and digest of the last row) can tell.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, Row, insert, select

from relay.control import schema
from relay.control.audit_views import AuditDetail, AuditEntry, AuditHead
from relay.tree import Principal


class Act(msgspec.Struct, frozen=True):
    """What was done: the command, below which account, to what, and the figures a reader needs."""

    command: str
    account: str
    target: str
    detail: AuditDetail = {}


def append(connection: Connection, node: str, principal: Principal, act: Act, now: datetime) -> None:
    """Write a node's next row, in the transaction of what it tells."""
    last = newest(connection, 1, node)
    entry = AuditEntry(
        node=node,
        sequence=last[0].sequence + 1 if last else 1,
        logged_at=now.astimezone(UTC),
        principal=principal.id,
        role=principal.role.value,
        command=act.command,
        account=act.account,
        target=act.target,
        detail=act.detail,
    )
    sealed = _sealed(entry, last[0].digest if last else "")
    connection.execute(insert(schema.audit).values(msgspec.structs.asdict(sealed)))


def newest(connection: Connection, limit: int, node: str | None = None) -> list[AuditEntry]:
    """The last rows, youngest first; of all nodes unless one is named."""
    wanted = select(schema.audit)
    if node is not None:
        wanted = wanted.where(schema.audit.c.node == node)
    ordered = wanted.order_by(schema.audit.c.logged_at.desc(), schema.audit.c.sequence.desc())
    if node is not None:  # by number, not by time: a clock that went back must not fork the chain
        ordered = wanted.order_by(schema.audit.c.sequence.desc())
    return [_entry(row) for row in connection.execute(ordered.limit(limit))]


def first_broken(entries: Iterable[AuditEntry], after: AuditHead | None = None) -> AuditEntry | None:
    """Find the first row of one node, given in order from the one behind `after`, that does not fit the row before."""
    sequence, digest = (after.sequence, after.digest) if after else (0, "")
    for entry in entries:
        sequence += 1
        if entry.sequence != sequence or entry.digest != _sealed(entry, digest).digest:
            return entry
        digest = entry.digest
    return None


def heads(connection: Connection) -> list[AuditHead]:
    """The last row of each node."""
    names = connection.execute(select(schema.audit.c.node).distinct().order_by(schema.audit.c.node)).scalars()
    last = (newest(connection, 1, name)[0] for name in names.all())
    return [AuditHead(node=row.node, sequence=row.sequence, digest=row.digest) for row in last]


def following(connection: Connection, node: str, after: int, limit: int) -> Sequence[AuditEntry]:
    """A node's rows behind number `after`, in order."""
    table = schema.audit
    wanted = select(table).where(table.c.node == node, table.c.sequence > after)
    return [_entry(row) for row in connection.execute(wanted.order_by(table.c.sequence).limit(limit))]


def _sealed(entry: AuditEntry, before: str) -> AuditEntry:
    content = msgspec.json.encode(msgspec.structs.replace(entry, digest=before), order="sorted")
    return msgspec.structs.replace(entry, digest=hashlib.sha256(content).hexdigest())


def _entry(row: Row[tuple[object, ...]]) -> AuditEntry:
    return AuditEntry(**row._asdict())
