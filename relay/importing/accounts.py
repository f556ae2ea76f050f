"""Accounts from CSV: WHM's list, sub-accounts of mail providers, or a plain table. Pure but for the open file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from relay.control.accounts.views import Limits, NewAccount
from relay.control.checks import checked_domain, checked_name
from relay.control.errors import Invalid
from relay.importing.reading import Fault, Line, Table, UnreadableFile

# The first of these columns that a file has; names as formats.plain writes them
_NAMES = ("name", "account", "user", "username", "handle", "id")
_CONTACTS = ("contact", "contactemail", "email", "emailaddress")
_DOMAINS = ("domains", "domain", "maindomain")
_RESELLERS = ("reseller", "owner")
_LIMITS = ("rcptsperhour", "maxemailperhour", "hourlylimit")
_YES, _NO = frozenset({"1", "y", "yes", "true", "suspended"}), frozenset({"0", "n", "no", "false", "", "not suspended"})
_UNLIMITED = frozenset({"", "unlimited", "0", "none"})
_SEPARATORS = re.compile(r"[\s,;|]+")


@dataclass(frozen=True, slots=True)
class Arriving:
    """An account to add. `line`: where it stands."""

    line: int
    account: NewAccount
    is_suspended: bool = False


def accounts(table: Table, *, is_shared: bool = False) -> Iterator[Arriving | Fault]:
    """Read each line. `is_shared`: all of them are servers with many end senders behind one login.

    WHM's owner is the reseller, unless it is root or the account itself. Raises UnreadableFile without names.
    """
    if not any(name in table.columns for name in _NAMES):
        raise UnreadableFile(f"no column has the accounts' names ({', '.join(_NAMES)}): {', '.join(table.columns)}")
    seen: set[str] = set()
    for line in table.lines():
        try:
            found = _arriving(line, is_shared=is_shared)
            if found.account.name in seen:
                raise Invalid(f"account {found.account.name!r} was in an earlier line")
        except Invalid as error:
            yield Fault(line.number, error.detail)
            continue
        seen.add(found.account.name)
        yield found


def _arriving(line: Line, *, is_shared: bool) -> Arriving:
    name = checked_name(_first(line, _NAMES), "account")
    owner = _first(line, _RESELLERS)
    reseller = "" if owner in ("root", name) else owner
    limit = _first(line, _LIMITS).lower()
    if limit not in _UNLIMITED and not limit.isdigit():
        raise Invalid(f"limit {limit[:40]!r}: give recipients an hour, or unlimited")
    contact = _first(line, _CONTACTS)
    account = NewAccount(
        name=name,
        reseller=checked_name(reseller, "reseller") if reseller else "",
        contact="" if contact in ("*unknown*", "unknown") else contact,
        domains=[checked_domain(domain) for domain in _SEPARATORS.split(_first(line, _DOMAINS)) if domain],
        shared_host=is_shared or _flag(line, "sharedhost"),
        sender_limits=None if limit in _UNLIMITED else Limits(rcpts_per_hour=int(limit)),
    )
    return Arriving(line.number, account, is_suspended=_is_suspended(line))


def _is_suspended(line: Line) -> bool:
    if "enabled" in line.cells:
        return not _flag(line, "enabled")
    if "status" in line.cells:
        return line.cells["status"].lower() in ("suspended", "disabled", "closed", "inactive")
    return _flag(line, "suspended") or _flag(line, "disabled")


def _flag(line: Line, name: str) -> bool:
    said = line.cells.get(name, "").lower()
    if said not in _YES | _NO:
        raise Invalid(f"{name} = {said[:40]!r}: write yes or no")
    return said in _YES


def _first(line: Line, names: tuple[str, ...]) -> str:
    return next((cell for name in names if (cell := line.cells.get(name, ""))), "")
