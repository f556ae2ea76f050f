"""The keys of VERP return paths: rows of the state, so that nodes that share it read each other's bounces.

Runs on the state thread, in its caller's transaction.
"""

import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from relay.control.audit import chain as audit
from relay.control.audit.chain import Act
from relay.control.state import schema
from relay.delivery.verp import Key, end_of
from relay.tree import Principal, Role

_SECRET_BYTES = 32
_IDS = 256  # a token has a byte for it
_OURSELVES = Principal("relay", Role.ADMIN)


def kept(connection: Connection, node: str, now: datetime, rotate_after: timedelta) -> list[Key]:
    """Return the keys that sign or still verify, oldest first; make one when the youngest is older than that.

    Dead ones are deleted: nothing that they signed is valid any more.
    """
    keys = _keys(connection)
    if not keys or now - keys[-1].created_at >= rotate_after:
        keys.append(_made(connection, keys, node, now))
    replaced = zip(keys, [key.created_at for key in keys[1:]], strict=False)
    dead = {key.id for key, replaced_at in replaced if end_of(replaced_at) <= now}
    if dead:
        connection.execute(delete(schema.verp_key).where(schema.verp_key.c.id.in_(dead)))
    return [key for key in keys if key.id not in dead]


def _keys(connection: Connection) -> list[Key]:
    rows = connection.execute(select(schema.verp_key).order_by(schema.verp_key.c.created_at))
    return [Key(row.id, bytes.fromhex(row.secret), row.created_at) for row in rows]


def _made(connection: Connection, keys: list[Key], node: str, now: datetime) -> Key:
    used = {key.id for key in keys}
    after = keys[-1].id if keys else 0
    number = next(number % _IDS for number in range(after + 1, after + 1 + _IDS) if number % _IDS not in used)
    key = Key(number, secrets.token_bytes(_SECRET_BYTES), now)
    connection.execute(insert(schema.verp_key).values(id=key.id, secret=key.secret.hex(), created_at=now))
    if keys:  # the first one is no change of anything
        audit.append(connection, node, _OURSELVES, Act("verp.rotate", "", f"key {key.id}", {"after": after}), now)
    return key
