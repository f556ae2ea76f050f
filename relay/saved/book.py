"""Saved questions as rows of the state, read seldom."""

from datetime import datetime
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Connection, delete, insert, select

from relay.control.audit.chain import Act
from relay.control.state import schema
from relay.control.state.writer import Writer
from relay.saved.views import SavedQuestion
from relay.tree import Principal

_saved = schema.saved_question


class SavedBook(Writer):
    """The table. Read and written with `await`; an owner is a principal's id."""

    async def all(self, owner: str) -> list[SavedQuestion]:
        """Everything somebody keeps, by kind and name."""
        wanted = select(_saved).where(_saved.c.owner == owner).order_by(_saved.c.kind, _saved.c.name)
        return await self._database.run(lambda connection: _load(connection, wanted))

    async def put(self, saved: SavedQuestion, principal: Principal, act: Act) -> None:
        """Keep it, instead of what had its name."""

        def write(connection: Connection, _now: datetime) -> None:
            connection.execute(_delete(principal.id, saved))
            connection.execute(insert(_saved).values(owner=principal.id, **asdict(saved)))

        await self._audited(write, principal, act)

    async def drop(self, saved: SavedQuestion, principal: Principal, act: Act) -> None:
        await self._audited(lambda connection, _now: connection.execute(_delete(principal.id, saved)), principal, act)


def _load(connection: Connection, wanted: Any) -> list[SavedQuestion]:
    return [
        SavedQuestion(kind=row.kind, name=row.name, text=row.text, saved_at=row.saved_at)
        for row in connection.execute(wanted)
    ]


def _delete(owner: str, saved: SavedQuestion) -> Any:
    return delete(_saved).where(_saved.c.owner == owner, _saved.c.kind == saved.kind, _saved.c.name == saved.name)
