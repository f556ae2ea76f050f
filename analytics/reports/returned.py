"""The message a report is about, as the report returned it: in a part of its own, or below a line in the text."""

import re
from email.message import Message

from analytics.reports.letter import Letter, header, split, unfolded
from analytics.reports.phrases import phrases
from analytics.reports.report import Returned

_TYPES = (
    "message/rfc822",
    "text/rfc822-headers",
    "message/rfc822-headers",
    "text/rfc822",
    "message/global",
    "message/global-headers",
    "message/partial",
)
_STROKES = "-=_*|#"
# the same without such a line: where the headers of a mail begin
_HEAD = re.compile(
    r"^(?:>[ ]?)?(?:Return-Path|Received|DKIM-Signature|DomainKey-Signature|ARC-[\w-]{1,30}|X-[\w-]{1,40}|Delivered-To"
    r"|Message-ID|MIME-Version|From):[^\n]*\n(?:(?:>[ ]?)?(?:[ \t]+\S|[\w-]{1,40}:[ \t]))",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTE = re.compile(r"^> ?", re.MULTILINE)
_MESSAGE_ID = re.compile(
    r"^[ \t>]*(?:x-)?(?:original-)?message-id:\s*<?([^\s<>]{1,500})>?", re.IGNORECASE | re.MULTILINE
)
_IN_BRACKETS = re.compile(r"<([^\s<>]{1,500})>")
_MAX_BYTES, _MAX_PARTS, _MAX_HEADERS, _MAX_VALUE = 65_536, 3, 200, 1_000


def cut(text: str) -> tuple[str, str]:
    """Return what a report says, and what it returns below."""
    head = _HEAD.search(text)
    line = _line_before(text)
    found = min(head.start() if head else len(text), line)
    return text[:found], text[found:]


def _line_before(text: str) -> int:
    """Where "--- Below this line is a copy of the message." and its kind stands, after which nothing is said about
    recipients any more; the text's length without one. Only the beginnings of lines are looked at.
    """
    at = 0
    for line in text.split("\n"):
        begin = line[:200].lstrip(" \t>")
        words = begin.lstrip(_STROKES)
        if len(begin) - len(words) > 1:
            if phrases("returned_stroke").search(words[:80]):
                return at
        elif words[:1].isalpha() and phrases("returned_words").match(words[:80]):
            return at
        at += len(line) + 1
    return len(text)


def read_returned(letter: Letter, below: str) -> Returned:
    """Return the headers of the message a report is about. `below`: what stands below its text."""
    best = Returned()
    for part in letter.of_type(*_TYPES)[:_MAX_PARTS]:
        best = _better(best, part.content[:_MAX_BYTES].lstrip(b"\r\n"))
    if not best.message_id and (head := _HEAD.search(below)):
        best = _better(best, _QUOTE.sub("", below[head.start() :]).encode("utf-8", "replace"))
    if not best.message_id and (found := _MESSAGE_ID.search(below)):
        best = Returned(found[1], best.headers)
    for part in letter.of_type("message/delivery-status")[:2] if not best.message_id else ():
        # a boundary that is not the announced one: the returned message stands behind the status fields
        if found := _MESSAGE_ID.search(part.content[:_MAX_BYTES].decode("latin-1")):
            best = Returned(found[1], best.headers)
    if not best.message_id and (named := _IN_BRACKETS.findall(_answered(letter))):
        best = Returned(named[-1], best.headers)
    return best


def _answered(letter: Letter) -> str:
    """Exim, Gmail and Exchange name the message in the report's own headers, like an answer to it."""
    return letter.header("In-Reply-To") or letter.header("References")


def _better(best: Returned, content: bytes) -> Returned:
    if content.startswith((b"From ", b">From ")):
        content = content.partition(b"\n")[2]
    headers, _ = split(content)
    found = _MESSAGE_ID.search(content.decode("latin-1"))  # also of headers that a server has broken
    identity = _identity(headers) or (found[1] if found else "")
    return Returned(identity, _pairs(headers) or best.headers) if identity or not best.headers else best


def _identity(headers: Message) -> str:
    return header(headers, "Message-ID").partition(">")[0].strip("< ")


def _pairs(headers: Message) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), unfolded(value)[:_MAX_VALUE]) for name, value in headers.items()[:_MAX_HEADERS])
