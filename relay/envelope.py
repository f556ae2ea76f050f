"""What a door hands to the pipeline, and what the pipeline knows about accounts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay.reception.admission import Admission

from relay.reply import Reply
from relay.spool.large import LargeFile

EVERY_DOMAIN = "*"  # among an account's domains: it may send as anybody, and its envelope senders are believed


class Level(StrEnum):
    """What a limit is about; the key that goes with it stands behind each."""

    SENDER = "sender"  # one end sender: account|kind|value
    SENDERS = "senders"  # each end sender of an account: the account
    DOMAIN = "domain"  # one envelope domain of an account: account|domain
    DOMAINS = "domains"  # each envelope domain of an account: the account
    ACCOUNT = "account"  # all of an account: the account
    RESELLER = "reseller"  # all of a reseller: the reseller


@dataclass(frozen=True, slots=True)
class LimitSet:
    """Five limits, told apart by name (spec 2.3). None: whatever the wider level says; 0: no limit."""

    rcpts_per_hour: int | None = None
    rcpts_per_day: int | None = None
    unique_rcpts_per_hour: int | None = None
    rcpts_per_message: int | None = None
    messages_per_hour: int | None = None


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


@dataclass(frozen=True, slots=True)
class Once:
    """A client's own name for a message (Idempotency-Key): what is accepted under it is kept with its answer.

    `digest` tells one request from another, `answer` makes of the reply what is answered, now and again until then.
    """

    key: str
    digest: bytes
    until: datetime
    answer: Callable[[Reply], bytes]


@dataclass(frozen=True, slots=True)
class Submission:
    """One message as a door received it. `content` is the message unstuffed, CRLF line ends only; of a large message
    the header block only, whose body is in `large`: the receiver seals or closes that file.

    `auth_param` is the xtext-decoded AUTH= of MAIL FROM (RFC 4954 section 5): a second witness of the identity.
    `dsn` and `rcpt_dsns` (one a recipient, or none at all) are the texts of dsn_options.py.
    `end_sender` and `sender_domains` are what the credential is bound to.
    `admission` is what the door reserved for the recipients; None: nothing, they are counted when the message is whole.
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
    dsn: str = ""
    rcpt_dsns: tuple[str, ...] = ()
    once: Once | None = None
    end_sender: str = ""
    sender_domains: tuple[str, ...] = ()
    large: LargeFile | None = None
    admission: "Admission | None" = field(default=None, repr=False, compare=False)
