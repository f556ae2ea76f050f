"""The answers that clients may ask for again: rows of the spool's index, written in the transaction of their message.

So a key is on disk if and only if its message is, whatever dies when. Expired rows leave as new ones come.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

SCHEMA = """
CREATE TABLE IF NOT EXISTS answered (
    account TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, answer BLOB NOT NULL, until_unix REAL NOT NULL,
    PRIMARY KEY (account, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answered_until ON answered (until_unix);
"""

# More than one for each new row, so that a backlog shrinks; few, as the commit thread waits for it
_PURGED_PER_ROW = 4


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered to a request under a client's key, and which request: `digest` is of all of it."""

    account: str
    key: str
    digest: bytes
    answer: bytes
    until_unix: float


def remember(connection: sqlite3.Connection, rows: Sequence[Answered], now_unix: float) -> None:
    """Note answers, and forget some that have expired."""
    connection.execute(
        "DELETE FROM answered WHERE (account, key) IN"
        " (SELECT account, key FROM answered WHERE until_unix <= ? ORDER BY until_unix LIMIT ?)",
        (now_unix, _PURGED_PER_ROW * len(rows)),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO answered VALUES (?, ?, ?, ?, ?)",
        [(row.account, row.key, row.digest, row.answer, row.until_unix) for row in rows],
    )


def find(connection: sqlite3.Connection, account: str, key: str, now_unix: float) -> Answered | None:
    """Return what was answered under a key, None when nothing was or it has expired."""
    row = connection.execute(
        "SELECT account, key, digest, answer, until_unix FROM answered"
        " WHERE account = ? AND key = ? AND until_unix > ?",
        (account, key, now_unix),
    ).fetchone()
    return Answered(*row) if row else None
