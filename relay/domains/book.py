"""What is known of customers' domains, and their DKIM keys: in memory, and how each changes.

A key signs only once its record was seen in DNS: that proves that the owner of the domain gave it to this account. Two
accounts that claim one domain have keys of their own, and only those whose record stands there sign.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain

from sqlalchemy import Connection

from relay.account import Account
from relay.clock import Clock
from relay.content.protocol import CustomerKey, KeyChange
from relay.control.audit.chain import Act
from relay.control.state.database import Database
from relay.control.state.writer import Undo, Writer, put
from relay.domains import rows
from relay.domains.keys import DkimKey, Domain
from relay.domains.views import KeyState
from relay.tree import Principal


class DomainBook(Writer):
    """Read without awaiting; write with `await`. `on_change` hears of each key that is to sign, or no longer."""

    def __init__(
        self,
        database: Database,
        node: str,
        clock: Clock,
        accounts: Mapping[str, Account],
        loaded: tuple[Iterable[Domain], Iterable[DkimKey]],
    ) -> None:
        super().__init__(database, node, clock)
        domains, keys = loaded
        self._accounts = accounts
        self._domains = {(domain.account, domain.name): domain for domain in domains}
        self._keys: dict[str, dict[tuple[str, str, str], DkimKey]] = {}
        for key in keys:
            self._keys.setdefault(key.account, {})[key.id] = key
        self._told = {key.id: key for account in self._keys for key in self._signing(account)}
        self.on_change: Callable[[KeyChange], None] = lambda _change: None

    def domain(self, account: str, name: str) -> Domain:
        """What is proved of a domain; nothing of one that nobody has looked at."""
        return self._domains.get((account, name)) or Domain(account, name)

    def keys_of(self, account: str, name: str) -> list[DkimKey]:
        """The keys of a domain, the oldest first; those of a domain that the account had once too."""
        return [key for key in self._keys.get(account, {}).values() if key.domain == name]

    def in_use(self) -> list[CustomerKey]:
        """Every key that signs."""
        return [_for_workers(key) for key in self._told.values()]

    async def change(
        self, keys: Sequence[DkimKey], domain: Domain | None, principal: Principal, acts: Sequence[Act]
    ) -> None:
        """Put keys, and what is proved of a domain, in place of what is known of them."""
        undos = self.put_keys(keys)
        if domain is not None:
            undos.append(put(self._domains, (domain.account, domain.name), domain))

        def write(connection: Connection, _now: datetime) -> None:
            rows.put_keys(connection, keys)
            if domain is not None:
                rows.update_domain(connection, domain)

        await self._audited(write, principal, acts, undos)
        for account in {key.account for key in keys}:
            self.tell(account)

    def put_keys(self, keys: Sequence[DkimKey]) -> list[Undo]:
        """Put keys in memory, for a caller that writes them; return what takes that back."""
        return [put(self._keys.setdefault(key.account, {}), key.id, key) for key in keys]

    def leave(self, before: Account, after: Account) -> tuple[list[DkimKey], list[Undo]]:
        """Forget what is proved of the domains an account gives up, in memory; return the keys that are to be written.

        The keys stay, and wait: should the domain come back, what its owner published holds, once it is seen again.
        """
        gone = set(before.domains).difference(after.domains)
        keys = [
            replace(key, state=KeyState.PENDING)
            for key in self._keys.get(after.name, {}).values()
            if key.domain in gone and key.state is KeyState.ACTIVE
        ]
        forgotten = [
            put(self._domains, (after.name, name), None) for name in gone if (after.name, name) in self._domains
        ]
        return keys, [*self.put_keys(keys), *forgotten]

    def tell(self, account: str) -> None:
        """Let who signs know what changed of an account's keys; call it after the commit."""
        signing = {key.id: key for key in self._signing(account)}
        known = {key_id for key_id in self._told if key_id[0] == account}
        drop = [key_id for key_id in known if key_id not in signing]
        added = [key for key_id, key in signing.items() if key_id not in known]
        for key_id in drop:
            del self._told[key_id]
        self._told |= {key.id: key for key in added}
        if drop or added:
            self.on_change(KeyChange([_for_workers(key) for key in added], drop))

    def every_domain(self) -> list[tuple[str, str]]:
        """Account and name of each domain that has a key, to be looked at now and then."""
        living = (key for key in chain.from_iterable(map(dict.values, self._keys.values())) if self._is_living(key))
        return [*dict.fromkeys((key.account, key.domain) for key in living)]

    def _signing(self, account: str) -> list[DkimKey]:
        keys = self._keys.get(account, {}).values()
        return [key for key in keys if key.state is KeyState.ACTIVE and self._is_living(key)]

    def _is_living(self, key: DkimKey) -> bool:
        account = self._accounts.get(key.account)
        return key.state is not KeyState.RETIRED and account is not None and key.domain in account.domains


def _for_workers(key: DkimKey) -> CustomerKey:
    return CustomerKey(key.account, key.domain, key.selector, key.pem)
