"""Where mail with a return path of ours came from: rows of the spool's index that outlive their message.

Written in the transaction of the message, so whoever gets a bounce of it finds whom to tell, long after it was sent.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from relay.spool.entry import SpooledMessage
from relay.spool.usage import Change

SCHEMA = """
CREATE TABLE origin (
    id INTEGER PRIMARY KEY, mail_from TEXT NOT NULL, account TEXT NOT NULL, reseller TEXT NOT NULL,
    sender TEXT NOT NULL, recipients TEXT NOT NULL, received_unix REAL NOT NULL);
CREATE INDEX origin_received ON origin (received_unix);
"""

_SLICE = 2_000  # of one transaction, some 10 ms: the commit thread waits for it


@dataclass(frozen=True, slots=True)
class Origin:
    """The sender's side of a message; `recipients` in the order of their ids."""

    number: int
    mail_from: str
    account: str
    reseller: str
    sender: str
    recipients: tuple[str, ...]


def remember(connection: sqlite3.Connection, stored: Iterable[tuple[SpooledMessage, Iterable[str]]]) -> None:
    """Note messages with the addresses of their recipients."""
    connection.executemany(
        "INSERT OR REPLACE INTO origin VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                message.id,
                message.mail_from,
                message.account,
                message.reseller,
                message.sender,
                "\n".join(addresses),  # no address has a line break (front/address.py)
                message.received_at.timestamp(),
            )
            for message, addresses in stored
        ],
    )


class Origins:
    """What is known, read on the event loop; `call` runs a function in a transaction of the commit thread."""

    def __init__(self, reader: sqlite3.Connection, call: "_Call") -> None:
        self._reader, self._call = reader, call

    def find(self, number: int) -> Origin | None:
        """Return the origin of a message, None when it is not known or forgotten."""
        row = self._reader.execute(
            "SELECT id, mail_from, account, reseller, sender, recipients FROM origin WHERE id = ?", (number,)
        ).fetchone()
        if row is None:
            return None
        message, mail_from, account, reseller, sender, recipients = row
        return Origin(message, mail_from, account, reseller, sender, tuple(recipients.split("\n")))

    async def forget(self, before_unix: float) -> None:
        """Delete the origins of messages that came before that. Raises SpoolFull."""
        while await self._call(lambda connection, _change: _forgotten(connection, before_unix)) == _SLICE:
            pass


_Call = Callable[[Callable[[sqlite3.Connection, Change], int]], Awaitable[int]]


def _forgotten(connection: sqlite3.Connection, before_unix: float) -> int:
    return connection.execute(
        "DELETE FROM origin WHERE id IN (SELECT id FROM origin WHERE received_unix < ? ORDER BY received_unix LIMIT ?)",
        (before_unix, _SLICE),
    ).rowcount
