"""The egress part of the state: sources and pools, in memory and how each changes; the relay's Egress hears of each."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from relay.clock import Clock
from relay.control.audit.chain import Act
from relay.control.errors import Conflict, NotFound
from relay.control.state import rows_of_egress as rows
from relay.control.state.database import Database
from relay.control.state.writer import Undo, Writer, put
from relay.control.views import AuditDetail
from relay.delivery.egress.egress import Egress
from relay.delivery.egress.sources import DEFAULT_POOLS, EgressSource
from relay.tree import Principal


class Outgoing(Writer):
    """Read without awaiting; write with `await`, from the event loop only.

    `on_changed` is called after each change in memory, also when that is taken back; by then the fed Egress knows it.
    """

    def __init__(self, database: Database, node: str, clock: Clock, loaded: rows.EgressRows) -> None:
        super().__init__(database, node, clock)
        self.sources, self.pools = loaded
        self._egress: Egress | None = None
        self.on_changed: Callable[[], None] = lambda: None

    def feed(self, egress: Egress) -> None:
        """Let a relay's Egress use what is configured, from now on."""
        self._egress = egress
        egress.take_up(self.sources.values(), self.pools)

    def source(self, name: str) -> EgressSource:
        """Raises NotFound."""
        source = self.sources.get(name)
        if source is None:
            raise NotFound(f"there is no source {name!r}; `mailweir ip ls` names them all")
        return source

    def has_pool(self, name: str) -> bool:
        return name in DEFAULT_POOLS or name in self.pools

    def pools_of(self, source: str) -> list[str]:
        return [pool for pool, members in self.pools.items() if source in members]

    def check_free(self, source: EgressSource, besides: str = "") -> None:
        """Raise Conflict when another source has the name or the address."""
        for known in self.sources.values():
            if known.name == besides:
                continue
            if known.name == source.name:
                raise Conflict(f"there is a source {known.name!r} already")
            if known.address == source.address:
                raise Conflict(f"{source.address} is source {known.name!r} already")

    def check_unused(self, name: str) -> None:
        """Raise Conflict while a pool has the source."""
        if pools := self.pools_of(name):
            raise Conflict(f"source {name!r} is a member of {', '.join(pools)}; take it out with `mailweir pool set`")

    async def add_source(self, source: EgressSource, principal: Principal) -> EgressSource:
        """Raises Conflict when there is one of that name or address."""
        self.check_free(source)
        added = replace(source, created_at=self._clock.now())
        detail: AuditDetail = {"address": added.address, "ehlo": added.ehlo, "is_warming": added.is_warming}
        await self._changed(
            lambda connection, now: rows.insert_source(connection, added, now),
            principal,
            Act("ip.add", "", added.name, detail),
            put(self.sources, added.name, added),
        )
        return added

    async def change_source(self, after: EgressSource, principal: Principal, act: Act) -> None:
        """Put a changed source in the place of the one of its name. Raises NotFound."""
        self.source(after.name)
        await self._changed(
            lambda connection, now: rows.update_source(connection, after),
            principal,
            act,
            put(self.sources, after.name, after),
        )

    async def remove_source(self, name: str, principal: Principal) -> None:
        """Raises NotFound, and Conflict while a pool has it."""
        self.source(name)
        self.check_unused(name)
        await self._changed(
            lambda connection, now: rows.delete_source(connection, name),
            principal,
            Act("ip.rm", "", name),
            put(self.sources, name, None),
        )

    async def put_pool(self, pool: str, members: Mapping[str, int], principal: Principal) -> None:
        """Give a pool these members, none: take them all away. Raises NotFound for a source there is none of."""
        for name in members:
            self.source(name)
        act = Act("pool.set" if members else "pool.rm", "", pool, dict(members))
        await self._changed(
            lambda connection, now: rows.put_pool(connection, pool, members),
            principal,
            act,
            put(self.pools, pool, dict(members) or None),
        )

    async def _changed(self, write: Callable[..., None], principal: Principal, act: Act, undo: Undo) -> None:
        def undo_and_tell() -> None:
            undo()
            self._tell()

        self._tell()
        await self._audited(write, principal, act, undo_and_tell)

    def _tell(self) -> None:
        if self._egress is not None:
            self.feed(self._egress)
        self.on_changed()
