"""Commands on the tree: accounts, logins, networks. They need the state only, so they work before the first start."""

import re
import secrets
from ipaddress import IPv4Network, IPv6Network, ip_network

from relay.control.access import require, require_sight, sees
from relay.control.errors import Conflict, Invalid, NotFound
from relay.control.state import State
from relay.control.views import AccountAdded, AccountView, NewAccount, NewCredential, Secret
from relay.envelope import Account, AllowedNetwork
from relay.tree import Principal, Role

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_LOGIN = re.compile(r"[!-~]{1,255}")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
_SECRET_BYTES = 18  # 24 characters, 144 bits
# Larger networks are whole providers: who allows them runs an open relay. /8 is the largest private block.
_SHORTEST_PREFIX = {4: 8, 6: 32}


class Accounts:
    """Every command takes its Principal first and checks role, scope and values."""

    def __init__(self, state: State) -> None:
        self._state = state

    def list(self, principal: Principal) -> list[AccountView]:
        require(principal, Role.VIEWER)
        return [
            self._view(account)
            for account in self._state.accounts.values()
            if sees(principal, account.name, account.reseller)
        ]

    def show(self, principal: Principal, name: str) -> AccountView:
        require(principal, Role.VIEWER)
        return self._view(self._find(principal, name))

    async def add(self, principal: Principal, new: NewAccount) -> AccountAdded:
        require(principal, Role.ADMIN)
        account = _checked(new)
        require_sight(principal, new.name, new.reseller, f"reseller {new.reseller!r} for you")
        if new.name in self._state.accounts:
            raise Conflict(f"there is an account {new.name!r} already")
        if new.login:
            self._check_login(new.login)
        if new.dry_run:
            secret = Secret(login=new.login, account=new.name) if new.login else None
            return AccountAdded(account=self._view(account), secret=secret)
        await self._state.add_account(account, principal)
        secret = await self._add_login(principal, new.name, new.login, new.password) if new.login else None
        return AccountAdded(account=self._view(account), secret=secret)

    async def add_credential(self, principal: Principal, account: str, new: NewCredential) -> Secret:
        require(principal, Role.ADMIN)
        self._find(principal, account)
        self._check_login(new.login)
        if new.dry_run:
            return Secret(login=new.login, account=account)
        return await self._add_login(principal, account, new.login, new.password)

    async def revoke_credential(self, principal: Principal, login: str) -> Secret:
        require(principal, Role.ADMIN)
        known = self._state.credentials.get(login)
        if known is None:
            raise NotFound(f"there is no login {login!r}")
        require_sight(principal, known.account, self._state.reseller_of(known.account), f"login {login!r}")
        await self._state.revoke_credential(login, principal)
        return Secret(login=login, account=known.account)

    async def allow(self, principal: Principal, account: str, network: str, *, dry_run: bool = False) -> AccountView:
        require(principal, Role.ADMIN)
        found = self._find(principal, account)
        allowed = AllowedNetwork(_checked_network(network), account)
        if not dry_run:
            await self._state.allow_network(allowed, principal)
        return self._view(found)

    async def add_domain(self, principal: Principal, account: str, name: str) -> AccountView:
        require(principal, Role.ADMIN)
        self._find(principal, account)
        return self._view(await self._state.add_domain(account, _checked_domain(name), principal))

    def _find(self, principal: Principal, name: str) -> Account:
        account = self._state.accounts.get(name)
        if account is None:
            raise NotFound(f"there is no account {name!r}; `mailweir account list` names them all")
        require_sight(principal, account.name, account.reseller, f"account {name!r}")
        return account

    def _check_login(self, login: str) -> None:
        _must_match(_LOGIN, login, "login", "printable ASCII without spaces, at most 255")
        if login in self._state.credentials:
            raise Conflict(f"there is a login {login!r} already; logins of all accounts differ")

    async def _add_login(self, principal: Principal, account: str, login: str, password: str) -> Secret:
        generated = "" if password else secrets.token_urlsafe(_SECRET_BYTES)
        await self._state.add_credential(login, account, password or generated, principal)
        return Secret(login=login, account=account, password=generated)

    def _view(self, account: Account) -> AccountView:
        own = [known for known in self._state.credentials.values() if known.account == account.name]
        return AccountView(
            name=account.name,
            reseller=account.reseller,
            shared_host=account.shared_host,
            contact=account.contact,
            rcpts_per_hour=account.rcpts_per_hour,
            domains=[*account.domains],
            is_suspended=account.is_suspended,
            logins=[known.login for known in own if not known.is_revoked],
            revoked_logins=[known.login for known in own if known.is_revoked],
            networks=[str(known.network) for known in self._state.networks if known.account == account.name],
        )


def _checked(new: NewAccount) -> Account:
    _must_match(_NAME, new.name, "account name", "letters, digits and . _ @ - , at most 64")
    if new.rcpts_per_hour is not None and new.rcpts_per_hour < 1:
        raise Invalid(f"rcpts_per_hour = {new.rcpts_per_hour}: must be at least 1")
    return Account(
        name=new.name,
        reseller=new.reseller,
        shared_host=new.shared_host,
        contact=new.contact,
        rcpts_per_hour=new.rcpts_per_hour,
        domains=tuple(dict.fromkeys(_checked_domain(name) for name in new.domains)),
    )


def _must_match(pattern: re.Pattern[str], value: str, what: str, rule: str) -> None:
    if not pattern.fullmatch(value):
        raise Invalid(f"{what} {value!r}: write {rule}")


def _checked_domain(name: str) -> str:
    lowered = name.lower().rstrip(".")
    _must_match(_DOMAIN, lowered, "domain", "it like example.org, internationalised ones as xn--")
    return lowered


def _checked_network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise Invalid(f"{text!r} is not a network: {error}. Write it like 192.0.2.0/24 or 192.0.2.7") from None
    shortest = _SHORTEST_PREFIX[network.version]
    if network.prefixlen < shortest:
        raise Invalid(f"{network} would make this an open relay; at most a /{shortest} can be allowed")
    return network
