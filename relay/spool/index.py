"""The spool's index: envelope, recipients and due times in SQLite (WAL, synchronous FULL).

A message's id is the id of its first recipient, the others follow: [id, id + rcpts). So the recipients of a message
need no index of their own. One connection writes (the commit thread), one reads (the event loop, small bounded pages).
The tables are in migrations.py, mail into its hold and out of it in parking.py, what people ask in census.py, held.py.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from relay.spool.migrations import migrate
from relay.spool.segments import LARGE_FROM

# Of a recipient; of a message, whose remaining recipients are always in one state together.
QUEUED, HELD, QUARANTINED = 0, 1, 2

_RECIPIENT_COLUMNS = "r.id, r.message, r.address, r.due, r.attempts, l.destination, r.dsn, r.prefix"
MESSAGE_COLUMNS = (
    "m.id, m.rcpts, m.segment, m.place, m.length, m.record_length, m.crc, m.account, m.reseller, m.sender, "
    "m.mail_from, m.received_unix, m.flags, m.prefix, m.subject, m.score, m.rule, m.dsn, m.pool, m.return_domain, "
    "m.released_unix"
)
_MARKS = ", ".join("?" * len(MESSAGE_COLUMNS.split(",")))
_INSERT_MESSAGE = (
    f"INSERT INTO message ({MESSAGE_COLUMNS.replace('m.', '')}, fingerprint, state) VALUES ({_MARKS}, ?, ?)"  # noqa: S608
)
_PAGE = (
    f"SELECT {_RECIPIENT_COLUMNS}, {MESSAGE_COLUMNS} FROM recipient r JOIN lane l ON l.id = r.lane"  # noqa: S608
    " JOIN message m ON m.id = r.message WHERE r.lane = ? AND r.due IS NOT NULL AND r.due <= ?"
    " ORDER BY r.due, r.id LIMIT ?"
)
# Every lane with a due time, one index probe each, however many lanes there ever were: 13 ms for a million recipients
# in 5,000 lanes, where a GROUP BY takes seconds.
_WAITING = (
    "WITH RECURSIVE waiting (lane) AS ("
    " SELECT * FROM (SELECT lane FROM recipient WHERE due IS NOT NULL ORDER BY lane LIMIT 1) UNION ALL"
    " SELECT (SELECT r.lane FROM recipient r WHERE r.due IS NOT NULL AND r.lane > waiting.lane ORDER BY r.lane LIMIT 1)"
    " FROM waiting WHERE waiting.lane IS NOT NULL) "
)
_STORED_IN = (
    f"SELECT {MESSAGE_COLUMNS} FROM message m WHERE m.segment = ?1"  # noqa: S608
    " AND m.id BETWEEN (SELECT first FROM segment WHERE number = ?1) AND (SELECT last FROM segment WHERE number = ?1)"
)
# One statement for all ids of a commit: as quick as executemany, and it says what went.
_DELETE_RECIPIENTS = "DELETE FROM recipient WHERE id IN (SELECT value FROM json_each(?))"
_DELETE_MESSAGES = "DELETE FROM message WHERE id IN (SELECT value FROM json_each(?))"
_IF_EMPTY = " AND NOT EXISTS (SELECT 1 FROM recipient r WHERE r.id >= message.id AND r.id < message.id + message.rcpts)"
_RETURNING = " RETURNING segment, length + record_length"
_FRESH_SLICE = 20_000  # rows, about 4 ms

Row = tuple[object, ...]


def connect(path: Path) -> sqlite3.Connection:
    """Open the index and make its tables. Raises sqlite3.Error when the file is not an index, or of a later version."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 16000")  # 64 MB: checkpoint.py is there long before
    migrate(connection)
    return connection


