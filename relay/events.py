"""The journal's records: one shared contract of what is written, ingested and recomputed.

Every record names its schema, node, boot and sequence; (node, boot, seq) is unique, so that a record written twice
(after a crash, see spool/store.py) is ingested once. Reception and Rejection carry the verdict's whole input.
No record can be part of a cycle, so the collector need not look at any (gc=False).
Instants are aware UTC datetimes named `..._at`, probabilities lie in [0, 1].
"""

from datetime import datetime

import msgspec

from relay.event_parts import Action as Action
from relay.event_parts import Features as Features
from relay.event_parts import Hit as Hit
from relay.event_parts import TraceStep as TraceStep

SCHEMA = 1
NOT_JUDGED = msgspec.Raw(b"null")  # a refusal before the verdict


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", gc=False):
    """What every record carries."""

    node: str
    boot: str
    seq: int
    logged_at: datetime
    schema: int = SCHEMA


class Rcpt(msgspec.Struct, frozen=True, gc=False):
    """One recipient: its stable id within the node's spool, and its address."""

    id: int
    address: str


class Attributed(Record, frozen=True, kw_only=True):
    """A record about one message of one end sender."""

    message_id: str
    account: str
    reseller: str = ""
    sender: str


class Judged(Attributed, frozen=True, kw_only=True):
    """The verdict's whole input, and the verdict.

    `inputs` is the part of it that no other field has, as policy/recorded.py writes and reads it.
    `fingerprint`: of the text shown, see content/fingerprint.py; `same_text_senders` sent nearly the same lately.
    """

    sender_kind: str
    script: str = ""
    mail_from: str
    recipients: list[Rcpt] = []
    client_ip: str
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
    """One try to hand one recipient to a next hop."""

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
    """A report came back to a return path of ours, about this message and recipient; kept as it came in `file`, below
    the data folder ("": not kept).

    `forward_id` is the message that tells the original envelope sender; "": none does, and `withheld` says why.
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


class AuthFailure(Record, frozen=True, kw_only=True, tag="AuthFailure"):
    """A refused login. The login is given only as a keyed hash: people type passwords there."""

    client_ip: str
    login_hash: str
    mechanism: str


class DecisionLogged(Record, frozen=True, kw_only=True, tag="Decision"):
    """One row of the append-only decisions, as policy/decision.py has it."""

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
    """A recipient wants no more mail of an account; `method` is one-click (his mail program) or page."""

    message_id: str
    account: str
    reseller: str = ""
    recipient: str
    method: str
    client_ip: str


class Label(Attributed, frozen=True, kw_only=True, tag="Label"):
    """What somebody says a message is: label spam, ham or unsure (takes an earlier one back). `origin`: operator,
    release, confirm; `weight` in (0, 1] says how much it counts. The attribution is "" where the relay has it no more.
    """

    label: str
    origin: str
    weight: float
    author: str
    why: str = ""


class Complaint(Record, frozen=True, kw_only=True, tag="Complaint"):
    """A recipient complained (feedback loop). Written by analytics."""

    message_id: str
    account: str = ""
    reseller: str = ""
    sender: str = ""
    recipient: str = ""
    provider: str = ""
    feedback_type: str = "abuse"
    reported_at: datetime


class Listing(Record, frozen=True, kw_only=True, tag="Listing"):
    """What a DNS list says, in `status`: listed, clean, refused, parked or unknown. Written by analytics.

    `entity_kind`: ip or domain, whose name `address` is; list: the list itself was tested, `address` says for what.
    `confirmed`: listed twice, ten minutes apart, and not yet clean twice; only then it counts, by `weight` in [0, 1].
    `since_at`: since when the list says so. `codes` are ids of rules/dnslists.toml.
    """

    address: str
    zone: str
    status: str
    answer: str = ""
    checked_at: datetime
    entity_kind: str = "ip"
    confirmed: bool = False
    since_at: datetime | None = None
    codes: list[str] = []
    weight: float = 0.0


class ModelRun(Record, frozen=True, kw_only=True, tag="ModelRun"):
    """A candidate was trained and judged against the model in use. Written by analytics.

    `learnt` and `judged` count labelled messages; `slices` as analytics/learning/gate.py has them.
    """

    model: str
    active: str
    learnt: int
    judged: int
    passes: bool
    why: str
    slices: list[dict[str, object]] = []


class WebhookCall(Record, frozen=True, kw_only=True, tag="WebhookCall"):
    """One call of a webhook's endpoint, or why none was made. Written by analytics.

    `event_id` is a decision's id or an alarm's; `code` the HTTP status, 0 without one; after `is_final` none follows.
    """

    webhook: str
    url: str
    account: str = ""
    reseller: str = ""
    sender: str = ""
    event_id: str
    condition: str
    attempt: int
    code: int = 0
    error: str = ""
    seconds: float = 0.0
    is_delivered: bool = False
    is_final: bool = False


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
    | Label
)
AnyRecord = RelayRecord | Complaint | Listing | ModelRun | WebhookCall

encode = msgspec.json.Encoder(decimal_format="number").encode
decode = msgspec.json.Decoder(AnyRecord).decode
