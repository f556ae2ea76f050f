"""Opens the index, also one that is partly broken: what can be read moves into a new file, the broken one stays beside.

A break is met either at start, or while running: then the relay stops with a mark in the folder, and the next start
looks at every page. The way of a salvage, each step a single rename or safe to repeat:
  index.salvage.part   the new index grows
  index.salvaged       it is complete and on disk (from here on a start only finishes the steps below)
  index.damaged-N*     the broken files
  index.sqlite         the new index
"""

import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from relay.events import Reception, decode
from relay.spool import clusters, index
from relay.spool.entry import CorruptEntry, domain_of, message_of
from relay.spool.segments import Place, Segments, sync_folder

_log = logging.getLogger("mailweir.spool")

_CHUNK = 256
_ID_GAP = 1 << 24
_TABLES = ("message", "recipient", "lane", "origin")
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True, slots=True)
class _Gap:
    """Ids of a table that lie on a broken page."""

    table: str
    first: int
    last: int


def is_damage(error: BaseException) -> bool:
    """Tell whether the file is broken, rather than busy, full or not ours."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.DatabaseError) and code is not None and code & 0xFF in _DAMAGE


def suspect(folder: Path, error: BaseException) -> None:
    """Leave word for the next start that the index is broken."""
    _log.critical("index damaged, the next start will look at all of it error=%s", error)
    try:
        (folder / "index.suspect").touch()
    except OSError as failure:
        _log.error("index not marked: %s", failure)


def open_index(folder: Path, segments: Segments) -> sqlite3.Connection:
    """The index of a spool, in working order. Raises sqlite3.Error with nothing changed when nothing can be read."""
    path, mark = folder / "index.sqlite", folder / "index.suspect"
    if (folder / "index.salvaged").exists():
        _swap(folder)
    try:
        connection = index.connect(path)
        if not mark.exists() or _is_whole(connection):
            mark.unlink(missing_ok=True)
            return connection
        connection.close()
        error: sqlite3.DatabaseError = sqlite3.DatabaseError("damaged pages")
    except sqlite3.DatabaseError as failure:
        if not is_damage(failure):
            raise
        error = failure
    return salvaged(folder, segments, error)


def salvaged(folder: Path, segments: Segments, error: sqlite3.DatabaseError) -> sqlite3.Connection:
    """A new index with all rows of the broken one that can be read. Raises `error` when there are none."""
    part = folder / "index.salvage.part"
    for name in (part, *_beside(part)):
        name.unlink(missing_ok=True)
    new = index.connect(part)
    try:
        new.execute("BEGIN")
        gaps = _copy(folder / "index.sqlite", new)
        if gaps is None:
            raise error
        _mend(new, segments, [gap for gap in gaps if gap.table == "recipient"], folder / "index.lost.jsonl")
        new.execute("COMMIT")
    except sqlite3.DatabaseError:
        new.close()
        part.unlink()
        raise
    new.close()  # the last connection: all of it is in the one file now, and on disk
    part.rename(folder / "index.salvaged")
    _swap(folder)
    (folder / "index.suspect").unlink(missing_ok=True)
    connection = index.connect(folder / "index.sqlite")
    kept = _set_aside(folder, segments, connection)
    lost = ", ".join(f"{gap.table} {gap.first}-{gap.last}" for gap in gaps) or "none"
    _log.critical("index was damaged and is salvaged rows_unread=%r segments_set_aside=%d error=%s", lost, kept, error)
    return connection


def _is_whole(connection: sqlite3.Connection) -> bool:
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False


def _copy(broken: Path, new: sqlite3.Connection) -> list[_Gap] | None:
    """Copy what can be read; returns the gaps, or None when there is no message to be read."""
    gaps: list[_Gap] = []
    old = sqlite3.connect(f"{broken.absolute().as_uri()}?mode=ro", uri=True)
    try:
        for table in _TABLES:
            known = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
            there = [row[1] for row in old.execute(f"PRAGMA table_info({table})")]
            columns = ", ".join(name for name in known if name in there)
            if not columns:
                continue  # an index from before that table
            marks = ", ".join("?" * (columns.count(",") + 1))
            rows = (row for row in _rows(old, table, columns, gaps) if None not in row[:3])
            new.executemany(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", rows)  # noqa: S608
        if not new.execute("SELECT EXISTS (SELECT 1 FROM message)").fetchone()[0]:
            return None
        _copy_marks(old, new)
    finally:
        old.close()
    return gaps


def _rows(old: sqlite3.Connection, table: str, columns: str, gaps: list[_Gap]) -> Iterator[tuple[object, ...]]:
    """All rows of a table that lie on whole pages, by id."""
    last, select = 0, f"SELECT id, {columns} FROM {table} WHERE id"  # noqa: S608
    while True:
        try:
            rows = old.execute(f"{select} > ? ORDER BY id LIMIT ?", (last, _CHUNK)).fetchall()
        except sqlite3.DatabaseError:
            rows = _single_rows(old, select, last)
            if not rows:
                following = _behind_the_gap(old, table, last)
                if following is None:
                    gaps.append(_Gap(table, last + 1, 1 << 62))
                    return
                gaps.append(_Gap(table, last + 1, following - 1))
                last = following - 1
                continue
        if not rows:
            return
        last = rows[-1][0]
        yield from (row[1:] for row in rows)


def _single_rows(old: sqlite3.Connection, select: str, last: int) -> list[tuple[int, ...]]:
    rows: list[tuple[int, ...]] = []
    try:
        for _ in range(_CHUNK):
            rows.append(old.execute(f"{select} > ? ORDER BY id LIMIT 1", (last,)).fetchone())
            last = rows[-1][0]
    except (sqlite3.DatabaseError, TypeError):  # TypeError: no row came
        return [row for row in rows if row is not None]
    return rows


def _behind_the_gap(old: sqlite3.Connection, table: str, last: int) -> int | None:
    """The first id behind a broken page, found by steps that double and are halved again; None: nothing follows."""
    low, high = last, last + 1
    while not _is_readable(old, table, high):
        low, high = high, high + 2 * (high - last)
        if high > 1 << 50:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_readable(old, table, middle) else (middle, high)
    row = old.execute(f"SELECT id FROM {table} WHERE id >= ? ORDER BY id LIMIT 1", (high,)).fetchone()  # noqa: S608
    return int(row[0]) if row else None


def _is_readable(old: sqlite3.Connection, table: str, number: int) -> bool:
    try:
        old.execute(f"SELECT * FROM {table} WHERE id >= ? ORDER BY id LIMIT 1", (number,)).fetchone()  # noqa: S608
    except sqlite3.DatabaseError:
        return False
    return True


def _copy_marks(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    known: dict[str, int] = {}
    for name in ("next_id", "journaled"):
        with contextlib.suppress(sqlite3.DatabaseError):
            known[name] = index.get_meta(old, name)
    highest = new.execute("SELECT max(id + rcpts) FROM message").fetchone()[0]
    # a lost mark: ids far above all that are known; records written again are dropped by ingestion
    index.set_meta(new, "next_id", known.get("next_id") or highest + _ID_GAP)
    index.set_meta(new, "journaled", known.get("journaled", 0))


def _mend(new: sqlite3.Connection, segments: Segments, gaps: list[_Gap], lost: Path) -> None:
    """Make what was read agree with itself: recipients whose message is lost are written to a file, for people."""
    alone = new.execute("SELECT id, address FROM recipient WHERE message NOT IN (SELECT id FROM message)").fetchall()
    if alone:
        _log.critical("recipients without their message count=%d file=%s", len(alone), lost)
        with lost.open("a") as file:
            file.writelines(json.dumps({"id": number, "address": address}) + "\n" for number, address in alone)
        new.executemany("DELETE FROM recipient WHERE id = ?", [(number,) for number, _ in alone])
    for number, address, sender in new.execute(
        "SELECT r.id, r.address, m.sender FROM recipient r JOIN message m ON m.id = r.message"
        " WHERE r.lane NOT IN (SELECT id FROM lane)"
    ).fetchall():
        lane = index.lane_id(new, sender, domain_of(address))
        new.execute("UPDATE recipient SET lane = ? WHERE id = ?", (lane, number))
    for gap in gaps:
        for row in new.execute(
            f"SELECT {index.MESSAGE_COLUMNS}, m.state FROM message m WHERE m.id <= ? AND m.id + m.rcpts > ?",  # noqa: S608
            (gap.last, gap.first),
        ).fetchall():
            _ask_the_record(new, segments, row, gap)
    new.execute(
        "INSERT INTO segment SELECT segment, count(*), sum(length + record_length),"
        " max(place + length + record_length), min(id), max(id) FROM message GROUP BY segment"
    )
    new.execute("INSERT OR REPLACE INTO meta SELECT 'recipients', count(*) FROM recipient")
    new.execute(clusters.REBUILD)


def _ask_the_record(new: sqlite3.Connection, segments: Segments, row: index.Row, gap: _Gap) -> None:
    """Take recipients from the Reception record beside a message's content: some may get it twice, none never."""
    try:
        message = message_of(row[:-1], "")
        place = message.place
        record = decode(segments.read(Place(place.segment, place.offset + place.length, message.record_length)))
    except (CorruptEntry, OSError, ValueError, msgspec.MsgspecError) as error:
        _log.error("recipients lost message=%s: no record beside it: %s", row[0], error)
        return
    found = record.recipients if isinstance(record, Reception) else []
    is_held = row[-1] == index.HELD
    new.executemany(
        "INSERT OR IGNORE INTO recipient (id, message, lane, address, due, attempts, state)"
        " VALUES (?, ?, ?, ?, ?, 0, ?)",
        [
            (
                rcpt.id,
                message.id,
                index.lane_id(new, message.sender, domain_of(rcpt.address)),
                rcpt.address,
                None if is_held else 0.0,
                index.HELD if is_held else index.QUEUED,
            )
            for rcpt in found
            if gap.first <= rcpt.id <= gap.last
        ],
    )


def _swap(folder: Path) -> None:
    path = folder / "index.sqlite"
    if path.exists():
        number = 1 + sum(1 for _ in folder.glob("index.damaged-*.sqlite"))
        aside = folder / f"index.damaged-{number}.sqlite"
        # The broken log leaves first: beside the new index it would be taken for its own.
        for source, target in zip(_beside(path), _beside(aside), strict=True):
            if source.exists():
                source.rename(target)
        path.rename(aside)
        sync_folder(folder)
    (folder / "index.salvaged").rename(path)
    sync_folder(folder)


def _set_aside(folder: Path, segments: Segments, connection: sqlite3.Connection) -> int:
    """Keep the segments that no row names any more from being deleted: rows may be what was lost."""
    named = {row[0] for row in connection.execute("SELECT number FROM segment")}
    on_disk = [*map(segments.path, segments.numbers()), *folder.glob("*.large")]
    unnamed = [path for path in on_disk if int(path.stem) not in named]
    for path in unnamed:
        path.rename(path.with_name(f"{path.name}.lost"))
    return len(unnamed)


def _beside(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")
