"""What the control API says about saved questions."""

from datetime import datetime
from typing import Literal

import msgspec

SavedKind = Literal["search", "sql"]


class SavedQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A question somebody kept under a name: a query of docs/search.md, or a SELECT. Names are per owner and kind."""

    kind: SavedKind
    name: str
    text: str
    saved_at: datetime


class SavedOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/saved: keep this; one of the same name is replaced."""

    kind: SavedKind
    name: str
    text: str
    dry_run: bool = False


class SavedRemoval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/saved/remove."""

    kind: SavedKind
    name: str
    dry_run: bool = False


class SavedDone(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept now, or no longer; `before`: what the name stood for, None when it was free."""

    saved: SavedQuestion
    before: SavedQuestion | None = None
    dry_run: bool = False
