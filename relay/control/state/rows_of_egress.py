"""The SQL of egress sources and pools: objects to rows and back, on the state thread."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from relay.control.state import schema
from relay.delivery.egress.sources import EgressSource, SourceState


class EgressRows(NamedTuple):
    """What stands in the tables: sources by name, and pool -> source -> weight."""

    sources: dict[str, EgressSource]
    pools: dict[str, dict[str, int]]


def load(connection: Connection) -> EgressRows:
    """Read all of it, in the order of the names."""
    pools: dict[str, dict[str, int]] = {}
    members = select(schema.egress_member).order_by(schema.egress_member.c.pool, schema.egress_member.c.source)
    for row in connection.execute(members):
        pools.setdefault(row.pool, {})[row.source] = row.weight
    found = connection.execute(select(schema.egress_source).order_by(schema.egress_source.c.name))
    return EgressRows(
        {
            row.name: EgressSource(
                row.name, row.address, row.ehlo, SourceState(row.state), row.is_warming, row.created_at
            )
            for row in found
        },
        pools,
    )


def insert_source(connection: Connection, source: EgressSource, now: datetime) -> None:
    values = {**_values(source), "name": source.name, "created_at": source.created_at or now}
    connection.execute(insert(schema.egress_source).values(values))


def update_source(connection: Connection, source: EgressSource) -> None:
    known = schema.egress_source.c.name == source.name
    connection.execute(update(schema.egress_source).where(known).values(_values(source)))


def delete_source(connection: Connection, name: str) -> None:
    connection.execute(delete(schema.egress_source).where(schema.egress_source.c.name == name))


def put_pool(connection: Connection, pool: str, members: Mapping[str, int]) -> None:
    """Write a pool's members in place of those there are; none: the pool goes."""
    connection.execute(delete(schema.egress_member).where(schema.egress_member.c.pool == pool))
    for name, weight in members.items():
        connection.execute(insert(schema.egress_member).values(pool=pool, source=name, weight=weight))


def _values(source: EgressSource) -> dict[str, object]:
    return {
        "address": source.address,
        "ehlo": source.ehlo,
        "state": source.state.value,
        "is_warming": source.is_warming,
    }
