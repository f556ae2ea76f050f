"""What the control API says, as typed values: the API encodes them, the client decodes them, nobody else's dicts."""

from datetime import datetime
from typing import Literal

import msgspec

from relay.control.accounts.views import AccountAdded as AccountAdded
from relay.control.accounts.views import AccountView as AccountView
from relay.control.accounts.views import NewAccount as NewAccount
from relay.control.accounts.views import NewCredential as NewCredential
from relay.control.accounts.views import NewNetwork as NewNetwork
from relay.control.accounts.views import Secret as Secret
from relay.control.audit.views import AuditDetail as AuditDetail
from relay.control.audit.views import AuditEntry as AuditEntry
from relay.holds.views import DropOrder as DropOrder
from relay.holds.views import Freed as Freed
from relay.holds.views import HeldView as HeldView
from relay.holds.views import ReleaseOrder as ReleaseOrder
from relay.holds.views import Removed as Removed
from relay.policy.decisions.decision import Effect, Evidence


class DecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """A decision with what became of it. `held` counts the sender's parked messages while it is open.

    `sentence` is all of it in words (policy/decisions/why.py): the same wherever the decision is shown. `ends_sooner`:
    what ends it before `ends_at` beside a person.
    """

    id: str
    author: str
    account: str
    reseller: str
    sender: str
    effect: Effect
    rule: str
    reason: str
    sentence: str
    evidence: Evidence
    certainty: float | None
    value: float | None
    starts_at: datetime
    ends_at: datetime | None
    supersedes: str
    is_open: bool
    held: int
    released_by: str
    confirmed_by: str
    policy_version: str
    model: str
    undo: str
    ends_sooner: str = ""


class NewDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/decisions: a Proposal; the author is whoever presents the token. starts_at None: now."""

    account: str
    sender: str
    effect: Effect
    rule: str
    reason: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    evidence: Evidence = {}
    certainty: float | None = None
    value: float | None = None
    policy_version: str = ""
    model: str = ""
    dry_run: bool = False


class ReloadOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/reload."""

    dry_run: bool = False


class KeyChange(msgspec.Struct, frozen=True):
    """A key by which the settings file differs, as it would be written; a secret is not shown."""

    key: str
    before: str
    after: str


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """The keys by which the settings file differs: what was taken up (dry_run: would be), what needs a restart, and
    what an applied policy overrules. `changes`: of the first two, from what to what."""

    taken_up: list[str]
    needs_restart: list[str]
    model: str
    overruled: list[str] = []
    changes: list[KeyChange] = []
    dry_run: bool = False


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """What a hold or another new decision did: it, and how many undelivered messages were parked."""

    decision: DecisionView
    messages: int = 0
    dry_run: bool = False


class SenderView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sender stands, and all decisions about it, youngest first.

    `watched_until`: after a stop that ended by itself. `blocks`: temporary ones of the last 7 days.
    """

    sender: str
    account: str
    reseller: str
    standing: str
    multiplier: float
    reinstated_at: datetime | None
    watched_until: datetime | None = None
    blocks: int = 0
    exempt: DecisionView | None = None
    decision: DecisionView | None
    decisions: list[DecisionView]
    held: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/outcomes: what the world said of a message: delivered, deferred, failed, hard_bounce or complaint.

    `destination`, and `source`, the address it left from, as the records have them: without the first no outage there
    can be known; a complaint counts for warm-up too.
    """

    kind: Literal["delivered", "deferred", "failed", "hard_bounce", "complaint"]
    sender: str
    destination: str = ""
    source: str = ""
    message_id: str = ""
    recipient: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error as RFC 9457 has it."""

    type: str = "about:blank"
    title: str = ""
    status: int = 500
    detail: str = ""


class HoldOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/senders/{sender}/hold. minutes None: until somebody releases it."""

    reason: str = "held by hand"
    minutes: float | None = None
    dry_run: bool = False


class ConfirmOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/decisions/{id}/confirm."""

    note: str = ""
    dry_run: bool = False
