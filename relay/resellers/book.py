"""The brands of the state: in memory what holds, in the table the last versions of each reseller."""

from dataclasses import asdict, fields
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, tuple_

from relay.clock import Clock
from relay.control.audit.chain import Act
from relay.control.errors import NotFound
from relay.control.state import schema
from relay.control.state.database import Database
from relay.control.state.writer import Writer, put
from relay.resellers.brand import NO_BRAND, Brand, BrandVersion
from relay.tree import Principal

KEPT = 20  # versions of a reseller; each may have 32 KB of logo

_brands = schema.brand
_PARTS = tuple(field.name for field in fields(Brand))


class BrandBook(Writer):
    """Read without awaiting; write with `await`, from the event loop only."""

    def __init__(self, database: Database, node: str, clock: Clock, loaded: dict[str, BrandVersion]) -> None:
        super().__init__(database, node, clock)
        self._youngest = loaded
        self.in_force = {reseller: one.brand for reseller, one in loaded.items()}

    def version_of(self, reseller: str) -> int:
        """The number of the version that holds; 0: there was never a brand."""
        known = self._youngest.get(reseller)
        return known.version if known else 0

    async def versions(self, reseller: str) -> list[BrandVersion]:
        """Those that are kept, youngest first."""
        return await self._database.run(lambda connection: _versions(connection, reseller))

    async def version(self, reseller: str, number: int) -> Brand:
        """Raises NotFound; 0 is to have none."""
        if number == 0:
            return NO_BRAND
        found = next((one for one in await self.versions(reseller) if one.version == number), None)
        if found is None:
            raise NotFound(f"there is no version {number} of the brand of {reseller!r}; the last {KEPT} are kept")
        return found.brand

    async def set(self, reseller: str, brand: Brand, principal: Principal, act: Act) -> BrandVersion:
        """Put a brand in force, as the next version."""
        new = BrandVersion(reseller, self.version_of(reseller) + 1, brand, principal.id, self._clock.now())

        def write(connection: Connection, _now: datetime) -> None:
            connection.execute(insert(_brands).values(**_row(new)))
            old = _brands.c.version <= new.version - KEPT
            connection.execute(delete(_brands).where(_brands.c.reseller == reseller, old))

        undos = [put(self._youngest, reseller, new), put(self.in_force, reseller, brand)]
        await self._audited(write, principal, act, undos)
        return new


def load(connection: Connection) -> dict[str, BrandVersion]:
    """The youngest version of each reseller."""
    last = select(_brands.c.reseller, func.max(_brands.c.version)).group_by(_brands.c.reseller)
    rows = connection.execute(select(_brands).where(tuple_(_brands.c.reseller, _brands.c.version).in_(last)))
    return {row.reseller: _version(row) for row in rows}


def _versions(connection: Connection, reseller: str) -> list[BrandVersion]:
    wanted = select(_brands).where(_brands.c.reseller == reseller).order_by(_brands.c.version.desc())
    return [_version(row) for row in connection.execute(wanted)]


def _version(row: object) -> BrandVersion:
    values = {name: getattr(row, name) for name in ("reseller", "version", "author", "set_at", *_PARTS)}
    brand = Brand(**{name: values.pop(name) for name in _PARTS})
    return BrandVersion(brand=brand, **values)


def _row(new: BrandVersion) -> dict[str, object]:
    known = {"reseller": new.reseller, "version": new.version, "author": new.author, "set_at": new.set_at}
    return known | asdict(new.brand)
