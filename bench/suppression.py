"""How long after the 250 to a bounce does the relay refuse its recipient?

    python -m bench.suppression --reports 50 [--rate 100]

Relay and analytics as processes. Mails to so many persons are delivered; then a bounce of each comes to its return
path, one after the other, at moments that have nothing to do with anybody's period, and RCPT of the person is asked a
hundred times a second until it says 550. `--rate`: mails a second of another account that are taken and delivered
meanwhile. Seconds of the clock. Exit code 1 when one takes longer than 2 s.
"""

import argparse
import json
import random
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from analytics.client import AnalyticsDown, QueryClient
from relay.account import Account
from relay.events import Delivery
from tests.builders import NO_LIMITS, Installation, until
from tests.sink import Sink

LINE_SECONDS = 2.0
_BOUNCE = """From: mailer-daemon@gone.example
To: <{path}>
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.gone.example

Final-Recipient: rfc822; {person}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <{person}>: Recipient address rejected: User unknown in virtual mailbox table

--b--
"""


def play(folder: Path, reports: int, rate: float, seed: int = 1) -> dict[str, object]:
    """Measure so many reports; the figures, in seconds."""
    dice = random.Random(seed)
    with Sink() as sink:
        node = Installation(folder)
        more = f'{NO_LIMITS}\n[verp]\ndomain = "bounce.acme.example"\n[inbox]\nreports_per_minute = 6000\n'
        node.write(sink.port, more, model="shipped" if rate else "none")
        for name in ("acme", "busy"):
            node.add_account(Account(name, domains=(f"{name}.example",)), name)
        with node.running(), _analytics(node):
            persons = [f"p{number}@persons.example" for number in range(reports)]
            _send(node, "acme", persons)
            sink.wait_for(reports, 60)
            paths = {one.recipients[0]: one.mail_from for one in sink.messages}
            with _load(node, rate) as sent:
                time.sleep(5)
                waits = [_wait(node, person, paths[person], dice) for person in persons]
            delivered = len(node.records(Delivery)) if rate else 0
    p95 = quantiles(waits, n=20)[-1]
    figures = {"reports": reports, "median": median(waits), "p95": p95, "worst": max(waits), "best": min(waits)}
    rounded: dict[str, object] = {name: round(value, 3) for name, value in figures.items()}
    return rounded | {"rate": rate, "meanwhile_sent": len(sent), "delivered": delivered}


def _wait(node: Installation, person: str, path: str, dice: random.Random) -> float:
    time.sleep(dice.uniform(0.3, 1.3))
    with smtplib.SMTP("127.0.0.1", node.submission, timeout=30) as asking:
        asking.login("acme", "secret")
        with smtplib.SMTP("127.0.0.1", node.inbox, timeout=30) as smtp:
            smtp.sendmail("", [path], _BOUNCE.format(path=path, person=person).replace("\n", "\r\n"))
            began = time.monotonic()
        while time.monotonic() < began + 30:
            asking.mail("news@acme.example")
            code, _ = asking.rcpt(person)
            if code == 550:
                return time.monotonic() - began
            asking.rset()
            time.sleep(0.01)
    return float("inf")


def _send(node: Installation, account: str, persons: list[str]) -> None:
    with smtplib.SMTP("127.0.0.1", node.submission, timeout=30) as smtp:
        smtp.login(account, "secret")
        for person in persons:
            letter = f"From: news@{account}.example\r\nTo: {person}\r\nSubject: offer\r\n\r\n{'Buy it. ' * 1000}\r\n"
            smtp.sendmail(f"news@{account}.example", [person], letter)


@contextmanager
def _load(node: Installation, rate: float) -> Iterator[list[int]]:
    """Have another account send at a pace; yields what was sent."""
    sent: list[int] = []
    stop = threading.Event()

    def run() -> None:
        began = time.monotonic()
        while not stop.is_set():
            due = int((time.monotonic() - began) * rate)
            persons = [f"x{number}@others.example" for number in range(len(sent), min(due, len(sent) + 50))]
            if persons:
                _send(node, "busy", persons)
                sent.extend(range(len(persons)))
            stop.wait(0.05)

    thread = threading.Thread(target=run)
    if rate:
        thread.start()
    try:
        yield sent
    finally:
        stop.set()
        if rate:
            thread.join()


@contextmanager
def _analytics(node: Installation) -> Iterator["subprocess.Popen[bytes]"]:
    process = node.start("analytics")
    try:
        until(lambda: _answers(node), 60)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _answers(node: Installation) -> bool:
    try:
        with QueryClient.of(node.settings, "admin") as query:
            query.table("jobs")
    except (AnalyticsDown, OSError):
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--reports", type=int, default=50)
    parser.add_argument("--rate", type=float, default=0.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = play(Path(folder), asked.reports, asked.rate)
    print(json.dumps(figures))
    worst = figures["worst"]
    return int(not isinstance(worst, float) or worst > LINE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
