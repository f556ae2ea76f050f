"""The SQL of domains and DKIM keys: objects to rows and back, on the state thread."""

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select, update

from relay.control.state import schema
from relay.delivery.signing.algorithm import Algorithm
from relay.domains.keys import DkimKey, Domain
from relay.domains.views import KeyState

_PROVED = ("verified_at", "return_path_host", "return_path_verified_at")


def load(connection: Connection) -> tuple[list[Domain], list[DkimKey]]:
    """Read all of them; keys in the order in which they were made."""
    domains = connection.execute(select(schema.domain))
    keys = connection.execute(select(schema.dkim_key).order_by(schema.dkim_key.c.created_at))
    return (
        [Domain(row.account, row.name, **{name: getattr(row, name) for name in _PROVED}) for row in domains],
        [
            DkimKey(
                account=row.account,
                domain=row.domain,
                selector=row.selector,
                algorithm=Algorithm(row.algorithm),
                pem=row.private_key.encode(),
                created_at=row.created_at,
                state=KeyState(row.state),
                seen_at=row.seen_at,
                retired_at=row.retired_at,
            )
            for row in keys
        ],
    )


def put_keys(connection: Connection, keys: Iterable[DkimKey]) -> None:
    """Write keys, each in place of the row of its name."""
    table = schema.dkim_key.c
    for key in keys:
        values = asdict(key)
        values |= {
            "private_key": values.pop("pem").decode(),
            "algorithm": key.algorithm.value,
            "state": key.state.value,
        }
        known = (table.account == key.account, table.domain == key.domain, table.selector == key.selector)
        connection.execute(delete(schema.dkim_key).where(*known))
        connection.execute(insert(schema.dkim_key).values(**values))


def update_domain(connection: Connection, domain: Domain) -> None:
    """Write what is proved of a domain; nothing where it has gone meanwhile."""
    known = (schema.domain.c.account == domain.account, schema.domain.c.name == domain.name)
    connection.execute(update(schema.domain).where(*known).values({name: getattr(domain, name) for name in _PROVED}))
