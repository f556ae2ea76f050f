"""The journal's records that analytics writes, in a journal of its own; see events.py."""

from datetime import datetime

from relay.events.record import Record


class OutOfBandBounce(Record, frozen=True, kw_only=True, tag="OutOfBandBounce"):
    """A report says that a recipient failed after its server had taken the mail. Written by analytics.

    `proof`: by what it was traced to its message (analytics/inbox/attribution.py); "": by nothing, so it is
    backscatter and counts against nobody. `confidence` in [0, 1] and `rule` are the classifier's; `report_key` is the
    same for the same news told twice.
    """

    message_id: str = ""
    account: str = ""
    reseller: str = ""
    sender: str = ""
    recipient_id: int = 0
    recipient: str = ""
    proof: str = ""
    category: str = ""
    enhanced: str = ""
    text: str = ""
    is_hard: bool = False
    confidence: float = 0.0
    rule: str = ""
    report_key: str
    file: str = ""
    reported_at: datetime


class ReportRead(Record, frozen=True, kw_only=True, tag="ReportRead"):
    """A mail of an inbox was read, once. Written by analytics. `file` names it, `found` is what it is, as
    reports/reading.py says; "failed": reading it failed, `why`. `case_id` where a person wrote, to `recipient`.
    """

    file: str
    digest: str
    report_type: str
    found: str
    bounces: int = 0
    complaints: int = 0
    proof: str = ""
    why: str = ""
    case_id: str = ""
    recipient: str = ""
    mail_from: str = ""
    subject: str = ""
    origin: str = ""


class CaseChanged(Record, frozen=True, kw_only=True, tag="CaseChanged"):
    """A person closed a case of abuse mail, or opened it again; status is closed or open. Written by analytics."""

    case_id: str
    status: str
    author: str
    why: str = ""


class Complaint(Record, frozen=True, kw_only=True, tag="Complaint"):
    """A recipient complained (feedback loop). Written by analytics. `proof`, `report_key` as in OutOfBandBounce, ""
    when a person entered it. `sandbox`: made on purpose, and counts against nobody.
    """

    message_id: str
    account: str = ""
    reseller: str = ""
    sender: str = ""
    recipient: str = ""
    provider: str = ""
    feedback_type: str = "abuse"
    reported_at: datetime
    recipient_id: int = 0
    proof: str = ""
    report_key: str = ""
    file: str = ""
    sandbox: bool = False


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
