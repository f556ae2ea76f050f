"""The relay as the mail servers of these tests see it, with the sink behind it."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relay.account import Account
from relay.control.accounts.views import LimitOrder
from relay.control.views import NewDecision
from relay.policy.decisions.decision import Effect
from relay.policy.limits.levels import Level
from tests.builders import NO_LIMITS, Installation, until
from tests.interop.servers import LOGIN, PASSWORD, end
from tests.sink import Received, Sink

ACCOUNT = "web1"


class Smarthost:
    """A running relay with one account for one shared server, and a certificate for `localhost`."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        self.installation, self.sink = Installation(folder), sink
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self.installation.submission

    @property
    def certificate(self) -> Path:
        """The self-signed one that the relay makes at its first start."""
        return self.installation.data / "tls" / "cert.pem"

    def start(self) -> None:
        """Start, or start again. Nothing is limited but by `limit`."""
        self.installation.write(self.sink.port, NO_LIMITS, model="none", hostname="localhost")
        self._process = self.installation.start()
        self.installation.wait_until_up(self._process)

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None

    def limit(self, domain: str, rcpts_per_hour: int) -> None:
        """Limit what the server may send from a domain. Over it is 451: only an end sender's own mail may wait here."""
        with self.installation.client() as client:
            client.set_limits(LimitOrder(level=Level.DOMAIN, key=f"{ACCOUNT}|{domain}", rcpts_per_hour=rcpts_per_hour))

    def suspend(self, identity: str, reason: str) -> None:
        """Suspend an end sender of the server for good."""
        new = NewDecision(
            account=ACCOUNT, sender=sender_key(identity), effect=Effect.SUSPEND, rule="manual", reason=reason
        )
        with self.installation.client() as client:
            client.propose(new)

    def records(self, recipient: str, kind: str = "Reception") -> list[dict[str, Any]]:
        """Return the journal's records of one kind about mail to a recipient, oldest first."""
        lines = (line for path in sorted(self._journal_files()) for line in path.read_text().splitlines())
        found = [record for record in map(json.loads, lines) if record["kind"] == kind]
        return [record for record in found if recipient in (rcpt["address"] for rcpt in record["recipients"])]

    def record(self, recipient: str, kind: str = "Reception") -> dict[str, Any]:
        """Return the first such record once it is in a closed file of the journal."""
        until(lambda: self.records(recipient, kind), 30, lambda: f"no {kind} of {recipient}")
        return self.records(recipient, kind)[0]

    def arrival(self, recipient: str, seconds: float = 20, explain=lambda: "") -> Received:  # type: ignore[no-untyped-def]
        """Return the message to a recipient once the sink has it."""
        until(lambda: self.arrivals(recipient), seconds, explain)
        return self.arrivals(recipient)[0]

    def arrivals(self, recipient: str) -> list[Received]:
        return [message for message in list(self.sink.messages) if recipient in message.recipients]

    def _journal_files(self) -> Iterator[Path]:
        return (self.installation.data / "journal").glob("relay-*.jsonl")


def sender_key(identity: str) -> str:
    return f"{ACCOUNT}|x-authuser|{identity}"


@contextmanager
def smarthost(folder: Path) -> Iterator[Smarthost]:
    """Run a relay in front of a sink until the block ends."""
    with Sink() as sink:
        relay = Smarthost(folder, sink)
        relay.installation.add_account(Account(ACCOUNT, shared_host=True), LOGIN, PASSWORD)
        relay.start()
        try:
            yield relay
        finally:
            relay.stop()
