"""What accounts are still to be told of failed mail: rows that come in the transaction in which the recipient leaves.

The first lines of an account are kept whole, what follows is counted by sender: a hijacked account's 50,000 bounces are
one line of its digest. Runs in its caller's transaction.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

MAX_LINES = 100  # of one digest; a person reads no more, and 100 accounts' take some 3 MB of the index

# `is_stopped`: the sender was held, blocked or suspended, so that its mail is counted and not listed.
SCHEMA = """
CREATE TABLE digest (account TEXT PRIMARY KEY, reseller TEXT NOT NULL, since REAL, sent REAL) WITHOUT ROWID;
CREATE TABLE digest_count (
    account TEXT NOT NULL, sender TEXT NOT NULL, is_stopped INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (account, sender, is_stopped)) WITHOUT ROWID;
CREATE TABLE digest_line (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, failed_unix REAL NOT NULL, sender TEXT NOT NULL,
    mail_from TEXT NOT NULL, recipient TEXT NOT NULL, subject TEXT NOT NULL, reply TEXT NOT NULL);
CREATE INDEX digest_line_account ON digest_line (account);
"""


@dataclass(frozen=True, slots=True)
class DigestLine:
    """One failed recipient for the digest of its account."""

    account: str
    reseller: str
    failed_unix: float
    sender: str
    mail_from: str
    recipient: str
    subject: str
    reply: str
    is_stopped: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """An account with something to be told: since when, and when its last digest was sent (None: never)."""

    account: str
    reseller: str
    since_unix: float
    sent_unix: float | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a digest tells: lines up to a row's id, and (sender, is_stopped, count) with the listed ones counted too."""

    lines: tuple[DigestLine, ...]
    last_id: int
    counts: tuple[tuple[str, bool, int], ...]


def add(connection: sqlite3.Connection, lines: Iterable[DigestLine]) -> None:
    for line in lines:
        connection.execute(
            "INSERT INTO digest VALUES (?1, ?2, ?3, NULL)"
            " ON CONFLICT DO UPDATE SET since = coalesce(since, ?3), reseller = ?2",
            (line.account, line.reseller, line.failed_unix),
        )
        connection.execute(
            "INSERT INTO digest_count VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
            (line.account, line.sender, line.is_stopped),
        )
        if not line.is_stopped:
            connection.execute(
                "INSERT INTO digest_line (account, failed_unix, sender, mail_from, recipient, subject, reply)"
                " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7"
                " WHERE (SELECT count(*) FROM digest_line WHERE account = ?1) < ?8",
                (
                    line.account,
                    line.failed_unix,
                    line.sender,
                    line.mail_from,
                    line.recipient,
                    line.subject,
                    line.reply,
                    MAX_LINES,
                ),
            )


def waiting(connection: sqlite3.Connection) -> list[Due]:
    """Every account with something to be told."""
    rows = connection.execute("SELECT account, reseller, since, sent FROM digest WHERE since IS NOT NULL").fetchall()
    return [Due(*row) for row in rows]


def gathered(connection: sqlite3.Connection, due: Due) -> Gathered:
    lines = connection.execute(
        "SELECT failed_unix, sender, mail_from, recipient, subject, reply, id FROM digest_line WHERE account = ?"
        " ORDER BY id",
        (due.account,),
    ).fetchall()
    counts = connection.execute(
        "SELECT sender, is_stopped, count FROM digest_count WHERE account = ? ORDER BY is_stopped, count DESC",
        (due.account,),
    ).fetchall()
    return Gathered(
        tuple(DigestLine(due.account, due.reseller, *row[:-1]) for row in lines),
        lines[-1][-1] if lines else 0,
        tuple((sender, bool(is_stopped), count) for sender, is_stopped, count in counts),
    )


def forget(connection: sqlite3.Connection, due: Due, told: Gathered, now_unix: float, *, is_sent: bool) -> None:
    """Take out what was told (or, with nobody to tell, given up); what came meanwhile waits for the next digest."""
    connection.execute("DELETE FROM digest_line WHERE account = ? AND id <= ?", (due.account, told.last_id))
    connection.executemany(
        "UPDATE digest_count SET count = count - ? WHERE account = ? AND sender = ? AND is_stopped = ?",
        [(count, due.account, sender, is_stopped) for sender, is_stopped, count in told.counts],
    )
    connection.execute("DELETE FROM digest_count WHERE account = ? AND count <= 0", (due.account,))
    connection.execute(
        "UPDATE digest SET sent = CASE WHEN ?2 THEN ?3 ELSE sent END, since ="
        " CASE WHEN EXISTS (SELECT 1 FROM digest_count WHERE account = ?1) THEN ?3 END WHERE account = ?1",
        (due.account, is_sent, now_unix),
    )
