"""Marks of alarms and notes about senders as rows of the state, read seldom."""

from datetime import datetime
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Connection, delete, insert, or_, select

from relay.cases.views import AlarmMark, SenderNote
from relay.control.audit.chain import Act
from relay.control.state import schema
from relay.control.state.writer import Writer
from relay.tree import Principal

_marks, _notes = schema.alarm_mark, schema.sender_note


class CaseBook(Writer):
    """The tables. Read and written with `await`."""

    async def marks(self) -> list[AlarmMark]:
        """All that are in force, youngest first; silences that are over are dropped."""
        return await self._database.run(lambda connection: _load_marks(connection, self._clock.now()))

    async def put_mark(self, mark: AlarmMark, principal: Principal, act: Act) -> None:
        """Say this of an alarm, instead of what was said of it before."""

        def write(connection: Connection, _now: datetime) -> None:
            connection.execute(_delete_mark(mark))
            connection.execute(insert(_marks).values(asdict(mark)))

        await self._audited(write, principal, act)

    async def drop_mark(self, mark: AlarmMark, principal: Principal, act: Act) -> None:
        await self._audited(lambda connection, _now: connection.execute(_delete_mark(mark)), principal, act)

    async def notes(self, sender: str) -> list[SenderNote]:
        """Notes about a sender, youngest first."""
        wanted = select(_notes).where(_notes.c.sender == sender).order_by(_notes.c.noted_at.desc())
        return await self._database.run(lambda connection: _load_notes(connection, wanted))

    async def note(self, note_id: str) -> SenderNote | None:
        wanted = select(_notes).where(_notes.c.id == note_id)
        found = await self._database.run(lambda connection: _load_notes(connection, wanted))
        return found[0] if found else None

    async def add_note(self, note: SenderNote, principal: Principal, act: Act) -> None:
        wanted = insert(_notes).values(asdict(note))
        await self._audited(lambda connection, _now: connection.execute(wanted), principal, act)

    async def remove_note(self, note_id: str, principal: Principal, act: Act) -> None:
        wanted = delete(_notes).where(_notes.c.id == note_id)
        await self._audited(lambda connection, _now: connection.execute(wanted), principal, act)


def _load_marks(connection: Connection, now: datetime) -> list[AlarmMark]:
    wanted = select(_marks).where(or_(_marks.c.until.is_(None), _marks.c.until > now)).order_by(_marks.c.since.desc())
    return [AlarmMark(**row._asdict()) for row in connection.execute(wanted)]


def _delete_mark(mark: AlarmMark) -> Any:
    table = _marks.c
    return delete(_marks).where(
        table.condition == mark.condition, table.account == mark.account, table.subject == mark.subject
    )


def _load_notes(connection: Connection, wanted: Any) -> list[SenderNote]:
    return [SenderNote(**row._asdict()) for row in connection.execute(wanted)]
