"""The journal's records: one shared contract of what is written, ingested and recomputed.

Every record names its schema, node, boot and sequence; (node, boot, seq) is unique, so that a record written twice
(after a crash, see spool/store.py) is ingested once. Reception and Rejection carry the verdict's whole input.
No record can be part of a cycle, so the collector need not look at any (gc=False).
Instants are aware UTC datetimes named `..._at`, probabilities lie in [0, 1].
"""

from datetime import datetime

import msgspec

from relay.events.of_analytics import CaseChanged as CaseChanged
from relay.events.of_analytics import Complaint as Complaint
from relay.events.of_analytics import Listing as Listing
from relay.events.of_analytics import ModelRun as ModelRun
from relay.events.of_analytics import OutOfBandBounce as OutOfBandBounce
from relay.events.of_analytics import ReportRead as ReportRead
from relay.events.of_analytics import WebhookCall as WebhookCall
from relay.events.parts import Action as Action
from relay.events.parts import Features as Features
from relay.events.parts import Hit as Hit
from relay.events.parts import TraceStep as TraceStep
from relay.events.record import SCHEMA as SCHEMA
from relay.events.record import Attributed as Attributed
from relay.events.record import Rcpt as Rcpt
from relay.events.record import Record as Record

NOT_JUDGED = msgspec.Raw(b"null")  # a refusal before the verdict


class Judged(Attributed, frozen=True, kw_only=True):
    """The verdict's whole input, and the verdict.

    `inputs` is the part of it that no other field has, as policy/verdict/recorded.py writes and reads it.
    `sandbox`: all its recipients are of the sandbox (relay/sandbox/), so it says nothing of its sender.
    `fingerprint`: of the text shown, see content/fingerprint.py; `same_text_senders` sent nearly the same lately.
    `country` and `asn`, the number of the autonomous system: of client_ip, as the operator's files know them.
    """

    sender_kind: str
    script: str = ""
    mail_from: str
    recipients: list[Rcpt] = []
    client_ip: str
    country: str = ""
    asn: int = 0
    helo: str = ""
    tls: str = ""
    credential: str = ""
    door: str = "smtp"
    size_bytes: int = 0
    header_from: str = ""
    subject: str = ""
    header_message_id: str = ""
    action: Action
    rule: str
    trace: list[TraceStep] = []
    standing: str = "ok"
    score: float | None = None
    model: str = ""
    reasons: list[str] = []
    hits: list[Hit] = []
    fingerprint: str = ""
    same_text_senders: int = 0
    features: Features | None = None
    spam_count: float = 0.0
    spam_seen: float = 0.0
    spam_certainty: float = 0.0
    hour_used: int = 0
    hour_limit: int = 0
    multiplier: float = 1.0
    policy_version: str = ""
    decision_id: str = ""
    demo: bool = False
    sandbox: bool = False
    inputs: msgspec.Raw = NOT_JUDGED


class Reception(Judged, frozen=True, kw_only=True, tag="Reception"):
    """The message is ours (250 was or will be given): action is accept or hold. Over a limit it leaves at `due_at`.

    `pool`: the egress pool it leaves through; "" for what the relay itself sends.
    """

    received_at: datetime
    accept_seconds: float = 0.0
    due_at: datetime | None = None
    pool: str = ""


class Rejection(Judged, frozen=True, kw_only=True, tag="Rejection"):
    """The message is not ours: action is defer (4yz) or reject (5yz). message_id is "" before DATA."""

    stage: str
    code: int
    enhanced: str
    text: str


class Held(Attributed, frozen=True, kw_only=True, tag="Held"):
    """A message already accepted was parked by a decision before it was delivered."""

    decision_id: str


class Released(Attributed, frozen=True, kw_only=True, tag="Released"):
    """A held message goes to delivery."""

    decision_id: str
    author: str
    verdict: str = "release"


class Dropped(Attributed, frozen=True, kw_only=True, tag="Dropped"):
    """A held message was deleted by a person or has outlived its hold."""

    author: str
    reason: str


class Attempt(Attributed, frozen=True, kw_only=True):
    """One try to hand one recipient to a next hop; `sandbox`: to the one that is played here."""

    recipient_id: int
    recipient: str
    destination: str
    attempt: int
    received_at: datetime
    queued_seconds: float
    remote: str = ""
    source: str = ""
    tls: str = ""
    code: int = 0
    enhanced: str = ""
    text: str = ""
    sandbox: bool = False


