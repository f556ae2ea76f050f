"""What was read, as records of the journal. Pure."""

from collections.abc import Sequence
from datetime import datetime

from analytics.inbox.attribution import Traced
from analytics.inbox.clues import Owner
from analytics.inbox.mails import Mail
from analytics.reports.feedback import Feedback
from analytics.reports.report import Failure
from relay.events import Complaint, OutOfBandBounce, ReportRead
from relay.sandbox.addresses import lies_in
from relay.spool.journal import Stamp

_NOBODY = Owner("", "", "", "")


def bounce_of(
    failure: Failure, traced: Traced | None, key: str, file: str, stamp: Stamp, now: datetime
) -> OutOfBandBounce:
    owner = traced.owner if traced else _NOBODY
    return OutOfBandBounce(
        **stamp,
        message_id=owner.message_id,
        account=owner.account,
        reseller=owner.reseller,
        sender=owner.sender,
        recipient_id=owner.recipient_id,
        recipient=owner.recipient or failure.recipient[:320],
        proof=traced.proof.value if traced else "",
        category=failure.category.value,
        enhanced=failure.status,
        text=failure.diagnostic[:500],
        is_hard=failure.is_hard,
        confidence=round(failure.confidence, 3),
        rule=failure.rule,
        report_key=key,
        file=file,
        reported_at=now,
    )


def complaint_of(
    feedback: Feedback, traced: Traced | None, key: str, file: str, stamp: Stamp, now: datetime, sandbox: str = ""
) -> Complaint:
    """`sandbox`: its domain."""
    owner = traced.owner if traced else _NOBODY
    recipient = owner.recipient or next(iter(feedback.original_rcpt_to), "")
    return Complaint(
        **stamp,
        message_id=owner.message_id,
        account=owner.account,
        reseller=owner.reseller,
        sender=owner.sender,
        recipient_id=owner.recipient_id,
        recipient=recipient,
        sandbox=lies_in(recipient, sandbox),
        provider=feedback.reporter[:100],
        feedback_type=feedback.type.value,
        reported_at=now,
        proof=traced.proof.value if traced else "",
        report_key=key,
        file=file,
    )


def read_of(mail: Mail, traced: Sequence[Traced | None], stamp: Stamp) -> ReportRead:
    known = [one.proof.value for one in traced if one is not None]
    return ReportRead(
        **stamp,
        file=mail.unread.file,
        digest=mail.digest,
        report_type=mail.unread.report_type,
        found=mail.found,
        bounces=sum(one.failure is not None for one in mail.news),
        complaints=sum(one.is_counted for one in mail.news),
        proof=known[0] if known else "",
        why=mail.why,
        case_id=mail.case_id,
        recipient=mail.unread.recipient,
        mail_from=mail.unread.mail_from,
        subject=mail.subject,
        origin=mail.unread.origin,
    )
