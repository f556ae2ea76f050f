"""What people ask of the index: held mail and counts.

Reads only; nothing looks at every row unless it says so. `state != 0` stands where SQLite must see that it may use the
partial index on state.
"""

import json
import logging
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from relay.spool.entry import CorruptEntry, HeldMessage, message_of, unpacked
from relay.spool.index import HELD, MESSAGE_COLUMNS, Row, get_meta

_log = logging.getLogger("mailweir.spool")


# destination, waiting, held, earliest due, first received of what waits
Count = tuple[str, int, int, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which queued recipients: all that fit what is given. `message` is a message's number, `sender` its key."""

    destination: str = ""
    account: str = ""
    sender: str = ""
    message: int = 0
    reseller: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued recipient. due_unix None: fresh, in the courier's memory since it came."""

    recipient_id: int
    recipient: str
    due_unix: float | None
    attempts: int
    destination: str
    message: int
    message_id: str
    account: str
    reseller: str
    sender: str
    mail_from: str
    subject: str
    received_unix: float


def held(connection: sqlite3.Connection, sender: str | None, account: str | None, limit: int) -> list[Row]:
    """Message columns of what is held, newest first. A group's key finds what is parked under it."""
    return connection.execute(
        f"SELECT {MESSAGE_COLUMNS} FROM held h JOIN message m ON m.id = h.message"  # noqa: S608
        " WHERE (?1 IS NULL OR h.sender = ?1 OR h.under = ?1) AND (?2 IS NULL OR h.account = ?2)"
        " ORDER BY h.message DESC LIMIT ?3",
        (sender, account, limit),
    ).fetchall()


def held_of(connection: sqlite3.Connection, ids: Iterable[int]) -> list[Row]:
    """Those of the messages that are held."""
    return [
        row
        for number in ids
        for row in connection.execute(
            f"SELECT {MESSAGE_COLUMNS} FROM message m WHERE m.id = ? AND m.state = 1",  # noqa: S608
            (number,),
        )
    ]


def as_held(connection: sqlite3.Connection, rows: Iterable[Row], node: str) -> list[HeldMessage]:
    """Held messages with their recipients; rows as `held` gives them. One that makes no sense is left out."""
    found = []
    for row in rows:
        try:
            message = message_of(row, node)
        except CorruptEntry as error:
            _log.error("held message not shown: %s", error)
            continue
        since, cluster, under, fingerprint = connection.execute(
            "SELECT h.since, h.cluster, h.under, m.fingerprint FROM held h JOIN message m ON m.id = h.message"
            " WHERE h.message = ?",
            (message.id,),
        ).fetchone() or (message.received_at.timestamp(), 0, message.sender, None)
        found.append(
            HeldMessage(
                message_id=message.message_id,
                account=message.account,
                reseller=message.reseller,
                sender=message.sender,
                mail_from=message.mail_from,
                subject=message.subject,
                score=message.score,
                rule=message.rule,
                received_at=message.received_at,
                recipients=[
                    address for address, state in addresses(connection, message.id, message.rcpts) if state == HELD
                ],
                size_bytes=message.size_bytes,
                held_at=datetime.fromtimestamp(since, UTC),
                cluster=cluster,
                under=under,
                fingerprint=unpacked(fingerprint),
            )
        )
    return found


def messages_of(connection: sqlite3.Connection, account: str) -> int:
    """How many messages an account has, waiting or held. Looks at every message."""
    return int(connection.execute("SELECT count(*) FROM message WHERE account = ?", (account,)).fetchone()[0])


def held_count(connection: sqlite3.Connection, *, sender: str = "", account: str = "") -> int:
    """How many messages of a sender, a group or an account are held."""
    if account:
        return int(connection.execute("SELECT count(*) FROM held WHERE account = ?", (account,)).fetchone()[0])
    return int(
        connection.execute(
            "SELECT count(*) FROM (SELECT message FROM held WHERE sender = ?1"
            " UNION SELECT message FROM held WHERE under = ?1)",
            (sender,),
        ).fetchone()[0]
    )


def held_rules(connection: sqlite3.Connection, sender: str) -> list[str]:
    """The rules that parked what is held of a sender or a group."""
    rows = connection.execute(
        "SELECT rule FROM held WHERE sender = ?1 UNION SELECT rule FROM held WHERE under = ?1", (sender,)
    )
    return [rule for (rule,) in rows]


def messages(connection: sqlite3.Connection, ids: Iterable[int]) -> list[Row]:
    return [
        row
        for message in ids
        for row in connection.execute(f"SELECT {MESSAGE_COLUMNS} FROM message m WHERE m.id = ?", (message,))  # noqa: S608
    ]


def addresses(connection: sqlite3.Connection, message: int, rcpts: int) -> list[tuple[str, int]]:
    """(address, state) of the recipients that a message still has."""
    return connection.execute(
        "SELECT address, state FROM recipient WHERE id >= ? AND id < ? ORDER BY id", (message, message + rcpts)
    ).fetchall()


def counts(connection: sqlite3.Connection) -> tuple[int, int, int, int, float | None, int]:
    """(messages, recipients, held messages, quarantined messages, received first, bytes alive).

    "Received first" is by id, which is given out at reception: a clock that was set makes it no worse than itself.
    """
    messages_, alive = connection.execute(
        "SELECT coalesce(sum(messages), 0), coalesce(sum(alive), 0) FROM segment"
    ).fetchone()
    oldest = connection.execute("SELECT received_unix FROM message WHERE id = (SELECT min(id) FROM message)").fetchone()
    parked = dict(connection.execute("SELECT state, count(*) FROM message WHERE state != 0 GROUP BY state").fetchall())
    recipients = get_meta(connection, "recipients")
    return messages_, recipients, parked.get(1, 0), parked.get(2, 0), oldest[0] if oldest else None, alive


def by_destination(connection: sqlite3.Connection) -> list[Count]:
    """Every destination, fullest first. Reads every recipient.

    What was received first is known by id, as in `counts`; only what waits has an age, not what is held.
    """
    return connection.execute(
        "SELECT destination, waiting, held, due, (SELECT received_unix FROM message WHERE id = first) FROM"
        " (SELECT l.destination, sum(waiting) AS waiting, sum(held) AS held, min(due) AS due, min(first) AS first FROM"
        " (SELECT lane, sum(state != 1) AS waiting, sum(state = 1) AS held, min(due) AS due,"
        " min(CASE WHEN state != 1 THEN message END) AS first"
        " FROM recipient GROUP BY lane) JOIN lane l ON l.id = lane GROUP BY l.destination) ORDER BY waiting DESC"
    ).fetchall()


_WAITING = (
    "SELECT r.id, r.address, r.due, r.attempts, l.destination, m.id, ? || '.' || m.id, m.account, m.reseller, m.sender,"
    " m.mail_from, m.subject, m.received_unix"
    " FROM recipient r JOIN lane l ON l.id = r.lane JOIN message m ON m.id = r.message WHERE r.state = 0"
    " AND (? IS NULL OR m.reseller = ?)"
)


def queued(connection: sqlite3.Connection, node: str, wanted: Selection, limit: int) -> list[Waiting]:
    """Up to `limit` queued recipients, lane by lane, each lane's oldest due first, fresh ones last.

    Looks at every lane, and at as many recipients as it returns; for a connection beside the event loop.
    """
    given = (node, wanted.reseller, wanted.reseller)
    if wanted.message:
        rows = connection.execute(
            f"{_WAITING} AND r.id >= m.id AND m.id = ? AND r.message = m.id AND r.id BETWEEN ? AND ? + m.rcpts"
            " AND (? = '' OR m.account = ?) AND (? = '' OR m.sender = ?) AND (? = '' OR l.destination = ?)"
            " ORDER BY r.id LIMIT ?",
            (
                *given,
                *[wanted.message] * 3,
                *[wanted.account] * 2,
                *[wanted.sender] * 2,
                *[wanted.destination] * 2,
                limit,
            ),
        ).fetchall()
        return [Waiting(*row) for row in rows]
    found: list[Waiting] = []
    lanes = _lanes(connection, wanted)
    for lane in lanes:
        rows = connection.execute(
            f"{_WAITING} AND r.lane = ? AND r.due IS NOT NULL ORDER BY r.due LIMIT ?",
            (*given, lane, limit - len(found)),
        ).fetchall()
        found += [Waiting(*row) for row in rows]
        if len(found) == limit:
            return found
    rows = connection.execute(
        f"{_WAITING} AND r.id >= ? AND r.due IS NULL"  # noqa: S608
        " AND r.lane IN (SELECT value FROM json_each(?)) ORDER BY r.id LIMIT ?",
        (*given, get_meta(connection, "fresh_from"), json.dumps(lanes), limit - len(found)),
    ).fetchall()
    return found + [Waiting(*row) for row in rows]


def _lanes(connection: sqlite3.Connection, wanted: Selection) -> list[int]:
    """The lanes that fit; a sender's key begins with its account and a bar."""
    rows = connection.execute(
        "SELECT id FROM lane WHERE (?1 = '' OR sender = ?1) AND (?2 = '' OR destination = ?2)"
        " AND (?3 = '' OR substr(sender, 1, length(?3) + 1) = ?3 || '|') ORDER BY id",
        (wanted.sender, wanted.destination, wanted.account),
    ).fetchall()
    return [int(lane) for (lane,) in rows]
