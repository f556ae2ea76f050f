"""The content stage of one message: read, measure, score, explain, repair, sign. One trip, in a worker."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from relay.content.additions import additions
from relay.content.features import measure
from relay.content.fingerprint import fingerprint
from relay.content.head import split_head
from relay.content.keyring import KeyRing, Loaded
from relay.content.learned import pack
from relay.content.message import Reading, read
from relay.content.model import Model
from relay.content.protocol import ContentRequest, ContentResult, CustomerKey, unscored
from relay.content.reasons import explain
from relay.content.rules import Rules
from relay.content.sealing import sealing_of
from relay.content.structure import numbers_of, structure_of
from relay.content.tokens import Parts, Views, hash_words, views, words_of
from relay.content.window import Content, Windowed
from relay.delivery.signing.body_hash import RelaxedBody
from relay.delivery.signing.dkim import Field, body_hash, cover, lines, signature
from relay.events import Features
from relay.spool.stored import StoredContent

_EXPLAINED_FROM = 0.2  # below nobody asks why, and the search for words costs 0.1 ms
_HEADER_CHARACTERS = 300
_SUBJECT_WORDS = 60

_log = logging.getLogger("mailweir.content")


class Assessor:
    """Assesses messages with one model (None: no score), certain rules, the relay's signing keys (PEM by key id) and
    customers'."""

    def __init__(
        self,
        model: Model | None,
        keys: dict[str, bytes],
        customers: Sequence[CustomerKey] = (),
        rules: Rules | None = None,
    ) -> None:
        self._model, self._rules = model, rules
        self.ring = KeyRing(keys, customers)
        self.model_id = model.id if model else "none"

    def assess(self, requests: Sequence[ContentRequest]) -> list[ContentResult]:
        """Answer each request, in order. Never raises for what is in a message."""
        return [self._assess(request) for request in requests]

    def warm_up(self) -> None:
        """Touch all code and caches once, before the forks that share them."""
        body = b"Hello, your invoice <a href=3D'http://example.com/'>www.example.org</a>"
        head = b"From: Shop <a@example.com>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: text/html\r\n\r\n"
        self.assess([ContentRequest(head + body, "a@example.com", "warm-up.invalid", time.time())])

    def _assess(self, request: ContentRequest) -> ContentResult:
        try:
            if not request.path:
                return self._judge(request, read(request.content), request.content)
            with StoredContent(Path(request.path), request.offset, request.length) as stored:
                content = Windowed(stored)
                return self._judge(request, read(content), content)
        except Exception as error:  # one message that we cannot read must not take its batch-mates along
            _log.exception("unreadable message, %d bytes", request.size_bytes)
            return unscored(request, f"unreadable: {type(error).__name__}")

    def _judge(self, request: ContentRequest, reading: Reading, content: Content) -> ContentResult:
        words = _words(reading)
        features = measure(reading, words[0], request.mail_from)
        parts = _parts(words, features, reading)
        hits = self._rules.find(reading, features, content) if self._rules else []
        score, reasons = None, [hit.seen for hit in hits]
        if self._model:
            score = round(self._model.probability(views(parts, self._model.bits)), 6)
            if score >= _EXPLAINED_FROM:
                reasons = explain(self._model, reading, features, words[0], words[2], reasons)
        prefixes, message_id = self._prefixes(request, reading, content)
        author = reading.author
        return ContentResult(
            score=score,
            model=self.model_id,
            reasons=reasons,
            features=features,
            prefix=prefixes[0],
            prefixes=prefixes[1:],
            subject=reading.subject[:_HEADER_CHARACTERS],
            header_from=(f"{author.name} <{author.address}>" if author.name else author.address)[:_HEADER_CHARACTERS],
            header_message_id=message_id[:_HEADER_CHARACTERS],
            hits=hits,
            fingerprint=fingerprint(reading.visible or reading.plain, parts.text),
            learned=pack(*parts),
        )

    def _prefixes(self, request: ContentRequest, reading: Reading, content: Content) -> tuple[list[bytes], str]:
        """The lines to put on top: the message's, then each recipient's where they have lines of their own."""
        head = reading.head
        added = additions(request, head)
        keys = self._signing(request, reading)
        body = _body_hash(content, head.body_at) if keys else b""
        sealed = sealing_of(request, head, content, body, self.ring) if keys else None

        def prefix(own: bytes) -> bytes:
            extra = split_head(added.extra + own).fields
            covered = cover([*added.repairs, *extra, *head.fields], body, [name for name, _ in extra])
            signatures = (signature(covered, by.domain, by.selector, by.key, request.received_unix) for by in keys)
            return lines([*(sealed(covered) if sealed else ()), *signatures]) + added.lines(own)

        fields: list[Field] = [*added.repairs, *split_head(request.extra).fields, *head.fields]
        message_id = next((value for name, value in fields if name.lower() == b"message-id"), b"")
        if not keys:
            found = [added.lines(), *(added.lines(own) for own in added.own)]
        elif added.own:
            found = [added.lines(), *(prefix(own) for own in added.own)]
        else:
            found = [prefix(b"")]
        return found, message_id.strip().decode("utf-8", "replace")

    def _signing(self, request: ContentRequest, reading: Reading) -> list[Loaded]:
        """The relay's keys, which go on top, and those of the author's domain where the account has proved it its own.

        Without From, or with lines that are no fields, verifiers do not agree on what was signed: none. With several
        From fields nobody knows who the author is, and no customer's name is lent to it.
        """
        authors = sum(name == b"from" for name, _ in reading.head.fields)
        if not authors or not reading.head.is_sound:
            return []
        own = self.ring.own(request.sign)
        if request.account and authors == 1:
            return [*own, *self.ring.of_author(request.account, reading.author.address.rpartition("@")[2])]
        return own


def _body_hash(content: Content, body_at: int) -> bytes:
    if isinstance(content, bytes):
        return body_hash(content, body_at)
    body = RelaxedBody()
    for piece in content.pieces(body_at):
        body.update(piece)
    return body.hash()


def parts_of(reading: Reading) -> Parts:
    """Return a message as hashes; what training learns from."""
    words = _words(reading)
    return _parts(words, measure(reading, words[0], ""), reading)


def views_of(reading: Reading, bits: int) -> Views:
    """Return a message as the model takes it."""
    return views(parts_of(reading), bits)


def _words(reading: Reading) -> tuple[list[str], list[str], list[str]]:
    """Words of the text shown, of the other text, and of the subject."""
    shown, second = words_of(reading.visible), words_of(reading.plain)
    return shown or second, second if shown else [], words_of(reading.subject, _SUBJECT_WORDS)


def _parts(words: tuple[list[str], list[str], list[str]], features: Features, reading: Reading) -> Parts:
    shown, second, subject = (hash_words(text) for text in words)
    numbers = np.array(numbers_of(features, len(set(words[0]))), np.float32)
    return Parts(shown, second, subject, hash_words(structure_of(features, reading)), numbers)
