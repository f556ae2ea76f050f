"""What the control API says of egress sources, pools and warm-up; `undo` as in accounts/views.py."""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from relay.control.audit.views import AuditDetail
from relay.delivery.egress.sources import SourceState


class TroubleView(msgspec.Struct, frozen=True, kw_only=True):
    """A destination at which a source rests (until `until_at`), is degraded, or is poor or bad, says analytics."""

    destination: str
    kind: str
    until_at: datetime | None = None
    deferred_share: float = 0.0


class SourceView(msgspec.Struct, frozen=True, kw_only=True):
    """A source with its pools and weights. `ehlo` "": the node's hostname. `troubles`: as the running relay has them.

    `note` says what else the command brought about.
    """

    name: str
    address: str
    ehlo: str = ""
    state: SourceState
    is_warming: bool = False
    created_at: datetime | None = None
    pools: dict[str, int] = {}
    troubles: list[TroubleView] = []
    note: str = ""
    undo: str = ""
    dry_run: bool = False


class NewSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/egress/sources. `force`: also an address that this machine does not have."""

    name: str
    address: str
    ehlo: str = ""
    is_warming: bool = False
    force: bool = False
    dry_run: bool = False


class SourceChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PATCH /v1/egress/sources/{source}: what is left out stays as it is."""

    address: str | UnsetType = UNSET
    ehlo: str | UnsetType = UNSET
    force: bool = False
    dry_run: bool = False


class StandOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/egress/sources/{source}/activate, quarantine or retire. Why stands in the audit log."""

    reason: str = ""
    evidence: AuditDetail = {}
    dry_run: bool = False


class BandRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How good an address is at a destination ("others": all that are rare), with its 90 % interval."""

    address: str
    destination: str
    band: Literal["good", "fair", "poor", "bad", "unknown"]
    score: float
    low: float
    high: float
    n: int


class NewBands(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/egress/bands: all that is known, in place of an older `version`, until `ends_at`."""

    version: int
    rows: list[BandRow]
    ends_at: datetime
    dry_run: bool = False


class BandsView(msgspec.Struct, frozen=True, kw_only=True):
    """The version in force. `taken` False: what was sent is not newer, or no relay runs."""

    version: int
    taken: bool = False
    low: dict[str, list[str]] = {}
    dry_run: bool = False


class PoolView(msgspec.Struct, frozen=True, kw_only=True):
    """A pool. `members` are its own, with weights; `leaves_through` is what its mail uses now; `accounts` have it as
    their own."""

    name: str
    members: dict[str, int] = {}
    leaves_through: list[str] = []
    accounts: list[str] = []
    undo: str = ""
    dry_run: bool = False


class PoolOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/egress/pools/{pool}: these members and weights, and no others."""

    members: dict[str, int]
    dry_run: bool = False


class PlanView(msgspec.Struct, frozen=True, kw_only=True):
    """One warm-up plan today, as egress/warmup.py has it. `quota`: messages a day; `per_hour`: at most in an hour."""

    provider: str
    stage: int
    stages: int
    quota: int
    per_hour: int
    sent: int
    deferred: int
    blocked: int
    complaints: int
    bad_days: int
    wait_seconds: float
    is_warm: bool
    last: str = ""


class WarmupView(msgspec.Struct, frozen=True, kw_only=True):
    """The warm-up of one source; `plans` is empty while no relay runs."""

    source: str
    is_warming: bool
    plans: list[PlanView] = []
    undo: str = ""
    dry_run: bool = False


class StageOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/egress/warmup/{source}/stage. One more than the last stage: the source is warm there."""

    provider: str
    stage: int
    dry_run: bool = False
