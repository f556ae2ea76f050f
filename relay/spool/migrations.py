"""The index's tables, as numbered steps. PRAGMA user_version says which were taken; each runs in a transaction.

Append only: a step that was released is never changed. tests/relay/test_spool_migrations.py takes each from the one
before it.
"""

import sqlite3

from relay.spool import clusters, digests, idempotency, notices, origins

# 1: the first tables; an index made before steps were counted has them already, under user_version 0.
_FIRST = """
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

# 2: what counting needs without reading every row. message.state is that of all recipients the message still has
# (they are held and released together). `segment` is how much of each file is alive; meta.recipients counts rows.
# What lies in a segment is found by the ids that were written to it (first to last), so that new mail needs no index of
# its segment; only what was moved, and left its record behind, has one.
# meta.journaled is segment << 32 | offset now: large messages use up numbers faster than 23 bits allow.
# unjournaled: messages in segments of their own, whose numbers do not tell the order of writing.
_COUNTED = """
ALTER TABLE message ADD COLUMN state INTEGER NOT NULL DEFAULT 0;
UPDATE message SET state = 1 WHERE id IN (SELECT message FROM recipient WHERE state = 1);
CREATE INDEX message_parked ON message (state, sender, account, rule) WHERE state != 0;
CREATE TABLE segment (
    number INTEGER PRIMARY KEY, messages INTEGER NOT NULL, alive INTEGER NOT NULL, written INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL);
INSERT INTO segment
    SELECT segment, count(*), sum(length + record_length), max(place + length + record_length), min(id), max(id)
    FROM message GROUP BY segment;
DROP INDEX message_segment;
CREATE INDEX message_moved ON message (segment) WHERE record_length = 0;
CREATE TABLE unjournaled (message INTEGER PRIMARY KEY);
INSERT OR REPLACE INTO meta SELECT 'recipients', count(*) FROM recipient;
UPDATE meta SET value = (value >> 40 << 32) | (value & 0xFFFFFFFF) WHERE name = 'journaled';
"""

# 4: what the sender wants to be told, as dsn_options.py writes it.
_DSN = """
ALTER TABLE message ADD COLUMN dsn TEXT NOT NULL DEFAULT '';
ALTER TABLE recipient ADD COLUMN dsn TEXT NOT NULL DEFAULT '';
"""

# 5: the egress pool, the domain of the return path (VERP; empty: the envelope sender's own), and a prefix of one
# recipient's own instead of the message's.
_EGRESS = """
ALTER TABLE message ADD COLUMN pool TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN return_domain TEXT NOT NULL DEFAULT '';
ALTER TABLE recipient ADD COLUMN prefix BLOB;
"""

# 7: what accounts are to be told in their next digest; whether a recipient's sender was told that it is late.
_TOLD = f"{digests.SCHEMA}ALTER TABLE recipient ADD COLUMN is_delay_told INTEGER NOT NULL DEFAULT 0;"

# 9: what is asked of held mail, and that of what is held already.
_HELD = clusters.SCHEMA + clusters.REBUILD

# 3: answers under a client's key, with their message. 6: whom bounces to our return paths are about. 8: what people are
# to be told of decisions.
STEPS = (_FIRST, _COUNTED, idempotency.SCHEMA, _DSN, _EGRESS, origins.SCHEMA, _TOLD, notices.SCHEMA, _HELD)


class NewerIndex(sqlite3.DatabaseError):
    """The index was written by a later version of this program."""


def migrate(connection: sqlite3.Connection) -> None:
    """Take the steps that are missing. Raises NewerIndex, or sqlite3.Error with nothing changed by the failed step."""
    taken = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if taken > len(STEPS):
        raise NewerIndex(f"it has version {taken}, this program knows {len(STEPS)}; install the version that wrote it")
    for number in range(taken, len(STEPS)):
        try:
            connection.executescript(f"BEGIN IMMEDIATE;{STEPS[number]}PRAGMA user_version = {number + 1};COMMIT;")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
