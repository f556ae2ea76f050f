"""Who hears of mail that failed: its envelope sender where that is surely the customer's, else the account's contact.

Pure. An envelope sender is what the client wrote, and a hijacked plugin writes a stranger's: a report to it is spam of
ours (backscatter). So it must be of a domain of the account, or the very identity that logged in.
"""

import re
from dataclasses import dataclass
from email.utils import parseaddr
from enum import StrEnum

from relay.account import Account, IdentityRule
from relay.front.identity_plan import DEFAULT_RULES, FORWARDED

_CLAIMED = ("MAIL FROM", "client address")  # sources of an identity that nobody has vouched for


_is_address = re.compile(r"[!#-;=?-~]{1,64}@[A-Za-z0-9.-]{1,255}").fullmatch


class Told(StrEnum):
    """Who is told."""

    SENDER = "sender"
    DIGEST = "digest"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Addressee:
    """Who is told, and why that one. `is_stopped`: the sender was; a digest counts such mail without listing it."""

    told: Told
    why: str
    is_stopped: bool = False


def addressee(
    mail_from: str, sender: str, account: Account | None, *, is_stopped: bool, is_login: bool = False
) -> Addressee:
    """Return who hears of a failure. `sender` is its key; is_login: mail_from is a login of the account; account None:
    it was removed.

    >>> addressee("a@shop.example", "acme|mailfrom|a@shop.example", Account("acme"), is_stopped=False).why
    'foreign envelope sender, and the account has no contact'
    """
    if not mail_from:
        return Addressee(Told.NOBODY, "null envelope sender")
    if account is None:
        return Addressee(Told.NOBODY, "the account was removed")
    if is_stopped or account.is_suspended:
        return _contact(account, "the sender is stopped", is_stopped=True)
    if account.owns(mail_from.rpartition("@")[2]):
        return Addressee(Told.SENDER, "domain of the account")
    if is_login or _is_identity(mail_from, sender, account):
        return Addressee(Told.SENDER, "the authenticated identity")
    return _contact(account, "foreign envelope sender", is_stopped=False)


def contact_of(account: Account | None) -> str:
    """Return the mail address of who answers for an account; "" when its contact is none, or it is gone."""
    address = parseaddr(account.contact)[1] if account else ""
    return address if _is_address(address) else ""


def _contact(account: Account, why: str, *, is_stopped: bool) -> Addressee:
    if contact_of(account):
        return Addressee(Told.DIGEST, why, is_stopped)
    return Addressee(Told.NOBODY, f"{why}, and the account has no contact", is_stopped)


def _is_identity(mail_from: str, sender: str, account: Account) -> bool:
    """Tell whether the end sender is that address, and somebody other than the client says so."""
    _, kind, value = [*sender.split("|", 2), "", ""][:3]
    rules: tuple[IdentityRule, ...] = account.identity_rules or DEFAULT_RULES
    claimed = {rule.kind for rule in (*rules, *DEFAULT_RULES) if rule.source in _CLAIMED} | {FORWARDED}
    return kind not in claimed and value == mail_from.lower()
