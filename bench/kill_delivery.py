"""kill -9 while mail is being delivered: is everything that was accepted delivered, and told of exactly once?

    python -m bench.kill_delivery --rounds 100

Each round queues a wave of mail for six destinations, each a host of its own, whose replies take a third of a second,
come from a greylist, are a temporary refusal at the final dot, or fail to come after it; then the relay is killed at a
random moment and started again. What the sinks take while no relay runs was in flight at the kill: its reply reached
nobody, and it must come again. `received_twice` is the price of that. The comparison is that of kill_rounds.
"""

import argparse
import json
import random
import smtplib
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.kill_rounds import Report, Told, compare, end
from relay.account import Account
from relay.control.waiting.views import PauseOrder
from tests.builders import NO_LIMITS, Installation, until
from tests.sink import Sink

CLIENTS, WAVE = 10, 240
_BACKLOG = 3 * WAVE  # no new wave while more waits: the last of a hundred rounds is like the tenth
_DESTINATIONS = 6
_SLOW_SECONDS = 0.3
# local parts of the sink's recipients, and how many of a hundred have them
_KINDS = {f"slow-{_SLOW_SECONDS}": 72, "grey": 12, "dot-once-451": 12, "drop-dot-once": 4}


@dataclass
class DeliveryReport(Report):
    """`queued`, `in_flight`: messages at all kills; `least_queued`: at the kill that found the fewest.

    `received_twice` by the kills alone, without those to hosts that hang up after the final dot: `killed_twice`.
    """

    kills_in_delivery: int = 0
    queued: int = 0
    least_queued: int = 0
    in_flight: int = 0
    killed_twice: int = 0


def play(folder: Path, rounds: int, wave: int = WAVE, seed: int = 1) -> DeliveryReport:
    """Run the rounds in `folder` and report."""
    dice, told, report = random.Random(seed), Told(), DeliveryReport("delivery", rounds, least_queued=sys.maxsize)
    installation = Installation(folder)
    with Sink() as sink, ExitStack() as others:
        ports = [others.enter_context(Sink(messages=sink.messages)).port for _ in range(_DESTINATIONS)]
        installation.write(sink.port, NO_LIMITS + _routes(ports), model="none")
        installation.add_account(Account("load"), "load")
        running = {name: installation.start(name) for name in ("relay", "analytics")}
        try:
            installation.wait_until_up(running["relay"])
            for number in range(rounds):
                until(lambda: _waiting(installation) <= _BACKLOG, 300, lambda: "the backlog grows")
                received_before = len(sink.messages)
                with _paused(installation):
                    _queue(installation, told, wave, dice)
                until(lambda before=received_before: len(sink.messages) > before, 30)  # type: ignore[misc]
                time.sleep(dice.uniform(0, 2 * _SLOW_SECONDS))
                running["relay"].kill()
                running["relay"].wait()
                _note_kill(report, told, sink)
                running["relay"] = installation.start("relay")
                installation.wait_until_up(running["relay"])
                print(f"round {number + 1} of {rounds}: {len(told.accepted)} accepted", file=sys.stderr, flush=True)
            until(lambda: _waiting(installation) == 0, 300, lambda: "the spool is not empty")
            compare(report, installation, sink, told)
        finally:
            for process in reversed(running.values()):
                end(process)
    report.killed_twice = _killed_twice(sink)
    report.ok = report.ok and report.kills_in_delivery == rounds
    return report


def _routes(ports: Sequence[int]) -> str:
    route = '[[route]]\ndomain = "d{}.example"\nhost = "127.0.0.1"\nport = {}\nmode = "sink"\n'
    return "".join(route.format(number, port) for number, port in enumerate(ports))


@contextmanager
def _paused(installation: Installation) -> Iterator[None]:
    """Deliver nothing meanwhile: however slow the disk, the wave is there when its delivery begins."""
    with installation.client() as relay:
        relay.pause_queue(PauseOrder(account="load"))
        yield
        relay.resume_queue(PauseOrder(account="load"))


def _waiting(installation: Installation) -> int:
    with installation.client() as relay:
        return int(relay.status()["spool"]["recipients"])


def _killed_twice(sink: Sink) -> int:
    taken = Counter(address for address in sink.addresses() if not address.startswith("drop-dot"))
    return taken.total() - len(taken)


def _note_kill(report: DeliveryReport, told: Told, sink: Sink) -> None:
    """Count what the kill found: mail not taken yet, and mail whose reply was under way."""
    taken = len(sink.messages)
    queued = len(told.accepted) - len({message.recipients for message in list(sink.messages)})
    time.sleep(_SLOW_SECONDS + 0.1)
    in_flight = len(sink.messages) - taken
    report.queued += queued
    report.least_queued = min(report.least_queued, queued)
    report.in_flight += in_flight
    report.kills_in_delivery += queued > 0 and in_flight > 0


def _queue(installation: Installation, told: Told, count: int, dice: random.Random) -> None:
    """Hand in a wave of mail, as several clients at once; all is answered when this returns."""
    kinds = dice.choices(list(_KINDS), list(_KINDS.values()), k=count)
    shares = [kinds[number::CLIENTS] for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda share: _send(installation, told, share), shares))


def _send(installation: Installation, told: Told, kinds: list[str]) -> None:
    with smtplib.SMTP("127.0.0.1", installation.smtp, timeout=30) as smtp:
        smtp.login("load", "secret")
        for number, kind in enumerate(kinds):
            name = uuid.uuid4().hex
            message = f"Message-ID: <{name}@load.example>\r\nSubject: load\r\n\r\n{'x' * 2000}\r\n"
            with suppress(smtplib.SMTPResponseException):  # refused: not accepted
                smtp.sendmail("c@load.example", [f"{kind}+{name}@d{number % _DESTINATIONS}.example"], message)
                with told.lock:
                    told.accepted.add(f"<{name}@load.example>")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailweir-kill-", dir="/var/tmp") as folder:
        report = play(Path(folder), options.rounds, seed=options.seed)
    print(json.dumps(asdict(report)))
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
