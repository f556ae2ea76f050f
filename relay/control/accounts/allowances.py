"""Commands on what a customer is granted: networks without a password, limits."""

from dataclasses import asdict

from msgspec import UNSET

from relay.account import AllowedNetwork
from relay.control.access import in_sight, require, require_whole_tree, sees
from relay.control.accounts.commands import limit_set
from relay.control.accounts.views import LimitOrder, Limits, LimitView, NetworkView, NewNetwork, NoLimits
from relay.control.checks import bound_network, checked_domain, checked_network, shell
from relay.control.errors import Conflict, Forbidden, Invalid, NotFound
from relay.control.state.memory import State
from relay.policy.limits.levels import Level, LimitSet
from relay.tree import Principal, Role, Scope

_NAMES = LimitSet.__slots__
_KEY_LENGTH = 640  # schema.limit_set.key


class Networks:
    """Every command takes its Principal first and checks role, scope and values."""

    def __init__(self, state: State) -> None:
        self._state = state

    def list(self, principal: Principal, account: str | None = None) -> list[NetworkView]:
        require(principal, Role.VIEWER)
        if account is not None:
            in_sight(self._state.accounts, principal, account)
        return [
            NetworkView(network=str(known.network), account=known.account)
            for known in self._state.networks
            if account in (None, known.account) and self._is_seen(principal, known)
        ]

    async def allow(self, principal: Principal, account: str, new: NewNetwork) -> NetworkView:
        require(principal, Role.ADMIN)
        in_sight(self._state.accounts, principal, account)
        allowed = AllowedNetwork(checked_network(new.network), account)
        self._check_free(principal, allowed)
        if not new.dry_run:
            await self._state.allow_network(allowed, principal)
        undo = shell("allow", "rm", str(allowed.network))
        return NetworkView(network=str(allowed.network), account=account, undo=undo, dry_run=new.dry_run)

    async def disallow(self, principal: Principal, order: NewNetwork) -> NetworkView:
        require(principal, Role.ADMIN)
        wanted = str(bound_network(order.network))
        allowed = self._state.allowlist.get(bound_network(order.network))
        if allowed is None or not self._is_seen(principal, allowed):
            raise NotFound(f"the network {wanted} is not allowed, so there is nothing to take away")
        if not order.dry_run:
            await self._state.disallow_network(allowed, principal)
        undo = shell("allow", "add", allowed.account, wanted)
        return NetworkView(network=wanted, account=allowed.account, undo=undo, dry_run=order.dry_run)

    def _check_free(self, principal: Principal, wanted: AllowedNetwork) -> None:
        known = self._state.allowlist.get(wanted.network)
        if known and self._is_seen(principal, known):
            raise Conflict(f"{wanted.network} belongs to account {known.account!r} already")
        if principal.scope == Scope():
            return
        # The narrower one wins: it would take over, or be taken for, a stranger's mail
        overlapping = (known for known in self._state.allowlist if _overlap(known, wanted))
        if any(not self._is_seen(principal, known) for known in overlapping):
            raise Conflict(f"{wanted.network} overlaps a network that is not yours to divide")

    def _is_seen(self, principal: Principal, known: AllowedNetwork) -> bool:
        return sees(principal, known.account, self._state.reseller_of(known.account))


class LimitDesk:
    """Commands on limits: an operator's, and nobody sets his own."""

    def __init__(self, state: State) -> None:
        self._state = state

    def list(self, principal: Principal, account: str | None = None) -> list[LimitView]:
        require(principal, Role.VIEWER)
        if account is not None:
            in_sight(self._state.accounts, principal, account)
        found = sorted(self._state.limits.items(), key=lambda item: (item[0][1], [*Level].index(item[0][0])))
        views = [_limit_view(level, key, limits) for (level, key), limits in found]
        return [one for one in views if account in (None, one.account) and self._is_seen(principal, one)]

    async def set(self, principal: Principal, order: LimitOrder) -> LimitView:
        """Set the limits that are given; the others of this level and key stay."""
        self._check(principal, order.level, order.key)
        before = self._state.limits.get((order.level, order.key), LimitSet())
        given = {name: value for name in _NAMES if (value := getattr(order, name)) is not UNSET}
        if not given:
            raise Invalid(f"give at least one of {', '.join(_NAMES)}")
        after = limit_set(Limits(**(asdict(before) | given)))
        if after != before and not order.dry_run:
            await self._state.put_limits(order.level, order.key, after if after != LimitSet() else None, principal)
        undo = _undo_set(order.level, order.key, before, after)
        return _limit_view(order.level, order.key, after, undo, dry_run=order.dry_run)

    async def remove(self, principal: Principal, order: NoLimits) -> LimitView:
        self._check(principal, order.level, order.key)
        before = self._state.limits.get((order.level, order.key))
        if before is None:
            raise NotFound(f"there are no limits of {order.level} {order.key!r} to take away")
        if not order.dry_run:
            await self._state.put_limits(order.level, order.key, None, principal)
        undo = _undo_set(order.level, order.key, before, LimitSet())
        return _limit_view(order.level, order.key, before, undo, dry_run=order.dry_run)

    def _check(self, principal: Principal, level: Level, key: str) -> None:
        require(principal, Role.OPERATOR)
        if level is Level.RESELLER:
            require_whole_tree(principal, "set a reseller's limits")
            if key not in self._state.resellers:
                raise NotFound(f"there is no reseller {key!r}; `mailweir reseller ls` names them all")
            return
        if len(key) > _KEY_LENGTH:
            raise Invalid(f"key {key[:40]!r}...: at most {_KEY_LENGTH} characters")
        account, *rest = key.split("|", 2)
        in_sight(self._state.accounts, principal, account)
        if principal.scope.account is not None:
            raise Forbidden(f"{principal.id} sees account {account} only, and may not set its limits")
        wanted = {Level.SENDER: 2, Level.DOMAIN: 1}.get(level, 0)
        if len(rest) != wanted or not all(rest):
            shape = {Level.SENDER: "account|kind|value", Level.DOMAIN: "account|domain"}.get(level, "the account")
            raise Invalid(f"key {key!r}: of level {level} it is written {shape}")
        if level is Level.DOMAIN and checked_domain(rest[0]) != rest[0]:
            raise Invalid(f"key {key!r}: write the domain like {checked_domain(rest[0])}")

    def _is_seen(self, principal: Principal, one: LimitView) -> bool:
        if one.level is Level.RESELLER:
            return principal.scope.account is None and principal.scope.reseller in (None, one.key)
        return one.account in self._state.accounts and sees(
            principal, one.account, self._state.reseller_of(one.account)
        )


def _overlap(one: AllowedNetwork, other: AllowedNetwork) -> bool:
    return one.network.version == other.network.version and one.network.overlaps(other.network)


def _limit_view(level: Level, key: str, limits: LimitSet, undo: str = "", *, dry_run: bool = False) -> LimitView:
    account = "" if level is Level.RESELLER else key.partition("|")[0]
    return LimitView(level=level, key=key, account=account, undo=undo, dry_run=dry_run, **asdict(limits))


def _undo_set(level: Level, key: str, before: LimitSet, after: LimitSet) -> str:
    if before == LimitSet():
        return shell("limit", "rm", level, key) if after != before else ""
    words: list[str] = []
    for name in _NAMES:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            words += [f"--{name.replace('_', '-')}", "default" if old is None else str(old)]
    return shell("limit", "set", level, key, *words) if words else ""
