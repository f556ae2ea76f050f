"""What is asked of a large warehouse, and by how many at once: the questions of the pages, and mail that comes in."""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from analytics.client import QueryClient, QueryError
from analytics.queries.named import QUERIES, Required
from relay.events import Record, encode
from relay.settings import Settings
from tests.analytics.records import Story

_VIEWS = Path(__file__).parent.parent / "dashboard" / "views"
_ASKED = re.compile(r"query\(\s*\"(\w+)\"")
# A page's window and the buckets of its charts, as in dashboard/data/__init__.py.
WINDOWS = {"1h": (timedelta(hours=1), 60), "24h": (timedelta(hours=24), 900), "7d": (timedelta(days=7), 7200)}
REFRESH_SECONDS = 2.0

_DAY = "(SELECT max(received_at) - INTERVAL 1 DAY FROM message)"
_SAMPLES = f"""
SELECT mode(sender) AS sender,
       arg_max(message_id, received_at) AS message_id,
       max(f_from_domain) AS domain,
       arg_max(fingerprint, received_at) FILTER (fingerprint <> '') AS fingerprint,
       max(account) AS account,
       (SELECT max(source) FROM recipient WHERE received_at >= {_DAY}) AS address,
       (SELECT min(destination) FROM recipient WHERE received_at >= {_DAY}) AS destination,
       (SELECT max(decision_id) FROM decision) AS decision_id
FROM message
WHERE received_at >= {_DAY}
"""


def samples(client: QueryClient) -> dict[str, str]:
    """What questions about one thing are asked about: the busiest sender, the newest message, and so on."""
    found = {str(name): str(value) for name, value in client.sql(_SAMPLES).iloc[0].items()}
    return found | {"entity": found["sender"], "recipient": "r1@provider0.example", "text": "order", "query": "order"}


def params(name: str, window: str, known: Mapping[str, str]) -> dict[str, Any]:
    """What a page gives with a question."""
    query, (span, bucket) = QUERIES[name], WINDOWS[window]
    given: dict[str, Any] = {
        key: known.get(key, "x") for key, default in query.params.items() if isinstance(default, Required)
    }
    if "bucket_seconds" in query.params:
        given["bucket_seconds"] = bucket
    # as dashboard/data/__init__.py: on a bucket's edge, so that the readers of a window ask the same
    edge = int((datetime.now(UTC) - span).timestamp()) // bucket * bucket
    return given | {"since": datetime.fromtimestamp(edge, UTC)}


def pages() -> dict[str, list[str]]:
    """The questions of each page, as its module names them."""
    named = {path.stem: _ASKED.findall(path.read_text()) for path in sorted(_VIEWS.glob("*.py"))}
    return {page: [name for name in dict.fromkeys(names) if name in QUERIES] for page, names in named.items() if names}


@dataclass
class Measured:
    """Seconds by question, from all threads; what failed, in words."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    behind_seconds: list[float] = field(default_factory=list)

    def ask(self, client: QueryClient, name: str, label: str, given: Mapping[str, Any]) -> None:
        began = time.perf_counter()
        try:
            client.table(name, **given)
        except QueryError as error:
            self.failed.append(f"{name}: {error}")
            return
        self.seconds.setdefault(label, []).append(time.perf_counter() - began)


def alone(client: QueryClient, known: Mapping[str, str], times: int) -> Measured:
    """Every question at every window, one after another, each `times` times after one that does not count."""
    done = Measured()
    for name in QUERIES:
        for window in WINDOWS:
            Measured().ask(client, name, "", params(name, window, known))
            for _ in range(times):
                done.ask(client, name, f"{name} {window}", params(name, window, known))
    return done


def together(settings: Settings, known: Mapping[str, str], readers: int, rows: int, seconds: float) -> Measured:
    """`readers` dashboards refresh their pages while `rows` records a second come in."""
    done, until, shown = Measured(), time.monotonic() + seconds, pages()
    batches = [
        b"".join(encode(record) + b"\n" for record in records) for records in _traffic(rows, round(seconds), known)
    ]
    threads = [
        threading.Thread(target=_write, args=(settings.journal_dir, batches)),
        threading.Thread(target=_watch, args=(settings.journal_dir, done, until)),
    ]
    for number in range(readers):
        names, window = list(shown.values())[number % len(shown)], list(WINDOWS)[number % len(WINDOWS)]
        threads.append(threading.Thread(target=_refresh, args=(settings, known, names, window, done, until)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def _traffic(rows: int, seconds: int, known: Mapping[str, str]) -> Iterator[list[Record]]:
    """Each second's records: half receptions, half deliveries of what came the second before."""
    now = datetime.now(UTC)
    story = Story(f"{now:%Y%m%dT%H%M%S}Z-load", now)
    half, base = rows // 2, int(now.timestamp()) * 100_000
    for second in range(seconds):
        numbers = range(base + second * half, base + (second + 1) * half)
        yield list(
            chain.from_iterable(
                (
                    story.reception(number, second, sender=_sender(number, known), score=0.01),
                    story.delivery(
                        number - half, second - 1, 1.0, sender=_sender(number, known), source="198.51.100.1"
                    ),
                )
                for number in numbers
            )
        )


def _sender(number: int, known: Mapping[str, str]) -> str:
    return known["sender"] if number % 10 == 0 else f"load{number % 20}|x-authuser|user{number % 2_000}@load.example"


def _write(journal: Path, batches: list[bytes]) -> None:
    began = time.monotonic()
    for number, content in enumerate(batches):
        time.sleep(max(0.0, began + number - time.monotonic()))
        draft = journal / f"relay-load-{int(time.time())}-{number:08d}.jsonl.open"
        draft.write_bytes(content)
        draft.rename(draft.with_suffix(""))


def _watch(journal: Path, done: Measured, until: float) -> None:
    """How long the oldest closed file has waited, four times a second."""
    while time.monotonic() < until:
        waiting = [path.stat().st_mtime for path in journal.glob("*.jsonl") if path.exists()]
        done.behind_seconds.append(time.time() - min(waiting) if waiting else 0.0)
        time.sleep(0.25)


def _refresh(
    settings: Settings, known: Mapping[str, str], names: list[str], window: str, done: Measured, until: float
) -> None:
    with QueryClient.of(settings, "dashboard") as client:
        told = ", at first"  # nobody has asked yet: ten dashboards are opened at once
        while (began := time.monotonic()) < until:
            for name in names:
                done.ask(client, name, f"{name}{told}", params(name, window, known))
            told = ""
            time.sleep(max(0.0, began + REFRESH_SECONDS - time.monotonic()))
