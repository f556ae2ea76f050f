"""Reports to senders (RFC 3464): who was not reached, why, and what to do, in the first paragraph; or who was, as far
as we know.

Must never report about a report: the caller drops those with a null sender.
"""

from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from relay.delivery.replies import Category, OwnReply, classify
from relay.dsn_options import decode_xtext, option
from relay.reply import Reply
from relay.spool.large import LARGE_BYTES
from relay.spool.store import SpooledMessage

MAX_HEADER_BYTES = 64 * 1024
MAX_WHOLE_BYTES = LARGE_BYTES  # a larger message is never in memory as one piece
_LISTED = 10

_ADVICE = {
    Category.INVALID_RECIPIENT: "Check the spelling of the address, or ask the recipient for the right one.",
    Category.BAD_DOMAIN: "Check what stands behind the @: that domain does not take mail.",
    Category.INACTIVE_MAILBOX: "The mailbox is closed; ask the recipient for another address.",
    Category.QUOTA_ISSUES: "The mailbox is full; send the message again in a few days.",
    Category.TOO_BIG: "Send it without the large attachments, or share them by a link.",
    Category.CONTENT_BLOCK: "The receiving side took it for spam; rephrase it, or ask the recipient to allow you.",
    Category.REPUTATION_BLOCK: "The receiving side refuses mail from our servers at the moment; we see this too.",
    Category.POLICY_RELATED: "The receiving side's rules forbid this message; ask the recipient how to reach them.",
}
_DEFAULT_ADVICE = "If this surprises you, show this report to the administrator of your mail system."


@dataclass(frozen=True, slots=True)
class FailedRecipient:
    """An address and the last words about it. is_expired: tried until the queue's lifetime was over. `orcpt`: whom the
    sender first wrote to, as RCPT said it (RFC 3461 section 4.2)."""

    address: str
    reply: Reply
    is_expired: bool = False
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """All that a report tells. `content` is the message below our prefix, of a large one its first
    MAX_HEADER_BYTES at least; b"" when it is lost. `retry_until`: when tries end, of mail that is only late."""

    message: SpooledMessage
    content: bytes
    hostname: str
    bounce_sender: str
    now: datetime
    recipients: tuple[FailedRecipient, ...]
    retry_until: datetime | None = None


def failure_report(failure: Failure) -> bytes:
    """Return the whole report, CRLF line ends. Its envelope sender is the null one, its recipient mail_from."""
    return _report(failure, "Your message could not be delivered", _explanation(failure), "failed")


def relayed_report(success: Failure) -> bytes:
    """Likewise, of recipients whose next hop took the mail but sends no reports of its own (RFC 3461 section 5.2.2)."""
    lines = ["Your message was handed on to the mail server of:", ""]
    lines += [f"  {item.address}" for item in success.recipients]
    lines += ["", "That server sends no receipts, so this is the last you hear unless the delivery fails there.", ""]
    return _report(success, "Your message was handed on", "\r\n".join(lines), "relayed")


def delayed_report(late: Failure) -> bytes:
    """Likewise, of recipients who are still tried (RFC 3464 section 2.3.3, "delayed")."""
    assert late.retry_until is not None
    subject = f' "{late.message.subject}"' if late.message.subject else ""
    lines = [f"Your message{subject} of {format_datetime(late.message.received_at)} still waits for:", ""]
    for item in late.recipients[:_LISTED]:
        lines += [f"  {item.address}", f"    {_why(item)}", ""]
    if len(late.recipients) > _LISTED:
        lines += [f"  and {len(late.recipients) - _LISTED} more, named in the second part of this report", ""]
    until = format_datetime(late.retry_until)
    lines += [f"You need not send it again: it is tried until {until}, and you hear if that fails.", ""]
    return _report(late, "Your message is delayed", "\r\n".join(lines), "delayed")


def _report(failure: Failure, subject: str, explanation: str, action: str) -> bytes:
    original = _whole(failure) if action == "failed" and _returns_whole(failure) else _headers_only(failure)
    boundary = _boundary(failure, original)
    is_utf8 = not all(item.address.isascii() for item in failure.recipients)
    parts = [
        _part("text/plain; charset=utf-8", "8bit", explanation.encode()),
        _part(
            "message/global-delivery-status" if is_utf8 else "message/delivery-status",
            "8bit" if is_utf8 else "7bit",
            _status(failure, action).encode(),
        ),
        original,
    ]
    edge = f"--{boundary}".encode()
    body = b"".join(edge + b"\r\n" + part for part in parts)
    return _header(failure, boundary, subject).encode() + b"\r\n" + body + edge + b"--\r\n"


def _header(failure: Failure, boundary: str, subject: str) -> str:
    sender = failure.bounce_sender or f"postmaster@{failure.hostname}"
    unique = (
        f"{failure.now:%Y%m%d%H%M%S}.{failure.message.message_id}.{failure.recipients[0].address.encode().hex()[:24]}"
    )
    lines = [
        f"From: Mail delivery <{sender}>",
        f"To: <{failure.message.mail_from}>",
        f"Subject: {subject}",
        f"Date: {format_datetime(failure.now)}",
        f"Message-ID: <dsn.{unique}@{failure.hostname}>",
        "Auto-Submitted: auto-replied",  # RFC 3834 section 5
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"',
    ]
    return "\r\n".join([*lines, ""])


