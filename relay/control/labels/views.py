"""What the control API says about labels and models."""

from datetime import datetime
from typing import Literal

import msgspec

from relay.content.model_files import Figures, Source


class LabelOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/labels: what a person says these messages are; "unsure" takes an earlier label back."""

    message_ids: list[str]
    label: Literal["spam", "ham", "unsure"]
    why: str = ""
    dry_run: bool = False


class LabelDone(msgspec.Struct, frozen=True, kw_only=True):
    """What was labelled, or would be (dry_run)."""

    messages: int
    label: str
    undo: str = ""
    dry_run: bool = False


class ModelOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/model: the model that scores from now on, by name or folder. POST /v1/model/rollback: `model` is ""."""

    model: str = ""
    why: str = ""
    dry_run: bool = False


class ModelView(msgspec.Struct, frozen=True, kw_only=True):
    """The model that scores, since when (None: since the settings name it), by whom, and those before it."""

    model: str
    since_at: datetime | None = None
    author: str = ""
    why: str = ""
    before: list[str] = []
    undo: str = ""
    dry_run: bool = False


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/models: what the card of a model says. `trouble`: why it cannot be used, "" when it can.

    `is_own`: learnt here. Figures are of mail that was left out of training; see content/model_files.py.
    """

    name: str
    in_use: bool
    is_own: bool
    made_at: str = ""
    sources: list[Source] = []
    figures: list[Figures] = []
    notes: str = ""
    trouble: str = ""
