"""A reseller's whole month: does the usage report add up to the journal, count by count and day by day?

    python -m bench.usage --messages 300000 --accounts 60

Plays November 2026 of three resellers' accounts (and of accounts without one) into closed journal files: holds, parked
and dropped mail, refusals, bounces, expiries, sandbox, the relay's own reports, an account that changes hands on the
14th, mail that comes in one month and leaves in the next, and a crash after which records are written twice. The
journal is then counted line by line, by nothing that the report is made of. Exit code 1 when a number differs.
"""

import argparse
import csv
import io
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from analytics.ingesting.ingest import Ingest
from analytics.ingesting.journals import JournalFolder
from analytics.serving.ask import ask
from analytics.usage.sheet import csv_of, records_of
from analytics.warehouse import Warehouse
from relay.events import Action, Bounce, Delivery, Dropped, Expiration, Held, Rcpt, Reception, Record, Rejection, encode
from relay.settings import Policy
from relay.tree import Scope

MONTH, BEGIN, END = "2026-11", datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
RESELLERS = ("north", "south", "west", "")
_HANDS = datetime(2026, 11, 14, 9, tzinfo=UTC)  # when the first account goes from north to south
_FILE_RECORDS = 20_000

Counts = Counter[tuple[str, str, str, str]]  # reseller, account, day, what


class Month:
    """Writes the records of a month, and some of the days around it."""

    def __init__(self, messages: int, accounts: int, seed: int) -> None:
        self._messages, self._accounts, self._dice = messages, accounts, random.Random(seed)
        self._seq = self._number = 0

    def records(self) -> Iterator[Record]:
        first, span = BEGIN - timedelta(days=3), (END - BEGIN).total_seconds() + 6 * 86_400
        for index in range(self._messages):
            at = first + timedelta(seconds=span * (index + self._dice.random()) / self._messages)
            yield from self._message(at)
        for edge in (BEGIN, END):  # a microsecond decides which month it is
            yield from self._message(edge - timedelta(microseconds=1))
            yield from self._message(edge)

    def _message(self, at: datetime) -> Iterator[Record]:
        whose, kind = self._whose(at), self._dice.random()
        if kind < 0.05:
            action = self._dice.choice([Action.REJECT, Action.DEFER])
            text: dict[str, Any] = {"stage": "data", "code": 550, "enhanced": "5.7.1", "text": "no"}
            yield Rejection(**self._stamp(at), message_id="", **whose, **_JUDGED, action=action, **text)
            return
        ids = [self._next() for _ in range(self._dice.choice([1, 1, 1, 2, 5, 20]))]
        message_id, is_sandbox = f"mw1.{ids[0]}", kind > 0.98
        if 0.96 < kind <= 0.98:
            whose["sender"] = f"{whose['account']}|bounce|relay.example"  # the relay's own report
        yield Reception(
            **self._stamp(at),
            message_id=message_id,
            **whose,
            **_JUDGED,
            recipients=[Rcpt(number, f"r{number}@post.example") for number in ids],
            action=Action.HOLD if 0.05 <= kind < 0.10 else Action.ACCEPT,
            size_bytes=self._dice.randrange(400, 2_000_000),
            sandbox=is_sandbox,
            received_at=at,
        )
        of = {"message_id": message_id, **whose}
        yield from self._way(kind, ids, of, at, is_sandbox=is_sandbox)

    def _way(
        self, kind: float, ids: list[int], of: dict[str, Any], at: datetime, *, is_sandbox: bool
    ) -> Iterator[Record]:
        """What became of it."""
        later = at + timedelta(seconds=self._dice.lognormvariate(3, 3))
        if 0.10 <= kind < 0.13:
            yield Held(**self._stamp(at), **of, decision_id="mw1-d1")
        if kind < 0.08 or 0.10 <= kind < 0.11:
            if self._dice.random() < 0.7:
                yield Dropped(**self._stamp(later), **of, author="ann", reason="spam")
            return
        for number in ids:
            tried: dict[str, Any] = {
                "recipient_id": number,
                "recipient": f"r{number}@post.example",
                "destination": "post.example",
            }
            tried |= {"attempt": 1, "received_at": at, "queued_seconds": 1.0, "sandbox": is_sandbox}
            how = self._dice.random()
            if how < 0.9:
                yield Delivery(**self._stamp(later), **of, **tried)
            elif how < 0.96:
                yield Bounce(**self._stamp(later), **of, **tried, is_hard=True)
            elif how < 0.98:
                yield Expiration(**self._stamp(later + timedelta(days=4)), **of, **tried)

    def _whose(self, at: datetime) -> dict[str, Any]:
        index = min(int(self._dice.expovariate(4) * self._accounts), self._accounts - 1)
        reseller = RESELLERS[index % len(RESELLERS)]
        if index == 0 and at >= _HANDS:
            reseller = "south"
        account = f"account{index}"
        return {"account": account, "reseller": reseller, "sender": f"{account}|mailfrom|a@{account}.example"}

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _stamp(self, at: datetime) -> dict[str, Any]:
        self._seq += 1
        return {"node": "mw1", "boot": "20261029T000000Z-1", "seq": self._seq, "logged_at": at}


