"""One message on its way through reception, as values: what came, what was found, what was decided, what is recorded.

Nothing here awaits, asks a clock or touches the disk.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from relay.content.checkers import NOT_CHECKED, Checked
from relay.content.protocol import ContentResult
from relay.delivery.headers import received_line
from relay.envelope import Submission
from relay.events import Features, Hit, Rcpt
from relay.front.bindings import foreign_author
from relay.front.identity import Identity, identify
from relay.places.place import NOWHERE, Place
from relay.policy.decisions.decision import Decision
from relay.policy.limits.ledger import Taking
from relay.policy.verdict.judge import Inputs, Verdict
from relay.policy.verdict.lockdown import LockdownResult
from relay.policy.verdict.pools import Leaving, pool_name
from relay.policy.verdict.recorded import packed
from relay.returns.feedback import wish_spans
from relay.settings import Policy
from relay.spool.idempotency import Answered
from relay.spool.store import Flags, SpooledMessage

UNREAD = ContentResult(
    score=None, model="", reasons=[], features=Features(), prefix=b"", subject="", header_from="", header_message_id=""
)  # of what is refused whatever it says
_HEADER_BYTES = 512 * 1024  # front/canonical.py lets no longer header in
_received_fields = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE).findall


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message before it is judged, and what was found in it. `content` is without identity headers, of a large
    message the header block only. `began` is in Unix seconds."""

    submission: Submission
    identity: Identity
    number: int
    message_id: str
    content: bytes
    taking: Taking
    result: ContentResult
    lockdown: LockdownResult
    began: float
    checked: Checked = NOT_CHECKED
    is_sandbox: bool = False  # all recipients are: nothing counts for or against anybody but limits


@dataclass(frozen=True, slots=True)
class Case:
    """A judged message."""

    arrival: Arrival
    inputs: Inputs
    verdict: Verdict
    policy_version: str
    pool: str
    judged_at: datetime
    same_text_senders: int = 0
    hops: int = 0  # of a loop
    place: Place = NOWHERE

    @property
    def brief(self) -> tuple[str, str, str, float | None]:
        """Message id, sender, rule and score, for a log line."""
        return self.arrival.message_id, self.inputs.sender.key, self.verdict.rule, self.inputs.score


def header_of(content: bytes) -> bytes:
    """The header block, without the empty line below it."""
    end = content.find(b"\r\n\r\n")
    return content[: end + 2] if end >= 0 else content


def identified(submission: Submission) -> tuple[Identity, bytes]:
    """Who it is, and the content without the headers that said so, or that speak to us alone."""
    content = submission.content
    identity = identify(submission, header_of(content))
    spans = identity.spans
    if submission.account.list_unsubscribe and (wishes := wish_spans(content)):
        spans = sorted({*spans, *wishes})
    start, kept = 0, []
    for begin, stop in spans:
        kept.append(content[start:begin])
        start = stop
    return identity, b"".join([*kept, content[start:]]) if kept else content


def hops(arrival: Arrival) -> int:
    """How many hops the message has behind it, counted here when no worker could."""
    if arrival.result.error:
        content = arrival.content
        end = content.find(b"\r\n\r\n", 0, _HEADER_BYTES)
        return len(_received_fields(content, 0, end if end >= 0 else _HEADER_BYTES))
    return arrival.result.features.received_headers


def pool_of(arrival: Arrival, inputs: Inputs, policy: Policy, now: datetime) -> str:
    """The egress pool of the message, if it leaves."""
    leaving = Leaving(
        inputs.state, inputs.signal.first_seen_unix, inputs.score, arrival.identity.is_forwarded, inputs.account.pool
    )
    return pool_name(leaving, policy.suspect_score, now)


def reasons_of(result: ContentResult, hits: Sequence[Hit]) -> tuple[str, ...]:
    """What a worker found, and before it what only several messages together show."""
    if not hits and not result.hits:
        return tuple(result.reasons)
    of_worker = {hit.seen for hit in result.hits}
    return (*(hit.seen for hit in hits), *(reason for reason in result.reasons if reason not in of_worker))


def domain_of(address: str) -> str:
    """The domain of `a@b` or `Name <a@b>`."""
    return address.rpartition("@")[2].partition(">")[0]


