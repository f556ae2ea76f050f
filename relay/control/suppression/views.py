"""What the control API says of the suppression list."""

from datetime import datetime

import msgspec

from relay.control.suppression.suppressed import Reason


class SuppressionRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One recipient to suppress; without `ends_at` for good."""

    address: str
    reason: Reason = Reason.BY_HAND
    evidence: str = ""
    ends_at: datetime | None = None
    created_at: datetime | None = None


class SuppressionOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/suppressions. `account` "": for all accounts. Rows that are there already are replaced."""

    rows: list[SuppressionRow]
    account: str = ""
    dry_run: bool = False


class SuppressionRemoval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/suppressions/remove."""

    addresses: list[str]
    account: str = ""
    dry_run: bool = False


class SuppressionView(msgspec.Struct, frozen=True, kw_only=True):
    """One row in force."""

    account: str
    address: str
    reason: Reason
    evidence: str = ""
    created_at: datetime | None = None
    ends_at: datetime | None = None


class SuppressionChanged(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows are new, replaced or removed, and how many addresses had none to remove."""

    added: int = 0
    replaced: int = 0
    removed: int = 0
    missing: int = 0
    undo: str = ""
    dry_run: bool = False
