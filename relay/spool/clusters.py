"""What is asked of held mail, in a narrow table of its own, and which texts are alike; in its caller's transaction.

`held` is a copy of what people select held messages by: 100,000 of them are listed and grouped without touching the
wide rows of `message`. Rows come here when a message is parked, and go by themselves (triggers) when it is parked no
more or is gone, whoever did that.

A cluster is a text and what is nearly the same: a message belongs to the cluster with whose first message it shares a
band of the fingerprint (content/fingerprint.py), else it founds one. Nearness counts to the first message only: if any
member drew in the next, a chain of small changes would lead from one text to a quite different one, and a release of
the cluster would free mail that nobody has looked at. Clusters are never joined, so that an id keeps its meaning.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable

from relay.tree import GROUP_RULES, NEWCOMERS

_EXACT_BYTES, _BAND_BYTES, _BANDS = 8, 4, 4
_SLICE = 500  # ids of one statement

# Under which key a message is parked: that of its account's newcomers or of its sender, "" for what it says itself (the
# verdict's own rules about content: verdict/judge.py names them so).
_UNDER = (
    "CASE WHEN m.rule IN ({}) THEN m.account || '|{}|'"
    " WHEN m.rule = 'unscored' OR m.rule = 'content' OR m.rule GLOB 'content_*' THEN '' ELSE m.sender END"
).format(", ".join(f"'{rule}'" for rule in GROUP_RULES), NEWCOMERS)
_FROM_MESSAGE = (
    "INSERT OR IGNORE INTO held SELECT m.id, m.account, m.reseller, m.sender, {under}, m.rule, m.score, {since},"
    " (SELECT count(*) FROM recipient r WHERE r.id >= m.id AND r.id < m.id + m.rcpts AND r.state = 1), {cluster}"
    " FROM {source} WHERE m.state != 0 AND m.state = 1"
)
# of [[id, cluster], ...]; CROSS: in this order, and not every held message for each of them
_NOTE = _FROM_MESSAGE.format(
    under=f"coalesce(?1, {_UNDER})",
    since="?2",
    cluster="n.value ->> 1",
    source="json_each(?3) n CROSS JOIN message m ON m.id = n.value ->> 0",
)
# after a salvage, which has the wide rows only; and for an index from before this table
REBUILD = _FROM_MESSAGE.format(under=_UNDER, since="m.received_unix", cluster="0", source="message m") + ";"

# cluster 0: none, the text is too short and has no subject. AUTOINCREMENT: a number is never given out again.
# `pace`: until when released mail of a sender has its departures taken.
SCHEMA = """
ALTER TABLE message ADD COLUMN fingerprint BLOB;
ALTER TABLE message ADD COLUMN released_unix REAL;
CREATE TABLE held (
    message INTEGER PRIMARY KEY, account TEXT NOT NULL, reseller TEXT NOT NULL, sender TEXT NOT NULL,
    under TEXT NOT NULL, rule TEXT NOT NULL, score REAL, since REAL NOT NULL, rcpts INTEGER NOT NULL,
    cluster INTEGER NOT NULL);
CREATE INDEX held_sender ON held (sender);
CREATE INDEX held_under ON held (under);
CREATE INDEX held_cluster ON held (cluster);
CREATE INDEX held_since ON held (since);
CREATE TABLE cluster (id INTEGER PRIMARY KEY AUTOINCREMENT, founded REAL NOT NULL);
CREATE TABLE cluster_key (key BLOB PRIMARY KEY, cluster INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE pace (sender TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE TRIGGER held_gone AFTER DELETE ON message WHEN OLD.state = 1
    BEGIN DELETE FROM held WHERE message = OLD.id; END;
CREATE TRIGGER held_no_more AFTER UPDATE OF state ON message WHEN OLD.state = 1 AND NEW.state != 1
    BEGIN DELETE FROM held WHERE message = OLD.id; END;
"""


def note(connection: sqlite3.Connection, ids: Iterable[int], now_unix: float, under: str | None = None) -> None:
    """Messages are parked from now on; `under` which key, if not what their rules say. 12 us each."""
    wanted, clusters = list(ids), dict[tuple[bytes, ...], int]()
    for start in range(0, len(wanted), _SLICE):
        rows = connection.execute(
            "SELECT id, sender, subject, fingerprint FROM message WHERE id IN (SELECT value FROM json_each(?))"
            " ORDER BY id",
            (json.dumps(wanted[start : start + _SLICE]),),
        ).fetchall()
        noted = []
        for number, sender, subject, fingerprint in rows:
            keys = _keys(sender, subject, fingerprint)
            if keys not in clusters:
                clusters[keys] = _cluster(connection, keys, now_unix)
            noted.append((number, clusters[keys]))
        connection.execute(_NOTE, (under, now_unix, json.dumps(noted)))


def tidy(connection: sqlite3.Connection, now_unix: float) -> None:
    """Forget clusters that nobody is in any more, an hour after they were founded, and paces that are over."""
    connection.execute(
        "DELETE FROM cluster WHERE founded < ? AND NOT EXISTS (SELECT 1 FROM held WHERE held.cluster = cluster.id)",
        (now_unix - 3600,),
    )
    connection.execute("DELETE FROM cluster_key WHERE cluster NOT IN (SELECT id FROM cluster)")
    connection.execute("DELETE FROM pace WHERE until < ?", (now_unix,))


def _keys(sender: str, subject: str, fingerprint: bytes | None) -> tuple[bytes, ...]:
    """What a message shares with its cluster: a band of its text; below eight words the same sender and subject."""
    if fingerprint and len(fingerprint) == _EXACT_BYTES + _BANDS * _BAND_BYTES:
        starts = range(_EXACT_BYTES, len(fingerprint), _BAND_BYTES)
        return tuple(bytes([place]) + fingerprint[at : at + _BAND_BYTES] for place, at in enumerate(starts))
    if not subject:
        return ()
    text = f"{sender}\0{subject.casefold()}".encode("utf-8", "replace")
    return (b"s" + hashlib.blake2b(text, digest_size=8).digest(),)


def _cluster(connection: sqlite3.Connection, keys: tuple[bytes, ...], now_unix: float) -> int:
    """The cluster with one of these keys, the eldest of several; a new one with all of them when there is none."""
    if not keys:
        return 0
    marks = ", ".join("?" * len(keys))
    found = connection.execute(f"SELECT min(cluster) FROM cluster_key WHERE key IN ({marks})", keys).fetchone()[0]  # noqa: S608
    if found is not None:
        return int(found)
    number = connection.execute("INSERT INTO cluster (founded) VALUES (?)", (now_unix,)).lastrowid
    assert number is not None
    connection.executemany("INSERT OR IGNORE INTO cluster_key VALUES (?, ?)", [(key, number) for key in keys])
    return number
