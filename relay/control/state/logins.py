"""The logins of the state: how they come, rotate and go, and when each was last used.

Last uses are not worth a commit per login: they are kept in memory, and written once a minute and at the stop.
"""

import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from argon2 import PasswordHasher
from sqlalchemy import Connection

from relay.account import Account, Credential
from relay.clock import Clock
from relay.control.audit.chain import Act
from relay.control.errors import Conflict, NotFound, StateFailure
from relay.control.state import rows_of_tree as rows
from relay.control.state.customers import Customers
from relay.control.state.database import Database
from relay.control.state.rows_of_tree import Use
from relay.control.state.writer import put
from relay.tree import Principal

_log = logging.getLogger("mailweir.control")

NOTE_SECONDS = 60.0


class Bindings(NamedTuple):
    """What a credential is tied to; each empty for nothing. See envelope.Credential."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    sender_domains: tuple[str, ...] = ()
    end_sender: str = ""


UNBOUND = Bindings()


class Logins(Customers):
    """Read without awaiting; write with `await`, from the event loop only. `hasher`: of new passwords."""

    def __init__(self, database: Database, node: str, clock: Clock, tree: rows.Tree) -> None:
        super().__init__(database, node, clock, tree)
        self.hasher = PasswordHasher()
        self.last_used = tree.last_used
        self._unwritten: dict[str, Use] = {}
        self._noting: asyncio.Task[None] | None = None

    def credentials_of(self, account: str) -> list[Credential]:
        return [known for known in self.credentials.values() if known.account == account]

    async def new_credential(self, login: str, account: str, password: str, bindings: Bindings = UNBOUND) -> Credential:
        """Make a credential of a new login; the password is hashed off the event loop. Raises Conflict."""
        hashed = await asyncio.to_thread(self.hasher.hash, password)
        if login in self.credentials:  # looked at after the hash: somebody may have been quicker
            raise Conflict(f"there is a login {login!r} already; logins of all accounts differ")
        return Credential(login, account, hashed, created_at=self._clock.now(), **bindings._asdict())

    async def add_credential(
        self, login: str, account: str, password: str, principal: Principal, bindings: Bindings = UNBOUND
    ) -> Credential:
        """Add a login. Raises Conflict, NotFound."""
        self.account(account)
        credential = await self.new_credential(login, account, password, bindings)
        self.account(account)  # it may have been removed meanwhile
        await self._audited(
            lambda connection, now: rows.insert_credential(connection, credential, now),
            principal,
            Act("credential.add", account, login, _detail(bindings)),
            put(self.credentials, login, credential),
        )
        return credential

    async def rotate_credential(
        self, login: str, password: str, overlap: timedelta, principal: Principal
    ) -> Credential:
        """Give a login another password at once; the one before it stays good for `overlap`, no older one does."""
        self._in_use(login)
        hashed = await asyncio.to_thread(self.hasher.hash, password)
        before, until = self._in_use(login), self._clock.now() + overlap
        after = replace(
            before,
            hash=hashed,
            previous_hash=before.hash if overlap else "",
            previous_until=until if overlap else None,
        )
        detail: dict[str, str | int | float | bool | None] = {"previous_until": until.isoformat() if overlap else ""}
        await self._audited(
            lambda connection, now: rows.update_hashes(connection, after),
            principal,
            Act("credential.rotate", before.account, login, detail),
            put(self.credentials, login, after),
        )
        return after

    async def revoke_credential(self, login: str, principal: Principal) -> Credential:
        """End a login for good, at once. Raises NotFound."""
        before = self.credentials.get(login)
        if before is None:
            raise NotFound(f"there is no login {login!r}")
        after = replace(before, is_revoked=True)
        await self._audited(
            lambda connection, now: rows.revoke_credentials(connection, [login], now),
            principal,
            Act("credential.revoke", before.account, login),
            put(self.credentials, login, after),
        )
        return after

    async def remove_account(self, name: str, principal: Principal) -> Account:
        """End an account: its logins are revoked, its networks forgotten, its name is kept for its history."""
        account = self.account(name)
        logins = [known for known in self.credentials_of(name) if not known.is_revoked]
        networks = [allowed for allowed in self.allowlist if allowed.account == name]
        undos = [put(self.accounts, name, None), put(self.removed, name, account)]
        undos += [put(self.credentials, known.login, replace(known, is_revoked=True)) for known in logins]
        for allowed in networks:
            self.allowlist.remove(allowed)
            undos.append(partial(self.allowlist.add, allowed))

        def write(connection: Connection, now: datetime) -> None:
            rows.mark_account(connection, name, now)
            rows.revoke_credentials(connection, [known.login for known in logins], now)
            rows.delete_networks(connection, networks)

        acts = [Act("account.remove", name, name)]
        acts += [Act("credential.revoke", name, known.login) for known in logins]
        acts += [Act("network.disallow", name, str(allowed.network)) for allowed in networks]
        await self._audited(write, principal, acts, undos)
        self.book.tell(name)
        return account

    async def restore_account(self, name: str, principal: Principal) -> Account:
        """Bring a removed account back; its logins and networks do not come with it. Raises NotFound."""
        account = self.removed.get(name)
        if account is None:
            raise NotFound(f"there is no removed account {name!r}")
        self._check_not_former(account.reseller)
        undos = [put(self.removed, name, None), put(self.accounts, name, account)]
        await self._audited(
            lambda connection, now: rows.mark_account(connection, name, None),
            principal,
            Act("account.restore", name, name),
            undos,
        )
        self.book.tell(name)
        return account

    def note_use(self, login: str, client_ip: str) -> None:
        """Remember a successful login; it is written within a minute."""
        self.last_used[login] = self._unwritten[login] = Use(self._clock.now(), client_ip)
        if self._noting is None or self._noting.done():
            self._noting = asyncio.get_running_loop().create_task(self._write_later())

    async def _write_later(self) -> None:
        await self._clock.sleep(NOTE_SECONDS)
        await self._write_uses()

    async def _write_uses(self) -> None:
        uses, self._unwritten = self._unwritten, {}
        if not uses:
            return
        try:
            await self._database.run(lambda connection: rows.note_uses(connection, uses))
        except StateFailure as error:  # worth a line, not a stop; the next login tries again
            self._unwritten = uses | self._unwritten
            _log.error("last uses not written error=%s", error)

    async def _stop_noting(self) -> None:
        if self._noting is not None:
            self._noting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._noting
        await self._write_uses()

    def _in_use(self, login: str) -> Credential:
        known = self.credentials.get(login)
        if known is None:
            raise NotFound(f"there is no login {login!r}")
        if known.is_revoked:
            raise Conflict(f"login {login!r} is revoked, and stays so; add another one")
        return known


def _detail(bindings: Bindings) -> dict[str, str | int | float | bool | None]:
    return {
        "networks": ", ".join(map(str, bindings.networks)),
        "sender_domains": ", ".join(bindings.sender_domains),
        "end_sender": bindings.end_sender,
    }
