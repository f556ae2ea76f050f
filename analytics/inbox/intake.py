"""Mail that was collected elsewhere comes in: kept and journaled as if it had come by SMTP, each only once.

The envelope is lost then: a return path is looked for in the headers, and checked as any other.
"""

import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import Literal

import msgspec

from analytics.inbox.mails import digest_of
from analytics.reports.letter import open_letter
from analytics.reports.reading import read
from analytics.warehouse import Warehouse
from relay.clock import Clock
from relay.events import Inbound
from relay.spool.journal import Journal
from relay.spool.segments import sync_folder

_log = logging.getLogger("mailweir.inbox")

MAX_BYTES = 32 * 1024 * 1024
MAILBOXES = ("imported", "abuse", "postmaster", "fbl", "dmarc", "tlsrpt")
_FOLDER = "imported"
_HAS = "SELECT count(*) AS n FROM report_read WHERE digest = $digest AND found NOT IN ('missing', 'failed')"


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one mail. `found`: what it is, as `mailweir report parse` says it."""

    status: Literal["new", "known", "refused"]
    digest: str
    found: str = ""
    reason: str = ""
    dry_run: bool = False


class Intake:
    """Takes mails for one data folder."""

    def __init__(self, folder: Path, warehouse: Warehouse, journal: Journal, clock: Clock) -> None:
        self._folder, self._warehouse, self._journal, self._clock = folder, warehouse, journal, clock

    def take(self, raw: bytes, mailbox: str, origin: str, *, dry_run: bool = False) -> Brought:
        """Keep and journal a mail. `mailbox`: one of MAILBOXES; abuse and postmaster: people's mail in it is a case.

        Raises OSError.
        """
        digest = digest_of(raw)
        if not raw.strip() or len(raw) > MAX_BYTES:
            return Brought(status="refused", digest=digest, reason=f"empty, or longer than {MAX_BYTES} bytes")
        found = read(raw).kind
        if self._has(digest):
            return Brought(status="known", digest=digest, found=found, dry_run=dry_run)
        if not dry_run:
            file = self._keep(raw, digest)
            self._journal.append(self._record(raw, file, mailbox, origin))
            self._journal.hasten()
            _log.info("mail brought mailbox=%s origin=%s digest=%s found=%s", mailbox, origin, digest, found)
        return Brought(status="new", digest=digest, found=found, dry_run=dry_run)

    def sweep(self, keep_days: int) -> int:
        """Remove what came more than `keep_days` ago; return how many."""
        first = f"{self._clock.now() - timedelta(days=keep_days):%Y%m%d}"
        old = [path for path in (self._folder / _FOLDER).glob("*/*") if path.parent.name < first]
        for path in old:
            path.unlink()
        for day in {path.parent for path in old}:
            day.rmdir()
        return len(old)

    def _has(self, digest: str) -> bool:
        """A mail that lies here waits to be read; one that was read by SMTP has the same bytes only by an import."""
        if any((self._folder / _FOLDER).glob(f"*/{digest}.eml")):
            return True
        (count,) = self._warehouse.table(_HAS, digest=digest).column(0).to_pylist()
        return bool(count)

    def _keep(self, raw: bytes, digest: str) -> str:
        day = self._folder / _FOLDER / f"{self._clock.now():%Y%m%d}"
        day.mkdir(parents=True, exist_ok=True, mode=0o750)
        path, draft = day / f"{digest}.eml", day / f"{digest}.part"
        with draft.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        sync_folder(day)
        return f"{_FOLDER}/{day.name}/{path.name}"

    def _record(self, raw: bytes, file: str, mailbox: str, origin: str) -> Inbound:
        return Inbound(
            **self._journal.stamp(),
            message_id="",
            account="",
            sender="",
            recipient_id=0,
            recipient=mailbox,
            report_type=mailbox,
            mail_from=_sender_of(raw),
            client_ip="",
            size_bytes=len(raw),
            file=file,
            origin=origin[:100],
        )


def _sender_of(raw: bytes) -> str:
    """Who sent a mail, as its headers have it; "" is the null sender."""
    letter = open_letter(raw[:65_536])
    path = letter.header("Return-Path").strip("<> ")
    return path or ("" if letter.headers.get("Return-Path") is not None else letter.header("From"))[:300]
