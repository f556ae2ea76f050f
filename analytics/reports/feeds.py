"""The feeds: files of reports are read, kept and stored, each report once; and it shows when one stops coming.

`take` is the one way in, for the command line as for the inbox. A file that brings nothing is refused with the reason.
"""

import gzip
import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from analytics.jobs import RaiseAlarm
from analytics.reports.dashboards import read_google, read_yahoo
from analytics.reports.dmarc_report import DmarcReport
from analytics.reports.feedback import Feedback
from analytics.reports.reading import read_each
from analytics.reports.report import Refused, Report
from analytics.reports.snds import read_snds
from analytics.reports.store import Stored, expire, store_dmarc, store_feedback, store_figures, store_snds, store_tls
from analytics.reports.tlsrpt import TlsReport
from analytics.reports.unpacking import Unreadable
from analytics.warehouse import Connection, Warehouse, transaction
from relay.clock import Clock

_log = logging.getLogger("mailweir.feeds")

STALE_AFTER = timedelta(hours=36)  # daily files: a day, and half a one for a reporter that is late
_KEPT = re.compile(r"(\d{8}T\d{6})-(\w+)-([0-9a-f]{32})\.gz")
_WHEN = "%Y%m%dT%H%M%S"

Store = Callable[[Connection, datetime], Sequence[Stored]]


class Feed(StrEnum):
    """What a file may be."""

    DMARC = "dmarc"
    TLSRPT = "tlsrpt"
    SNDS = "snds"
    GPT = "gpt"
    YAHOO = "yahoo"
    ARF = "arf"


