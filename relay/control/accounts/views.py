"""What the control API says of resellers, accounts, logins, networks and limits; see views.py for the rest.

`undo` is the command line that takes a change back, "" where nothing does.
"""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from relay.policy.limits.levels import Level


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Five limits as in envelope.LimitSet. Absent: whatever the wider level says; 0: no limit."""

    rcpts_per_hour: int | None = None
    rcpts_per_day: int | None = None
    unique_rcpts_per_hour: int | None = None
    rcpts_per_message: int | None = None
    messages_per_hour: int | None = None


class LimitView(Limits, frozen=True, kw_only=True):
    """The limits of one level and key. `account` is "" for a reseller's."""

    level: Level
    key: str
    account: str = ""
    undo: str = ""
    dry_run: bool = False


class LimitOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/limits: what is left out stays as it is, null gives it back to the wider level, 0 lifts it."""

    level: Level
    key: str
    rcpts_per_hour: int | UnsetType | None = UNSET
    rcpts_per_day: int | UnsetType | None = UNSET
    unique_rcpts_per_hour: int | UnsetType | None = UNSET
    rcpts_per_message: int | UnsetType | None = UNSET
    messages_per_hour: int | UnsetType | None = UNSET
    dry_run: bool = False


class NoLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/limits/remove: the limits of a level and key go; the wider levels' remain."""

    level: Level
    key: str
    dry_run: bool = False


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account with its logins, networks and own limits, without any secret.

    `is_suspended` is its own state; with a suspended reseller it is stopped all the same (`is_reseller_suspended`).
    `identity_rules` are written KIND=SOURCE[~PATTERN][!keep]; empty: the usual order.
    """

    name: str
    reseller: str = ""
    shared_host: bool = False
    contact: str = ""
    domains: list[str] = []
    is_suspended: bool = False
    is_reseller_suspended: bool = False
    identity_rules: list[str] = []
    normalises_line_ends: bool = False
    pool: str = ""
    list_unsubscribe: bool = False
    created_at: datetime | None = None
    logins: list[str] = []
    revoked_logins: list[str] = []
    networks: list[str] = []
    limits: list[LimitView] = []

    @property
    def sender_limits(self) -> Limits:
        """Those of each of its end senders."""
        return next((limits for limits in self.limits if limits.level is Level.SENDERS), Limits())


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/accounts. With `login` a credential is made at once; without `password` its secret is generated."""

    name: str
    reseller: str = ""
    shared_host: bool = False
    contact: str = ""
    domains: list[str] = []
    identity_rules: list[str] = []
    normalises_line_ends: bool = False
    list_unsubscribe: bool = False
    sender_limits: Limits | None = None
    login: str = ""
    password: str = ""
    dry_run: bool = False


class AccountChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PATCH /v1/accounts/{account}: what is left out stays as it is."""

    reseller: str | UnsetType = UNSET
    shared_host: bool | UnsetType = UNSET
    contact: str | UnsetType = UNSET
    add_domains: list[str] = []
    remove_domains: list[str] = []
    identity_rules: list[str] | UnsetType = UNSET
    normalises_line_ends: bool | UnsetType = UNSET
    pool: str | UnsetType = UNSET
    list_unsubscribe: bool | UnsetType = UNSET
    dry_run: bool = False


class AccountChanged(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did to an account. `waiting` and `held` count its messages in the spool, where it matters."""

    account: AccountView
    waiting: int = 0
    held: int = 0
    undo: str = ""
    dry_run: bool = False


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a command that needs nothing else. `force` removes an account with mail in the spool."""

    dry_run: bool = False
    force: bool = False


class NewCredential(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/accounts/{account}/credentials. The bindings are those of envelope.Credential."""

    login: str
    password: str = ""
    networks: list[str] = []
    sender_domains: list[str] = []
    end_sender: str = ""
    dry_run: bool = False


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/credentials/{login}/rotate. The password before stays good for the overlap; 0: not a moment."""

    overlap_seconds: float = 86_400.0
    password: str = ""
    dry_run: bool = False


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A login. `password`, and the same as `bearer` key of the HTTP door, are told once, if they were generated."""

    login: str
    account: str
    password: str = ""
    bearer: str = ""
    previous_until: datetime | None = None
    undo: str = ""
    dry_run: bool = False


class CredentialView(msgspec.Struct, frozen=True, kw_only=True):
    """A login without its secret. `last_used_at` is the last time it logged in, from `last_used_ip`."""

    login: str
    account: str
    is_revoked: bool = False
    created_at: datetime | None = None
    previous_until: datetime | None = None
    networks: list[str] = []
    sender_domains: list[str] = []
    end_sender: str = ""
    last_used_at: datetime | None = None
    last_used_ip: str = ""


class AccountAdded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to NewAccount."""

    account: AccountView
    secret: Secret | None = None
    undo: str = ""
    dry_run: bool = False


class NewNetwork(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/accounts/{account}/networks, and /v1/networks/remove. `network` like 192.0.2.0/24."""

    network: str
    dry_run: bool = False


class NetworkView(msgspec.Struct, frozen=True, kw_only=True):
    """Clients of this network are this account."""

    network: str
    account: str
    undo: str = ""
    dry_run: bool = False


class NewReseller(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/resellers. `contact`: whom the operator writes to."""

    name: str
    contact: str = ""
    dry_run: bool = False


class ResellerView(msgspec.Struct, frozen=True, kw_only=True):
    """A reseller and how many accounts it has."""

    name: str
    is_suspended: bool = False
    created_at: datetime | None = None
    accounts: int = 0
    limits: Limits = Limits()
    contact: str = ""
    undo: str = ""
    dry_run: bool = False
