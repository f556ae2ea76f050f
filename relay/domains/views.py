"""What the control API says of customers' domains; see views.py for the rest. A private key is in none of it."""

from datetime import datetime
from enum import StrEnum

import msgspec

from relay.delivery.signing.algorithm import Algorithm


class KeyState(StrEnum):
    """`pending` until its record is seen, `active` while it signs, `retired` when a newer one does or it was ended."""

    PENDING = "pending"
    ACTIVE = "active"
    RETIRED = "retired"


class Finding(StrEnum):
    """What a check of one thing came to."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"  # DNS did not tell


class RecordView(msgspec.Struct, frozen=True, kw_only=True):
    """A record to publish. `zone_line` is how a zone file writes it, `value` what a web form asks for."""

    name: str
    kind: str
    value: str
    zone_line: str
    why: str


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A DKIM key. The record of a retired one must stay until `keep_until`: mail it signed may still be on its way."""

    selector: str
    algorithm: Algorithm
    state: KeyState
    created_at: datetime
    seen_at: datetime | None = None
    retired_at: datetime | None = None
    keep_until: datetime | None = None


class DomainView(msgspec.Struct, frozen=True, kw_only=True):
    """A domain of an account. `verified_at`: when DNS first proved that it is the account's."""

    domain: str
    account: str
    verified_at: datetime | None = None
    return_path_host: str = ""
    return_path_verified_at: datetime | None = None
    keys: list[KeyView] = []
    records: list[RecordView] = []
    undo: str = ""
    dry_run: bool = False


class NewDomain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/domains. Keys are made of the algorithms that the domain has no living key of."""

    account: str
    domain: str
    algorithms: tuple[Algorithm, ...] = (Algorithm.RSA,)
    return_path_host: str | None = None
    dry_run: bool = False


class DomainOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of the other commands. `account` where several have the domain; the rest where the command needs it."""

    account: str = ""
    algorithm: Algorithm | None = None
    selector: str = ""
    dry_run: bool = False


class CheckLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at: what is there, what should be, and what it means. Not `is_needed`: a recommendation."""

    what: str
    finding: Finding
    found: str = ""
    wanted: str = ""
    text: str = ""
    is_needed: bool = True


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a check. `activated` and `retired` are selectors that changed by it (dry_run: would change)."""

    domain: str
    account: str
    is_ok: bool
    lines: list[CheckLine]
    activated: list[str] = []
    retired: list[str] = []
    waiting: list[str] = []
    keep_until: datetime | None = None
    dry_run: bool = False
