"""The audit log: who did what, each row chained to the one before it, so that a changed or missing row shows.

A person's address may be taken out of old rows (relay/privacy). Their digests stay, so that heads kept elsewhere hold;
the row that tells of it, itself in the chain, names each rewritten row with the digest it has now.

A chain cannot show that its end was cut off: who kept a head (node, number and digest of the last row) can tell.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, Row, insert, select

from relay.control.audit.views import AuditDetail, AuditEntry, AuditHead
from relay.control.state import schema
from relay.tree import Principal

REDACTION = "forget"  # the command whose rows name rewritten ones


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


def first_broken(
    entries: Iterable[AuditEntry], after: AuditHead | None = None, redacted: Mapping[str, str] | None = None
) -> AuditEntry | None:
    """Find the first row of one node, given in order from the one behind `after`, that does not fit the row before.

    `redacted` as `redactions` has it.
    """
    allowed = redacted or {}
    sequence, digest = (after.sequence, after.digest) if after else (0, "")
    for entry in entries:
        sequence += 1
        is_now = _sealed(entry, digest).digest
        if entry.sequence != sequence or is_now not in (entry.digest, allowed.get(_name(entry))):
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


def redaction(connection: Connection, node: str, sequence: int) -> dict[str, str]:
    """ "node:sequence" -> the digest that a rewritten row has now."""
    rows = following(connection, node, sequence - 2, 2)
    before, entry = ("", rows[0]) if sequence == 1 else (rows[0].digest, rows[1])
    return {_name(entry): _sealed(entry, before).digest}


def redactions(connection: Connection) -> dict[str, str]:
    """All rows that were rewritten, of all nodes; of one rewritten twice the last digest."""
    table = schema.audit
    rows = connection.execute(select(table).where(table.c.command == REDACTION).order_by(table.c.sequence))
    told = " ".join(str(_entry(row).detail.get("rows", "")) for row in rows)
    return dict(one.split("=", 1) for one in told.split())


def _name(entry: AuditEntry) -> str:
    return f"{entry.node}:{entry.sequence}"


def _sealed(entry: AuditEntry, before: str) -> AuditEntry:
    content = msgspec.json.encode(msgspec.structs.replace(entry, digest=before), order="sorted")
    return msgspec.structs.replace(entry, digest=hashlib.sha256(content).hexdigest())


def _entry(row: Row[tuple[object, ...]]) -> AuditEntry:
    return AuditEntry(**row._asdict())
