"""Commands on the suppression list: the abuse desk's, each in its part of the tree."""

import re
from collections.abc import Sequence

from relay.clock import Clock
from relay.control.access import in_sight, require, require_whole_tree, sees
from relay.control.audit.chain import Act
from relay.control.checks import shell
from relay.control.errors import Invalid
from relay.control.state.memory import State
from relay.control.suppression.rows import Wanted
from relay.control.suppression.suppressed import EVERYBODY, Reason, Suppression
from relay.control.suppression.views import (
    SuppressionChanged,
    SuppressionOrder,
    SuppressionRemoval,
    SuppressionRow,
    SuppressionView,
)
from relay.tree import Principal, Role

ROWS_MAX = 5_000  # of one order: some 5 ms in memory, and one transaction

_ADDRESS = re.compile(r"[^\s@\x00-\x1f\x7f<>]([^\x00-\x1f\x7f<>]*[^\s\x00-\x1f\x7f<>])?@[^\s@\x00-\x1f\x7f<>]+")
_ADDRESS_LENGTH = 320  # RFC 5321 4.5.3.1: 64 + @ + 255
_EVIDENCE_LENGTH = 1_000


class SuppressionDesk:
    """Every command takes its Principal first and checks role, scope and values."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state, self._clock = state, clock

    async def list(self, principal: Principal, wanted: Wanted) -> list[SuppressionView]:
        """Rows in force, in the order of account and address. A part of the tree is asked account by account."""
        require(principal, Role.ABUSE)
        if wanted.account:
            self._require_sight(principal, wanted.account)
        scope = principal.scope
        if wanted.account is None and scope != type(scope)():
            raise Invalid("say which account: you see a part of this relay only")
        if wanted.account == EVERYBODY:
            require_whole_tree(principal, "read the list of all accounts")
        return [_view(row) for row in await self._state.suppression.rows(wanted)]

    async def add(self, principal: Principal, order: SuppressionOrder) -> SuppressionChanged:
        """Suppress recipients, at once."""
        self._check(principal, order.account, len(order.rows))
        rows = [self._checked(order.account, row) for row in order.rows]
        addresses = [*dict.fromkeys(row.address for row in rows)]
        known = sum(self._is_listed(order.account, address) for address in addresses)
        if not order.dry_run:
            act = _act("suppression.add", order.account, addresses)
            await self._state.suppression.put(rows, principal, act)
        undo = _undo("rm", order.account, addresses) if not known else ""  # what is replaced does not come back
        return SuppressionChanged(added=len(addresses) - known, replaced=known, undo=undo, dry_run=order.dry_run)

    async def remove(self, principal: Principal, order: SuppressionRemoval) -> SuppressionChanged:
        """Take recipients off the list, at once."""
        self._check(principal, order.account, len(order.addresses))
        addresses = [*dict.fromkeys(checked_address(text) for text in order.addresses)]
        listed = [address for address in addresses if self._is_listed(order.account, address)]
        undo = await self._undo_of_removal(order.account, listed)
        if listed and not order.dry_run:
            act = _act("suppression.remove", order.account, listed)
            await self._state.suppression.remove(order.account, listed, principal, act)
        missing = len(addresses) - len(listed)
        return SuppressionChanged(removed=len(listed), missing=missing, undo=undo, dry_run=order.dry_run)

    def _check(self, principal: Principal, account: str, count: int) -> None:
        require(principal, Role.ABUSE)
        if account == EVERYBODY:
            require_whole_tree(principal, "change the list of all accounts")
        else:
            self._require_sight(principal, account)
        if not 1 <= count <= ROWS_MAX:
            raise Invalid(f"{count} rows: give from 1 to {ROWS_MAX} at once")

    def _require_sight(self, principal: Principal, account: str) -> None:
        """Raise NotFound; the list of a removed account stays, as its readers' wishes do."""
        if account not in self._state.removed or not sees(principal, account, self._state.reseller_of(account)):
            in_sight(self._state.accounts, principal, account)

    def _checked(self, account: str, row: SuppressionRow) -> Suppression:
        if row.ends_at is not None and row.ends_at <= self._clock.now():
            raise Invalid(f"ends_at of {row.address!r} lies in the past; leave the row out")
        if len(row.evidence) > _EVIDENCE_LENGTH:
            raise Invalid(f"evidence of {row.address!r}: at most {_EVIDENCE_LENGTH} characters")
        address = checked_address(row.address)
        return Suppression(account, address, row.reason, row.evidence, row.created_at, row.ends_at)

    def _is_listed(self, account: str, address: str) -> bool:
        known = self._state.suppression.own(account, address)
        return known is not None and (known.ends_at is None or known.ends_at > self._clock.now())

    async def _undo_of_removal(self, account: str, addresses: Sequence[str]) -> str:
        """The line that brings one row back as it was; many come back only from an export."""
        if len(addresses) != 1:
            return ""
        found = await self._state.suppression.rows(Wanted(account=account, address=addresses[0], limit=1))
        if not found:
            return ""
        row, words = found[0], [addresses[0], "--reason", found[0].reason.value]
        words += ["--evidence", row.evidence] if row.evidence else []
        words += ["--until", row.ends_at.isoformat()] if row.ends_at else []
        return shell("suppress", "add", *words, *_whose(account))


def checked_address(text: str) -> str:
    address = text.strip().lower()
    if len(address) > _ADDRESS_LENGTH or not _ADDRESS.fullmatch(address):
        raise Invalid(f"address {text[:80]!r}: write it like user@example.org")
    return address


def _view(row: Suppression) -> SuppressionView:
    return SuppressionView(
        account=row.account,
        address=row.address,
        reason=Reason(row.reason),
        evidence=row.evidence,
        created_at=row.created_at,
        ends_at=row.ends_at,
    )


def _act(command: str, account: str, addresses: Sequence[str]) -> Act:
    """One row of the audit log, however many addresses: the list itself says when each came."""
    if len(addresses) == 1:
        return Act(command, account, addresses[0])
    return Act(command, account, f"{len(addresses)} addresses", {"first": addresses[0], "last": addresses[-1]})


def _undo(verb: str, account: str, addresses: Sequence[str]) -> str:
    return shell("suppress", verb, *addresses, *_whose(account)) if len(addresses) <= 20 else ""


def _whose(account: str) -> list[str]:
    return ["--account", account] if account else ["--global"]
