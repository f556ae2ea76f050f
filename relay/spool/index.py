"""The spool's index: envelope, recipients and due times in SQLite (WAL, synchronous FULL).

A message's id is the id of its first recipient, the others follow: [id, id + rcpts). So the recipients of a message
need no index of their own. One connection writes (the commit thread), one reads (the event loop, small bounded pages).
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from relay.spool import idempotency
from relay.tree import GROUP_RULES, NEWCOMERS

QUEUED, HELD = 0, 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY, rcpts INTEGER NOT NULL,
    segment INTEGER NOT NULL, place INTEGER NOT NULL, length INTEGER NOT NULL, record_length INTEGER NOT NULL,
    crc INTEGER NOT NULL, account TEXT NOT NULL, reseller TEXT NOT NULL, sender TEXT NOT NULL,
    mail_from TEXT NOT NULL, received_unix REAL NOT NULL, flags INTEGER NOT NULL, prefix BLOB NOT NULL,
    subject TEXT NOT NULL, score REAL, rule TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS message_segment ON message (segment);
CREATE TABLE IF NOT EXISTS lane (
    id INTEGER PRIMARY KEY, sender TEXT NOT NULL, destination TEXT NOT NULL, UNIQUE (sender, destination));
CREATE TABLE IF NOT EXISTS recipient (
    id INTEGER PRIMARY KEY, message INTEGER NOT NULL, lane INTEGER NOT NULL, address TEXT NOT NULL,
    due REAL, attempts INTEGER NOT NULL, state INTEGER NOT NULL);
-- A fresh row has no due time and costs no index write; a deferral sets it.
CREATE INDEX IF NOT EXISTS recipient_due ON recipient (lane, due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS recipient_held ON recipient (message) WHERE state = 1;
"""

_RECIPIENT_COLUMNS = "r.id, r.message, r.address, r.due, r.attempts, l.destination"
_MESSAGE_COLUMNS = (
    "m.id, m.rcpts, m.segment, m.place, m.length, m.record_length, m.crc, m.account, m.reseller, m.sender, "
    "m.mail_from, m.received_unix, m.flags, m.prefix, m.subject, m.score, m.rule"
)

# What is parked under the newcomers of its account keeps its own sender, and is found by the rule that parked it
_GROUP_KEY = f"m.account || '|{NEWCOMERS}|'"
_IN_GROUP = "m.rule IN ({})".format(", ".join(f"'{rule}'" for rule in GROUP_RULES))

Row = tuple[object, ...]


