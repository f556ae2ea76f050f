"""Cases: what people wrote to abuse@ and postmaster@ (RFC 2142), open until a person closes them."""

import re
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from analytics.reports.letter import Letter, open_letter
from analytics.serving.ask import Unanswerable
from analytics.warehouse import Warehouse
from relay.events import CaseChanged
from relay.spool.journal import Journal

_TEXT_CHARACTERS = 20_000
_ID = re.compile(r"[0-9a-f]{10}")
_TAG = re.compile(r"<[^>]{0,500}>")
_FIND = """
SELECT case_id, status, opened_at, recipient, mail_from, subject, file, changed_at, author, why
FROM abuse_case
WHERE case_id = $case_id
"""


class NoSuchCase(Unanswerable):
    """There is no case of this id."""


class CaseOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/cases/{id}."""

    status: Literal["closed", "open"]
    why: str = ""
    dry_run: bool = False


class CaseView(msgspec.Struct, frozen=True, kw_only=True):
    """One case. `text`: the first part of what was written; "" once its file is gone."""

    case_id: str
    status: str
    opened_at: datetime
    recipient: str
    mail_from: str
    subject: str
    file: str
    changed_at: datetime | None = None
    author: str = ""
    why: str = ""
    text: str = ""


class CaseDone(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order."""

    case_id: str
    status: str
    changed: bool
    undo: str = ""
    dry_run: bool = False


class Cases:
    """Reads cases, and journals what people decide of them."""

    def __init__(self, folder: Path, warehouse: Warehouse, journal: Journal) -> None:
        self._folder, self._warehouse, self._journal = folder, warehouse, journal
        self._changed: dict[str, str] = {}  # what may not be ingested yet

    def show(self, case_id: str) -> CaseView:
        """Return a case with its text. Raises NoSuchCase."""
        view = self._find(case_id)
        return msgspec.structs.replace(view, text=self._text(view.file))

    def change(self, case_id: str, order: CaseOrder, author: str) -> CaseDone:
        """Close or open a case. Twice changes nothing. Raises NoSuchCase."""
        view = self._find(case_id)
        changed = self._changed.get(case_id, view.status) != order.status
        verb = "reopen" if order.status == "closed" else "close"
        if changed and not order.dry_run:
            self._changed[case_id] = order.status
            record = CaseChanged(
                **self._journal.stamp(), case_id=case_id, status=order.status, author=author, why=order.why[:500]
            )
            self._journal.append(record)
            self._journal.hasten()
        undo = f"mailweir case {verb} {case_id}" if changed else ""
        return CaseDone(case_id=case_id, status=order.status, changed=changed, undo=undo, dry_run=order.dry_run)

    def _find(self, case_id: str) -> CaseView:
        rows = self._warehouse.table(_FIND, case_id=case_id).to_pylist() if _ID.fullmatch(case_id) else []
        if not rows:
            raise NoSuchCase(f"there is no case {case_id[:40]!r}; `mailweir case ls` names them all")
        return CaseView(**rows[0])

    def _text(self, file: str) -> str:
        path = (self._folder / file).resolve()
        if not path.is_relative_to(self._folder.resolve()) or not path.is_file():
            return ""
        return _shown(open_letter(path.read_bytes()))[:_TEXT_CHARACTERS]


def _shown(letter: Letter) -> str:
    """What a person wrote: its plain text, else its HTML without the tags."""
    for part in letter.parts:
        if part.type == "text/plain":
            return part.text(4 * _TEXT_CHARACTERS)
    html = next((part.text(4 * _TEXT_CHARACTERS) for part in letter.parts if part.type == "text/html"), "")
    return _TAG.sub("", html)
