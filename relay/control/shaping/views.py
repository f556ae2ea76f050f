"""What the control API says of destinations and of the rules that shape what they get.

`undo` is the command line that takes a change back, "" where nothing does.
"""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType


class EffectView(msgspec.Struct, frozen=True, kw_only=True):
    """One effect in force, see delivery.shaping_effects. `until_at` None: until somebody ends it."""

    destination: str
    source: str
    kind: str
    value: float
    rule: str
    reply: str
    since_at: datetime
    until_at: datetime | None
    author: str
    blames: str
    times: int = 1


class DestinationView(msgspec.Struct, frozen=True, kw_only=True):
    """A destination since the relay's start: recipients by outcome, its provider's limits, what is in force.

    `waiting`: transactions in memory; `active`: open connections. Limits are those of one egress source but
    `connections_total`; None: no such limit.
    """

    destination: str
    provider: str
    waiting: int = 0
    active: int = 0
    delivered: int = 0
    deferred: int = 0
    bounced: int = 0
    connections: int
    connections_total: int | None
    messages_per_connection: int
    messages_per_minute: float | None
    connections_per_minute: float | None
    tls: str
    manners: str
    effects: list[EffectView] = []


class SuspendOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/destinations/{destination}/suspend. source "": every one; minutes None: until somebody resumes it."""

    reason: str
    source: str = ""
    minutes: float | None = None
    dry_run: bool = False


class ResumeOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/destinations/{destination}/resume. `by_hand`: end only what was suspended by hand."""

    source: str = ""
    reason: str = ""
    by_hand: bool = False
    dry_run: bool = False


class OverrideOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/destinations/{destination}/override: left out stays as it is, null is the provider's number again."""

    reason: str = ""
    source: str = ""
    connections: int | UnsetType | None = UNSET
    messages_per_minute: float | UnsetType | None = UNSET
    minutes: float | None = None
    dry_run: bool = False


class DestinationChanged(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did, or would do. `effects`: those set, or ended by a resume.

    Not `is_known`: no mail went there since the relay's start, and no provider is called so.
    """

    destination: str
    effects: list[EffectView]
    is_known: bool = True
    undo: str = ""
    dry_run: bool = False


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of the table in force, and when it matched last; None: never."""

    id: str
    matched_at: datetime | None


class RulesView(msgspec.Struct, frozen=True, kw_only=True):
    """`since_at`: since when replies are watched; None: nothing was sent yet."""

    since_at: datetime | None
    rules: list[RuleView]
