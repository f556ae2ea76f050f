"""Mail to learn from: where it came from, under which terms, and what may train a model that is shipped."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analytics.learning.crew import Arrays, Crew, sliced
from analytics.learning.office import office_drafts
from analytics.learning.product import product_drafts
from analytics.learning.texts import Draft, own_drafts
from analytics.learning.trades import trade_drafts

_HASHED_ONLY = "for hashed weights only: no text can be read back"


class CorpusError(Exception):
    """The corpus is missing or is not what it should be; the text says which file and what to do."""


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled message. `origin` is what is left out together when a model is judged; `split` train or valid.

    Near duplicates share a `group`.
    """

    raw: bytes
    is_bad: bool
    source: str
    origin: str
    split: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is known of a source. `may_ship` says which of its messages may train a shipped model, by their id."""

    origin: str
    text: str
    may_ship: Callable[[str], bool]


def _all(message_id: str) -> bool:
    return True


def _none(message_id: str) -> bool:
    return False


def _licensed_templates(message_id: str) -> bool:
    return message_id.startswith(("tpl/sendwithus/", "tpl/sendgrid/"))


SOURCES = {
    "sa-easy-ham": Terms("spamassassin", "SpamAssassin public corpus 2002-03, data PDDL-1.0", _all),
    "sa-hard-ham": Terms("spamassassin", "SpamAssassin public corpus 2002-03, data PDDL-1.0", _all),
    "sa-spam": Terms("spamassassin", "SpamAssassin public corpus 2002-03, data PDDL-1.0", _all),
    "trec07p": Terms("trec07p", f"TREC 2007 public corpus, research use; {_HASHED_ONLY}", _all),
    "rlist": Terms("rlist", f"R mailing lists, public archives without a licence; {_HASHED_ONLY}", _all),
    "mxai-synthetic": Terms("mxai", "synthetic business mail, MIT", _all),
    "hamap-transactional": Terms("modern-html", "parcel and shop notices, MIT", _all),
    "template-html-dev": Terms("modern-html", "product mail templates, Apache-2.0 and MIT", _licensed_templates),
    "marketing-html-wrapped": Terms("modern-html", "marketing mail, GPL-3: not for shipped models", _none),
    "phishing_pot": Terms("phishing_pot", "honeypot mail 2022-24, CC BY-NC: not for shipped models", _none),
}
OWN = "own"
OWN_TERMS = "texts of the Mailweir project, Apache-2.0"


def read_corpus(path: Path | None, crew: Crew, *, everything: bool, own: int = 0) -> list[Example]:
    """Return the examples of a corpus file and our own: all, or about `own` of them. Raises CorpusError."""
    examples = list(read_file(path, everything=everything)) if path is not None else []
    drafts = [*own_drafts(), *office_drafts(), *product_drafts(), *trade_drafts()]
    drafts = drafts[:: max(1, len(drafts) // own) if own else 1]
    answers = crew.do("writing our own mail", sliced(_written, drafts))
    raws = [raw for answer in answers for raw in _cut(answer)]
    for draft, raw in zip(drafts, raws, strict=True):
        examples.append(Example(raw, draft.is_bad, OWN, draft.part, "train", draft.part))
    return examples


def _written(drafts: Sequence[Draft]) -> Arrays:
    raws = [draft.write() for draft in drafts]
    return {"raw": np.frombuffer(b"".join(raws), np.uint8), "ends": np.cumsum([len(raw) for raw in raws])}


def _cut(written: Arrays) -> Iterator[bytes]:
    content, start = written["raw"].tobytes(), 0
    for end in written["ends"].tolist():
        yield content[start:end]
        start = end


def read_file(path: Path, *, everything: bool) -> Iterator[Example]:
    """Yield the examples of a corpus file. `everything` False: only what may train a shipped model.

    The file is Parquet with the columns id, label (spam, phish, ham), source, split (train, valid), raw,
    and perhaps cluster (near duplicates). Sources that
    are not known here count as not shippable. Raises CorpusError.
    """
    wanted = ["id", "label", "source", "split", "raw"]
    try:
        frame = pd.read_parquet(path)
        frame = frame[[*wanted, "cluster"]] if "cluster" in frame else frame[wanted].assign(cluster=frame.id)
    except FileNotFoundError:
        raise CorpusError(f"{path}: there is no such file. Without --corpus only our own texts are learnt") from None
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise CorpusError(f"{path}: not a corpus with the columns {', '.join(wanted)}: {error}") from error
    for message_id, label, source, split, raw, group in frame.itertuples(index=False):
        terms = SOURCES.get(source)
        if everything or (terms is not None and terms.may_ship(message_id)):
            yield Example(raw, label != "ham", source, terms.origin if terms else source, split, str(group))


def terms_of(source: str) -> str:
    if source == OWN:
        return OWN_TERMS
    return SOURCES[source].text if source in SOURCES else "terms unknown: not for shipped models"
