"""What in a report may prove whose message it is about. Pure: nothing is believed here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from analytics.reports.feedback import Feedback
from analytics.reports.letter import Letter
from analytics.reports.report import Action, BounceReport, Failure, Returned

_RETURN_PATH = re.compile(r"b\+[a-zA-Z2-7]{56}@[a-zA-Z0-9.-]{1,255}")  # relay/delivery/verp.py
_ENVELOPE_FIELDS = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To")
_MAX = 20


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose message it is, and which of its recipients; recipient_id 0: one that is not known."""

    message_id: str
    account: str
    reseller: str
    sender: str
    recipient_id: int = 0
    recipient: str = ""


@dataclass(frozen=True, slots=True)
class Clues:
    """Of one recipient of a report. `envelope`: the return path it came to by SMTP, which the relay has checked;
    `return_paths`: others that stand in it; `references`: X-Mailweir-Ref, `cfbl`: CFBL-Feedback-ID; `message_id`
    without brackets; `recipients`: addresses the report is about, as it names them.
    """

    envelope: Owner | None = None
    return_paths: tuple[str, ...] = ()
    mail_from: tuple[str, ...] = ()
    reference: str = ""
    cfbl: str = ""
    feedback_id: str = ""
    message_id: str = ""
    recipients: tuple[str, ...] = ()


def clues_of_bounce(report: BounceReport, letter: Letter, envelopes: Sequence[Owner]) -> list[tuple[Failure, Clues]]:
    """Return each failed recipient with what may prove whose it is. What only waits is no bounce."""
    failed = [failure for failure in report.failures if failure.action is Action.FAILED]
    if not failed:
        return []
    if envelopes:  # a return path names its recipient: what the report calls it may be where it was forwarded to
        return [(_about(owner, failed), Clues(envelope=owner)) for owner in envelopes]
    return [
        (failure, _clues(report.returned, letter, tuple(filter(None, (failure.recipient, failure.final)))))
        for failure in failed[:_MAX]
    ]


def clues_of_feedback(report: Feedback, letter: Letter, envelopes: Sequence[Owner]) -> list[Clues]:
    """Return what may prove whose message a complaint is about; one for each return path it came to."""
    if envelopes:
        return [Clues(envelope=owner) for owner in envelopes]
    return [_clues(report.returned, letter, report.original_rcpt_to, report.original_mail_from, report.message_id)]


def _about(owner: Owner, failed: Sequence[Failure]) -> Failure:
    wanted = owner.recipient.lower()
    return next((one for one in failed if wanted in (one.recipient.lower(), one.final.lower())), failed[0])


def _clues(
    returned: Returned, letter: Letter, recipients: tuple[str, ...], mail_from: str = "", message_id: str = ""
) -> Clues:
    headers = dict(reversed(returned.headers))  # the topmost of a name
    came_to = " ".join(letter.header(name) for name in _ENVELOPE_FIELDS)
    sent_from = f"{mail_from} {headers.get('return-path', '')}"
    return Clues(
        return_paths=tuple(dict.fromkeys(_RETURN_PATH.findall(came_to)))[:_MAX],
        mail_from=tuple(dict.fromkeys(_RETURN_PATH.findall(sent_from)))[:_MAX],
        reference=_token(headers.get("x-mailweir-ref", "")),
        cfbl=_token(headers.get("cfbl-feedback-id", "")),
        feedback_id=_token(headers.get("feedback-id", "")),
        message_id=(returned.message_id or message_id).strip("<> "),
        recipients=tuple(address.lower() for address in recipients[:_MAX]),
    )


def _token(value: str) -> str:
    return "".join(value.split())[:300]
