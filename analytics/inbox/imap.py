"""Fetches reports that were collected in a mailbox elsewhere, by IMAP (RFC 3501). Reads by UID, unseen mail only.

Marks as seen what was taken, after it was taken; deletes nothing unless told. The server is believed nothing: sizes
are asked first, answers have a time limit.
"""

import contextlib
import imaplib
import logging
import re
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

from analytics.inbox.intake import MAX_BYTES, Intake
from analytics.jobs import Job
from relay.settings import Imap

_log = logging.getLogger("mailweir.imap")

_TIMEOUT_SECONDS = 30.0
_AT_ONCE = 200  # of a run; the next one goes on
_SIZE = re.compile(rb"RFC822\.SIZE (\d{1,12})")


class ImapError(Exception):
    """The mailbox could not be read; the text says why, and by which setting."""


def fetch_job(settings: Imap, intake: Intake) -> Job:
    """Return the job that fetches every `imap.every_minutes`."""

    def run() -> str:
        taken, known, refused = fetch(settings, intake)
        if not (taken or known or refused):
            return ""
        return f"{taken} mails taken, {known} known already, {refused} refused"

    return Job("imap", settings.every_minutes * 60, run)


def fetch(settings: Imap, intake: Intake) -> tuple[int, int, int]:
    """Take what is unseen; return how many were new, known and refused. Raises ImapError."""
    counts = {"new": 0, "known": 0, "refused": 0}
    try:
        with _session(settings) as session:
            for uid in _unseen(session)[:_AT_ONCE]:
                raw = _mail(session, uid)
                status = "refused"
                if raw is not None:
                    status = intake.take(raw, settings.mailbox, f"imap {settings.host}").status
                counts[status] += 1
                _done(session, uid, is_deleted=settings.delete and status != "refused")
            if settings.delete:
                session.expunge()
    except (imaplib.IMAP4.error, OSError, ValueError) as error:
        said = f"{_said(error)}{_advice(error, settings)}"
        raise ImapError(f"imap.host = {settings.host!r}, folder {settings.folder!r}: {said}") from None
    return counts["new"], counts["known"], counts["refused"]


@contextlib.contextmanager
def _session(settings: Imap) -> Iterator[imaplib.IMAP4]:
    context = _context(settings)
    session: imaplib.IMAP4
    if settings.tls == "tls":
        session = imaplib.IMAP4_SSL(settings.host, settings.port, ssl_context=context, timeout=_TIMEOUT_SECONDS)
    else:
        session = imaplib.IMAP4(settings.host, settings.port, timeout=_TIMEOUT_SECONDS)
    try:
        if settings.tls == "starttls":
            session.starttls(context)
        try:
            session.login(settings.user, settings.password)
        except imaplib.IMAP4.error as error:
            raise imaplib.IMAP4.error(
                f"{_said(error)}; look at imap.user = {settings.user!r} and its password"
            ) from None
        _asked(session.select(_quoted(settings.folder)), "select")
        yield session
    finally:
        with contextlib.suppress(imaplib.IMAP4.error, OSError):
            session.logout()


def _context(settings: Imap) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    except OSError as error:
        raise ImapError(f"imap.ca_file = {str(settings.ca_file)!r}: {error}; it must be a file of PEM") from None


def _said(error: Exception) -> str:
    """What went wrong, in words; imaplib passes on what a server says as bytes."""
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(error)


def _advice(error: Exception, settings: Imap) -> str:
    """By which setting it may be mended."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            "; imap.host must be a name of its certificate, imap.ca_file may name who signed it; no password was sent"
        )
    if isinstance(error, ssl.SSLError) and settings.tls == "tls":
        return f"; port {settings.port} may speak TLS only after STARTTLS: try imap.tls = 'starttls'"
    if isinstance(error, TimeoutError) and settings.tls == "starttls":
        return f"; port {settings.port} may speak TLS from the start: try imap.tls = 'tls'"
    return ""


def _unseen(session: imaplib.IMAP4) -> list[bytes]:
    found = b" ".join(one for one in _asked(session.uid("SEARCH", "UNSEEN"), "search") if isinstance(one, bytes))
    return [uid for uid in found.split() if uid.isdigit()]


def _mail(session: imaplib.IMAP4, uid: bytes) -> bytes | None:
    """Return a mail, None for one that is too large or gone."""
    name = uid.decode()
    said = b" ".join(
        one for one in _asked(session.uid("FETCH", name, "(RFC822.SIZE)"), "fetch") if isinstance(one, bytes)
    )
    size = _SIZE.search(said)
    if size is None or int(size[1]) > MAX_BYTES:
        _log.warning("mail not fetched uid=%s size=%s", name, size[1].decode() if size else "unknown")
        return None
    answer = _asked(session.uid("FETCH", name, "(BODY.PEEK[])"), "fetch")
    return next((part[1] for part in answer if isinstance(part, tuple)), None)


def _done(session: imaplib.IMAP4, uid: bytes, *, is_deleted: bool) -> None:
    flags = r"(\Seen \Deleted)" if is_deleted else r"(\Seen)"
    _asked(session.uid("STORE", uid.decode(), "+FLAGS.SILENT", flags), "store")


def _asked(answer: tuple[str, Sequence[Any]], what: str) -> Sequence[Any]:
    status, said = answer
    if status != "OK":
        words = " ".join(one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in said)
        raise imaplib.IMAP4.error(f"{what}: {words}"[:300])
    return said


def _quoted(folder: str) -> str:
    return '"' + folder.replace("\\", "\\\\").replace('"', '\\"') + '"'
