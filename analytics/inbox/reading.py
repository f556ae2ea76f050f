"""The job that reads the inboxes: each mail once, what it says journaled, then told to the relay.

Order: records of what a mail says, then the relay's triggers and suppression, then that it was read. Whatever fails in
between, the mail is read again; records of the same news are dropped by their key (batch.py), and suppressing twice
changes nothing. A relay that does not answer fails the run, which repeats; a bad mail fails nothing.
"""

import hashlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analytics.inbox.arriving import arriving
from analytics.inbox.attribution import Attribution, Traced
from analytics.inbox.mails import AT_ONCE, Mail, News, Unread, open_mail, unread
from analytics.inbox.records import bounce_of, complaint_of, read_of
from analytics.inbox.telling import Told, tell
from analytics.reports.dmarc_report import DmarcReport
from analytics.reports.feedback import Feedback
from analytics.reports.feeds import Feed, Feeds
from analytics.reports.report import Report
from analytics.reports.tlsrpt import TlsReport
from analytics.warehouse import Warehouse
from relay.clock import Clock
from relay.control.client import ControlClient
from relay.spool.journal import Journal

_log = logging.getLogger("mailweir.inbox")

EVERY_SECONDS = 1.0  # it looks at a flag; each ingestion hurries it, so this is the first wait after a failure
_KNOWN = """
SELECT report_key, file FROM out_of_band WHERE report_key IN (SELECT unnest($keys::VARCHAR[]))
UNION ALL
SELECT report_key, file FROM complaint WHERE report_key IN (SELECT unnest($keys::VARCHAR[]))
"""


@dataclass(frozen=True, slots=True)
class _Traced:
    """One piece of news, whose it is, and its key."""

    mail: Mail
    news: News
    traced: Traced | None
    key: str


