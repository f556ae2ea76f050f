"""Complaints that come by mail, and what in them may prove whose message they are about. Attribution is done elsewhere.

ARF (RFC 5965, 6591, 6692; so Yahoo's loop and, by RFC 9477, complaints to a CFBL address), Microsoft's reports of junk
mail without ARF, Amazon's notifications, and Exim's failure reports in plain text. Only what the report itself says is
read: a text about complaints is none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from analytics.reports.letter import Letter, Part, header, split
from analytics.reports.report import Returned
from analytics.reports.returned import read_returned

_RETURNED_TYPES = ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers")
_MAX_HEADERS, _MAX_RECIPIENTS = 200, 100
_FIELDS_AT = re.compile(rb"\A\s*(?:[\w-]+:[^\n]*\n(?:[ \t][^\n]*\n)*){0,20}?Feedback-Type:[ \t]*[\w-]+", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>\"(),;:]+@[^\s<>\"(),;:]+")
_RECEIVED_IP = re.compile(r"[\[(](?:IPv6:)?([0-9a-fA-F:.]{3,45})[\])]")
_JMRP_SUBJECT = re.compile(r"complaint about message from\s+\[?([0-9a-fA-F:.]{3,45})", re.IGNORECASE)
_JMRP_FROM = ("@hotmail.com", "@outlook.com", "@microsoft.com", "@live.com")
_JMRP_RECIPIENT = "x-hmxmroriginalrecipient"
_FOLD = re.compile(rb"!\r?\n ")  # how sendmail breaks lines of more than 990 bytes
_EXIM = "has failed the published DMARC policy"  # "...for your domain." in the template of Exim's dmarc_send_forensic
_EXIM_IP = re.compile(r"^\s*Sender IP Address:\s*([0-9a-fA-F:.]{3,45})\s*$", re.MULTILINE)


class FeedbackType(StrEnum):
    """What the report says of the message (RFC 5965 7.3, 6430, 6591); an unregistered type counts as other."""

    ABUSE = "abuse"
    FRAUD = "fraud"
    VIRUS = "virus"
    OTHER = "other"
    NOT_SPAM = "not-spam"
    AUTH_FAILURE = "auth-failure"
    OPT_OUT = "opt-out"


@dataclass(frozen=True, slots=True)
class Feedback:
    """One complaint. `type` counts; `named` is what stood there. `loop`: arf, jmrp, ses or exim. `incidents`: how many
    complaints this one stands for. Addresses without brackets; all of it is said by the reporter, and may be forged.
    """

    type: FeedbackType
    named: str
    loop: str
    reporter: str = ""
    source_ip: str = ""
    original_mail_from: str = ""
    original_rcpt_to: tuple[str, ...] = ()
    reported_domains: tuple[str, ...] = ()
    envelope_id: str = ""
    auth_failure: str = ""
    arrived: str = ""
    incidents: int = 1
    message_id: str = ""
    returned: Returned = field(default_factory=Returned)
    kind: ClassVar[str] = "feedback"

    @property
    def mailweir_ref(self) -> str:
        """Our signed reference to message, account and sender."""
        return self._returned("x-mailweir-ref")

    @property
    def feedback_id(self) -> str:
        return self._returned("feedback-id")

    @property
    def cfbl_feedback_id(self) -> str:
        """RFC 9477 3.1.3: what the sender wrote to know the message again."""
        return self._returned("cfbl-feedback-id")

    @property
    def received_ips(self) -> tuple[str, ...]:
        """Addresses in the returned Received fields, newest first."""
        found = (
            match[1]
            for name, value in self.returned.headers
            if name == "received"
            for match in _RECEIVED_IP.finditer(value)
        )
        return tuple(dict.fromkeys(found))[:20]

    def fields(self) -> dict[str, Any]:
        said = {
            "type": self.named,
            "counts_as": self.type,
            "loop": self.loop,
            "reporter": self.reporter,
            "source_ip": self.source_ip,
            "original_mail_from": self.original_mail_from,
            "original_rcpt_to": list(self.original_rcpt_to),
            "reported_domains": list(self.reported_domains),
            "auth_failure": self.auth_failure,
            "incidents": self.incidents,
            "mailweir_ref": self.mailweir_ref,
            "feedback_id": self.feedback_id,
            "cfbl_feedback_id": self.cfbl_feedback_id,
            "received_ips": list(self.received_ips),
        }
        return {"feedback": said, "original_message_id": self.message_id}

    def _returned(self, wanted: str) -> str:
        return next((value for name, value in self.returned.headers if name == wanted), "")


def read_feedback(letter: Letter) -> Feedback | None:
    """Return the complaint this mail is, None when it is none."""
    return _read_arf(letter) or _read_jmrp(letter) or _read_ses(letter) or _read_exim(letter)


def _read_arf(letter: Letter) -> Feedback | None:
    part = next(_reports(letter), None)
    if part is None:
        return None
    said = split(part.content.lstrip())[0]
    named = header(said, "Feedback-Type").partition(";")[0].strip().lower()
    if not named:
        return None
    returned = read_returned(letter, "")
    recipients = _addresses(said, "Original-Rcpt-To", "Original-Recipient", "Removal-Recipient")
    return Feedback(
        _type(named),
        named[:40],
        "arf",
        reporter=header(said, "User-Agent") or _domain(letter),
        source_ip=header(said, "Source-IP").split(" ")[0],
        original_mail_from=_address(header(said, "Original-Mail-From")),
        original_rcpt_to=recipients,
        reported_domains=tuple(value.lower() for value in _all(said, "Reported-Domain")),
        envelope_id=header(said, "Original-Envelope-Id"),
        auth_failure=header(said, "Auth-Failure").split(" ")[0].lower(),
        arrived=header(said, "Arrival-Date") or header(said, "Received-Date"),
        incidents=_incidents(header(said, "Incidents")),
        message_id=returned.message_id or _bare(header(said, "Message-ID")),
        returned=returned,
    )


def _reports(letter: Letter) -> Iterator[Part]:
    yield from letter.of_type("message/feedback-report")
    if letter.type == "multipart/report":  # software that calls the part text/plain or octet-stream
        for part in letter.parts[:5]:
            if part.type not in _RETURNED_TYPES and _FIELDS_AT.match(part.content[:4096]):
                yield part


def _read_jmrp(letter: Letter) -> Feedback | None:
    """Microsoft's: the whole message or its headers attached, the recipient in a header of its own; no ARF part."""
    if not letter.of_type(*_RETURNED_TYPES):
        return None
    returned = read_returned(letter, "")
    recipient = next((value for name, value in returned.headers if name == _JMRP_RECIPIENT), "")
    subject = _JMRP_SUBJECT.search(letter.header("Subject"))
    author = _address(letter.header("From")).lower()
    if not subject or not (recipient or author.endswith(_JMRP_FROM)):
        return None
    return Feedback(
        FeedbackType.ABUSE,
        "abuse",
        "jmrp",
        reporter=author.rpartition("@")[2],
        source_ip=subject[1],
        original_rcpt_to=(_address(recipient),) if recipient else (),
        message_id=returned.message_id,
        returned=returned,
    )


