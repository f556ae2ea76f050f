"""The mails of the inboxes that nobody has read yet: which they are, their bytes, and what each is."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analytics.inbox.clues import Clues, Owner, clues_of_bounce, clues_of_feedback
from analytics.reports.feedback import Feedback, FeedbackType
from analytics.reports.letter import Letter, open_letter
from analytics.reports.reading import read_each
from analytics.reports.report import BounceReport, Failure, NormalMail, Refused, Report
from analytics.warehouse import Warehouse
from relay.returns.mailboxes import PEOPLES

_log = logging.getLogger("mailweir.inbox")

AT_ONCE = 200
# What counts as a complaint (RFC 5965 7.3); not-spam and auth-failure are no complaint, opt-out is a wish
COUNTED = (FeedbackType.ABUSE, FeedbackType.FRAUD, FeedbackType.VIRUS, FeedbackType.OTHER)
_WISHES = (*COUNTED, FeedbackType.OPT_OUT)
_MAX_BYTES = 110 * 1024 * 1024

_UNREAD = """
SELECT file,
       min(logged_at) AS came_at,
       min(report_type) AS report_type,
       arg_min(recipient, report_type) AS recipient,
       coalesce(min(mail_from), '') AS mail_from,
       coalesce(min(origin), '') AS origin,
       list(struct_pack(message_id, account, reseller, sender, recipient_id, recipient)
            ORDER BY recipient_id) FILTER (message_id <> '') AS owners
FROM inbound
WHERE coalesce(file, '') <> ''
  AND NOT list_contains($done::VARCHAR[], file)
  AND file NOT IN (SELECT file FROM report_read)
GROUP BY file
ORDER BY came_at
LIMIT $at_once
"""


@dataclass(frozen=True, slots=True)
class Unread:
    """A mail that lies in `file`, as its Inbound records have it."""

    file: str
    report_type: str
    recipient: str
    mail_from: str
    origin: str
    owners: tuple[Owner, ...]


@dataclass(frozen=True, slots=True)
class News:
    """One thing a report says, about one recipient: a failure, or a complaint of a type."""

    clues: Clues
    failure: Failure | None = None
    feedback: Feedback | None = None

    @property
    def is_counted(self) -> bool:
        """Whether it is a complaint that counts; a wish only suppresses."""
        return self.feedback is not None and self.feedback.type in COUNTED


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that was read. `reports`: what it is; `why`: why it could not be read."""

    unread: Unread
    raw: bytes
    digest: str
    found: str
    reports: tuple[Report, ...] = ()
    news: tuple[News, ...] = ()
    why: str = ""
    subject: str = ""

    @property
    def case_id(self) -> str:
        """The case it is, where a person wrote about abuse; the same mail to two addresses is one."""
        is_case = self.found == NormalMail.kind and self.unread.report_type in PEOPLES and self.unread.mail_from
        return self.digest[:10] if is_case else ""


def unread(warehouse: Warehouse, done: Sequence[str]) -> list[Unread]:
    """Return the oldest mails that nobody has read, `done` left out."""
    rows = warehouse.table(_UNREAD, done=[*done], at_once=AT_ONCE).to_pylist()
    return [_unread(row) for row in rows]


def open_mail(folder: Path, one: Unread) -> Mail:
    """Read one mail. Never raises: what cannot be read is said in `why`."""
    try:
        path = (folder / one.file).resolve()
        if not path.is_relative_to(folder.resolve()):
            return Mail(one, b"", "", "failed", why="its file lies outside the data folder")
        if path.stat().st_size > _MAX_BYTES:
            return Mail(one, b"", "", "failed", why=f"longer than {_MAX_BYTES} bytes")
        raw = path.read_bytes()
    except FileNotFoundError:
        return Mail(one, b"", "", "missing", why="its file was removed before it was read")
    except OSError as error:
        return Mail(one, b"", "", "failed", why=str(error))
    digest = digest_of(raw)
    try:
        return _opened(one, raw, digest)
    except Exception as error:  # a mail of a stranger must not stop those behind it; its file stays for a look
        _log.exception("mail of the inbox not read file=%s", one.file)
        return Mail(one, raw, digest, "failed", why=f"{type(error).__name__}: {error}"[:300])


def digest_of(raw: bytes) -> str:
    """The name of a mail by its bytes."""
    return hashlib.sha256(raw).hexdigest()[:32]


def _opened(one: Unread, raw: bytes, digest: str) -> Mail:
    reports = tuple(read_each(raw))
    first, letter = reports[0], open_letter(raw)
    news: list[News] = []
    match first:
        case BounceReport():
            news = [News(clues, failure=failure) for failure, clues in clues_of_bounce(first, letter, one.owners)]
        case Feedback() if first.type in _WISHES:
            news = [News(clues, feedback=first) for clues in clues_of_feedback(first, letter, one.owners)]
    why = first.reason[:300] if isinstance(first, Refused) else ""
    return Mail(one, raw, digest, first.kind, reports, tuple(news), why, _subject(letter))


def _subject(letter: Letter) -> str:
    return letter.header("Subject")[:300]


def _unread(row: dict[str, Any]) -> Unread:
    owners = tuple(
        Owner(one["message_id"], one["account"], one["reseller"], one["sender"], one["recipient_id"], one["recipient"])
        for one in row["owners"] or []
    )
    return Unread(row["file"], row["report_type"], row["recipient"], row["mail_from"], row["origin"], owners)