_JUDGED: dict[str, Any] = {"sender_kind": "mailfrom", "mail_from": "a@x.example", "client_ip": "192.0.2.1", "rule": "x"}


def write(folder: Path, messages: int, accounts: int, seed: int = 1) -> int:
    """Write the month as closed journal files; some records stand in two of them. Return how many lines."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [encode(record) for record in Month(messages, accounts, seed).records()]
    lines += random.Random(seed).sample(lines, len(lines) // 50)  # what a crash had written again
    for number, begin in enumerate(range(0, len(lines), _FILE_RECORDS), 1):
        path = folder / f"relay-mw1-20261029T000000Z-1-{number:08d}.jsonl"
        path.write_bytes(b"\n".join(lines[begin : begin + _FILE_RECORDS]) + b"\n")
    return len(lines)


def journal_counts(paths: list[Path]) -> Counts:
    """Count the month from the lines of the journal alone: by day, each record once."""
    records: dict[tuple[str, int], dict[str, Any]] = {}
    for path in paths:
        for line in path.read_bytes().splitlines():
            record = json.loads(line)
            records[record["boot"], record["seq"]] = record
    counts: Counts = Counter()
    sandboxed = {one["message_id"] for one in records.values() if one["kind"] == "Reception" and one.get("sandbox")}
    pending = {one["message_id"]: len(one["recipients"]) for one in records.values() if one["kind"] == "Reception"}
    for record in records.values():
        pending[record["message_id"]] = pending.get(record["message_id"], 0) - (record["kind"] in _ENDS)
    for record in records.values():
        day = str(record.get("received_at" if record["kind"] == "Reception" else "logged_at"))[:10]
        is_own = record["sender"].split("|")[1] == "bounce"
        if is_own or record["message_id"] in sandboxed or not day.startswith(MONTH):
            continue
        for what, count in _counted(record, pending).items():
            counts[record.get("reseller", ""), record["account"], day, what] += count
    return +counts


_ENDS = {"Delivery": "delivered", "Bounce": "bounced", "Expiration": "expired"}


def _counted(record: dict[str, Any], pending: dict[str, int]) -> dict[str, int]:
    """What one line of the journal counts for."""
    match record["kind"]:
        case "Reception":
            recipients, is_held = len(record["recipients"]), record["action"] == "hold"
            return {"messages": 1, "recipients": recipients, "bytes": record["size_bytes"], "held": int(is_held)}
        case "Rejection":
            return {"rejected" if record["action"] == "reject" else "throttled": 1}
        case "Held":
            return {"held": 1}
        case "Dropped":
            return {"dropped": pending[record["message_id"]]}
        case ended:
            return {_ENDS[ended]: 1}


def report_counts(text: str) -> Counts:
    """The same of a report by day, as it stands in the CSV."""
    counts: Counts = Counter()
    for row in csv.DictReader(io.StringIO(text)):
        whose = row.pop("reseller"), row.pop("account"), row.pop("begins")
        for what, count in row.items():
            counts[*whose, what] += int(count)
    return +counts


def report(warehouse: Warehouse, scope: Scope, **given: str) -> str:
    """The CSV of the month."""
    now = END + timedelta(days=9)
    return csv_of(records_of(ask(warehouse, "usage", {"month": MONTH, **given}, scope, now)))


def play(folder: Path, messages: int, accounts: int) -> dict[str, Any]:
    """Write, ingest, ask and compare; the figures."""
    journal = JournalFolder(folder / "journal")
    lines = write(journal.path, messages, accounts)
    counted = journal_counts(sorted(journal.path.glob("*.jsonl")))
    warehouse = Warehouse.open(folder / "warehouse.duckdb", journal.path)
    try:
        Ingest(warehouse, journal, Policy()).run()
        began = time.perf_counter()
        said = report_counts(report(warehouse, Scope(), by="day"))
        seconds = time.perf_counter() - began
        of_north = report_counts(report(warehouse, Scope(reseller="north"), by="day"))
    finally:
        warehouse.close()
    wrong = {key for key in counted | said if counted[key] != said[key]}
    own = Counter({key: count for key, count in counted.items() if key[0] == "north"})
    totals: Counter[str] = Counter()
    for (_, _, _, what), count in said.items():
        totals[what] += count
    return {
        "journal_lines": lines,
        "numbers": len(counted),
        "differ": len(wrong),
        "differ_for_north": sum(own[key] != of_north[key] for key in own | of_north),
        "seconds": round(seconds, 3),
        **totals,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=300_000)
    parser.add_argument("--accounts", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="usage-") as folder:
        figures = play(Path(folder), given.messages, given.accounts)
    print(json.dumps(figures))
    sys.exit(1 if figures["differ"] or figures["differ_for_north"] or not figures["messages"] else 0)


if __name__ == "__main__":
    main()
