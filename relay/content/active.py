"""Which model scores: the one promoted last, or that of the settings. A small file in the data folder says so.

Promoted over the settings' `content.model`; whoever changes that setting afterwards wins over the promotion.
"""

import logging
import os
from datetime import datetime
from pathlib import Path

import msgspec

from relay.content.model_files import CARD, PLACES, find_model
from relay.content.protocol import ModelError
from relay.settings import Settings

_log = logging.getLogger("mailweir.content")
_FILE = "model.json"
MOST_BEFORE = 20


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """`over` is content.model of the settings at that time; `before` are the models before it, the last one last."""

    model: str
    over: str
    since_at: datetime
    author: str
    why: str = ""
    before: list[str] = []


def promotion(settings: Settings) -> Promotion | None:
    """The promotion in force; None without one. A file that cannot be read counts as none."""
    try:
        found = msgspec.json.decode((settings.dir / _FILE).read_bytes(), type=Promotion)
    except (OSError, msgspec.DecodeError):
        return None
    return found if found.over == settings.content.model else None


def active_model(settings: Settings) -> str:
    """Name or folder of the model that scores."""
    found = promotion(settings)
    if found is None or settings.content.model == "none":
        return settings.content.model
    try:
        return str(model_folder(settings, found.model))
    except ModelError as error:  # its folder is gone: a relay that scores by an older model is better than none
        _log.error("promoted model cannot be used, back to %s: %s", settings.content.model, error)
        return settings.content.model


def model_folder(settings: Settings, name: str) -> Path:
    """The folder of a model: one learnt here (`dir`/models), else as content.model finds it. Raises ModelError."""
    own = settings.dir / "models" / name
    return own.resolve() if "/" not in name and (own / CARD).is_file() else find_model(name)


def models_here(settings: Settings) -> dict[str, Path]:
    """The folders of all models that can be named: learnt here, shipped, and that of the settings."""
    found = {path.parent.name: path.parent.resolve() for place in PLACES for path in sorted(place.glob(f"*/{CARD}"))}
    found |= {path.parent.name: path.parent.resolve() for path in sorted((settings.dir / "models").glob(f"*/{CARD}"))}
    try:
        chosen = find_model(settings.content.model)
    except ModelError:  # "none", or its folder is gone
        return found
    return {chosen.name: chosen} | found


def remember(settings: Settings, chosen: Promotion) -> None:
    """Put a promotion in force for the next start; on disk when it returns."""
    path = settings.dir / _FILE
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(chosen))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
