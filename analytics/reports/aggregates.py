"""Aggregate reports wherever they lie: a bare file, or attached to a mail under any name and type.

Content decides: reporters call gzip data application/zip, text/plain, application/octet-stream. A mail that only may be
a report is one when such content is in it; one that says it is a report and cannot be read is refused with the reason.
"""

import binascii
import re
from collections.abc import Iterator

from analytics.reports.dmarc import read_dmarc
from analytics.reports.dmarc_report import DmarcReport
from analytics.reports.letter import Letter, Part, open_letter
from analytics.reports.report import Refused
from analytics.reports.tlsrpt import TlsReport, read_tls
from analytics.reports.unpacking import Document, Unreadable, documents, has_feedback, is_packed

Aggregate = DmarcReport | TlsReport | Refused

_CLAIM = "aggregate report"
# RFC 7489 7.2.1.1 and RFC 8460 5.3 and 5.1: subjects and names of files
_SUBJECT = re.compile(r"\breport[ -]domain:", re.IGNORECASE)
_FILENAME = re.compile(r"[^!/\\]+![^!]+!\d{6,}!\d{6,}")
_PACKED_BASE64 = (b"H4sI", b"UEsDB")  # the beginnings of gzip and zip, in a part that forgot to say it is encoded
_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_MAIL = re.compile(rb"\s*(?:>?From |[!-9;-~]+[ \t]*:)")


def is_bare(raw: bytes) -> bool:
    """Tell whether these bytes are a file by themselves and no mail."""
    if is_packed(raw) or _is_text(raw) or not raw.strip():
        return True
    return not _MAIL.match(raw[:1000]) and has_feedback(raw[:4096])  # with rubbish before it


def read_files(raw: bytes) -> list[Aggregate]:
    """Read a bare file: the reports in it, one for each document; never empty, never raises."""
    return list(_read(raw, is_certain=True))


def read_attached(letter: Letter) -> list[Aggregate]:
    """Read the reports attached to a mail, or to one that it forwards; [] when it is no such mail."""
    claims = bool(_SUBJECT.search(letter.header("Subject"))) or letter.parameter("report-type") == "tlsrpt"
    found = [report for part in letter.parts for report in _of_part(part, claims)]
    if found:
        return [report for report in found if not isinstance(report, Refused)] or found[:1]
    forwarded = [part for part in letter.of_type("message/rfc822")[:3] if part.body]
    reports = [report for part in forwarded for report in _of_forwarded(part)]
    if not reports and letter.parameter("report-type") == "tlsrpt":
        return [Refused("tls-rpt", "nothing is attached that could be a report")]
    return reports


def _of_forwarded(part: Part) -> Iterator[Aggregate]:
    inner = open_letter(part.content)
    claims = bool(_SUBJECT.search(inner.header("Subject")))
    for leaf in inner.parts:
        yield from _of_part(leaf, claims)


def _of_part(part: Part, claims: bool) -> Iterator[Aggregate]:
    if part.type in ("text/html", "message/rfc822", "message/delivery-status", "message/feedback-report"):
        return
    content = part.content
    if content.lstrip()[:5].startswith(_PACKED_BASE64):
        try:
            content = binascii.a2b_base64(content)
        except binascii.Error:
            return
    named = "tlsrpt" in part.type or bool(_FILENAME.match(part.filename))
    if not (named or is_packed(content) or _is_text(content)):
        return
    yield from _read(content, is_certain=named or (claims and not part.type.startswith("image/")))


def _is_text(raw: bytes) -> bool:
    return raw.startswith(_UTF16_MARKS) or raw[:4096].removeprefix(_UTF8_MARK).lstrip().startswith((b"<", b"{"))


def _looks_like(form: str, head: bytes) -> bool:
    if form == "xml":
        return has_feedback(head[:8192])
    return form == "json" and b'"report-id"' in head and b'"policies"' in head


def _read(raw: bytes, *, is_certain: bool) -> Iterator[Aggregate]:
    try:
        for document in documents(raw):
            yield from _read_document(document, is_certain)
    except Unreadable as error:
        if is_certain:
            yield Refused(_CLAIM, str(error))


def _read_document(document: Document, is_certain: bool) -> Iterator[Aggregate]:
    claim = _CLAIM
    try:
        form = document.form
        is_certain = is_certain or _looks_like(form, document.head)
        if not is_certain:
            return
        claim = {"xml": "dmarc-aggregate", "json": "tls-rpt"}.get(form, _CLAIM)
        match form:
            case "xml":
                yield read_dmarc(document)
            case "json":
                yield read_tls(document)
            case _:
                raise Unreadable("it holds neither XML nor JSON" if document.head else "it is empty")
    except Unreadable as error:
        if is_certain:
            yield Refused(claim, str(error))
