"""Held mail, for people: listed, grouped and chosen beside the event loop, released and dropped by the commit thread.

A question may fit 100,000 messages, so it is asked on a connection of its own in a thread. A change is one transaction
for each slice that its caller hands in, so that mail which arrives meanwhile waits for one slice and not for all; the
records of a slice are on disk before it changes anything: a crash in between repeats them, and forgets none.
"""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from relay.events import Record
from relay.spool import census, clusters, digests, index, parking
from relay.spool.digests import DigestLine
from relay.spool.entry import HeldMessage
from relay.spool.usage import Change

SLICE = 200  # messages of one transaction, some 10 ms: what arrives meanwhile waits for it

By = Literal["sender", "cluster", "rule", "under"]
_T = TypeVar("_T")
_Call = Callable[[Callable[[sqlite3.Connection, Change], Any]], Awaitable[Any]]
_WARNED = "hold_warned"  # of meta, in milliseconds
_KEYS: dict[By, str] = {"sender": "h.sender", "cluster": "h.cluster", "rule": "h.rule", "under": "h.under"}


@dataclass(frozen=True, slots=True)
class Which:
    """Which held messages: those that fit everything that is given.

    `ids` are numbers. `under`: parked under that key (clusters.py; "": for what they say themselves); `is_own`: held
    for what they say themselves, or not. `score_from` and `score_to` belong to the range, what has no score lies in
    none; `score_below` leaves out what scores so much or more. `since_from_unix` and `since_before_unix`: in the hold
    since then or later, since before then.
    """

    ids: tuple[int, ...] | None = None
    sender: str = ""
    account: str = ""
    reseller: str | None = None
    under: str = ""
    is_own: bool | None = None
    cluster: int = 0
    rule: str = ""
    score_from: float | None = None
    score_to: float | None = None
    score_below: float | None = None
    since_from_unix: float | None = None
    since_before_unix: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A held message that was chosen; `number` is that in its id."""

    message_id: str
    number: int
    account: str
    reseller: str
    sender: str
    rcpts: int
    score: float | None
    cluster: int


@dataclass(frozen=True, slots=True)
class HeldGroup:
    """Held messages with the same sender, cluster or rule; `subject` is that of the latest."""

    key: str
    messages: int
    recipients: int
    senders: int
    first_unix: float
    last_unix: float
    score_from: float | None
    score_to: float | None
    subject: str


@dataclass(frozen=True, slots=True)
class Departure:
    """A message that leaves its hold at `due_unix`; 0: at once."""

    number: int
    due_unix: float


class Held:
    """`call` runs a function in a transaction of the commit thread, `hand_over` gives it records to write before."""

    def __init__(self, path: Path, node: str, call: _Call, hand_over: Callable[[Sequence[Record]], None]) -> None:
        self._path, self._node, self._call, self._hand_over = path, node, call, hand_over

    async def page(self, which: Which, limit: int, before: int | None = None) -> list[HeldMessage]:
        """Return up to `limit` messages, newest first, those with a lower number than `before`."""
        where, given = _where(which)
        given["before"] = before

        def ask(connection: sqlite3.Connection) -> list[HeldMessage]:
            rows = connection.execute(
                f"SELECT h.message FROM held h WHERE {where} AND (:before IS NULL OR h.message < :before)"  # noqa: S608
                f" ORDER BY h.message DESC LIMIT {limit:d}",
                given,
            )
            numbers = [number for (number,) in rows.fetchall()]
            return census.as_held(connection, census.held_of(connection, numbers), self._node)

        return await self._ask(ask)

    async def groups(self, which: Which, by: By, limit: int) -> list[HeldGroup]:
        """Return the fullest groups, the fullest first."""
        where, given = _where(which)
        key = _KEYS[by]

        def ask(connection: sqlite3.Connection) -> list[HeldGroup]:
            rows = connection.execute(
                f"SELECT g.*, coalesce((SELECT m.subject FROM message m WHERE m.id = g.latest), '') FROM"  # noqa: S608
                f" (SELECT {key} AS key, count(*) AS messages, sum(h.rcpts), count(DISTINCT h.sender), min(h.since),"
                " max(h.since), min(h.score), max(h.score), max(h.message) AS latest"
                f" FROM held h WHERE {where} GROUP BY {key} ORDER BY messages DESC, key LIMIT {limit:d}) g",
                given,
            )
            return [HeldGroup(*[_name(by, row[0]), *row[1:8], row[9]]) for row in rows]

        return await self._ask(ask)

    async def choose(self, which: Which, limit: int) -> list[Choice]:
        """Return up to `limit` messages, the eldest first."""
        where, given = _where(which)

        def ask(connection: sqlite3.Connection) -> list[Choice]:
            rows = connection.execute(
                "SELECT h.message, h.account, h.reseller, h.sender, h.rcpts, h.score, h.cluster FROM held h"  # noqa: S608
                f" WHERE {where} ORDER BY h.message LIMIT {limit:d}",
                given,
            )
            return [Choice(f"{self._node}.{row[0]}", *row) for row in rows]

        return await self._ask(ask)

    async def tally(self, which: Which) -> tuple[int, int]:
        """Return how many messages fit, and their recipients."""
        where, given = _where(which)

        def ask(connection: sqlite3.Connection) -> tuple[int, int]:
            row = connection.execute(
                f"SELECT count(*), coalesce(sum(h.rcpts), 0) FROM held h WHERE {where}",  # noqa: S608
                given,
            ).fetchone()
            return int(row[0]), int(row[1])

        return await self._ask(ask)

    async def paced_until(self, senders: Sequence[str]) -> dict[str, float]:
        """Return until when released mail of these senders has taken the departures; those without are absent."""
        wanted = json.dumps(list(senders))

        def ask(connection: sqlite3.Connection) -> dict[str, float]:
            rows = connection.execute(
                "SELECT sender, until FROM pace WHERE sender IN (SELECT value FROM json_each(?))", (wanted,)
            )
            return dict(rows.fetchall())

        return await self._ask(ask)

    async def release(
        self,
        leaving: Sequence[Departure],
        records: Sequence[Record],
        until: Sequence[tuple[str, float]],
        now_unix: float,
    ) -> list[int]:
        """Queue one slice of messages; return after the commit, with the numbers of those that were still held.

        `until`: from then on each of these senders has departures free. The courier must look again.
        """
        due = [(one.due_unix, one.number) for one in leaving]
        self._hand_over(records)

        def change(connection: sqlite3.Connection, _change: Change) -> list[int]:
            parking.keep_pace(connection, until)
            return parking.release(connection, due, now_unix)

        released: list[int] = await self._call(change)
        return released

    async def drop(
        self, numbers: Sequence[int], records: Sequence[Record], lines: Sequence[DigestLine] = ()
    ) -> list[int]:
        """Delete one slice of messages; return after the commit, with the numbers of those that were still held.

        `lines` come into the digests of their accounts as the messages go.
        """
        self._hand_over(records)

        def change(connection: sqlite3.Connection, change: Change) -> list[int]:
            dropped, deleted, gone = parking.drop(connection, numbers)
            change.recipients -= deleted
            change.free(gone)
            digests.add(connection, lines)
            return dropped

        dropped: list[int] = await self._call(change)
        return dropped

    async def warned_until(self) -> float:
        """Up to which time of their parking the accounts of held messages were told that they expire; 0: none."""

        def ask(connection: sqlite3.Connection) -> float:
            return index.get_meta(connection, _WARNED) / 1000

        return await self._ask(ask)

    async def note_warned(self, until_unix: float) -> None:
        """The accounts of all that was parked before then were told."""
        await self._call(lambda connection, _change: index.set_meta(connection, _WARNED, int(until_unix * 1000)))

    async def tidy(self, now_unix: float) -> None:
        """Forget clusters and paces that are over."""
        await self._call(lambda connection, _change: clusters.tidy(connection, now_unix))

    async def _ask(self, question: Callable[[sqlite3.Connection], _T]) -> _T:
        return await asyncio.to_thread(self._asked, question)

    def _asked(self, question: Callable[[sqlite3.Connection], _T]) -> _T:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            connection.execute("PRAGMA query_only = 1")
            return question(connection)
        finally:
            connection.close()


def cluster_name(cluster: int) -> str:
    """A cluster as people write it.

    >>> cluster_name(17), cluster_name(0)
    ('c17', '')
    """
    return f"c{cluster}" if cluster else ""


def _name(by: By, key: object) -> str:
    return cluster_name(int(str(key))) if by == "cluster" else str(key)


def _where(which: Which) -> tuple[str, dict[str, object]]:
    """The condition on `held h`, and its values."""
    conditions = {
        "h.message IN (SELECT value FROM json_each(:ids))": None if which.ids is None else json.dumps(which.ids),
        "h.sender = :sender": which.sender or None,
        "h.account = :account": which.account or None,
        "h.reseller = :reseller": which.reseller,
        "h.under = :under": which.under or None,
        "(h.under = '') = :is_own": which.is_own,
        "h.cluster = :cluster": which.cluster or None,
        "h.rule = :rule": which.rule or None,
        "h.score >= :score_from": which.score_from,
        "h.score <= :score_to": which.score_to,
        "(h.score IS NULL OR h.score < :score_below)": which.score_below,
        "h.since >= :since_from": which.since_from_unix,
        "h.since < :since": which.since_before_unix,
    }
    given = {text: value for text, value in conditions.items() if value is not None}
    return " AND ".join(given) or "TRUE", {text.rpartition(":")[2].rstrip(")"): value for text, value in given.items()}
