"""Commands on accounts. They need the state only, so they work before the first start."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace

from msgspec import UNSET

from relay.account import Account, Credential, IdentityRule
from relay.control.access import in_sight, require, require_sight, require_whole_tree, sees
from relay.control.accounts.credentials import generated, secret_of
from relay.control.accounts.views import (
    AccountAdded,
    AccountChange,
    AccountChanged,
    AccountView,
    Limits,
    LimitView,
    NewAccount,
    Order,
)
from relay.control.audit.chain import Act
from relay.control.checks import checked_account_domain, checked_login, checked_name, shell
from relay.control.errors import Conflict, Forbidden, Invalid, NotFound
from relay.control.state.memory import State
from relay.control.views import AuditDetail
from relay.policy.limits.levels import Level, LimitSet
from relay.tree import Principal, Role

_OWN_LEVELS = (Level.SENDERS, Level.DOMAINS, Level.ACCOUNT)  # those whose key is the account

_HIGHEST = 1_000_000_000  # fits the database's integers, and is no limit to anybody

# How many of an account's messages wait in the spool, and how many are held.
InSpool = Callable[[str], tuple[int, int]]


class Accounts:
    """Every command takes its Principal first and checks role, scope and values."""

    def __init__(self, state: State, in_spool: InSpool) -> None:
        self._state, self._in_spool = state, in_spool
        self.on_suspension: Callable[[], None] = lambda: None  # an account is suspended, or no more

    def list(self, principal: Principal) -> list[AccountView]:
        require(principal, Role.VIEWER)
        seen = (known for known in self._state.accounts.values() if sees(principal, known.name, known.reseller))
        return _views(self._state, seen)

    def show(self, principal: Principal, name: str) -> AccountView:
        require(principal, Role.VIEWER)
        return _view(self._state, in_sight(self._state.accounts, principal, name))

    async def add(self, principal: Principal, new: NewAccount) -> AccountAdded:
        require(principal, Role.ADMIN)
        account, limits = _checked(new), limit_set(new.sender_limits or Limits())
        require_sight(principal, new.name, new.reseller, f"reseller {new.reseller!r} for you")
        self._state.check_name(new.name)
        if new.login and checked_login(new.login) in self._state.credentials:
            raise Conflict(f"there is a login {new.login!r} already; logins of all accounts differ")
        undo = shell("account", "rm", new.name)
        if new.dry_run:
            secret = secret_of(new.login, new.name, "", dry_run=True) if new.login else None
            return AccountAdded(account=_view(self._state, account), secret=secret, undo=undo, dry_run=True)
        password = new.password or generated()
        credential = await self._state.new_credential(new.login, new.name, password) if new.login else None
        added = await self._state.add_account(account, principal, limits if limits != LimitSet() else None, credential)
        secret = secret_of(new.login, new.name, "" if new.password else password) if new.login else None
        return AccountAdded(account=_view(self._state, added), secret=secret, undo=undo)

    async def change(self, principal: Principal, name: str, change: AccountChange) -> AccountChanged:
        """Change what is given, and say how to change it back."""
        require(principal, Role.ADMIN)
        before = in_sight(self._state.accounts, principal, name)
        if change.reseller is not UNSET and change.reseller != before.reseller:
            require_whole_tree(principal, "move an account to another reseller")
            if change.reseller and change.reseller not in self._state.resellers:  # a slip would lift its limits
                raise NotFound(f"there is no reseller {change.reseller!r}; `mailweir reseller ls` names them all")
        if change.pool is not UNSET and change.pool != before.pool:
            require_whole_tree(principal, "choose the addresses an account sends from")
            if change.pool and not self._state.egress.has_pool(change.pool):
                raise NotFound(
                    f"there is no pool {change.pool!r}; make it with: mailweir pool set {change.pool} SOURCE"
                )
        after = _changed(before, change)
        if after != before and not change.dry_run:
            await self._state.change_account(
                after, principal, Act("account.set", name, name, _differences(before, after))
            )
        undo = _undo_of_change(before, after)
        return AccountChanged(account=_view(self._state, after), undo=undo, dry_run=change.dry_run)

    async def suspend(self, principal: Principal, name: str, order: Order) -> AccountChanged:
        """Refuse all new mail of an account, at once, and park what waits; `resume` frees it again."""
        undo = shell("account", "resume", name)
        return await self._stand(principal, name, order, is_suspended=True, undo=undo)

    async def resume(self, principal: Principal, name: str, order: Order) -> AccountChanged:
        undo = shell("account", "suspend", name)
        return await self._stand(principal, name, order, is_suspended=False, undo=undo)

    async def remove(self, principal: Principal, name: str, order: Order) -> AccountChanged:
        """End an account: logins revoked, networks forgotten. Its history stays, and so does mail in the spool."""
        require(principal, Role.ADMIN)
        account = in_sight(self._state.accounts, principal, name)
        _require_more_than(principal, name)
        waiting, held = self._in_spool(name)
        if (waiting or held) and not order.force:
            raise Conflict(
                f"account {name!r} still has {waiting} messages to deliver and {held} held; wait, release or drop "
                "them, or use --force: then what waits is delivered, and what is held stays until somebody decides"
            )
        if not order.dry_run:
            await self._state.remove_account(name, principal)
        undo = shell("account", "restore", name)
        seen = _view(self._state, account)
        return AccountChanged(account=seen, waiting=waiting, held=held, undo=undo, dry_run=order.dry_run)

    async def restore(self, principal: Principal, name: str, order: Order) -> AccountChanged:
        """Bring a removed account back, without logins and networks."""
        require(principal, Role.ADMIN)
        account = self._state.removed.get(name)
        if account is None or not sees(principal, name, account.reseller):
            raise NotFound(f"there is no removed account {name!r}")
        _require_more_than(principal, name)
        if not order.dry_run:
            await self._state.restore_account(name, principal)
        undo = shell("account", "rm", name)
        return AccountChanged(account=_view(self._state, account), undo=undo, dry_run=order.dry_run)

    async def _stand(
        self, principal: Principal, name: str, order: Order, *, is_suspended: bool, undo: str
    ) -> AccountChanged:
        require(principal, Role.ADMIN)
        before = in_sight(self._state.accounts, principal, name)
        _require_more_than(principal, name)
        after = replace(before, is_suspended=is_suspended)
        if after != before and not order.dry_run:
            act = Act("account.suspend" if is_suspended else "account.resume", name, name)
            await self._state.change_account(after, principal, act)
            self.on_suspension()
        return AccountChanged(account=_view(self._state, after), undo=undo, dry_run=order.dry_run)


def limit_set(limits: Limits) -> LimitSet:
    """The limits as the relay keeps them. Raises Invalid."""
    values = {name: getattr(limits, name) for name in LimitSet.__slots__}
    for name, value in values.items():
        if value is not None and not 0 <= value <= _HIGHEST:
            raise Invalid(f"{name} = {value}: must lie between 1 and {_HIGHEST}, or be 0 for no limit")
    return LimitSet(**values)


def rule_text(rule: IdentityRule) -> str:
    """A rule the way it is written on the command line."""
    pattern = f"~{rule.pattern}" if rule.pattern else ""
    return f"{rule.kind}={rule.source}{pattern}{'' if rule.remove else '!keep'}"


def _require_more_than(principal: Principal, name: str) -> None:
    """Raise Forbidden for a principal of the account alone: nobody ends, stops or frees himself."""
    if principal.scope.account is not None:
        raise Forbidden(f"{principal.id} sees account {name} only, and may not say whether it is there or suspended")


def _view(state: State, account: Account) -> AccountView:
    return _views(state, [account])[0]


def _views(state: State, accounts: Iterable[Account]) -> list[AccountView]:
    """What anybody who sees the accounts may know of them; one walk through logins and networks for all."""
    logins: dict[str, list[Credential]] = {}
    for known in state.credentials.values():
        logins.setdefault(known.account, []).append(known)
    networks: dict[str, list[str]] = {}
    for allowed in state.networks:
        networks.setdefault(allowed.account, []).append(str(allowed.network))
    return [_view_of(state, one, logins.get(one.name, []), networks.get(one.name, [])) for one in accounts]


def _view_of(state: State, account: Account, logins: Sequence[Credential], networks: list[str]) -> AccountView:
    reseller = state.resellers.get(account.reseller)
    return AccountView(
        name=account.name,
        reseller=account.reseller,
        shared_host=account.shared_host,
        contact=account.contact,
        domains=[*account.domains],
        is_suspended=account.is_suspended,
        is_reseller_suspended=bool(reseller and reseller.is_suspended),
        identity_rules=[rule_text(rule) for rule in account.identity_rules],
        normalises_line_ends=account.normalises_line_ends,
        pool=account.pool,
        list_unsubscribe=account.list_unsubscribe,
        created_at=account.created_at,
        logins=[known.login for known in logins if not known.is_revoked],
        revoked_logins=[known.login for known in logins if known.is_revoked],
        networks=networks,
        limits=[
            LimitView(level=level, key=account.name, account=account.name, **asdict(state.limits[level, account.name]))
            for level in _OWN_LEVELS
            if (level, account.name) in state.limits
        ],
    )


def _checked(new: NewAccount) -> Account:
    return Account(
        name=checked_name(new.name, "account"),
        reseller=checked_name(new.reseller, "reseller") if new.reseller else "",
        shared_host=new.shared_host,
        contact=new.contact,
        domains=tuple(dict.fromkeys(checked_account_domain(name) for name in new.domains)),
        identity_rules=_rules(new.identity_rules),
        normalises_line_ends=new.normalises_line_ends,
        list_unsubscribe=new.list_unsubscribe,
    )


def _changed(before: Account, change: AccountChange) -> Account:
    removed = {checked_account_domain(name) for name in change.remove_domains}
    missing = removed.difference(before.domains)
    if missing:
        raise NotFound(f"account {before.name!r} has no domain {', '.join(sorted(missing))}")
    kept = [name for name in before.domains if name not in removed]
    reseller = before.reseller if change.reseller is UNSET else change.reseller
    return replace(
        before,
        reseller=checked_name(reseller, "reseller") if reseller else "",
        shared_host=before.shared_host if change.shared_host is UNSET else change.shared_host,
        contact=before.contact if change.contact is UNSET else change.contact,
        domains=tuple(dict.fromkeys([*kept, *(checked_account_domain(name) for name in change.add_domains)])),
        identity_rules=before.identity_rules if change.identity_rules is UNSET else _rules(change.identity_rules),
        normalises_line_ends=(
            before.normalises_line_ends if change.normalises_line_ends is UNSET else change.normalises_line_ends
        ),
        pool=before.pool if change.pool is UNSET else change.pool,
        list_unsubscribe=before.list_unsubscribe if change.list_unsubscribe is UNSET else change.list_unsubscribe,
    )


def _rules(texts: list[str]) -> tuple[IdentityRule, ...]:
    from relay.front.identity_rules import parse_rule  # its patterns need an engine that most commands do without

    try:
        return tuple(parse_rule(text) for text in texts)
    except ValueError as error:
        raise Invalid(f"identity rule {error}") from None


_CHANGEABLE = (
    *("reseller", "shared_host", "contact", "domains", "identity_rules", "normalises_line_ends", "pool"),
    "list_unsubscribe",
)


def _differences(before: Account, after: Account) -> AuditDetail:
    """The changed fields, as they were and as they are."""
    detail: AuditDetail = {}
    for name in _CHANGEABLE:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            detail[f"{name}_before"], detail[name] = _plain(old), _plain(new)
    return detail


def _plain(value: object) -> str | bool:
    if isinstance(value, tuple):
        return ", ".join(rule_text(item) if isinstance(item, IdentityRule) else str(item) for item in value)
    return value if isinstance(value, bool) else str(value)


def _undo_of_change(before: Account, after: Account) -> str:
    words: list[str] = []
    if before.reseller != after.reseller:
        words += ["--reseller", before.reseller]
    if before.shared_host != after.shared_host:
        words.append("--shared-host" if before.shared_host else "--no-shared-host")
    if before.contact != after.contact:
        words += ["--contact", before.contact]
    for name in after.domains:
        words += [] if name in before.domains else ["--no-domain", name]
    for name in before.domains:
        words += [] if name in after.domains else ["--domain", name]
    if before.identity_rules != after.identity_rules:
        rules = [word for rule in before.identity_rules for word in ("--identity-rule", rule_text(rule))]
        words += rules or ["--usual-identity"]
    if before.normalises_line_ends != after.normalises_line_ends:
        words.append("--normalise-line-ends" if before.normalises_line_ends else "--refuse-bare-line-ends")
    if before.pool != after.pool:
        words += ["--pool", before.pool]
    if before.list_unsubscribe != after.list_unsubscribe:
        words += ["--list-unsubscribe", "on" if before.list_unsubscribe else "off"]
    return shell("account", "set", before.name, *words) if words else ""
