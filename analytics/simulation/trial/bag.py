"""Texts with their scores: from our templates, or from a corpus of real mail the shipped model has not learnt.

Each text goes once through the content stage that the relay's workers run, rules included. Honest senders are misread
as often as the model's card says of mail of origins it never saw (see `misread`).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

import msgspec

from analytics.learning.corpus import SOURCES, CorpusError
from analytics.simulation.population import Kind
from analytics.simulation.texts import abusive_letter, honest_letter
from analytics.simulation.trial.mail import Actor, Text
from relay.content.assess import Assessor
from relay.content.model import load
from relay.content.model_files import find_model
from relay.content.protocol import ContentRequest
from relay.content.rule_book import load_rules
from relay.content.rules import Rules
from relay.content.tokens import words_of

_ORIGINS_LEFT_OUT = 0  # of the card's figures: each origin judged by a model that has not seen it
_CLEAN = 0.5  # spec 2.6: below, nobody would think it bad
_DISGUISES = (Kind.RESET, Kind.INVOICE, Kind.SHIPMENT)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Real mail of origins that did not train the model."""

    ham: Sequence[Text]
    bad: Sequence[Text]


class Bag:
    """Texts for every actor."""

    def __init__(self, model: str = "shipped", corpus: Path | None = None) -> None:
        """Raises ModelError, CorpusError."""
        folder = find_model(model)
        self._model = load(folder)
        self._assessor = Assessor(self._model, {}, (), Rules(load_rules(""), words_of))
        self.model_id = self._assessor.model_id
        self.lines = self._model.card.figures[_ORIGINS_LEFT_OUT].lines if self._model.card.figures else []
        self.corpus = self._read(corpus) if corpus else None

    def honest(self, rng: random.Random, actor: Actor, count: int) -> list[Text]:
        """Texts of our own of what this sender writes."""
        letters = [honest_letter(rng, actor.end, "someone@gmail.example", _moment(rng)) for _ in range(count)]
        return [_as_of(actor, self._assessed(letter.content)) for letter in letters]

    def bulk(self, rng: random.Random, actor: Actor, count: int) -> list[Text]:
        """Newsletters: real ones where there is a corpus."""
        if self.corpus is None:
            return self.honest(rng, actor, count)
        return [_as_of(actor, rng.choice(self.corpus.ham)) for _ in range(count)]

    def abusive(self, rng: random.Random, actor: Actor, count: int) -> list[Text]:
        """What a spammer sends through this sender."""
        if self.corpus is not None:
            return [rng.choice(self.corpus.bad) for _ in range(count)]
        letters = [abusive_letter(rng, actor.end, "someone@gmail.example", _moment(rng)) for _ in range(count)]
        return [self._assessed(letter.content) for letter in letters]

    def disguised(self, rng: random.Random, actor: Actor, count: int) -> list[Text]:
        """Phish that looks like any shop's mail, and that the model takes for it."""
        if self.corpus is not None:
            clean = [text for text in self.corpus.bad if text.score < _CLEAN and not text.result.hits]
            return [rng.choice(clean) for _ in range(count)]
        other = replace(actor, end=replace(actor.end, domain="account-center.example", kinds=_DISGUISES))
        return self.honest(rng, other, count)

    def credentials(self, rng: random.Random, actor: Actor, count: int) -> list[Text]:
        """A thief's mail to himself, to see whether the login works."""
        domain = actor.end.domain
        return [
            self._assessed(
                f"From: {actor.end.mail_from}\r\nTo: drop{rng.randrange(99)}@webpost.example\r\n"
                f"Subject: mail.{domain}|587|{actor.end.mail_from}|Pw{rng.randrange(10**6)}\r\n"
                f"Content-Type: text/plain\r\n\r\n"
                f"host: mail.{domain} port: 587 user: {actor.end.mail_from} pass: Pw{rng.randrange(10**6)}\r\n".encode()
            )
            for _ in range(count)
        ]

    def misread(self, rng: random.Random, text: Text) -> Text:
        """A ham text as the model may score it: wrongly above a line as often as its card says of unseen origins."""
        luck, band = rng.random(), None
        for at, line in enumerate(self.lines):
            if luck < line.false_positive_rate:
                above = self.lines[at + 1].p if at + 1 < len(self.lines) else 1.0
                band = (line.p, above)
        if band is None:
            return text
        return Text(text.raw, msgspec.structs.replace(text.result, score=rng.uniform(*band)))

    def _assessed(self, raw: bytes) -> Text:
        result = self._assessor.assess([ContentRequest(raw, "sender@trial.example", "trial.example", 0.0)])[0]
        return Text(raw, msgspec.structs.replace(result, prefix=b"", prefixes=[], learned=b""))

    def _read(self, path: Path) -> Corpus:
        import pandas as pd

        try:
            frame = pd.read_parquet(path)[["id", "label", "source", "raw"]]
        except (OSError, ValueError, KeyError) as error:
            raise CorpusError(f"{path}: not a corpus with the columns id, label, source, raw: {error}") from error
        ham: list[Text] = []
        bad: list[Text] = []
        for message_id, label, source, raw in frame.itertuples(index=False):
            terms = SOURCES.get(source)
            if terms is None or not terms.may_ship(message_id):  # so the shipped model has not learnt it
                (ham if label == "ham" else bad).append(self._assessed(_canonical(raw)))
        if not ham or not bad:
            raise CorpusError(f"{path}: no mail, good and bad, of sources that the shipped model has not learnt")
        return Corpus(ham, bad)


def _as_of(actor: Actor, text: Text) -> Text:
    """Tell one sender's use of a text from another's: their letters would differ in more than the address."""
    result = text.result
    if not result.fingerprint:
        return text
    own = blake2b(f"{actor.key} {result.fingerprint}".encode(), digest_size=24).hexdigest()
    return Text(text.raw, msgspec.structs.replace(result, fingerprint=f"{own[:16]}-{own[16:]}"))


def _canonical(raw: bytes) -> bytes:
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _moment(rng: random.Random) -> datetime:
    return datetime.fromtimestamp(1_780_000_000 + rng.randrange(30 * 86_400), UTC)
