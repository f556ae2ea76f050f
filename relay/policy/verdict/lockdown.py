"""What the owner of a domain lets send with it: TXT records `v=mw1 auth=ACCOUNT senderid=KEY sidw=KEY*` (spec 2.2).

A matching field of any record allows; no record of ours restricts nothing; fields that we do not know are ignored. A
record of ours from which nothing usable can be read (a typing error, more than RECORD_LENGTH characters) matches
nothing: its owner wanted to lock the domain, and an open one would not tell him of his mistake. `v=mc1` means the same.
Pure; DNS is in front/lockdown.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

VERSIONS = ("v=mw1", "v=mc1")
RECORD_LENGTH = 2_048


class Lock(StrEnum):
    """What came of asking."""

    NOT_ASKED = "not_asked"
    OPEN = "open"  # no record
    ALLOWED = "allowed"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # DNS did not tell


@dataclass(frozen=True, slots=True)
class LockdownRecord:
    """A TXT record of ours: where it stands, its text, and its fields with lower-case names and values."""

    name: str
    text: str
    fields: tuple[tuple[str, str], ...]

    def allows(self, account: str, sender: str) -> bool:
        """Tell whether a field names this account, or this sender (account|kind|value)."""
        account, sender = account.lower(), sender.lower()
        return any(_matches(name, value, account, sender) for name, value in self.fields)


@dataclass(frozen=True, slots=True)
class LockdownResult:
    """What a domain's owner says about a message: the record that decided, or why nobody knows."""

    lock: Lock
    domain: str = ""
    record: str = ""
    error: str = ""

    @property
    def is_passed(self) -> bool:
        return self.lock not in (Lock.REFUSED, Lock.UNKNOWN)


NOT_ASKED = LockdownResult(Lock.NOT_ASKED)


def read_record(name: str, text: str) -> LockdownRecord | None:
    """Read the text of a TXT record; None when it is none of ours."""
    version, _, rest = text.strip().replace(";", " ").partition(" ")
    if version.lower() not in VERSIONS:
        return None
    tokens = rest.split() if len(text) <= RECORD_LENGTH else []
    pairs = (token.partition("=") for token in tokens)
    return LockdownRecord(name, text, tuple((field.lower(), value.lower()) for field, _, value in pairs if value))


def decide(domain: str, records: Iterable[LockdownRecord], account: str, sender: str) -> LockdownResult:
    """Say what a domain's records mean for a sender."""
    refused = None
    for record in records:
        shown = f"{record.name}: {record.text}"
        if record.allows(account, sender):
            return LockdownResult(Lock.ALLOWED, domain, shown)
        refused = refused or LockdownResult(Lock.REFUSED, domain, shown)
    return refused or LockdownResult(Lock.OPEN, domain)


def record_for(account: str, sender: str = "") -> str:
    """Write the record that lets an account, or only one sender of it, use a domain.

    >>> record_for("web1"), record_for("web1", "web1|x-authuser|bob smith")
    ('v=mw1 auth=web1', 'v=mw1 sidw=web1|x-authuser|bob*smith')
    """
    if not sender:
        return f"v=mw1 auth={account}"
    # what would end the field is left to the wild card
    plain = "".join("*" if sign.isspace() or sign == ";" else sign for sign in sender)
    return f"v=mw1 {'senderid' if plain == sender and '*' not in sender else 'sidw'}={plain}"


def _matches(field: str, value: str, account: str, sender: str) -> bool:
    match field:
        case "auth":
            return value == account
        case "senderid":
            return value == sender
        case "sidw":
            return bool(sender) and _fits(value, sender)
        case _:
            return False


def _fits(pattern: str, text: str) -> bool:
    """Match `*` for any characters, in one pass."""
    first, *others = pattern.split("*")
    if not others:
        return pattern == text
    *middle, last = others
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        place = text.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True
