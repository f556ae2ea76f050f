"""kill -9 under load: is every accepted message delivered, and does the warehouse tell exactly what happened?

    python -m bench.kill_rounds --target relay --rounds 20
    python -m bench.kill_rounds --target analytics --rounds 20

Twenty clients send as fast as they are answered while the target is killed and started again. At the end everything
must be equal: what the clients were told, what the sink received, what DuckDB says. A message whose 250 was lost on the
way (killed between commit and reply) counts as unconfirmed: it must be delivered and counted once, or not at all.
"""

import argparse
import json
import random
import signal
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from analytics.client import AnalyticsDown, QueryClient
from relay.account import Account
from tests.builders import NO_LIMITS, Installation, until
from tests.sink import Sink

CLIENTS = 20
_SLICES = 16


@dataclass
class Report:
    """What was told, received and counted. `ok` only when all of it is equal."""

    target: str
    rounds: int
    told: int = 0
    unconfirmed: int = 0
    received: int = 0
    received_twice: int = 0
    lost: int = 0
    invented: int = 0
    warehouse_receptions: int = 0
    warehouse_deliveries: int = 0
    warehouse_missing: int = 0
    warehouse_extra: int = 0
    ok: bool = False


@dataclass
class Told:
    """Message-IDs by what their client heard."""

    accepted: set[str] = field(default_factory=set)
    unconfirmed: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


def play(folder: Path, target: str, rounds: int, seconds: float = 2.0, seed: int = 1) -> Report:
    """Run the rounds in `folder` and report."""
    dice, told, stop = random.Random(seed), Told(), threading.Event()
    installation = Installation(folder)
    with Sink() as sink:
        installation.write(sink.port, NO_LIMITS, model="none")
        installation.config.write_text(
            installation.config.read_text().replace("[smtp]\n", "[smtp]\nauth_without_tls = true\n")
        )
        installation.add_account(Account("load"), "load")
        running = {name: installation.start(name) for name in ("relay", "analytics")}
        installation.wait_until_up(running["relay"])
        clients = [threading.Thread(target=_send, args=(installation, told, stop, number)) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for number in range(rounds):
                time.sleep(seconds * dice.uniform(0.3, 1.0))
                running[target].kill()
                running[target].wait()
                running[target] = installation.start(target)
                if target == "relay":
                    installation.wait_until_up(running["relay"])
                print(f"round {number + 1} of {rounds}: {len(told.accepted)} accepted", file=sys.stderr, flush=True)
            time.sleep(seconds)
        finally:
            stop.set()
            for client in clients:
                client.join()
        try:
            return compare(Report(target, rounds), installation, sink, told)
        finally:
            for process in reversed(running.values()):
                end(process)


def _send(installation: Installation, told: Told, stop: threading.Event, number: int) -> None:
    while not stop.is_set():
        try:
            with smtplib.SMTP("127.0.0.1", installation.smtp, timeout=10) as smtp:
                smtp.login("load", "secret")
                for _ in range(20):
                    if stop.is_set():
                        return
                    _send_one(smtp, told, number)
        except (OSError, smtplib.SMTPException):
            time.sleep(0.05)


def _send_one(smtp: smtplib.SMTP, told: Told, number: int) -> None:
    message_id = f"<{uuid.uuid4().hex}@load.example>"
    smtp.mail(f"c{number}@load.example")
    smtp.rcpt(f"x@d{number % 4}.example")
    try:
        code, _ = smtp.data(f"Message-ID: {message_id}\r\nSubject: load\r\n\r\n{'x' * 2000}\r\n".encode())
    except (OSError, smtplib.SMTPException):
        with told.lock:
            told.unconfirmed.add(message_id)
        raise
    if code == 250:
        with told.lock:
            told.accepted.add(message_id)


def compare(report: Report, installation: Installation, sink: Sink, told: Told) -> Report:
    until(lambda: told.accepted <= set(_received(sink)), 60, lambda: "accepted mail has not arrived")
    with installation.client() as relay, QueryClient.of(installation.settings, "admin") as query:
        until(lambda: relay.status()["spool"]["recipients"] == 0, 60, lambda: "the spool is not empty")
        received = _received(sink)
        until(lambda: _settled(query, len(received)), 60, lambda: "the warehouse has not caught up")
        counted, delivered = _counted(query)
    report.told, report.unconfirmed = len(told.accepted), len(told.unconfirmed)
    report.received, report.received_twice = len(received), sum(count - 1 for count in received.values())
    report.lost = len(told.accepted - received.keys())
    report.invented = len(received.keys() - told.accepted - told.unconfirmed)
    report.warehouse_receptions = sum(counted.values())
    report.warehouse_deliveries = delivered
    report.warehouse_missing = len(received.keys() - counted.keys())
    report.warehouse_extra = sum(counted.values()) - len(counted) + len(counted.keys() - received.keys())
    report.ok = not (
        report.lost or report.invented or report.warehouse_missing or report.warehouse_extra
    ) and report.warehouse_deliveries == len(received)
    return report


def _received(sink: Sink) -> Counter[str]:
    found: Counter[str] = Counter()
    for message in list(sink.messages):
        start = message.content.find(b"Message-ID: ") + 12
        found[message.content[start : message.content.find(b"\r\n", start)].decode()] += 1
    return found


def _counted(query: QueryClient) -> tuple[Counter[str], int]:
    """Return how often the warehouse knows each Message-ID, and its deliveries; in slices, as an answer is bounded."""
    counted: Counter[str] = Counter()
    delivered = 0
    for part in range(_SLICES):
        rows = query.sql(
            "SELECT header_message_id AS id, outcome FROM message JOIN recipient USING (message_id)"
            f" WHERE hash(message_id) % {_SLICES} = {part}"
        )
        counted.update(rows["id"])
        delivered += int((rows["outcome"] == "delivered").sum())
    return counted, delivered


def _settled(query: QueryClient, wanted: int) -> bool:
    try:
        found = query.sql("SELECT count(*) AS n FROM recipient WHERE outcome = 'delivered'")
        return bool(found["n"].iloc[0] >= wanted)
    except AnalyticsDown:
        return False


def end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=("relay", "analytics"), default="relay")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailweir-kill-", dir="/var/tmp") as folder:
        report = play(Path(folder), options.target, options.rounds, seed=options.seed)
    print(json.dumps(asdict(report)))
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