def connect(path: Path) -> sqlite3.Connection:
    """Open the index and make its tables. Raises sqlite3.Error when the file is not an index."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.executescript(_SCHEMA + idempotency.SCHEMA)
    return connection


def get_meta(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def set_meta(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def insert_messages(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    connection.executemany("INSERT INTO message VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", rows)


def insert_recipients(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Rows (id, message, lane, address, due, attempts, state)."""
    connection.executemany("INSERT INTO recipient VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def lane_id(connection: sqlite3.Connection, sender: str, destination: str) -> int:
    found = connection.execute("SELECT id FROM lane WHERE sender = ? AND destination = ?", (sender, destination))
    row = found.fetchone()
    if row is None:
        row = (
            connection.execute("INSERT INTO lane (sender, destination) VALUES (?, ?)", (sender, destination)).lastrowid,
        )
    return int(row[0])


def finish(connection: sqlite3.Connection, recipients: list[tuple[int, int]]) -> None:
    """Delete recipients, given as (id, message id), and the messages that have none left."""
    connection.executemany("DELETE FROM recipient WHERE id = ?", [(recipient,) for recipient, _ in recipients])
    messages = {(message,) for _, message in recipients}
    connection.executemany(
        "DELETE FROM message WHERE id = ?"
        " AND NOT EXISTS (SELECT 1 FROM recipient r WHERE r.id >= message.id AND r.id < message.id + message.rcpts)",
        messages,
    )


def defer(connection: sqlite3.Connection, rows: Iterable[tuple[float, int, int]]) -> None:
    """Rows (due, attempts, recipient id). A recipient held meanwhile stays held."""
    connection.executemany("UPDATE recipient SET due = ?, attempts = ? WHERE id = ? AND state = 0", rows)


def recover(connection: sqlite3.Connection) -> None:
    """Make fresh rows of an earlier run due, so that pages by (lane, due) find them."""
    connection.execute("UPDATE recipient SET due = 0 WHERE due IS NULL AND state = 0")


def lanes_waiting(connection: sqlite3.Connection) -> list[tuple[int, str, str, float]]:
    """(lane, sender, destination, earliest due) of every lane with something due ever.

    One index probe per lane: 13 ms for a million recipients in 5,000 lanes, where a GROUP BY takes seconds.
    """
    return connection.execute(
        "SELECT id, sender, destination, due FROM (SELECT l.id, l.sender, l.destination,"
        " (SELECT min(r.due) FROM recipient r WHERE r.lane = l.id AND r.due IS NOT NULL) AS due FROM lane l)"
        " WHERE due IS NOT NULL"
    ).fetchall()


def page(connection: sqlite3.Connection, lane: int, now: float, limit: int) -> list[Row]:
    """The recipients of one lane due by `now`, oldest due first: recipient columns, then message columns."""
    return connection.execute(
        f"SELECT {_RECIPIENT_COLUMNS}, {_MESSAGE_COLUMNS} FROM recipient r JOIN lane l ON l.id = r.lane"  # noqa: S608
        " JOIN message m ON m.id = r.message WHERE r.lane = ? AND r.due IS NOT NULL AND r.due <= ?"
        " ORDER BY r.due, r.id LIMIT ?",
        (lane, now, limit),
    ).fetchall()


def hold_sender(connection: sqlite3.Connection, sender: str) -> list[int]:
    """Park every queued recipient of a sender; return their message ids."""
    rows = connection.execute(
        "UPDATE recipient SET state = 1, due = NULL WHERE state = 0"
        " AND lane IN (SELECT id FROM lane WHERE sender = ?) RETURNING message",
        (sender,),
    ).fetchall()
    return sorted({int(row[0]) for row in rows})


def hold_group(connection: sqlite3.Connection, senders: Iterable[str], rule: str) -> list[int]:
    """Park every queued recipient of these senders under a group, which `rule` stands for; return their message ids."""
    ids = sorted({message for sender in senders for message in hold_sender(connection, sender)})
    connection.executemany("UPDATE message SET rule = ? WHERE id = ?", [(rule, message) for message in ids])
    return ids


def release(connection: sqlite3.Connection, messages: Iterable[int]) -> None:
    """Make the held recipients of these messages due now."""
    connection.executemany(
        "UPDATE recipient SET state = 0, due = 0 WHERE state = 1 AND message = ?", [(message,) for message in messages]
    )


def drop(connection: sqlite3.Connection, messages: Iterable[int]) -> None:
    """Delete messages with all their recipients."""
    for message in messages:
        connection.execute("DELETE FROM recipient WHERE message = ? AND state = 1", (message,))
        connection.execute("DELETE FROM message WHERE id = ?", (message,))


def held(connection: sqlite3.Connection, sender: str | None, account: str | None, limit: int) -> list[Row]:
    """Message columns of what has a held recipient, newest first. A group's key finds what is parked under it."""
    return connection.execute(
        f"SELECT {_MESSAGE_COLUMNS} FROM message m WHERE"  # noqa: S608
        " m.id IN (SELECT message FROM recipient WHERE state = 1)"
        f" AND (?1 IS NULL OR m.sender = ?1 OR {_IN_GROUP} AND {_GROUP_KEY} = ?1)"
        " AND (?2 IS NULL OR m.account = ?2) ORDER BY m.id DESC LIMIT ?3",
        (sender, account, limit),
    ).fetchall()


def messages_of(connection: sqlite3.Connection, account: str) -> int:
    """How many messages an account has, waiting or held."""
    return int(connection.execute("SELECT count(*) FROM message WHERE account = ?", (account,)).fetchone()[0])


def held_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """sender -> held messages; what is parked under a group counts for the group's key too."""
    return dict(
        connection.execute(
            "WITH held AS (SELECT sender, account, rule FROM message"  # noqa: S608
            " WHERE id IN (SELECT message FROM recipient WHERE state = 1))"
            " SELECT sender, count(*) FROM held GROUP BY sender UNION ALL"
            f" SELECT {_GROUP_KEY}, count(*) FROM held m WHERE {_IN_GROUP} GROUP BY account"
        ).fetchall()
    )


def messages(connection: sqlite3.Connection, ids: Iterable[int]) -> list[Row]:
    return [
        row
        for message in ids
        for row in connection.execute(f"SELECT {_MESSAGE_COLUMNS} FROM message m WHERE m.id = ?", (message,))  # noqa: S608
    ]


def position(segment: int, offset: int) -> int:
    """One number for a place in the order of writing."""
    return segment << 40 | offset


def messages_after(connection: sqlite3.Connection, journaled: int) -> list[Row]:
    """Message rows written behind a position, in the order of writing."""
    segment, offset = journaled >> 40, journaled & ((1 << 40) - 1)
    return connection.execute(
        f"SELECT {_MESSAGE_COLUMNS} FROM message m"  # noqa: S608
        " WHERE m.segment > ?1 OR (m.segment = ?1 AND m.place > ?2) ORDER BY m.segment, m.place",
        (segment, offset),
    ).fetchall()


def addresses(connection: sqlite3.Connection, message: int, rcpts: int) -> list[tuple[str, int]]:
    """(address, state) of the recipients that a message still has."""
    return connection.execute(
        "SELECT address, state FROM recipient WHERE id >= ? AND id < ? ORDER BY id", (message, message + rcpts)
    ).fetchall()


def segments_in_use(connection: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """segment -> (messages, highest committed end)."""
    rows = connection.execute(
        "SELECT segment, count(*), max(place + length + record_length) FROM message GROUP BY segment"
    ).fetchall()
    return {segment: (count, end) for segment, count, end in rows}


def large_messages(connection: sqlite3.Connection, first: int) -> dict[int, int]:
    """message -> segment, of those in segments from number `first` on: each has one of its own."""
    return dict(connection.execute("SELECT id, segment FROM message WHERE segment >= ?", (first,)).fetchall())


def counts(connection: sqlite3.Connection) -> tuple[int, int, int, float | None, int]:
    """(messages, recipients, held messages, oldest received, bytes)."""
    messages_, oldest, size = connection.execute(
        "SELECT count(*), min(received_unix), coalesce(sum(length), 0) FROM message"
    ).fetchone()
    recipients = connection.execute("SELECT count(*) FROM recipient").fetchone()[0]
    parked = connection.execute("SELECT count(DISTINCT message) FROM recipient WHERE state = 1").fetchone()[0]
    return messages_, recipients, parked, oldest, size


def by_destination(connection: sqlite3.Connection) -> list[tuple[str, int, int, float | None]]:
    """(destination, waiting, held, earliest due), fullest first."""
    return connection.execute(
        "SELECT l.destination, sum(r.state = 0), sum(r.state = 1), min(r.due) FROM recipient r"
        " JOIN lane l ON l.id = r.lane GROUP BY l.destination ORDER BY 2 DESC"
    ).fetchall()
