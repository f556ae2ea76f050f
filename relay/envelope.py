"""What a door hands to the pipeline, and what the pipeline knows about accounts."""

from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network


@dataclass(frozen=True, slots=True)
class Account:
    """A customer of the relay. `shared_host`: many end senders behind one credential; only then are the
    identification headers believed. `rcpts_per_hour` limits each end sender (None: the default of the settings)."""

    name: str
    reseller: str = ""
    shared_host: bool = False
    contact: str = ""
    rcpts_per_hour: int | None = None
    domains: tuple[str, ...] = ()
    is_suspended: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    """A named login of an account; `hash` is argon2id in its own encoded form."""

    login: str
    account: str
    hash: str = field(repr=False)
    is_revoked: bool = False


@dataclass(frozen=True, slots=True)
class AllowedNetwork:
    """Clients of this network are this account, without a password."""

    network: IPv4Network | IPv6Network
    account: str


@dataclass(frozen=True, slots=True)
class Submission:
    """One message as a door received it. `content` is the message unstuffed, CRLF line ends only.

    `auth_param` is the xtext-decoded AUTH= of MAIL FROM (RFC 4954 section 5): a second witness of the identity.
    """

    account: Account
    credential: str
    client_ip: str
    helo: str
    tls: str
    door: str
    mail_from: str
    recipients: tuple[str, ...]
    content: bytes
    received_at: datetime
    auth_param: str = ""
    is_8bit: bool = False
    is_smtputf8: bool = False