class Delivery(Attempt, frozen=True, kw_only=True, tag="Delivery"):
    """The next hop took the recipient."""


class Deferral(Attempt, frozen=True, kw_only=True, tag="Deferral"):
    """A retry may help; it is due at `due_at`."""

    due_at: datetime
    category: str = ""
    rule: str = ""


class Bounce(Attempt, frozen=True, kw_only=True, tag="Bounce"):
    """The next hop refused the recipient for good; `is_hard` says the address does not exist (5.1.x).

    `told` says who hears of it, sender, digest (of the account's contact) or nobody, and `told_why` why that one."""

    category: str = ""
    rule: str = ""
    is_hard: bool = False
    told: str = ""
    told_why: str = ""


class Expiration(Attempt, frozen=True, kw_only=True, tag="Expiration"):
    """The queue's lifetime is over; text is the last reply. `told` as in Bounce."""

    told: str = ""
    told_why: str = ""


class Inbound(Attributed, frozen=True, kw_only=True, tag="Inbound"):
    """Mail came to an inbox; kept as it came in `file`, below the data folder ("": not kept). report_type "bounce": to
    a return path of ours, about this message and recipient; else the mailbox's name, `recipient` its address, and
    whose message it is about is not known yet ("").

    `forward_id` is the message that takes it to the original envelope sender, or people's mail to the operator; "":
    none does, and `withheld` says why. `origin`: by what else than SMTP it came. Written by analytics then.
    """

    recipient_id: int
    recipient: str
    report_type: str = "bounce"
    mail_from: str = ""
    client_ip: str
    helo: str = ""
    tls: str = ""
    size_bytes: int
    file: str = ""
    forward_id: str = ""
    withheld: str = ""
    origin: str = ""


class AuthFailure(Record, frozen=True, kw_only=True, tag="AuthFailure"):
    """A refused login. The login is given only as a keyed hash: people type passwords there."""

    client_ip: str
    login_hash: str
    mechanism: str


class DecisionLogged(Record, frozen=True, kw_only=True, tag="Decision"):
    """One row of the append-only decisions, as policy/decisions/decision.py has it."""

    decision_id: str
    author: str
    account: str
    reseller: str = ""
    sender: str
    effect: str
    rule: str
    reason: str
    evidence: dict[str, float | int | str | list[str]] = {}
    certainty: float | None = None
    value: float | None = None
    starts_at: datetime
    ends_at: datetime | None = None
    supersedes: str = ""
    policy_version: str = ""
    model: str = ""


class AlarmRaised(Record, frozen=True, kw_only=True, tag="Alarm"):
    """Something an operator should look at; `condition` is its name (spec 2.13), `text` says it in words."""

    condition: str
    account: str
    reseller: str = ""
    text: str
    evidence: dict[str, float | int | str | list[str]] = {}


class Unsubscribe(Record, frozen=True, kw_only=True, tag="Unsubscribe"):
    """A recipient wants no more mail of an account; `method` is one-click (his mail program), page or mail."""

    message_id: str
    account: str
    reseller: str = ""
    recipient: str
    method: str
    client_ip: str


class Suppressed(Record, frozen=True, kw_only=True, tag="Suppressed"):
    """An account may not write to an address any more, for what came back from it: reason hard_bounce or complaint;
    `message_id` shows it; `ends_at` None: for good. account "": no account may.
    """

    message_id: str
    account: str
    reseller: str = ""
    recipient: str
    reason: str
    why: str
    ends_at: datetime | None = None


class Label(Attributed, frozen=True, kw_only=True, tag="Label"):
    """What somebody says a message is: label spam, ham or unsure (takes an earlier one back). `origin`: operator,
    release, confirm; `weight` in (0, 1] says how much it counts. The attribution is "" where the relay has it no more.
    """

    label: str
    origin: str
    weight: float
    author: str
    why: str = ""


RelayRecord = (
    Reception
    | Rejection
    | Held
    | Released
    | Dropped
    | Delivery
    | Deferral
    | Bounce
    | Expiration
    | Inbound
    | AuthFailure
    | DecisionLogged
    | AlarmRaised
    | Unsubscribe
    | Suppressed
    | Label
)
AnyRecord = RelayRecord | OutOfBandBounce | ReportRead | CaseChanged | Complaint | Listing | ModelRun | WebhookCall

encode = msgspec.json.Encoder(decimal_format="number").encode
decode = msgspec.json.Decoder(AnyRecord).decode
