"""Bounces: from the status part where there is one, else from the text; then what was said, by the classifier.

Must never take for a bounce what a person wrote, an answer by a machine, or a report that something was delivered.
"""

import re
from dataclasses import dataclass, replace

from analytics.reports import returned
from analytics.reports.answers import responder
from analytics.reports.failures import action_of, failure_of
from analytics.reports.letter import Letter, Part
from analytics.reports.lines import Found, is_recipient, read_lines
from analytics.reports.phrases import phrases
from analytics.reports.plain import plain
from analytics.reports.report import Action, BounceReport, Failure, Returned, SuccessReport
from analytics.reports.status import Entry, is_fields, read_status, status_in

_ADDRESS = re.compile(r"[^\s<>()\[\]:;,\"'@]{1,64}@[^\s<>()\[\]:;,\"'@]{1,255}")


@dataclass(frozen=True, slots=True)
class _Text:
    """What a mail says in words, what it returns below, and From: and Subject: together."""

    said: str
    below: str
    head: str


def read_bounce(letter: Letter) -> BounceReport | SuccessReport | None:
    """Return the bounce, or the report of success, that a mail is; None when it is neither."""
    text = _text(letter)
    if letter.parameter("report-type") == "feedback-report" or _is_receipt(letter, text):
        return None
    entries = read_status(letter)
    if entries and _is_report(letter):
        return _by_status(letter, entries, text)
    if not _may_be_bounce(letter, text):
        return None
    reader, found = _by_headers(letter, text)
    if not found:
        reader, found = read_lines(text.said, text.head)
    about = returned.read_returned(letter, text.below)
    if not found and (about.message_id or _returns(letter, text)):
        # the return path may tell whom a bounce is about that names nobody
        found = [Found(address, "", text.said) for address in (_recipients_of(about) or [""])[:1]]
        reader = "returned"
    if not found:
        return None
    failures = tuple(_failure(one, text, len(found) == 1) for one in _distinct(found, letter))
    return BounceReport(failures, about, reader)


def _is_report(letter: Letter) -> bool:
    """A status part counts in a report, or in a mail that a machine sent; not in one that somebody forwarded."""
    return letter.type == "multipart/report" or phrases("machine").search(letter.header("From")) is not None


def _is_receipt(letter: Letter, text: _Text) -> bool:
    """Receipts (RFC 8098) say that somebody read a mail; some servers refuse mail with one."""
    return bool(letter.of_type("message/disposition-notification")) and "reject" not in text.said[:1_000].lower()


def _by_status(letter: Letter, entries: list[Entry], text: _Text) -> BounceReport | SuccessReport:
    about = returned.read_returned(letter, text.below)
    bad = [entry for entry in entries if action_of(entry) in (Action.FAILED, Action.DELAYED)]
    if not bad:
        return SuccessReport(tuple(entry.original or entry.final for entry in entries), about)
    _, lines = read_lines(text.said, text.head)
    said = {one.address.lower(): one for one in lines}
    named = _failed_by_header(letter) or _recipients_of(about)
    failures = [
        failure_of(_completed(entry, said, named, len(bad)), text.said if len(bad) == 1 else "") for entry in bad
    ]
    return BounceReport(tuple(failures), about, "dsn")


def _completed(entry: Entry, said: dict[str, Found], named: list[str], count: int) -> Entry:
    """Fill in what the fields left out from the text, and from whom else the report names."""
    line = said.get(entry.final.lower()) or said.get(entry.original.lower())
    if line is None and count == len(said) == 1:
        line = next(iter(said.values()))
    original, diagnostic = entry.original, entry.diagnostic
    if line is not None:
        original = original or line.original
        if len(diagnostic) < 12 or not re.search(r"[^\W\d]{3}", diagnostic):
            diagnostic = f"{diagnostic} {line.said}".strip()
    if "@" not in entry.final and count == len(named) == 1:
        original = original if "@" in original else named[0]
    if original == entry.final.replace('"', ""):
        original = entry.final  # Postfix leaves the quotes out that the address needs
    return replace(entry, original=original, diagnostic=diagnostic)


