"""The control API's calls of an abuse desk, as methods of its client."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

import msgspec

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
from relay.control.accounts.calls import quoted

_T = TypeVar("_T")


class CaseCalls(ABC):
    """What ControlClient inherits; each call is one request."""

    def alarm_marks(self) -> list[AlarmMark]:
        """What people said of alarms, but silences that are over."""
        return self._get("/v1/alarms", list[AlarmMark])

    def acknowledge_alarm(self, order: AlarmOrder) -> AlarmMarked:
        return self._post("/v1/alarms/acknowledge", order, AlarmMarked)

    def silence_alarm(self, order: AlarmOrder) -> AlarmMarked:
        return self._post("/v1/alarms/silence", order, AlarmMarked)

    def clear_alarm(self, order: AlarmOrder) -> AlarmMarked:
        """Take back what was said of an alarm."""
        return self._post("/v1/alarms/clear", order, AlarmMarked)

    def signals(self, sender: str) -> SignalsView:
        """What the triggers see of a sender now. Raises ControlError for one that never sent."""
        return self._get(f"/v1/senders/{quoted(sender)}/signals", SignalsView)

    def notes(self, sender: str) -> list[SenderNote]:
        """Notes about a sender, youngest first."""
        return self._get(f"/v1/senders/{quoted(sender)}/notes", list[SenderNote])

    def add_note(self, sender: str, new: NewNote) -> NoteDone:
        return self._post(f"/v1/senders/{quoted(sender)}/notes", new, NoteDone)

    def remove_note(self, note_id: str, order: NoteRemoval | None = None) -> NoteDone:
        return self._post(f"/v1/notes/{quoted(note_id)}/remove", order or NoteRemoval(), NoteDone)

    @abstractmethod
    def _get(self, path: str, answer: type[_T], query: Mapping[str, str] | None = None) -> _T: ...

    @abstractmethod
    def _post(self, path: str, order: msgspec.Struct, answer: type[_T]) -> _T: ...
