"""The routes of the control API for an abuse desk: marks of alarms, notes, live signals."""

from starlette.requests import Request

from relay.cases.desk import CaseDesk
from relay.cases.views import (
    AlarmMark,
    AlarmMarked,
    AlarmOrder,
    NewNote,
    NoteDone,
    NoteRemoval,
    SenderNote,
    SignalsView,
)
from relay.control.requests import Routes, body
from relay.tree import Principal


class CaseRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: CaseDesk) -> None:
        self._alarms, self._notes, self._signals = desk.alarms, desk.notes, desk.signals

    def table(self) -> Routes:
        """A sender may contain slashes; these stand before the route that shows it, which matches any rest."""
        return [
            ("GET", "/v1/alarms", self.marks, 200),
            ("POST", "/v1/alarms/acknowledge", self.acknowledge, 200),
            ("POST", "/v1/alarms/silence", self.silence, 200),
            ("POST", "/v1/alarms/clear", self.clear, 200),
            ("GET", "/v1/senders/{sender:path}/signals", self.signals, 200),
            ("GET", "/v1/senders/{sender:path}/notes", self.notes, 200),
            ("POST", "/v1/senders/{sender:path}/notes", self.add_note, 201),
            ("POST", "/v1/notes/{id}/remove", self.remove_note, 200),
        ]

    async def marks(self, principal: Principal, request: Request) -> list[AlarmMark]:
        return await self._alarms.marks(principal)

    async def acknowledge(self, principal: Principal, request: Request) -> AlarmMarked:
        return await self._alarms.acknowledge(principal, await body(request, AlarmOrder))

    async def silence(self, principal: Principal, request: Request) -> AlarmMarked:
        return await self._alarms.silence(principal, await body(request, AlarmOrder))

    async def clear(self, principal: Principal, request: Request) -> AlarmMarked:
        return await self._alarms.clear(principal, await body(request, AlarmOrder))

    async def signals(self, principal: Principal, request: Request) -> SignalsView:
        return self._signals.show(principal, request.path_params["sender"])

    async def notes(self, principal: Principal, request: Request) -> list[SenderNote]:
        return await self._notes.list(principal, request.path_params["sender"])

    async def add_note(self, principal: Principal, request: Request) -> NoteDone:
        return await self._notes.add(principal, request.path_params["sender"], await body(request, NewNote))

    async def remove_note(self, principal: Principal, request: Request) -> NoteDone:
        return await self._notes.remove(principal, request.path_params["id"], await body(request, NoteRemoval))