class InboxReading:
    """Reads the mails of one data folder. Call `run` from one job only."""

    def __init__(
        self,
        folder: Path,
        warehouse: Warehouse,
        journal: Journal,
        clock: Clock,
        feeds: Feeds,
        relay: Callable[[], ControlClient],
        sandbox: str = "",
    ) -> None:
        """`sandbox`: its domain, whose complaints are marked."""
        self._sandbox = sandbox
        self._folder, self._warehouse, self._journal, self._clock = folder, warehouse, journal, clock
        self._feeds, self._relay, self._attribution = feeds, relay, Attribution(warehouse, relay)
        self._woken = threading.Event()
        self._heard: deque[Unread] = deque()  # bounces that the warehouse may not have yet
        self._read: dict[str, None] = {}  # files whose record may not be ingested yet
        self._written: dict[str, None] = {}  # keys of news, likewise
        self._owed: set[str] = set()  # keys of news that the relay has not been told

    def wake(self) -> None:
        """Something was ingested: look at the next run."""
        self._woken.set()

    def hear(self, files: Sequence[Path]) -> bool:
        """Note the bounces in new journal files for the next run; tell whether there are any."""
        found = arriving(files)
        self._heard.extend(found)
        if found:
            self.wake()
        return bool(found)

    def run(self) -> str:
        """Read what came; say how much. Raises ControlError while the relay does not answer."""
        if not self._woken.is_set():
            return ""
        self._woken.clear()
        try:
            heard = [self._heard.popleft() for _ in range(min(len(self._heard), AT_ONCE))]
            said = [self._open([one for one in heard if one.file not in self._read])]
            waiting = unread(self._warehouse, [*self._read])
            if AT_ONCE in (len(waiting), len(heard)):
                self._woken.set()
            said.append(self._open(waiting))
        except BaseException:
            self._woken.set()  # what was heard is in the warehouse by then
            raise
        return "; ".join(filter(None, said))

    def _open(self, mails: Sequence[Unread]) -> str:
        return self._take([open_mail(self._folder, one) for one in mails]) if mails else ""

    def _take(self, mails: Sequence[Mail]) -> str:
        found = self._trace([(mail, news) for mail in mails for news in mail.news])
        stored = self._stored([one.key for one in found])
        fresh = [one for one in found if one.key not in stored and one.key not in self._written]
        for one in fresh:
            self._write(one)
        # a crash came between record and relay when the record is of a file that was not read to its end
        self._owed |= {one.key for one in found if stored.get(one.key) == one.mail.unread.file} - {*self._written}
        suppressed = self._tell([one for one in found if one.key in self._owed])
        for mail in mails:
            self._feed(mail)
            self._journal.append(
                read_of(mail, [one.traced for one in found if one.mail is mail], self._journal.stamp())
            )
            _remember(self._read, mail.unread.file)
        self._journal.hasten()
        nobodys = sum(one.traced is None for one in fresh)
        return f"{len(mails)} mails, {len(fresh)} bounces and complaints ({nobodys} nobody's), {suppressed} suppressed"

    def _trace(self, news: Sequence[tuple[Mail, News]]) -> list[_Traced]:
        """Trace all, and keep one of each piece of news."""
        traced = self._attribution.trace([one.clues for _, one in news])
        found: dict[str, _Traced] = {}
        for (mail, one), whose in zip(news, traced, strict=True):
            key = _key(mail, one, whose)
            found.setdefault(key, _Traced(mail, one, whose, key))
        return [*found.values()]

    def _stored(self, keys: Sequence[str]) -> dict[str, str]:
        """The news that the warehouse has, and the file it is from."""
        rows = self._warehouse.table(_KNOWN, keys=[*keys]).to_pylist() if keys else []
        return {row["report_key"]: row["file"] for row in rows}

    def _tell(self, owed: Sequence[_Traced]) -> int:
        if not owed:
            return 0
        with self._relay() as relay:
            return tell(relay, self._warehouse, [Told(one.key, one.news, one.traced) for one in owed], self._owed)

    def _write(self, one: _Traced) -> None:
        stamp, now = self._journal.stamp(), self._clock.now()
        if one.news.failure is not None:
            self._journal.append(bounce_of(one.news.failure, one.traced, one.key, one.mail.unread.file, stamp, now))
        elif one.news.feedback is not None and one.news.is_counted:
            told = one.news.feedback, one.traced, one.key, one.mail.unread.file, stamp, now
            self._journal.append(complaint_of(*told, sandbox=self._sandbox))
        _remember(self._written, one.key)
        self._owed.add(one.key)

    def _feed(self, mail: Mail) -> None:
        """Give aggregate reports, and complaints as they came, to their tables; `take` knows what it had before."""
        if kind := _feed_of(mail.reports):
            taken = self._feeds.take(kind, mail.raw, name=mail.unread.file, author="inbox")
            _log.info("report of the inbox file=%s kind=%s status=%s", mail.unread.file, kind, taken.status)


def _feed_of(reports: Sequence[Report]) -> Feed | None:
    match reports[0] if reports else None:
        case DmarcReport():
            return Feed.DMARC
        case TlsReport():
            return Feed.TLSRPT
        case Feedback():
            return Feed.ARF
        case _:
            return None


def _key(mail: Mail, news: News, traced: Traced | None) -> str:
    """The same for the same news: a recipient of a message fails once and complains once, however often it is told.

    What is nobody's is known by the mail it stands in. A recipient that the message did not have (one that was
    forwarded to) is one for the whole message: whoever makes up addresses must not count for a thousand.
    """
    kind = "complaint" if news.feedback is not None else "bounce"
    of = (traced.owner.message_id, traced.owner.recipient_id) if traced else (mail.digest, mail.news.index(news))
    return hashlib.sha256("\0".join(map(str, (kind, *of))).encode()).hexdigest()[:32]


def _remember(known: dict[str, None], name: str) -> None:
    """Keep the last 20,000: what is older has long been ingested."""
    known[name] = None
    if len(known) > 20_000:
        del known[next(iter(known))]
