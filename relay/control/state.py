"""The relay's state: accounts, credentials, networks and decisions, in memory for the hot path.

A change is in memory at once, is acknowledged after its commit, and is taken back when the commit fails. Each is one
transaction together with its audit row. Nothing here asks what a principal may do: commands.py and accounts.py do.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice

from argon2 import PasswordHasher
from sqlalchemy import Connection

from relay.clock import Clock
from relay.control import audit, rows
from relay.control.audit import Act
from relay.control.database import Database
from relay.control.errors import Conflict, NotFound, StateFailure
from relay.control.standings import Standings
from relay.control.views import AuditEntry
from relay.envelope import Account, AllowedNetwork, Credential
from relay.policy import decision
from relay.policy.decision import Decision, Proposal
from relay.tree import Principal, Role

_hasher = PasswordHasher()


class State:
    """Read without awaiting; write with `await`, from the event loop only."""

    def __init__(self, database: Database, node: str, clock: Clock, loaded: rows.Everything) -> None:
        self._database, self._node, self._clock = database, node, clock
        self.accounts = loaded.accounts
        self.credentials = loaded.credentials
        self.networks = sorted(loaded.networks, key=_narrowest_first)
        self.standings = Standings(loaded.decisions)
        own = [row.sequence for row in loaded.decisions if row.node == node]
        self._sequence = max(own, default=0)

    @classmethod
    async def open(cls, url: str, node: str, clock: Clock) -> "State":
        """Open, migrate and read the database at a SQLAlchemy URL. Raises StateFailure."""
        database = Database(url)
        try:
            await database.open()
            return cls(database, node, clock, await database.run(rows.load))
        except BaseException:
            await database.close()
            raise

    async def close(self) -> None:
        """Return when everything handed in is committed."""
        await self._database.close()

    def state_of(self, sender: str, now: datetime) -> decision.State:
        """Where a sender stands. Cheap enough for every message."""
        return self.standings.state_of(sender, now)

    def decisions(
        self, *, sender: str | None = None, account: str | None = None, open_only: bool = False, limit: int | None = 200
    ) -> list[Decision]:
        """Decisions, youngest first."""
        standings, now = self.standings, self._clock.now()
        if sender is not None:
            source: Iterable[Decision] = reversed(standings.of(sender))
        else:
            source = standings.open_youngest_first(now) if open_only else standings.youngest_first()
        wanted = (
            row
            for row in source
            if account in (None, row.proposal.account) and (not open_only or standings.is_open(row, now))
        )
        return list(islice(wanted, limit))

    def decision(self, decision_id: str) -> Decision | None:
        return self.standings.get(decision_id)

    def reseller_of(self, account: str) -> str:
        known = self.accounts.get(account)
        return known.reseller if known else ""

    def account_of_ip(self, ip: str) -> Account | None:
        """The account a client address belongs to; the narrowest network wins."""
        address = _plain(ip)
        for allowed in self.networks:
            if address in allowed.network:
                return self.accounts.get(allowed.account)
        return None

    async def decide(self, proposal: Proposal, principal: Principal | None = None) -> Decision:
        """Put one decision in force; see decide_all."""
        return (await self.decide_all([proposal], principal))[0]

    async def decide_all(self, proposals: Sequence[Proposal], principal: Principal | None = None) -> list[Decision]:
        """Put decisions in force in memory before the first await; return after their common commit."""
        decided = [self._numbered(proposal) for proposal in proposals]
        now = self._clock.now()

        def write(connection: Connection) -> None:
            for row in decided:
                rows.insert_decision(connection, row, now)
                audit.append(connection, self._node, principal or _automatic(row), _act_of(row), now)

        for row in decided:
            self.standings.add(row)
        await self._commit(write, undo=lambda: self.standings.remove_all(decided))
        return decided

    async def add_account(self, account: Account, principal: Principal) -> None:
        """Raises Conflict when there is one of that name."""
        if account.name in self.accounts:
            raise Conflict(f"there is an account {account.name!r} already")
        act = Act(
            "account.add",
            account.name,
            account.name,
            {"shared_host": account.shared_host, "contact": account.contact, "domains": ", ".join(account.domains)},
        )
        self.accounts[account.name] = account
        await self._audited(
            partial(rows.insert_account, account=account), principal, act, lambda: self.accounts.pop(account.name)
        )

    async def add_domain(self, account: str, name: str, principal: Principal) -> Account:
        before = self._account(account)
        if name in before.domains:
            raise Conflict(f"account {account!r} has the domain {name} already")
        after = replace(before, domains=(*before.domains, name))
        self.accounts[account] = after
        await self._audited(
            partial(rows.insert_domains, account=account, names=[name]),
            principal,
            Act("domain.add", account, name),
            lambda: self.accounts.update({account: before}),
        )
        return after

    async def add_credential(self, login: str, account: str, password: str, principal: Principal) -> Credential:
        """Add a login; the password is hashed off the event loop. Raises Conflict, NotFound."""
        self._account(account)
        hashed = await asyncio.to_thread(_hasher.hash, password)
        if login in self.credentials:
            raise Conflict(f"there is a login {login!r} already; logins of all accounts differ")
        credential = Credential(login, account, hashed)
        self.credentials[login] = credential
        await self._audited(
            partial(rows.insert_credential, credential=credential),
            principal,
            Act("credential.add", account, login),
            lambda: self.credentials.pop(login),
        )
        return credential

    async def revoke_credential(self, login: str, principal: Principal) -> Credential:
        """End a login for good, from the next AUTH on. Raises NotFound."""
        before = self.credentials.get(login)
        if before is None:
            raise NotFound(f"there is no login {login!r}")
        after = replace(before, is_revoked=True)
        self.credentials[login] = after
        await self._audited(
            partial(rows.revoke_credential, login=login),
            principal,
            Act("credential.revoke", before.account, login),
            lambda: self.credentials.update({login: before}),
        )
        return after

    async def allow_network(self, allowed: AllowedNetwork, principal: Principal) -> None:
        """Let a network's clients be an account without a password. Raises Conflict, NotFound."""
        self._account(allowed.account)
        taken = next((known for known in self.networks if known.network == allowed.network), None)
        if taken:
            raise Conflict(f"{allowed.network} belongs to account {taken.account!r} already")
        self.networks = sorted([*self.networks, allowed], key=_narrowest_first)
        await self._audited(
            partial(rows.insert_network, network=allowed),
            principal,
            Act("network.allow", allowed.account, str(allowed.network)),
            lambda: self.networks.remove(allowed),
        )

    async def note(self, principal: Principal, act: Act) -> None:
        """Write an audit row about something that is done elsewhere (the spool)."""
        await self._audited(lambda connection, now: None, principal, act, lambda: None)

    async def audit_log(self, limit: int) -> list[AuditEntry]:
        return await self._database.run(lambda connection: audit.newest(connection, limit))

    async def _audited(
        self, write: Callable[..., None], principal: Principal, act: Act, undo: Callable[[], object]
    ) -> None:
        now = self._clock.now()

        def write_both(connection: Connection) -> None:
            write(connection, now=now)
            audit.append(connection, self._node, principal, act, now)

        await self._commit(write_both, undo)

    async def _commit(self, write: Callable[[Connection], None], undo: Callable[[], object]) -> None:
        try:
            await self._database.run(write)
        except StateFailure:
            undo()
            raise

    def _numbered(self, proposal: Proposal) -> Decision:
        self._sequence += 1
        return Decision(self._node, self._sequence, proposal)

    def _account(self, name: str) -> Account:
        account = self.accounts.get(name)
        if account is None:
            raise NotFound(f"there is no account {name!r}")
        return account


def _automatic(row: Decision) -> Principal:
    return Principal(row.proposal.author, Role.OPERATOR)


def _act_of(row: Decision) -> Act:
    proposal = row.proposal
    return Act(
        f"decision.{proposal.effect}",
        proposal.account,
        proposal.sender,
        {"decision": row.id, "rule": proposal.rule, "supersedes": proposal.supersedes, "value": proposal.value},
    )


def _narrowest_first(allowed: AllowedNetwork) -> int:
    return -allowed.network.prefixlen


def _plain(ip: str) -> IPv4Address | IPv6Address:
    address = ip_address(ip)
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
