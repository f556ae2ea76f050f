"""How the state changes: in memory at once, committed with its audit rows, taken back when the commit fails."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection

from relay.clock import Clock
from relay.control.audit import chain as audit
from relay.control.audit.chain import Act
from relay.control.errors import StateFailure
from relay.control.state.database import Database
from relay.tree import Principal

_K = TypeVar("_K")
_V = TypeVar("_V")

Undo = Callable[[], object]


class Writer:
    """What every part of the state writes with."""

    def __init__(self, database: Database, node: str, clock: Clock) -> None:
        self._database, self._node, self._clock = database, node, clock

    async def _audited(
        self,
        write: Callable[[Connection, datetime], Any],
        principal: Principal,
        acts: Act | Sequence[Act],
        undo: Undo | Sequence[Undo] = (),
    ) -> None:
        """Commit `write` and a row per act in one transaction. Raises StateFailure after the undos, last first."""
        now = self._clock.now()

        def write_both(connection: Connection) -> None:
            write(connection, now)
            for act in [acts] if isinstance(acts, Act) else acts:
                audit.append(connection, self._node, principal, act, now)

        await self._commit(write_both, [undo] if callable(undo) else undo)

    async def _commit(self, write: Callable[[Connection], None], undos: Sequence[Undo]) -> None:
        try:
            await self._database.run(write)
        except StateFailure:
            for undo in reversed(undos):
                undo()
            raise


def put(table: dict[_K, _V], key: _K, value: _V | None) -> Undo:
    """Set a key, or with None drop it; return what takes that back, unless somebody changed it again meanwhile."""
    before = table.get(key)

    def set_to(new: _V | None) -> None:
        if new is None:
            table.pop(key, None)
        else:
            table[key] = new

    def undo() -> None:
        if table.get(key) is value:
            set_to(before)

    set_to(value)
    return undo
