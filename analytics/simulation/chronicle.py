"""Records of the past: what a relay would have written about a message's way, as closed journal files.

The node of these records is `history`; each is marked as demo data. Nothing here is sent.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from analytics.simulation.providers import Provider
from analytics.simulation.receivers import WORK_SECONDS
from analytics.simulation.samples import Sample
from analytics.simulation.world import Customer, EndSender, World, seeded
from relay.events import Action, Bounce, Complaint, Deferral, Delivery, Rcpt, Reception, Record, TraceStep, encode
from relay.spool.journal import Stamp

NODE = "history"
_FILE_BYTES = 12_000_000  # relay/spool/journal.py closes files at 16 MB


class JournalWriter:
    """Writes records of the past as `folder/<writer>-history-<boot>-<number>.jsonl`, closed by rename."""

    def __init__(self, folder: Path, writer: str, boot_at: datetime) -> None:
        self._folder, self._writer = folder, writer
        self._boot = f"{boot_at:%Y%m%dT%H%M%S%f}Z-{os.getpid()}"
        self._lines: list[bytes] = []
        self._size = 0
        self.records = self.files = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            self._close_file()

    def stamp(self, logged_at: datetime) -> Stamp:
        self.records += 1
        return {"node": NODE, "boot": self._boot, "seq": self.records, "logged_at": logged_at}

    def append(self, record: Record) -> None:
        line = encode(record)
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _FILE_BYTES:
            self._close_file()

    def _close_file(self) -> None:
        if not self._lines:
            return
        self.files += 1
        path = self._folder / f"{self._writer}-{NODE}-{self._boot}-{self.files:08d}.jsonl"
        draft = path.with_name(path.name + ".open")
        with draft.open("wb") as file:
            file.write(b"\n".join(self._lines) + b"\n")
            os.fsync(file.fileno())
        draft.rename(path)
        self._lines, self._size = [], 0


class Chronicle:
    """Turns letters into the records of their way through a relay."""

    def __init__(self, world: World, writer: JournalWriter, complaints: JournalWriter) -> None:
        self.world, self.writer, self._complaints = world, writer, complaints
        self._rng = seeded("chronicle", world.seed)
        self._number = 0
        self.messages = 0

    def message(
        self, customer: Customer, sender: EndSender, sample: Sample, recipient: str, at: datetime, **judged: Any
    ) -> Reception:
        """Write the reception of a message, accepted unless `judged` says otherwise; its delivery is another call."""
        found, letter = sample.found, sample.letter
        self._number += 1
        self.messages += 1
        facts: dict[str, Any] = {
            "score": found.score,
            "action": Action.ACCEPT,
            "rule": "accept",
            "trace": [
                TraceStep("rate_limit", False, f"1 of {customer.rcpts_per_hour} recipients used in 60 min"),
                TraceStep("content_held", False, f"scored {found.score or 0:.3f} as spam below 0.9"),
                TraceStep("accept", True, "nothing speaks against it"),
            ],
        }
        record = Reception(
            **self.writer.stamp(at),
            message_id=f"{NODE}.{self._number}",
            account=customer.account,
            reseller=customer.reseller,
            sender=sender.key,
            sender_kind=sender.key.split("|")[1],
            script=f"{sender.site}/{sender.script}" if sender.script else "",
            mail_from=letter.mail_from,
            recipients=[Rcpt(self._number, recipient)],
            client_ip="127.0.0.1",
            helo=f"mail.{customer.domains[0]}",
            tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
            credential=customer.account,
            size_bytes=len(letter.content),
            header_from=found.header_from,
            subject=letter.subject,
            header_message_id=f"<{self._rng.getrandbits(64):016x}@{sender.domain}>",
            model=found.model,
            reasons=found.reasons,
            features=found.features,
            spam_seen=1.0,
            hour_used=1,
            hour_limit=customer.rcpts_per_hour,
            received_at=at,
            accept_seconds=0.004 + self._rng.random() * 0.02,
            demo=True,
            **(facts | judged),
        )
        self.writer.append(record)
        return record

    def deliver(self, reception: Reception, at: datetime) -> None:
        """Write what the provider said to a message that leaves at `at`; some complain later."""
        recipient = reception.recipients[0].address
        provider = self.world.provider_of(recipient)
        if provider is None:
            return
        seconds = 0.015 + self._rng.uniform(*WORK_SECONDS) + self._rng.lognormvariate(-5.0, 0.8)
        finished_at = at + timedelta(seconds=seconds)
        if not self.world.exists(recipient):
            self._bounce(reception, provider, finished_at)
            return
        tries = 1
        if self._rng.random() < provider.greylist_share:
            due_at = finished_at + timedelta(seconds=2.0 + self._rng.random() * 0.2)
            self._defer(reception, provider, finished_at, due_at)
            finished_at, tries = due_at + timedelta(seconds=seconds), 2
        code, enhanced, text = _split(f"250 {provider.ready}")
        self.writer.append(
            Delivery(**self._attempt(reception, provider, finished_at, tries), code=code, enhanced=enhanced, text=text)
        )
        if self._rng.random() < provider.complaint_share:
            self.complain(reception, provider.name, finished_at + timedelta(minutes=self._rng.uniform(5, 600)))

    def complain(self, reception: Reception, provider: str, at: datetime) -> None:
        """Write a recipient's complaint about a message."""
        self._complaints.append(
            Complaint(
                **self._complaints.stamp(at),
                message_id=reception.message_id,
                account=reception.account,
                reseller=reception.reseller,
                sender=reception.sender,
                recipient=reception.recipients[0].address,
                provider=provider,
                reported_at=at,
            )
        )

    def _bounce(self, reception: Reception, provider: Provider, at: datetime) -> None:
        code, enhanced, text = _split(f"550 {provider.unknown}")
        self.writer.append(
            Bounce(
                **self._attempt(reception, provider, at, 1),
                code=code,
                enhanced=enhanced,
                text=text,
                category="InvalidRecipient",
                is_hard=True,
            )
        )

    def _defer(self, reception: Reception, provider: Provider, at: datetime, due_at: datetime) -> None:
        code, enhanced, text = _split(f"451 {provider.greylisted}")
        self.writer.append(
            Deferral(
                **self._attempt(reception, provider, at, 1),
                code=code,
                enhanced=enhanced,
                text=text,
                due_at=due_at,
                category="Greylisted",
            )
        )

    def _attempt(self, reception: Reception, provider: Provider, at: datetime, attempt: int) -> dict[str, Any]:
        return {
            **self.writer.stamp(at),
            "message_id": reception.message_id,
            "account": reception.account,
            "reseller": reception.reseller,
            "sender": reception.sender,
            "recipient_id": reception.recipients[0].id,
            "recipient": reception.recipients[0].address,
            "destination": provider.name,
            "attempt": attempt,
            "received_at": reception.received_at,
            "queued_seconds": (at - reception.received_at).total_seconds(),
            "remote": f"mx.{provider.name}",
            "source": "127.0.0.1",
            "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384",
        }


def _split(reply: str) -> tuple[int, str, str]:
    """Split a reply into code, enhanced code ("" when it has none) and text."""
    code, _, rest = reply.partition(" ")
    first, _, text = rest.partition(" ")
    is_enhanced = first[:1] == code[:1] and first.replace(".", "").isdigit() and first.count(".") == 2
    return int(code), first if is_enhanced else "", text if is_enhanced else rest
