"""What the relay knows of its customers: accounts, who answers for them, and how their clients come in. Values only."""

from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network

EVERY_DOMAIN = "*"  # among an account's domains: it may send as anybody, and its envelope senders are believed


@dataclass(frozen=True, slots=True)
class IdentityRule:
    """One way to name the end sender: a header, or one of the sources of front/identity.py, in the order of the list.

    `kind` stands in the sender's key. `pattern` (RE2 syntax, exactly one group) picks the value; "": all of it.
    `remove`: the header leaves the message before delivery.
    """

    kind: str
    source: str
    pattern: str = ""
    remove: bool = True


@dataclass(frozen=True, slots=True)
class Account:
    """A customer of the relay. `shared_host`: many end senders behind one credential; only then are the
    identification headers believed, in the order of `identity_rules` (empty: the usual one).
    `normalises_line_ends`: bare CR and LF in its messages become CRLF instead of a refusal.
    `pool`: the egress pool of its own, "" for those of all.
    `list_unsubscribe`: its mail gets our List-Unsubscribe where it has none."""

    name: str
    reseller: str = ""
    shared_host: bool = False
    contact: str = ""
    domains: tuple[str, ...] = ()
    is_suspended: bool = False
    identity_rules: tuple[IdentityRule, ...] = ()
    normalises_line_ends: bool = False
    pool: str = ""
    created_at: datetime | None = None
    list_unsubscribe: bool = False

    def owns(self, domain: str) -> bool:
        """Tell whether a domain, or one above it, is the account's. `*` among its domains: all are."""
        asked = domain.lower()
        return bool(asked) and any(
            name == EVERY_DOMAIN or asked == name or asked.endswith(f".{name}") for name in self.domains
        )


@dataclass(frozen=True, slots=True)
class Reseller:
    """Who answers for accounts; while it is suspended they all are. `contact`: whom the operator writes to."""

    name: str
    is_suspended: bool = False
    created_at: datetime | None = None
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Credential:
    """A named login of an account; `hash` is argon2id in its own encoded form.

    A rotated one has a `previous_hash` too, good until `previous_until`. Bindings, each empty for none: the client
    must come from `networks`, envelope sender and From: must lie in `sender_domains`, all its mail is of `end_sender`.
    """

    login: str
    account: str
    hash: str = field(repr=False)
    is_revoked: bool = False
    previous_hash: str = field(default="", repr=False)
    previous_until: datetime | None = None
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    sender_domains: tuple[str, ...] = ()
    end_sender: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AllowedNetwork:
    """Clients of this network are this account, without a password."""

    network: IPv4Network | IPv6Network
    account: str
