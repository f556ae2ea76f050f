"""The tree of the state: resellers, accounts, allowed networks and limits, in memory and how each changes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from relay.account import Account, AllowedNetwork, Credential, Reseller
from relay.clock import Clock
from relay.control.audit.chain import Act
from relay.control.errors import Conflict, NotFound
from relay.control.state import rows_of_tree as rows
from relay.control.state.allowlist import Allowlist
from relay.control.state.database import Database
from relay.control.state.writer import Undo, Writer, put
from relay.control.views import AuditDetail
from relay.domains import rows as rows_of_domains
from relay.domains.book import DomainBook
from relay.domains.keys import DkimKey
from relay.policy.limits.levels import Level, LimitSet
from relay.tree import Principal


class Customers(Writer):
    """Read without awaiting; write with `await`, from the event loop only."""

    def __init__(self, database: Database, node: str, clock: Clock, tree: rows.Tree) -> None:
        super().__init__(database, node, clock)
        self.resellers, self.accounts, self.removed = tree.resellers, tree.accounts, tree.removed
        self.former_resellers = tree.former_resellers
        self.credentials, self.limits = tree.credentials, tree.limits
        self.allowlist = Allowlist(tree.networks)
        self.book = DomainBook(database, node, clock, self.accounts, tree.domains)

    @property
    def networks(self) -> list[AllowedNetwork]:
        """All allowed networks, the narrowest first."""
        return sorted(self.allowlist, key=lambda allowed: (-allowed.network.prefixlen, str(allowed.network)))

    def reseller_of(self, account: str) -> str:
        known = self.accounts.get(account) or self.removed.get(account)
        return known.reseller if known else ""

    def has_known(self, account: str) -> bool:
        """Tell whether there is, or was, such an account: the mail of one that was may still be held."""
        return account in self.accounts or account in self.removed

    def account_of_name(self, name: str) -> Account | None:
        """The account as it stands now: suspended with its reseller. Cheap enough for every message."""
        account = self.accounts.get(name)
        if account is None or not account.reseller or account.is_suspended:
            return account
        reseller = self.resellers.get(account.reseller)
        return replace(account, is_suspended=True) if reseller and reseller.is_suspended else account

    def account_of_ip(self, ip: str) -> Account | None:
        """The account a client address belongs to; the narrowest network wins."""
        name = self.allowlist.account_of(ip)
        return self.account_of_name(name) if name else None

    async def add_reseller(self, name: str, principal: Principal, contact: str = "") -> Reseller:
        """Raises Conflict when there is, or was, one of that name."""
        self.check_reseller_name(name)
        reseller, undo = self._new_reseller(name, contact)
        await self._audited(
            lambda connection, now: rows.insert_reseller(connection, name, now, contact),
            principal,
            Act("reseller.add", "", name, {"contact": contact}),
            undo,
        )
        return reseller

    async def change_reseller(self, after: Reseller, principal: Principal) -> None:
        """Put a changed reseller in the place of the one of its name."""
        await self._audited(
            lambda connection, now: rows.update_reseller(connection, after),
            principal,
            Act("reseller.set", "", after.name, {"contact": after.contact}),
            put(self.resellers, after.name, after),
        )

    async def move_reseller(self, reseller: Reseller, principal: Principal, *, is_removed: bool) -> None:
        """Make a reseller a former one, whose name is not given out again; or bring it back."""
        name = reseller.name
        undos = [
            put(self.resellers, name, None if is_removed else reseller),
            put(self.former_resellers, name, reseller if is_removed else None),
        ]
        await self._audited(
            lambda connection, now: rows.mark_reseller(connection, name, now if is_removed else None),
            principal,
            Act("reseller.remove" if is_removed else "reseller.restore", "", name),
            undos,
        )

    async def suspend_reseller(self, name: str, is_suspended: bool, principal: Principal) -> Reseller:
        """Refuse, or take again, the mail of all accounts of a reseller. Raises NotFound."""
        if name not in self.resellers:
            raise NotFound(f"there is no reseller {name!r}")
        after = replace(self.resellers[name], is_suspended=is_suspended)
        command = "reseller.suspend" if is_suspended else "reseller.resume"
        await self._audited(
            lambda connection, now: rows.update_reseller(connection, after),
            principal,
            Act(command, "", name),
            put(self.resellers, name, after),
        )
        return after

    async def add_account(
        self,
        account: Account,
        principal: Principal,
        limits: LimitSet | None = None,
        credential: Credential | None = None,
    ) -> Account:
        """Add an account, with the limits of each of its end senders and a first login. Raises Conflict."""
        self.check_name(account.name)
        self._check_not_former(account.reseller)
        name, detail = account.name, _account_detail(account)
        added = replace(account, created_at=self._clock.now())
        undos, acts = [put(self.accounts, name, added)], [Act("account.add", name, name, detail)]
        if account.reseller and account.reseller not in self.resellers:
            undos.append(self._new_reseller(account.reseller)[1])
        if limits is not None:
            undos.append(put(self.limits, (Level.SENDERS, name), limits))
            acts.append(_limit_act(Level.SENDERS, name, limits))
        if credential is not None:
            undos.append(put(self.credentials, credential.login, credential))
            acts.append(Act("credential.add", name, credential.login))

        def write(connection: Connection, now: datetime) -> None:
            rows.insert_account(connection, added, now)
            if limits is not None:
                rows.put_limits(connection, Level.SENDERS, name, limits)
            if credential is not None:
                rows.insert_credential(connection, credential, now)

        await self._audited(write, principal, acts, undos)
        return added

    async def change_account(
        self, after: Account, principal: Principal, act: Act, keys: Sequence[DkimKey] = ()
    ) -> Account:
        """Put a changed account in the place of its name's, with keys of new domains. Raises NotFound, Conflict."""
        before = self.account(after.name)
        self._check_not_former(after.reseller)
        waiting, undos = self.book.leave(before, after)
        undos += [put(self.accounts, after.name, after), *self.book.put_keys(keys)]
        if after.reseller and after.reseller not in self.resellers:
            undos.append(self._new_reseller(after.reseller)[1])

        def write(connection: Connection, now: datetime) -> None:
            rows.update_account(connection, before, after, now)
            rows_of_domains.put_keys(connection, [*waiting, *keys])

        await self._audited(write, principal, act, undos)
        self.book.tell(after.name)
        return after

    async def add_domain(self, account: str, name: str, principal: Principal, keys: Sequence[DkimKey] = ()) -> Account:
        """Let an account have a domain, with keys that wait for their record. Raises Conflict, NotFound."""
        before = self.account(account)
        if name in before.domains:
            raise Conflict(f"account {account!r} has the domain {name} already")
        after = replace(before, domains=(*before.domains, name))
        act = Act("domain.add", account, name, {"selectors": ", ".join(key.selector for key in keys)})
        return await self.change_account(after, principal, act, keys)

    async def allow_network(self, allowed: AllowedNetwork, principal: Principal) -> None:
        """Let a network's clients be an account without a password. Raises Conflict, NotFound."""
        self.account(allowed.account)
        if taken := self.allowlist.get(allowed.network):
            raise Conflict(f"{allowed.network} belongs to account {taken.account!r} already")
        self.allowlist.add(allowed)
        await self._audited(
            lambda connection, now: rows.insert_network(connection, allowed, now),
            principal,
            Act("network.allow", allowed.account, str(allowed.network)),
            lambda: self.allowlist.remove(allowed),
        )

    async def disallow_network(self, allowed: AllowedNetwork, principal: Principal) -> None:
        """Ask this network's clients for a password again, from their next message on."""
        self.allowlist.remove(allowed)
        await self._audited(
            lambda connection, now: rows.delete_networks(connection, [allowed]),
            principal,
            Act("network.disallow", allowed.account, str(allowed.network)),
            lambda: self.allowlist.add(allowed),
        )

    async def put_limits(self, level: Level, key: str, limits: LimitSet | None, principal: Principal) -> None:
        """Put limits in force, from the next recipient on; None: none of their own any more."""
        account = "" if level is Level.RESELLER else key.partition("|")[0]
        act = _limit_act(level, key, limits) if limits else Act("limit.remove", account, f"{level} {key}")
        await self._audited(
            lambda connection, now: rows.put_limits(connection, level, key, limits),
            principal,
            act,
            put(self.limits, (level, key), limits),
        )

    def account(self, name: str) -> Account:
        """Raises NotFound."""
        account = self.accounts.get(name)
        if account is None:
            raise NotFound(f"there is no account {name!r}")
        return account

    def check_name(self, name: str) -> None:
        if name in self.accounts:
            raise Conflict(f"there is an account {name!r} already")
        if name in self.removed:
            raise Conflict(
                f"there was an account {name!r}, and its history keeps the name; take another, or bring it back: "
                f"mailweir account restore {name}"
            )

    def check_reseller_name(self, name: str) -> None:
        """Raises Conflict when there is, or was, one of that name."""
        if name in self.resellers:
            raise Conflict(f"there is a reseller {name!r} already")
        self._check_not_former(name)

    def _check_not_former(self, name: str) -> None:
        if name in self.former_resellers:
            raise Conflict(f"reseller {name!r} was removed; bring it back: mailweir reseller restore {name}")

    def _new_reseller(self, name: str, contact: str = "") -> tuple[Reseller, Undo]:
        reseller = Reseller(name, created_at=self._clock.now(), contact=contact)
        return reseller, put(self.resellers, name, reseller)


def _account_detail(account: Account) -> AuditDetail:
    return {
        "reseller": account.reseller,
        "shared_host": account.shared_host,
        "contact": account.contact,
        "domains": ", ".join(account.domains),
    }


def _limit_act(level: Level, key: str, limits: LimitSet) -> Act:
    account = "" if level is Level.RESELLER else key.partition("|")[0]
    detail: AuditDetail = {name: getattr(limits, name) for name in LimitSet.__slots__}
    return Act("limit.set", account, f"{level} {key}", detail)