def _explanation(failure: Failure) -> str:
    """Who, why, what to do; each recipient once."""
    shown = failure.recipients[:_LISTED]
    rest = len(failure.recipients) - len(shown)
    subject = f' "{failure.message.subject}"' if failure.message.subject else ""
    sent = format_datetime(failure.message.received_at)
    lines = [f"Your message{subject} of {sent} was not delivered to:", ""]
    for item in shown:
        lines += [f"  {item.address}", f"    {_why(item)}", f"    {_advice(item)}", ""]
    if rest:
        lines += [f"  and {rest} more, named in the second part of this report", ""]
    lines += ["It will not be tried again for them. Other recipients of the message, if any, are not concerned."]
    lines += ["", f"Message id for the administrator: {failure.message.message_id} at {failure.hostname}", ""]
    return "\r\n".join(lines)


def _why(item: FailedRecipient) -> str:
    who = "We found" if isinstance(item.reply, OwnReply) else "The receiving server said"
    tried = "It was tried again and again, until its time was over. " if item.is_expired else ""
    return f"{tried}{who}: {item.reply}"


def _advice(item: FailedRecipient) -> str:
    if item.is_expired:
        return "Send it again later, or reach the recipient in another way."
    outcome = classify(item.reply)
    return outcome.fix or _ADVICE.get(outcome.category, _DEFAULT_ADVICE)


def _status(failure: Failure, action: str) -> str:
    envid = decode_xtext(option(failure.message.dsn, "ENVID"))
    lines = [
        *([f"Original-Envelope-Id: {_ascii(envid)}"] if envid.isprintable() and envid else []),
        f"Reporting-MTA: dns; {failure.hostname}",
        f"X-Mailweir-Message-Id: {failure.message.message_id}",
        f"Arrival-Date: {format_datetime(failure.message.received_at)}",
        "",
    ]
    for item in failure.recipients:
        kind = "rfc822" if item.address.isascii() else "utf-8"
        kind_of_orcpt, _, orcpt = item.orcpt.partition(";")
        if orcpt and (first := decode_xtext(orcpt)).isprintable():
            lines.append(f"Original-Recipient: {kind_of_orcpt}; {_ascii(first)}")
        lines += [
            f"Final-Recipient: {kind}; {item.address}",
            f"Action: {action}",
            f"Status: {_status_code(item, action)}",
        ]
        if failure.retry_until is not None:
            lines.append(f"Will-Retry-Until: {format_datetime(failure.retry_until)}")
        if not isinstance(item.reply, OwnReply):
            lines.append(f"Diagnostic-Code: smtp; {_ascii(str(item.reply))}")
        lines += [f"Last-Attempt-Date: {format_datetime(failure.now)}", ""]
    return "\r\n".join(lines)


def _status_code(item: FailedRecipient, action: str) -> str:
    """RFC 3464 2.3.4 wants a code of class 5 with "failed"; 4.4.7 is what RFC 3463 has for expired mail."""
    if action == "delayed":
        return item.reply.enhanced if item.reply.enhanced.startswith("4") else "4.0.0"
    if item.is_expired:
        return "4.4.7"
    if item.reply.is_success:
        return item.reply.enhanced if item.reply.enhanced.startswith("2") else "2.0.0"
    return item.reply.enhanced if item.reply.enhanced.startswith("5") else "5.0.0"


def _boundary(failure: Failure, original: bytes) -> str:
    """A line that the original does not contain: its author may have read the boundary of an earlier report."""
    boundary = f"=_{failure.message.message_id}.{failure.recipients[0].address.encode().hex()[:16]}_report"
    while boundary.encode() in original:
        boundary += "_"
    return boundary


def _returns_whole(failure: Failure) -> bool:
    """RFC 3461 section 4.3: RET=FULL asks for it, of failures only; a lost or large message is told by its headers."""
    asked = option(failure.message.dsn, "RET") == "FULL"
    return asked and bool(failure.content) and failure.message.place.length <= MAX_WHOLE_BYTES >= len(failure.content)


def _whole(failure: Failure) -> bytes:
    whole = failure.message.prefix + failure.content
    header, _, _ = whole.partition(b"\r\n\r\n")
    kind = "message/rfc822" if header.isascii() or not _is_utf8(header) else "message/global"
    return _part(kind, "7bit" if whole.isascii() else "8bit", whole)


def _headers_only(failure: Failure) -> bytes:
    headers, is_utf8 = _original_headers(failure)
    kind = "message/global-headers" if is_utf8 else "text/rfc822-headers"
    return _part(kind, "8bit" if is_utf8 else "7bit", headers)


def _is_utf8(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _original_headers(failure: Failure) -> tuple[bytes, bool]:
    """The header block, cut at a line, and whether it is UTF-8 that is not ASCII."""
    content = failure.content
    end = content.find(b"\r\n\r\n")
    block = (failure.message.prefix + (content[: end + 2] if end >= 0 else content))[:MAX_HEADER_BYTES]
    block = block[: block.rfind(b"\r\n") + 2]
    if block.isascii():
        return block, False
    if _is_utf8(block):
        return block, True
    return block.decode("ascii", "replace").replace("�", "?").encode(), False


def _part(kind: str, encoding: str, body: bytes) -> bytes:
    head = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + body + (b"" if body.endswith(b"\r\n") else b"\r\n")


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()
