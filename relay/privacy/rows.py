"""A person's traces in the relay's state: every text of every table, and what happens to it.

What is in force stays and is named, with the command that changes it: a customer's contact, a login, a limit, a
decision that holds. What is past gets the keyed name. Rows of the audit log do too, and the row that tells of it holds
their new digests, so that the chain still proves that nothing else was changed (control/audit/chain.py).
"""

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, String, Table, cast, delete, func, or_, select, update
from sqlalchemy import Text as SqlText
from sqlalchemy.types import JSON

from relay.control.audit import chain as audit
from relay.control.state import schema
from relay.control.suppression.suppressed import one_spelling
from relay.privacy.forgotten import Forgotten
from relay.privacy.views import Trace

_SIGNS_IN = "somebody who signs in: mailweir user rm"
_IN_FORCE = {
    "account": "a customer's contact: mailweir account set NAME --contact",
    "reseller": "whom the operator writes to: mailweir reseller set NAME --contact",
    "brand": "a brand that holds or may be put back: mailweir reseller brand set NAME --reply-to; 20 versions are kept",
    "user": _SIGNS_IN,
    "session": _SIGNS_IN,
    "credential": "a login: mailweir cred revoke",
    "network": "a customer's network: mailweir allow rm",
    "limit_set": "a limit that holds: mailweir limit rm",
    "pause": "a queue that is paused: mailweir queue resume",
    "webhook": "an endpoint: mailweir webhook rm",
    "policy_version": "the text of a policy",
}
Fate = Literal["replaced", "deleted", "kept"]
_DECIDED = "decisions about this sender hold: mailweir sender release, then again"
_LISTED = "keeps anybody from writing there again; --suppression takes it off too"


@dataclass(frozen=True, slots=True)
class Rewritten:
    """`redacted`: "node:sequence" -> new digest, of rows of the audit log; `suppressed`: account and address of rows
    that were taken off the list."""

    redacted: dict[str, str] = field(default_factory=dict)
    suppressed: list[tuple[str, str]] = field(default_factory=list)


def traces(connection: Connection, forgotten: Forgotten, in_force: Set[str], *, suppression: bool) -> list[Trace]:
    """What stands in the tables. `in_force`: senders about whom decisions hold."""
    found: Counter[tuple[str, Fate, str]] = Counter()
    for table in schema.metadata.sorted_tables:
        for row in _rows(connection, table, forgotten):
            found[(str(table.name), *_fate(table, row, forgotten, in_force, suppression))] += 1
    return [Trace("state", name, count, fate, why) for (name, fate, why), count in found.items()]


def forget(connection: Connection, forgotten: Forgotten, in_force: Set[str], *, suppression: bool) -> Rewritten:
    """Do what `traces` says."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")  # what is overwritten is gone from the file's pages too
    done = Rewritten()
    for table in schema.metadata.sorted_tables:
        for row in _rows(connection, table, forgotten):
            fate, _ = _fate(table, row, forgotten, in_force, suppression)
            if fate == "deleted":
                connection.execute(delete(table).where(*_is(table, row)))
                done.suppressed.append((row["account"], row["address"]))
            elif fate == "replaced":
                changed = {name: forgotten.replace_in(value) for name, value in row.items()}
                connection.execute(update(table).where(*_is(table, row)).values(changed))
                if table is schema.audit:
                    done.redacted.update(audit.redaction(connection, row["node"], row["sequence"]))
    return done


def _fate(
    table: Table, row: dict[str, Any], forgotten: Forgotten, in_force: Set[str], suppression: bool
) -> tuple[Fate, str]:
    if why := _IN_FORCE.get(table.name):
        return "kept", why
    if table is schema.saved_question and forgotten.is_in(row["owner"]):
        return "kept", _SIGNS_IN
    if table is schema.suppression and row["address"] == one_spelling(forgotten.address):
        return ("deleted", "") if suppression else ("kept", _LISTED)
    return ("kept", _DECIDED) if _sender_of(table, row) in in_force else ("replaced", "")


def _rows(connection: Connection, table: Table, forgotten: Forgotten) -> list[dict[str, Any]]:
    wanted = forgotten.address.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    texts = [column for column in table.c if isinstance(column.type, String | JSON)]
    if not texts:
        return []
    near = or_(*(func.lower(cast(column, SqlText)).like(f"%{wanted}%", escape="\\") for column in texts))
    rows = [dict(row._mapping) for row in connection.execute(select(table).where(near))]
    return [row for row in rows if any(forgotten.replace_in(value) != value for value in row.values())]


def _is(table: Table, row: dict[str, Any]) -> list[Any]:
    return [column == row[column.name] for column in table.primary_key]


def _sender_of(table: Table, row: dict[str, Any]) -> str:
    if table is schema.sender:
        return str(row["key"])
    return str(row["sender"]) if table in (schema.decision, schema.sender_note) else ""