class _SesMail(msgspec.Struct, frozen=True, rename="camel"):
    source: str = ""
    source_ip: str = ""
    message_id: str = ""
    headers: list[dict[str, str]] = []


class _SesComplaint(msgspec.Struct, frozen=True, rename="camel"):
    complained_recipients: list[dict[str, str]] = []
    complaint_feedback_type: str | None = None
    user_agent: str | None = None


class _SesNotice(msgspec.Struct, frozen=True, rename="camel"):
    complaint: _SesComplaint
    mail: _SesMail = _SesMail()


def _read_ses(letter: Letter) -> Feedback | None:
    """Amazon SES by SNS to a mailbox: JSON as the text."""
    text = next((_FOLD.sub(b"", part.content.lstrip()) for part in letter.of_type("text/plain")[:1]), b"")
    if not text.startswith(b"{") or b'"Complaint"' not in text[:2000]:
        return None
    text = text.partition(b"\n--")[0]  # how to unsubscribe from the notifications follows
    try:
        notice = msgspec.json.decode(text[: text.rfind(b"}") + 1][:262_144], type=_SesNotice)
    except (msgspec.DecodeError, RecursionError):
        return None
    named = (notice.complaint.complaint_feedback_type or "abuse").lower()
    headers = tuple((one.get("name", "").lower(), one.get("value", "")) for one in notice.mail.headers[:_MAX_HEADERS])
    message_id = next((_bare(value) for name, value in headers if name == "message-id"), "")
    return Feedback(
        _type(named),
        named[:40],
        "ses",
        reporter=notice.complaint.user_agent or "amazonses.com",
        source_ip=notice.mail.source_ip,
        original_mail_from=_address(notice.mail.source),
        original_rcpt_to=tuple(
            _address(each.get("emailAddress", "")) for each in notice.complaint.complained_recipients[:_MAX_RECIPIENTS]
        ),
        message_id=message_id,
        returned=Returned(message_id, headers),
    )


def _read_exim(letter: Letter) -> Feedback | None:
    if letter.type != "multipart/report" or not letter.parts:
        return None
    text = letter.parts[0].text(8192)
    if _EXIM not in text:
        return None
    address = _EXIM_IP.search(text)
    returned = read_returned(letter, text.partition("\n------ ")[2])
    return Feedback(
        FeedbackType.AUTH_FAILURE,
        "auth-failure",
        "exim",
        reporter=_domain(letter),
        source_ip=address[1] if address else "",
        message_id=returned.message_id,
        returned=returned,
    )


def _type(named: str) -> FeedbackType:
    try:
        return FeedbackType(named)
    except ValueError:
        return FeedbackType.OPT_OUT if named.startswith("opt-out") else FeedbackType.OTHER


def _all(said: Message, name: str) -> list[str]:
    return [text for value in said.get_all(name, [])[:_MAX_RECIPIENTS] if (text := " ".join(str(value).split()))]


def _addresses(said: Message, *names: str) -> tuple[str, ...]:
    found = (_address(value) for name in names for value in _all(said, name))
    return tuple(dict.fromkeys(address for address in found if address))


def _address(value: str) -> str:
    value = value.rpartition(";")[2] if value.lower().startswith("rfc822;") else value
    found = _ADDRESS.search(value[:1000])
    return found[0] if found else ""


def _bare(value: str) -> str:
    return value.strip().removeprefix("<").partition(">")[0].strip()


def _domain(letter: Letter) -> str:
    return _address(letter.header("From")).rpartition("@")[2].lower()


def _incidents(value: str) -> int:
    return max(1, min(int(value), 1_000_000)) if value.isascii() and value.isdigit() and len(value) < 10 else 1
