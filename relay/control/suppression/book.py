"""The suppression list of the state: in force in memory at once, committed with its audit row."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from relay.clock import Clock
from relay.control.audit.chain import Act
from relay.control.state.database import Database
from relay.control.state.writer import Undo, Writer
from relay.control.suppression import rows
from relay.control.suppression.rows import Wanted
from relay.control.suppression.suppressed import Blocked, Suppressed, Suppression, one_spelling
from relay.tree import Principal


class SuppressionList(Writer):
    """Read `find` without awaiting; the rest with `await`, on the event loop only. An address has one spelling."""

    def __init__(self, database: Database, node: str, clock: Clock, loaded: Suppressed) -> None:
        super().__init__(database, node, clock)
        self._loaded = loaded

    def __len__(self) -> int:
        return len(self._loaded)

    def find(self, account: str, address: str) -> Blocked | None:
        """Return why mail of this account to this address is refused now. Cheap enough for every RCPT."""
        return self._loaded.find(account, address, self._clock.unix()) if len(self._loaded) else None

    def own(self, account: str, address: str) -> Blocked | None:
        """Return the row of exactly this account, over or not."""
        return self._loaded.own(account, address)

    async def put(self, suppressions: Sequence[Suppression], principal: Principal, act: Act | Sequence[Act]) -> None:
        """Add rows, or put them in the place of those of the same account and address; return after the commit."""
        now = self._clock.now()
        dated = {
            (row.account, one_spelling(row.address)): replace(
                row, address=one_spelling(row.address), created_at=row.created_at or now
            )
            for row in suppressions
        }
        undos: list[Undo] = []
        for row in dated.values():
            undos.append(self._undo(row.account, row.address))
            self._loaded.put(row)
        await self._audited(lambda connection, now: rows.put(connection, [*dated.values()], now), principal, act, undos)

    async def remove(self, account: str, addresses: Sequence[str], principal: Principal, act: Act) -> None:
        """Take rows out; return after the commit."""
        chosen = [one_spelling(address) for address in addresses]
        undos: list[Undo] = []
        for address in chosen:
            undos.append(self._undo(account, address))
            self._loaded.remove(account, address)
        await self._audited(
            lambda connection, _now: rows.remove(connection, [(account, address) for address in chosen]),
            principal,
            act,
            undos,
        )

    def drop(self, keys: Sequence[tuple[str, str]]) -> None:
        """Take rows out of memory that are gone from the database: account and address each."""
        for account, address in keys:
            self._loaded.remove(account, address)

    async def rows(self, wanted: Wanted) -> list[Suppression]:
        """Return rows in force, from the database, in the order of account and address."""
        now = self._clock.now()
        if wanted.address is not None:
            wanted = replace(wanted, address=one_spelling(wanted.address))
        return await self._database.run(lambda connection: rows.found(connection, wanted, now))

    def _undo(self, account: str, address: str) -> Undo:
        return partial(self._loaded.restore, account, address, self._loaded.own(account, address))
