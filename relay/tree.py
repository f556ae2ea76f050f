"""Who asks, and for which part of the tree reseller > account > domain > sender."""

from dataclasses import dataclass
from enum import StrEnum

NEWCOMERS = "newcomers"  # the kind of the key that all new senders of an account share
NEWCOMER_SPAM_RATE, NEWCOMERS_HELD = "newcomer_spam_rate", "newcomers_held"
GROUP_RULES = (NEWCOMER_SPAM_RATE, NEWCOMERS_HELD)  # what parks a message under that key instead of its sender's
_GROUP_END = f"|{NEWCOMERS}|"
TEXT = "text"  # the kind of the key under which a text of an account, not a sender, is exempt


class Role(StrEnum):
    """What a principal may do; each may do what stands before it."""

    VIEWER = "viewer"
    ABUSE = "abuse"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Tell whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Scope:
    """A subtree; None means everything on that level. The default is the whole tree."""

    reseller: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """The author of a command or question; `id` is what the audit log shows."""

    id: str
    role: Role
    scope: Scope = Scope()


@dataclass(frozen=True, slots=True)
class SenderId:
    """The end sender behind a credential (spec 2.2). `kind` says which witness named it, `value` whom it named.

    `script` is a sub-sender below it (a PHP file): evidence, never an identity, as any script can write that header.
    """

    account: str
    kind: str
    value: str
    script: str = ""

    @property
    def key(self) -> str:
        """The one string for logs, limits and release: `account|kind|value`."""
        return f"{self.account}|{self.kind}|{self.value}"


def newcomers_of(account: str) -> str:
    """The key under which an account's new senders are counted and held together: `account|newcomers|`."""
    return f"{account}|{NEWCOMERS}|"


def text_of(account: str, fingerprint: str) -> str:
    """The key of a text, for a decision about all who send it: `account|text|fingerprint`."""
    return f"{account}|{TEXT}|{fingerprint}"


def is_text(sender: str) -> bool:
    """Tell whether a key means a text, not a sender."""
    return sender.split("|", 2)[1:2] == [TEXT]


def all_of(account: str) -> str:
    """The key under which the mail of a suspended account is parked: `account|account|`."""
    return f"{account}|account|"


def is_account(key: str) -> bool:
    """Tell whether a key means a whole account, not one sender."""
    return key.endswith("|account|") and key.count("|") == 2


def is_group(sender: str) -> bool:
    """Tell whether a key means an account's new senders, not one sender."""
    return sender.endswith(_GROUP_END) and sender.count("|") == 2
