"""Commands on notes about senders: the desk's memory. Customers never see them."""

import secrets

from relay.cases.views import NewNote, NoteDone, NoteRemoval, SenderNote
from relay.clock import Clock
from relay.control.access import require
from relay.control.audit.chain import Act
from relay.control.checks import shell
from relay.control.errors import Invalid, NotFound
from relay.control.questions import Questions
from relay.control.state.memory import State
from relay.tree import Principal, Role

_LENGTH, _MOST = 2_000, 200


class NoteDesk:
    """Every command takes its Principal first and checks role, scope and values."""

    def __init__(self, state: State, questions: Questions, clock: Clock) -> None:
        self._book, self._questions, self._clock = state.cases, questions, clock

    async def list(self, principal: Principal, sender: str) -> list[SenderNote]:
        """Notes about a sender, youngest first."""
        self._account(principal, sender)
        return await self._book.notes(sender)

    async def add(self, principal: Principal, sender: str, new: NewNote) -> NoteDone:
        account, text = self._account(principal, sender), new.text.strip()
        if not 1 <= len(text) <= _LENGTH:
            raise Invalid(f"text: write 1 to {_LENGTH} characters")
        if len(await self._book.notes(sender)) >= _MOST:
            raise Invalid(f"there are {_MOST} notes about {sender} already; remove some")
        note = SenderNote(
            id=f"n{secrets.token_hex(4)}",
            account=account,
            sender=sender,
            author=principal.id,
            text=text,
            noted_at=self._clock.now(),
        )
        if not new.dry_run:
            await self._book.add_note(note, principal, Act("note.add", account, sender, {"id": note.id, "text": text}))
        return NoteDone(note=note, undo=shell("sender", "note", sender, "--rm", note.id), dry_run=new.dry_run)

    async def remove(self, principal: Principal, note_id: str, order: NoteRemoval) -> NoteDone:
        require(principal, Role.ABUSE)
        note = await self._book.note(note_id)
        if note is None:
            raise NotFound(f"there is no note {note_id!r}; `mailweir sender note SENDER` lists those of a sender")
        account = self._account(principal, note.sender)
        if not order.dry_run:
            act = Act("note.remove", account, note.sender, {"id": note.id, "text": note.text})
            await self._book.remove_note(note_id, principal, act)
        return NoteDone(note=note, undo=shell("sender", "note", note.sender, note.text), dry_run=order.dry_run)

    def _account(self, principal: Principal, sender: str) -> str:
        require(principal, Role.ABUSE)
        return self._questions.account_of(principal, sender)