def _failure(found: Found, text: _Text, is_alone: bool) -> Failure:
    is_late = phrases("delay").search(text.head) is not None or phrases("delay").search(text.said[:600]) is not None
    entry = Entry(
        final=found.address,
        original=found.original,
        action=Action.DELAYED if is_late else Action.FAILED,
        status=status_in(found.said),
        diagnostic=found.said,
    )
    return failure_of(entry, text.said if is_alone else "")


def _may_be_bounce(letter: Letter, text: _Text) -> bool:
    """Two of three must hold, one of them what the text says: a machine sent it, the subject says so, the text does."""
    sender, subject = letter.header("From") or "<>", letter.header("Subject")
    if (letter.header("List-Id") and not phrases("daemon").search(sender)) or responder(letter):
        return False
    if letter.header("Return-Path").strip() == "<>":
        sender += " <>"
    from_machine = phrases("machine").search(sender) is not None or letter.type == "multipart/report"
    if not from_machine and not phrases("subject").search(subject):
        return False
    if letter.header("In-Reply-To") and subject.lower().startswith("re:") and not from_machine:
        return False
    if letter.header("X-Failed-Recipients") or phrases("failed").search(text.said[:4_000]):
        return True
    # in a language, or of a make, whose words are not known: a daemon that returns a message
    if phrases("delivered").search(text.said[:4_000]):
        return False
    return _returns(letter, text) and phrases("daemon").search(sender) is not None


def _returns(letter: Letter, text: _Text) -> bool:
    return bool(text.below) or bool(letter.of_type("message/rfc822", "text/rfc822-headers"))


def _by_headers(letter: Letter, text: _Text) -> tuple[str, list[Found]]:
    """X-Failed-Recipients (Exim, Gmail): the addresses, with what the text says of each."""
    named = _failed_by_header(letter)
    if not named:
        return "", []
    reader, lines = read_lines(text.said, text.head)
    by_address = {one.address.lower(): one for one in lines}
    if lines and all(address.lower() in by_address for address in named):
        return reader, lines
    if len(lines) == len(named):
        pairs = zip(named, lines, strict=True)
        return reader, [Found(address, one.original, one.said) for address, one in pairs]
    return "header", [by_address.get(one.lower(), Found(one, "", text.said)) for one in named]


def _failed_by_header(letter: Letter) -> list[str]:
    return [one for one in _ADDRESS.findall(letter.header("X-Failed-Recipients")) if is_recipient(one)]


def _distinct(found: list[Found], letter: Letter) -> list[Found]:
    """Each address once, and not the one the report went to, unless it is the only one."""
    own = {address.lower() for address in _ADDRESS.findall(letter.header("To"))}
    kept = {one.address.lower(): one for one in reversed(found)}
    others = {address: one for address, one in kept.items() if address not in own}
    return list(reversed((others or kept).values()))


def _recipients_of(about: Returned) -> list[str]:
    """Whom the returned message names: in its Received lines, in To:."""
    headers = about.headers
    named = [
        address
        for name, value in headers
        if name in ("x-original-to", "delivered-to", "to")
        for address in _ADDRESS.findall(value)
    ]
    return [one for one in dict.fromkeys(named) if is_recipient(one)]


def _text(letter: Letter) -> _Text:
    head = f"{letter.header('From')}\n{letter.header('Subject')}"
    in_words = [part for part in letter.parts if part.type == "text/plain" or _is_words(part)]
    pieces = [part.text(32_768) for part in in_words[:4]]
    if all(len(piece.strip()) < 40 for piece in pieces):
        pieces += [plain(part.text(32_768)) for part in letter.of_type("text/html")[:1]]
    said, below = returned.cut("\n".join(pieces))
    return _Text(said, below, head)


def _is_words(part: Part) -> bool:
    """InterMail labels its words as a status part too."""
    return part.type == "message/delivery-status" and not is_fields(part.content)
