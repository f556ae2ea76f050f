"""What the control API says about tenants, as typed values."""

from datetime import datetime

import msgspec


class TenantView(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant that is paused or stopped, or has mail that waits (`waiting` recipients). `sender`: its key."""

    tenant: str
    sender: str
    standing: str
    waiting: int
    paused_by: str = ""
    reason: str = ""
    since: datetime | None = None


class TenantsView(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/accounts/{account}/tenants. `header` names them; "": none is set, so the account has no tenants.

    `is_cut`: more recipients wait than were looked at, so tenants and counts may be missing.
    """

    account: str
    header: str
    tenants: list[TenantView]
    is_cut: bool = False


class TenantHeaderOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/accounts/{account}/tenants/header. "": the account has no tenants any more."""

    header: str = "X-Tenant"
    dry_run: bool = False


class TenantOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/accounts/{account}/tenants/{tenant}/pause and /resume."""

    reason: str = "paused by hand"
    dry_run: bool = False


class TenantDone(msgspec.Struct, frozen=True, kw_only=True):
    """What a command on tenants did. `tenant` "": it was about all of the account's."""

    account: str
    tenant: str
    header: str
    undo: str
    dry_run: bool = False