def author_domain(result: ContentResult) -> str:
    """The domain of From:, as far as anybody has read it."""
    return result.features.from_domain or domain_of(result.header_from)


def foreign_domain(arrival: Arrival) -> str:
    """The domain of an author in From: where the login is bound to others, else ""."""
    allowed = arrival.submission.sender_domains
    return foreign_author(allowed, arrival.content) if allowed else ""


def answer_of(case: Case) -> Answered | None:
    """What is kept under the client's Idempotency-Key, where it gave one."""
    once, account = case.arrival.submission.once, case.arrival.submission.account.name
    if once is None:
        return None
    return Answered(account, once.key, once.digest, once.answer(case.verdict.reply), once.until.timestamp())


def spooled(case: Case, hostname: str, return_domain: str) -> tuple[SpooledMessage, list[bytes]]:
    """The message as the spool keeps it, with the domain of its return path, and each recipient's own prefix."""
    arrival, sender = case.arrival, case.inputs.sender
    submission = arrival.submission
    flags = (Flags.EIGHT_BIT if submission.is_8bit else Flags.NONE) | (
        Flags.SMTPUTF8 if submission.is_smtputf8 else Flags.NONE
    )
    received = received_line(submission, hostname, arrival.message_id)
    message = SpooledMessage(
        id=arrival.number,
        message_id=arrival.message_id,
        rcpts=len(submission.recipients),
        account=sender.account,
        reseller=submission.account.reseller,
        sender=sender.key,
        mail_from=submission.mail_from,
        received_at=submission.received_at,
        flags=flags,
        prefix=received + arrival.result.prefix,
        subject=arrival.result.subject,
        score=arrival.result.score,
        rule=case.verdict.rule,
        dsn=submission.dsn,
        return_domain=return_domain,
        pool=case.pool,
        fingerprint=arrival.result.fingerprint,
    )
    return message, [received + prefix for prefix in arrival.result.prefixes]


def facts(case: Case, decision: Decision | None, *, demo: bool) -> dict[str, Any]:
    """What Reception and Rejection share (events.Judged): the verdict's whole input, and the verdict."""
    arrival, inputs, verdict = case.arrival, case.inputs, case.verdict
    submission, sender, result = arrival.submission, inputs.sender, arrival.result
    in_force = decision or inputs.state.decision
    return {
        "message_id": arrival.message_id,
        "account": sender.account,
        "reseller": submission.account.reseller,
        "sender": sender.key,
        "sender_kind": sender.kind,
        "script": sender.script,
        "mail_from": submission.mail_from,
        "recipients": [Rcpt(arrival.number + n, address) for n, address in enumerate(submission.recipients)],
        "client_ip": submission.client_ip,
        "country": case.place.country,
        "asn": case.place.asn,
        "helo": submission.helo,
        "tls": submission.tls,
        "credential": submission.credential,
        "door": submission.door,
        "size_bytes": _size_bytes(arrival),
        "header_from": result.header_from,
        "subject": result.subject,
        "header_message_id": result.header_message_id,
        "action": verdict.action,
        "rule": verdict.rule,
        "trace": verdict.trace,
        "standing": inputs.state.standing,
        "score": result.score,
        "model": result.model,
        "reasons": inputs.reasons,
        "hits": inputs.hits,
        "fingerprint": result.fingerprint,
        "same_text_senders": case.same_text_senders,
        "features": result.features,
        "spam_count": inputs.signal.spam_count,
        "spam_seen": inputs.signal.seen,
        "spam_certainty": inputs.signal.certainty,
        "hour_used": arrival.taking.hour_used,
        "hour_limit": arrival.taking.hour_limit,
        "multiplier": inputs.state.multiplier,
        "policy_version": case.policy_version,
        "decision_id": in_force.id if in_force else "",
        "demo": demo,
        "sandbox": arrival.is_sandbox,
        "inputs": packed(inputs, case.judged_at, case.hops),
    }


def _size_bytes(arrival: Arrival) -> int:
    large = arrival.submission.large
    if large is None:
        return len(arrival.content)
    # unsealed: refused unread, its header block is not in the file
    return large.place.length + (0 if large.is_sealed else len(arrival.content))
