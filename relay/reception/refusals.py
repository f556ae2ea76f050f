"""Refusals before the content was looked at: at MAIL, at RCPT, or for the form of the message.

Each is counted; those of known accounts get a Rejection record, so that a customer's question "where is my mail" has an
answer. The end sender is named as far as the envelope tells. Must never judge.
"""

from relay.envelope import Submission
from relay.events import Action, Rcpt, Rejection
from relay.front.identity import identify
from relay.metrics import Metrics
from relay.reply import Reply
from relay.spool.journal import Journal

_RULES = {
    "4.3.0": "internal_error",
    "4.5.3": "too_many_recipients",
    "4.7.1": "rate_limit",
    "5.1.1": "suppressed",
    "5.1.3": "bad_address",
    "5.3.4": "too_big",
    "5.6.0": "nul",
    "5.6.7": "bad_address",
    "5.6.11": "bare_line_end",
    "5.7.0": "authentication",
    "5.7.1": "authentication",
}


class Refusals:
    """Counts and records them for one relay."""

    def __init__(self, journal: Journal, metrics: Metrics, *, demo: bool) -> None:
        self._journal, self._metrics, self._demo = journal, metrics, demo

    def note(self, stage: str, reply: Reply, submission: Submission | None) -> None:
        """Count a refusal, and record it when there is a submission; its content may be empty."""
        rule = _RULES.get(reply.enhanced, "protocol")
        self._metrics.refused.labels(rule).inc()
        if submission is None:
            return
        sender = identify(submission, b"").sender
        self._journal.append(
            Rejection(
                **self._journal.stamp(),
                message_id="",
                account=sender.account,
                reseller=submission.account.reseller,
                sender=sender.key,
                sender_kind=sender.kind,
                mail_from=submission.mail_from,
                recipients=[Rcpt(0, address) for address in submission.recipients],
                client_ip=submission.client_ip,
                helo=submission.helo,
                tls=submission.tls,
                credential=submission.credential,
                door=submission.door,
                action=Action.DEFER if reply.is_transient else Action.REJECT,
                rule=rule,
                stage=stage,
                code=reply.code,
                enhanced=reply.enhanced,
                text=reply.text,
                demo=self._demo,
            )
        )
