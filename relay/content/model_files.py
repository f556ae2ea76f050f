"""The files of a model: a folder with arrays (*.npy) and card.json, which says what they are and where they come from.

Read by main (no numpy here), by the content template and by training. A file that does not match its card is refused.
"""

import hashlib
from pathlib import Path

import msgspec

from relay.content.protocol import ModelError

FEATURE_VERSION = (
    2  # of tokens.py and structure.py: raise it when the same mail gives other tokens, then models must be trained anew
)
REFERENCE_PRIOR = 0.02  # p is stated as if one mail in fifty were bad; each relay's true share differs
CARD = "card.json"
PLACES = (
    Path(__file__).resolve().parent.parent / "data" / "models",  # in the wheel
    Path(__file__).resolve().parent.parent.parent / "data" / "models",  # in the source tree
    Path("data/models"),  # where `mailweir model train` puts it, in the folder it is called in
)


class ArrayFile(msgspec.Struct, frozen=True, kw_only=True):
    """One array of the model."""

    sha256: str
    dtype: str
    shape: list[int]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where training mail came from, under which terms, and how much of it."""

    name: str
    terms: str
    bad: int
    ham: int


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What to expect at p >= `p`: shares of bad mail found and of ham wrongly above, on mail of sources left out."""

    p: float
    recall: float
    false_positive_rate: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation; `by_source` has recall and false-positive rate of each at p >= 0.9."""

    name: str
    bad: int
    ham: int
    one_minus_roca_percent: float
    recall_at_fpr_0_5_percent: float
    recall_at_fpr_1_percent: float
    lines: list[Line] = []
    by_source: dict[str, dict[str, float]] = {}


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """card.json. `slope` and `intercept` turn the margin into log odds at the reference prior.

    The margin is the trees' sum plus `linear` times the mean of the linear model's two views; `numbers` of
    structure.py beside those are what the trees see.
    """

    name: str
    made_at: str
    feature_version: int
    bits: int
    numbers: int
    linear: float
    slope: float
    intercept: float
    reference_prior: float
    arrays: dict[str, ArrayFile]
    sources: list[Source] = []
    thresholds: list[Line] = []
    figures: list[Figures] = []
    notes: str = ""


def find_model(name: str) -> Path:
    """Return the folder of a model by its name or path. Raises ModelError."""
    places = [Path(name)] if "/" in name or name.startswith(".") else [place / name for place in PLACES]
    for place in places:
        if (place / CARD).is_file():
            return place.resolve()
    looked = " or ".join(str(place) for place in places)
    raise ModelError(
        f"content.model = {name!r}: no {CARD} in {looked}. "
        f"Train one with: mailweir model train --name {name}; or run without a score: content.model = 'none'"
    )


def read_card(folder: Path) -> Card:
    """Read and check a card against this program. Raises ModelError."""
    path = folder / CARD
    try:
        card = msgspec.json.decode(path.read_bytes(), type=Card)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except msgspec.DecodeError as error:
        raise ModelError(f"{path} is not a model's card: {error}") from error
    if card.feature_version != FEATURE_VERSION:
        raise ModelError(
            f"{path}: made for features version {card.feature_version}, this relay has {FEATURE_VERSION}; "
            f"train it again: mailweir model train --name {card.name}"
        )
    return card


def read_array(folder: Path, name: str, card: Card) -> bytes:
    """Read one array's file and check its sha256 against the card. Raises ModelError."""
    path, entry = folder / name, card.arrays.get(name)
    if entry is None:
        raise ModelError(f"{folder / CARD} does not name {name}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise ModelError(
            f"{path} does not match its card (sha256 differs): damaged or altered. "
            f"Restore it, or train again: mailweir model train --name {card.name}"
        )
    return data
