"""The start of a spool: whatever a crash, a damaged disk or a wrong clock left, in working order and reported.

Nothing here reads message bytes but the Reception records of the last moments; opening a million recipients takes
milliseconds, because fresh rows lie above a mark and segments are counted as they fill.
"""

import errno
import logging
import os
import sqlite3
from pathlib import Path

from relay.spool import index, salvage
from relay.spool.entry import CorruptEntry, message_of
from relay.spool.journal import Journal
from relay.spool.segments import LARGE_FROM, Place, Segments

_log = logging.getLogger("mailweir.spool")

ID_BLOCK = 1 << 20
QUARANTINE_SECONDS = 24 * 3600.0  # a day to put a lost file back, then the sender hears of it


def recovered_index(
    folder: Path, segments: Segments, now_unix: float, longest_wait_seconds: float | None
) -> sqlite3.Connection:
    """The writing connection. Raises OSError when the folder is read-only, sqlite3.Error when nothing can be read."""
    if not os.access(folder, os.W_OK):  # SQLite would only say that it cannot open a file
        is_read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        reason = errno.EROFS if is_read_only else errno.EACCES
        raise OSError(reason, os.strerror(reason), str(folder))
    connection = salvage.open_index(folder, segments)
    try:
        _recover(connection, segments, now_unix, longest_wait_seconds)
    except sqlite3.DatabaseError as error:
        connection.close()
        if not salvage.is_damage(error):
            raise
        connection = salvage.salvaged(folder, segments, error)
        _recover(connection, segments, now_unix, longest_wait_seconds)
    highest = connection.execute(
        "SELECT coalesce(max(number), 0) FROM segment WHERE number < ?", (LARGE_FROM,)
    ).fetchone()[0]
    segments.skip_to(max(highest, index.get_meta(connection, "journaled") >> 32))
    return connection


def rejournal(connection: sqlite3.Connection, segments: Segments, journal: Journal, node: str) -> int:
    """Write again the Reception records that a crash may have kept from the journal; ingestion drops repeats.

    Returns the position up to which the journal has them all now.
    """
    count, handed_over, is_whole = 0, 0, True
    for row in index.messages_after(connection, index.get_meta(connection, "journaled")):
        try:
            message = message_of(row, node)
            place = message.place
            record = segments.read(Place(place.segment, place.offset + place.length, message.record_length))
        except (CorruptEntry, OSError) as error:  # owned by somebody else, say: the rest must start
            _log.error("reception record not read message=%s: %s", row[0], error)
            is_whole = False
            continue
        if record.endswith(b"\n"):
            journal.append_encoded(record)
        count += 1
        handed_over = max(handed_over, index.position(place.segment, place.offset))
    if count:
        _log.info("reception records written again count=%d", count)
    return handed_over if is_whole else 0


def _recover(
    connection: sqlite3.Connection, segments: Segments, now_unix: float, longest_wait_seconds: float | None
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        index.recover(connection)
        if longest_wait_seconds is not None:
            index.draw_nearer(connection, now_unix + longest_wait_seconds)
        _audit(connection, segments, now_unix + QUARANTINE_SECONDS)
        index.set_meta(connection, "next_id", max(index.get_meta(connection, "next_id"), 1) + ID_BLOCK)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _audit(connection: sqlite3.Connection, segments: Segments, until_unix: float) -> None:
    """Compare the size of each segment with its committed end.

    What a short or lost file held is quarantined: put off for a day, so that the file can be put back (a backup, a
    missing mount) before the senders are told. When it is whole again at the next start, its messages go on at once.
    """
    for (number,) in connection.execute(
        "SELECT DISTINCT segment FROM message WHERE state != 0 AND state = 2"
    ).fetchall():
        back = _ids(connection, number, "m.state = 2 AND m.place + m.length <= ?2", segments.size_of(number))
        if back:
            _log.info("damaged messages are looked at again segment=%d messages=%d", number, len(back))
            index.requeue(connection, back)
    for number, messages, written in connection.execute("SELECT number, messages, written FROM segment").fetchall():
        size = segments.size_of(number)
        if messages and size < written:
            lost = _ids(connection, number, "m.state = 0 AND m.place + m.length > ?2", size)
            _log.error(
                "segment damaged segment=%d bytes=%d expected=%d quarantined=%d", number, size, written, len(lost)
            )
            index.quarantine(connection, lost, until_unix)


def _ids(connection: sqlite3.Connection, segment: int, condition: str, size: int) -> list[int]:
    rows = connection.execute(
        "SELECT m.id FROM message m WHERE m.id IN (SELECT id FROM message WHERE segment = ?1 AND record_length = 0"  # noqa: S608
        " UNION ALL SELECT x.id FROM segment s JOIN message x ON x.id BETWEEN s.first AND s.last"
        f" WHERE s.number = ?1 AND x.segment = ?1) AND {condition} ORDER BY m.id",
        (segment, size),
    )
    return [row[0] for row in rows]
