"""What a trial has at hand, and how it proves what it saw: by the control API, the command line, the audit log."""

import json
import os
import smtplib
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from analytics.client import QueryClient
from bench.orders.hands import Hands
from relay.control.client import ControlClient
from relay.control.views import NewDecision
from relay.policy.decisions.decision import Effect
from relay.settings import Settings


class Missing(Exception):
    """What should have been seen was not."""


@dataclass
class Proof:
    """`relay`, `queries`: as the node's admin, who only looks and prepares; `address`: the
    dashboard's; `person`: who presses. `seen`: what was."""

    hands: Hands
    address: str
    relay: ControlClient
    queries: QueryClient
    settings: Settings
    config: Path
    person: str
    enter: Callable[[str], Hands]  # the browser of another user, signed in
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    seen: list[str] = field(default_factory=list)

    def saw(self, claim: str, is_so: object, got: object = "") -> None:
        """Note a claim that holds. Raises Missing for one that does not."""
        if not is_so:
            raise Missing(f"not so: {claim}{f'; instead: {got}' if got != '' else ''}")
        self.seen.append(claim)

    def has(self, words: str, text: str, *, where: str) -> None:
        """The words stand in the text."""
        self.saw(f'{where} says "{words}"', words.lower() in " ".join(text.split()).lower(), " ".join(text.split()))

    def until(self, claim: str, ask: Callable[[], object], seconds: float = 20) -> None:
        """It becomes so within that time."""
        ends, got = time.monotonic() + seconds, ask()
        while not got and time.monotonic() < ends:
            self.hands.page.wait_for_timeout(500)
            got = ask()
        self.saw(claim, got)

    def shows(self, words: str, *, seconds: float = 20) -> None:
        """The page comes to say so."""
        self.until(f'the page shows "{words}"', lambda: words in self.hands.shown(), seconds)

    def audited(self, command: str, target: str = "", *, times: int = 1) -> None:
        """The log has this command under the person's name, since the trial began."""
        rows = [
            one
            for one in self.relay.audit(limit=200)
            if one.logged_at >= self.began_at
            and one.principal == self.person
            and one.command == command
            and target in (one.target, "")
        ]
        about = f" of {target}" if target else ""
        self.saw(f"audit: {command}{about} by {self.person}", len(rows) == times, [one.target for one in rows])

    def cli(self, *args: str, is_json: bool = True) -> Any:
        """What `mailweir ARGS --json` says."""
        command = [sys.executable, "-m", "relay.cli", "--config", str(self.config), *args, *(["--json"] * is_json)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAILWEIR_")}
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
        if done.returncode:
            raise Missing(f"mailweir {' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
        return json.loads(done.stdout) if is_json else done.stdout

    def quiet_senders(self, number: int) -> list[str]:
        """Senders about whom nothing holds, no two of one name."""
        known = self.queries.sql(
            "SELECT any_value(sender) AS sender FROM message WHERE sender LIKE '%|mailfrom|%' "
            "GROUP BY split_part(sender, '|', 3) ORDER BY count(*) LIMIT 200"
        )
        about = {one.sender for one in self.relay.decisions(open_only=True, limit=1000)}
        free = [str(one) for one in known["sender"] if one not in about]
        if len(free) < number:
            raise Missing(f"{number} senders about whom nothing holds; there are {len(free)}")
        return free[:number]

    def held(self, sender: str) -> str:
        """Have a sender held as a trigger would; return the decision's id."""
        new = NewDecision(
            account=sender.partition("|")[0],
            sender=sender,
            effect=Effect.HOLD,
            rule="spam_rate",
            reason="tried by hand",
            certainty=0.97,
        )
        return self.relay.propose(new).decision.id

    def submit(self, login: str, mail_from: str, to: str, subject: str) -> str:
        """Send one message through the door with a login of the demo; return the refusal, "" when it was taken."""
        memory = json.loads((self.config.parent / "demo.json").read_text())
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = mail_from, to, subject
        message.set_content("A message of a trial.")
        host, _, port = self.settings.smtp.submission[0].rpartition(":")
        unproved = ssl.create_default_context()
        unproved.check_hostname, unproved.verify_mode = False, ssl.CERT_NONE  # loopback, the demo's own certificate
        with smtplib.SMTP(host, int(port), timeout=20) as smtp:
            smtp.starttls(context=unproved)
            smtp.login(login, memory["passwords"][login])
            try:
                smtp.send_message(message)
            except smtplib.SMTPRecipientsRefused as error:
                return str(next(iter(error.recipients.values())))
            except smtplib.SMTPResponseException as error:
                return f"{error.smtp_code} {error.smtp_error!r}"
        return ""


Trial = Callable[[Proof], None]