_TYPES: dict[Feed, type] = {Feed.DMARC: DmarcReport, Feed.TLSRPT: TlsReport, Feed.ARF: Feedback}
# Complaints come when somebody complains: their silence is good news.
_DAILY = (Feed.DMARC, Feed.TLSRPT, Feed.SNDS, Feed.GPT, Feed.YAHOO)


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file. `status`: new, known (all of it was there), refused for `reason`; with `dry_run` nothing
    was written. `fresh` rows or reports are new of `reports` that it holds; `says`: its first report in short."""

    kind: Feed
    digest: str
    status: str
    reason: str = ""
    reports: int = 0
    fresh: int = 0
    says: dict[str, Any] = {}
    dry_run: bool = False


class Feeds:
    """Takes files into one warehouse; `folder` keeps them as they came, packed."""

    def __init__(self, warehouse: Warehouse, folder: Path, clock: Clock) -> None:
        self._warehouse, self._folder, self._clock = warehouse, folder, clock

    def take(self, kind: Feed, raw: bytes, *, name: str = "", author: str = "", dry_run: bool = False) -> Taken:
        """Read and store one file."""
        digest = hashlib.sha256(raw).hexdigest()[:32]
        try:
            stores, says = _read(kind, raw, digest)
        except Unreadable as error:
            taken = Taken(kind=kind, digest=digest, status="refused", reason=str(error)[:500], dry_run=dry_run)
            _log.warning("feed file refused kind=%s name=%s reason=%s", kind, name[:100], taken.reason)
            return taken if dry_run else self._note(taken, name, author, len(raw))
        if not dry_run:
            self._keep(kind, digest, raw)
        fresh = self._store(kind, stores, self._clock.now(), dry_run)
        status = "new" if fresh else "known"
        taken = Taken(
            kind=kind, digest=digest, status=status, reports=len(stores), fresh=fresh, says=says, dry_run=dry_run
        )
        _log.info("feed file kind=%s name=%s status=%s fresh=%d", kind, name[:100], status, fresh)
        return taken if dry_run else self._note(taken, name, author, len(raw))

    def replay(self) -> int:
        """Store again what is kept, for a warehouse that is made anew; return how many files there were."""
        files = 0
        for path, kind, taken_at in self._kept():
            raw = gzip.decompress(path.read_bytes())
            try:
                stores, _ = _read(kind, raw, hashlib.sha256(raw).hexdigest()[:32])
            except Unreadable as error:
                _log.warning("kept file refused file=%s reason=%s", path.name, error)
                continue
            self._store(kind, stores, taken_at, False)
            files += 1
        return files

    def forget(self, days: int) -> int:
        """Delete rows and kept files that came more than `days` ago; return how many."""
        before = self._clock.now() - timedelta(days=days)
        old = [path for path, _, taken_at in self._kept() if taken_at < before]
        for path in old:
            path.unlink()
        return len(old) + self._warehouse.write(lambda connection: expire(connection, before)).result()

    def watch(self, raise_alarm: RaiseAlarm) -> int:
        """Raise an alarm for each daily feed that came and has stopped, once a silence; return how many."""
        now = self._clock.now()
        rows = self._warehouse.table(
            "SELECT kind, source, fresh_at, data_at FROM feed WHERE list_contains($daily, kind) "
            "AND fresh_at < $before AND (alarmed_at IS NULL OR alarmed_at <= fresh_at)",
            daily=[feed.value for feed in _DAILY],
            before=now - STALE_AFTER,
        ).to_pylist()
        for row in rows:
            what = f"{row['kind']} {row['source']}".strip()
            text = f"nothing new of {what} since {row['fresh_at']:%F %H:%M}Z; its data end {row['data_at']:%F %H:%M}Z"
            _log.warning("alarm condition=feed_stale feed=%s", what)
            raise_alarm("feed_stale", text, {"kind": row["kind"], "source": row["source"]})
            self._warehouse.write(_alarmed(row["kind"], row["source"], now)).result()
        return len(rows)

    def own(self, owners: Sequence[tuple[str, str, str]]) -> bool:
        """Note whose the domains are, (domain, account, reseller) each; return whether that changed."""
        wanted = sorted(set(owners))
        query = "SELECT domain, account, reseller FROM domain_owner ORDER BY ALL"
        if [tuple(row.values()) for row in self._warehouse.table(query).to_pylist()] == wanted:
            return False

        def write(connection: Connection) -> None:
            with transaction(connection):
                connection.execute("DELETE FROM domain_owner")
                if wanted:
                    connection.executemany("INSERT INTO domain_owner VALUES (?, ?, ?)", wanted)

        self._warehouse.write(write).result()
        return True

    def _store(self, kind: Feed, stores: Sequence[Store], now: datetime, dry_run: bool) -> int:
        def write(connection: Connection) -> int:
            connection.execute("BEGIN TRANSACTION")
            try:
                stored = [one for store in stores for one in store(connection, now)]
                for one in stored:
                    if one.fresh:
                        _came(connection, kind, one, now)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("ROLLBACK" if dry_run else "COMMIT")
            return sum(one.fresh for one in stored)

        return self._warehouse.write(write).result()

    def _note(self, taken: Taken, name: str, author: str, size_bytes: int) -> Taken:
        row = [taken.kind.value, taken.digest, name[:255], author, self._clock.now(), size_bytes]
        row += [taken.reports, taken.fresh, taken.reason]

        def write(connection: Connection) -> None:
            with transaction(connection):
                known = [taken.kind.value, taken.digest]
                connection.execute("DELETE FROM feed_file WHERE kind = ? AND digest = ?", known)
                connection.execute("INSERT INTO feed_file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

        self._warehouse.write(write).result()
        return taken

    def _keep(self, kind: Feed, digest: str, raw: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(self._folder.glob(f"*-{kind}-{digest}.gz")):
            return
        path = self._folder / f"{self._clock.now():{_WHEN}}-{kind}-{digest}.gz"
        draft = path.with_suffix(".draft")
        draft.write_bytes(gzip.compress(raw, 6))
        draft.rename(path)

    def _kept(self) -> Iterator[tuple[Path, Feed, datetime]]:
        for path in sorted(self._folder.glob("*.gz")):
            if match := _KEPT.fullmatch(path.name):
                yield path, Feed(match[2]), datetime.strptime(match[1], _WHEN).replace(tzinfo=UTC)


def _read(kind: Feed, raw: bytes, digest: str) -> tuple[list[Store], dict[str, Any]]:
    """Return what stores each report, and what the first one says. Raises Unreadable."""
    match kind:
        case Feed.SNDS:
            days = read_snds(raw)
            says: dict[str, Any] = {"rows": len(days), "addresses": len({day.ip for day in days})}
            return [lambda connection, now: [store_snds(connection, days, now)]], says
        case Feed.GPT | Feed.YAHOO:
            figures = read_google(raw) if kind is Feed.GPT else read_yahoo(raw)
            provider = "google" if kind is Feed.GPT else "yahoo"
            says = {"figures": len(figures), "domains": sorted({figure.domain for figure in figures})[:20]}
            return [lambda connection, now: store_figures(connection, provider, figures, now)], says
        case Feed.DMARC | Feed.TLSRPT | Feed.ARF:
            reports = [_wanted(kind, report) for report in read_each(raw)]
            said = reports[0].fields()
            return [_storing(report, digest) for report in reports], said.get("feedback", said)


def _wanted(kind: Feed, report: Report) -> DmarcReport | TlsReport | Feedback:
    if isinstance(report, Refused):
        raise Unreadable(report.reason)
    if isinstance(report, DmarcReport | TlsReport | Feedback) and isinstance(report, _TYPES[kind]):
        return report
    raise Unreadable(f"it is no {kind} report but {report.kind}")


def _storing(report: DmarcReport | TlsReport | Feedback, digest: str) -> Store:
    match report:
        case DmarcReport():
            return lambda connection, now: [store_dmarc(connection, report, now)]
        case TlsReport():
            return lambda connection, now: [store_tls(connection, report, now)]
        case Feedback():
            return lambda connection, now: [store_feedback(connection, report, digest, now)]


def _came(connection: Connection, kind: Feed, one: Stored, now: datetime) -> None:
    connection.execute(
        "INSERT INTO feed VALUES ($kind, $source, $now, $now, $data_at, NULL) ON CONFLICT DO UPDATE SET "
        "fresh_at = greatest(fresh_at, excluded.fresh_at), data_at = greatest(data_at, excluded.data_at)",
        {"kind": kind.value, "source": one.source, "now": now, "data_at": one.data_at},
    )


def _alarmed(kind: str, source: str, now: datetime) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(
        "UPDATE feed SET alarmed_at = ? WHERE kind = ? AND source = ?", [now, kind, source]
    )
