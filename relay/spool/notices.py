"""What people are still to be told of decisions and held mail, until the mail that tells them is stored.

A row is one notice to one audience. Those to the same people that are due go out in one mail; of the same condition and
sender one an interval. `meta.noticed` is the number of the node's youngest decision whose rows came in: what was
decided later and is not here is found again at start. Runs in its caller's transaction.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from relay.spool.usage import Change

_T = TypeVar("_T")
_Call = Callable[[Callable[[sqlite3.Connection, Change], _T]], Awaitable[_T]]

_LISTED_MAX = 20  # of one mail, in full; the rest is counted

# `ref` is the decision's id, or the ids of messages; `whose` is the account, "" for the desk, which hears of all.
SCHEMA = """
CREATE TABLE notice (
    id INTEGER PRIMARY KEY, audience TEXT NOT NULL, whose TEXT NOT NULL, kind TEXT NOT NULL, account TEXT NOT NULL,
    reseller TEXT NOT NULL, sender TEXT NOT NULL, condition TEXT NOT NULL, ref TEXT NOT NULL, detail TEXT NOT NULL,
    raised REAL NOT NULL, due REAL NOT NULL);
CREATE INDEX notice_whose ON notice (audience, whose, due);
CREATE TABLE notice_told (key TEXT PRIMARY KEY, told REAL NOT NULL) WITHOUT ROWID;
"""
_BOOKMARK = "noticed"


class Audience(StrEnum):
    """Who is told."""

    CONTACT = "contact"
    DESK = "desk"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. `kind` says which words; `raised_unix`: when it happened or begins; `id` 0: not stored yet."""

    audience: Audience
    kind: str
    account: str
    reseller: str
    sender: str
    condition: str
    ref: str
    detail: str
    raised_unix: float
    id: int = 0
    due_unix: float = 0.0

    @property
    def whose(self) -> str:
        return self.account if self.audience is Audience.CONTACT else ""

    @property
    def key(self) -> str:
        """What is told once an interval."""
        return f"{self.audience}|{self.condition}|{self.sender}"

    @property
    def is_postponed(self) -> bool:
        """Tell whether it had to wait, because the same was told shortly before."""
        return self.due_unix > self.raised_unix


@dataclass(frozen=True, slots=True)
class Group:
    """Those who are to be told, since when something is due (Unix), and when they were last told anything."""

    audience: Audience
    whose: str
    due_unix: float
    told_unix: float | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one mail tells: the first notices in full, and how many there are of each (kind, condition)."""

    notices: tuple[Notice, ...]
    counts: tuple[tuple[str, str, int], ...]
    last_id: int

    @property
    def total(self) -> int:
        return sum(count for _, _, count in self.counts)


class NoticeRows:
    """The rows, read on the event loop; `call` runs a function in a transaction of the commit thread."""

    def __init__(self, reader: sqlite3.Connection, call: _Call[None]) -> None:
        self._reader, self._call = reader, call

    async def add(self, notices: Sequence[Notice], interval: float, bookmark: int | None = None) -> None:
        """Put rows in, each due when its interval is over; a bookmark says up to which decision they reach.

        Returns after the commit. Raises SpoolFull.
        """
        await self._call(lambda connection, _change: _add(connection, notices, interval, bookmark))

    def bookmark(self) -> int | None:
        """The number up to which decisions came in; None in an index that never heard of any."""
        row = self._reader.execute("SELECT value FROM meta WHERE name = ?", (_BOOKMARK,)).fetchone()
        return None if row is None else int(row[0])

    def groups(self, now_unix: float) -> list[Group]:
        """Everybody with something due."""
        rows = self._reader.execute(
            "SELECT audience, whose, min(due),"
            " (SELECT told FROM notice_told WHERE key = 'mail|' || audience || '|' || whose)"
            " FROM notice WHERE due <= ? GROUP BY audience, whose",
            (now_unix,),
        ).fetchall()
        return [Group(Audience(row[0]), *row[1:]) for row in rows]

    def bundle(self, group: Group, now_unix: float) -> Bundle:
        """What is due for them now."""
        wanted = (group.audience, group.whose, now_unix)
        chosen = " FROM notice WHERE audience = ?1 AND whose = ?2 AND due <= ?3"
        rows = self._reader.execute(
            f"SELECT audience, kind, account, reseller, sender, condition, ref, detail, raised, id, due{chosen}"
            f" ORDER BY id LIMIT {_LISTED_MAX}",
            wanted,
        ).fetchall()
        counted = f"SELECT kind, condition, count(*), max(id){chosen} GROUP BY 1, 2 ORDER BY 3 DESC"
        counts = self._reader.execute(counted, wanted).fetchall()
        return Bundle(
            tuple(Notice(Audience(row[0]), *row[1:]) for row in rows),
            tuple((kind, condition, count) for kind, condition, count, _ in counts),
            max((last for _, _, _, last in counts), default=0),
        )

    async def forget(self, group: Group, told: Bundle, now_unix: float, interval: float, *, is_sent: bool) -> None:
        """Take out what was told (or, with nobody to tell, given up); what came meanwhile waits. Raises SpoolFull."""
        seen = group, told, now_unix, interval
        await self._call(lambda connection, _change: _forget(connection, *seen, is_sent=is_sent))


def _add(connection: sqlite3.Connection, notices: Sequence[Notice], interval: float, bookmark: int | None) -> None:
    for one in notices:
        connection.execute(
            "INSERT INTO notice (audience, whose, kind, account, reseller, sender, condition, ref, detail, raised, due)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
            " max(?10, coalesce((SELECT told FROM notice_told WHERE key = ?11) + ?12, 0)))",
            (
                one.audience,
                one.whose,
                one.kind,
                one.account,
                one.reseller,
                one.sender,
                one.condition,
                one.ref,
                one.detail,
                one.raised_unix,
                one.key,
                interval,
            ),
        )
    if bookmark is not None:
        connection.execute(
            "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = max(value, ?2)", (_BOOKMARK, bookmark)
        )


def _forget(
    connection: sqlite3.Connection, group: Group, told: Bundle, now_unix: float, interval: float, *, is_sent: bool
) -> None:
    wanted = (group.audience, group.whose, now_unix, told.last_id)
    chosen = " FROM notice WHERE audience = ?1 AND whose = ?2 AND due <= ?3 AND id <= ?4"
    if is_sent:
        connection.execute(
            "INSERT OR REPLACE INTO notice_told"
            f" SELECT DISTINCT audience || '|' || condition || '|' || sender, ?3{chosen}",
            wanted,
        )
        connection.execute(
            "INSERT OR REPLACE INTO notice_told VALUES (?, ?)", (f"mail|{group.audience}|{group.whose}", now_unix)
        )
    connection.execute(f"DELETE{chosen}", wanted)
    if is_sent:
        connection.execute(
            "UPDATE notice SET due = max(due, ?3 + ?4) WHERE audience = ?1 AND whose = ?2 AND EXISTS ("
            " SELECT 1 FROM notice_told WHERE told = ?3"
            " AND key = notice.audience || '|' || notice.condition || '|' || notice.sender)",
            (group.audience, group.whose, now_unix, interval),
        )
    connection.execute("DELETE FROM notice_told WHERE told < ?", (now_unix - max(interval, 86_400.0),))