def get_meta(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def set_meta(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def insert_messages(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Rows as entry.message_row gives them."""
    connection.executemany(_INSERT_MESSAGE, rows)


def insert_recipients(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Rows (id, message, lane, address, due, attempts, state, dsn, prefix)."""
    connection.executemany(
        "INSERT INTO recipient (id, message, lane, address, due, attempts, state, dsn, prefix)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def lane_id(connection: sqlite3.Connection, sender: str, destination: str) -> int:
    found = connection.execute("SELECT id FROM lane WHERE sender = ? AND destination = ?", (sender, destination))
    row = found.fetchone()
    if row is None:
        row = (
            connection.execute("INSERT INTO lane (sender, destination) VALUES (?, ?)", (sender, destination)).lastrowid,
        )
    return int(row[0])


def finish(
    connection: sqlite3.Connection, alone: list[int], shared: list[tuple[int, int]]
) -> tuple[int, list[tuple[int, int]]]:
    """Delete recipients, and the messages that have none left.

    `alone`: the only recipients of their messages, whose ids are theirs; `shared`: the others, as (id, message id).
    Returns how many recipients went, and (segment, bytes) of each message that went.
    """
    ids = json.dumps([*alone, *(recipient for recipient, _ in shared)])
    deleted = connection.execute(_DELETE_RECIPIENTS, (ids,)).rowcount
    gone = connection.execute(_DELETE_MESSAGES + _RETURNING, (json.dumps(alone),)).fetchall() if alone else []
    if shared:
        messages = json.dumps(list({message for _, message in shared}))
        gone += connection.execute(_DELETE_MESSAGES + _IF_EMPTY + _RETURNING, (messages,)).fetchall()
    return deleted, gone


def defer(connection: sqlite3.Connection, rows: Iterable[tuple[float, int, int]]) -> None:
    """Rows (due, attempts, recipient id). A recipient held meanwhile stays held."""
    connection.executemany("UPDATE recipient SET due = ?, attempts = ? WHERE id = ? AND state != 1", rows)


def note_late(connection: sqlite3.Connection, ids: Iterable[int]) -> None:
    """The senders of these recipients are told of the delay, once for all."""
    connection.executemany("UPDATE recipient SET is_delay_told = 1 WHERE id = ?", [(number,) for number in ids])


def is_delay_told(connection: sqlite3.Connection, number: int) -> bool:
    return bool(connection.execute("SELECT sum(is_delay_told) FROM recipient WHERE id = ?", (number,)).fetchone()[0])


def recover(connection: sqlite3.Connection) -> None:
    """Make fresh rows of an earlier run due, so that pages by (lane, due) find them."""
    mark = get_meta(connection, "fresh_from")
    connection.execute("UPDATE recipient SET due = 0 WHERE id >= ? AND due IS NULL AND state = 0", (mark,))


def draw_nearer(connection: sqlite3.Connection, latest_unix: float) -> int:
    """Have nothing queued due later than that: it was put off by a clock that ran ahead. Returns how many were."""
    return connection.execute(
        f"UPDATE recipient SET due = ?1 WHERE id IN ({_WAITING} SELECT r.id FROM waiting"  # noqa: S608
        " JOIN recipient r ON r.lane = waiting.lane WHERE r.due IS NOT NULL AND r.due > ?1 AND r.state = 0)",
        (latest_unix,),
    ).rowcount


def first_fresh(connection: sqlite3.Connection, mark: int) -> int:
    """The mark below which no row is fresh, moved a little on, so that `recover` need not look at every recipient.

    A row that has left the fresh state never comes back to it. Who inserts below the mark moves it down again.
    """
    first, last = connection.execute(
        "SELECT min(CASE WHEN due IS NULL AND state = 0 THEN id END), max(id)"
        " FROM (SELECT id, due, state FROM recipient WHERE id >= ? ORDER BY id LIMIT ?)",
        (mark, _FRESH_SLICE),
    ).fetchone()
    if last is None:
        return mark
    return int(last) + 1 if first is None else int(first)


def lanes_waiting(connection: sqlite3.Connection) -> list[tuple[int, str, str, float]]:
    """(lane, sender, destination, earliest due) of every lane with something due ever."""
    return connection.execute(
        f"{_WAITING} SELECT l.id, l.sender, l.destination,"  # noqa: S608
        " (SELECT min(r.due) FROM recipient r WHERE r.lane = l.id AND r.due IS NOT NULL)"
        " FROM waiting JOIN lane l ON l.id = waiting.lane"
    ).fetchall()


def page(connection: sqlite3.Connection, lane: int, now: float, limit: int) -> list[Row]:
    """The recipients of one lane due by `now`, oldest due first: recipient columns, then message columns."""
    return connection.execute(_PAGE, (lane, now, limit)).fetchall()


def quarantine(connection: sqlite3.Connection, messages: list[int], due_unix: float) -> None:
    """Put off queued messages whose bytes are damaged: their recipients come due then, and bounce unless mended."""
    connection.executemany(
        "UPDATE recipient SET state = 2, due = ?1 WHERE state = 0 AND id >= ?2"
        " AND id < ?2 + (SELECT rcpts FROM message WHERE id = ?2)",
        [(due_unix, message) for message in messages],
    )
    connection.executemany(
        "UPDATE message SET state = 2 WHERE state = 0 AND id = ?", [(number,) for number in messages]
    )


def requeue(connection: sqlite3.Connection, messages: list[int]) -> None:
    """Make quarantined messages due now: their bytes are there again."""
    connection.executemany(
        "UPDATE recipient SET state = 0, due = 0 WHERE state = 2 AND id >= ?1"
        " AND id < ?1 + (SELECT rcpts FROM message WHERE id = ?1)",
        [(message,) for message in messages],
    )
    set_state(connection, QUEUED, messages)


def move(connection: sqlite3.Connection, moved: Iterable[tuple[int, int, int, int]]) -> None:
    """Rows (segment, place, message id, old segment): their bytes lie there now, without their journaled records."""
    connection.executemany(
        "UPDATE message SET segment = ?, place = ?, record_length = 0 WHERE id = ? AND segment = ?", moved
    )


def in_segment(connection: sqlite3.Connection, segment: int, limit: int = -1) -> list[Row]:
    """Message columns of what lies undamaged in a segment, as far as is known."""
    moved = connection.execute(
        f"SELECT {MESSAGE_COLUMNS} FROM message m"  # noqa: S608
        " WHERE m.segment = ? AND m.record_length = 0 AND m.state != 2 ORDER BY m.id LIMIT ?",
        (segment, limit),
    ).fetchall()
    return (
        moved
        or connection.execute(
            f"{_STORED_IN} AND m.state != 2 ORDER BY m.id LIMIT ?2",
            (segment, limit),
        ).fetchall()
    )


def large_segments(connection: sqlite3.Connection) -> list[int]:
    """The segments of large messages."""
    rows = connection.execute("SELECT number FROM segment WHERE number >= ? AND messages > 0", (LARGE_FROM,))
    return [row[0] for row in rows]


def place_of(connection: sqlite3.Connection, message: int) -> tuple[int, int, int] | None:
    """(segment, offset, record length) of a message, None when it is gone."""
    row: tuple[int, int, int] | None = connection.execute(
        "SELECT segment, place, record_length FROM message WHERE id = ?", (message,)
    ).fetchone()
    return row


def position(segment: int, offset: int) -> int:
    """One number for a place in the order of writing."""
    return segment << 32 | offset


def messages_after(connection: sqlite3.Connection, journaled: int) -> Iterator[Row]:
    """Message rows whose records may be missing in the journal, in the order of writing. Moved ones have none left."""
    segment, offset = journaled >> 32, journaled & 0xFFFFFFFF
    following = connection.execute(
        "SELECT number FROM segment WHERE number >= ? ORDER BY number", (segment,)
    ).fetchall()
    for (number,) in following:
        after = offset if number == segment else -1
        yield from connection.execute(
            f"{_STORED_IN} AND m.record_length > 0 AND m.place > ?2 ORDER BY m.place", (number, after)
        )
    yield from connection.execute(
        f"SELECT {MESSAGE_COLUMNS} FROM unjournaled u CROSS JOIN message m ON m.id = u.message"  # noqa: S608
    )


def forget_unjournaled(connection: sqlite3.Connection, but: list[int]) -> bool:
    """The records of messages in segments of their own are in the journal, but for these; tell whether any is left."""
    connection.execute(
        "DELETE FROM unjournaled WHERE message NOT IN (SELECT value FROM json_each(?))", (json.dumps(but),)
    )
    return bool(but)


def set_state(connection: sqlite3.Connection, state: int, messages: list[int]) -> None:
    """Note the state that all recipients of these messages are in."""
    connection.execute(  # one statement: 50,000 of them take 0.1 s and not 2
        "UPDATE message SET state = ? WHERE id IN (SELECT value FROM json_each(?))", (state, json.dumps(messages))
    )
