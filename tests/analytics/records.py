"""Journal records as the relay writes them, made by hand for tests."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from relay.events import Action, Bounce, Delivery, Features, Rcpt, Reception, Record, Rejection, TraceStep, encode

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
TRACE = [TraceStep("limit", False, "12 of 200"), TraceStep("content", True, "score 0.02")]


class Story:
    """Makes records of one boot of one node; `seq` runs, everything else has a default."""

    def __init__(self, boot: str = "20261124T090000Z-1", start: datetime = START) -> None:
        self.boot, self.start = boot, start
        self._seq = count(1)

    def stamp(self, seconds: float = 0) -> dict[str, Any]:
        logged_at = self.start + timedelta(seconds=seconds)
        return {"node": "mw1", "boot": self.boot, "seq": next(self._seq), "logged_at": logged_at}

    def whose(self, number: int, sender: str = "acme|mailfrom|news@acme.example") -> dict[str, Any]:
        return {"message_id": f"mw1.{number}", "account": sender.split("|")[0], "sender": sender}

    def reception(self, number: int, seconds: float = 0, rcpts: int = 1, **other: Any) -> Reception:
        defaults: dict[str, Any] = {
            "sender_kind": "mailfrom",
            "mail_from": "news@acme.example",
            "recipients": [Rcpt(number + index, f"r{index}@post.example") for index in range(rcpts)],
            "client_ip": "192.0.2.1",
            "action": Action.ACCEPT,
            "rule": "accept",
            "trace": TRACE,
            "score": 0.02,
            "model": "shipped",
            "reasons": ["few links"],
            "features": Features(subject_length=20, text_words=90, link_domains=["acme.example"]),
            "subject": f"Order {number}",
            "received_at": self.start + timedelta(seconds=seconds),
        }
        whose = self.whose(number, other.pop("sender", "acme|mailfrom|news@acme.example"))
        return Reception(**self.stamp(seconds), **whose, **(defaults | other))

    def rejection(self, number: int, seconds: float = 0, **other: Any) -> Rejection:
        defaults: dict[str, Any] = {
            "sender_kind": "mailfrom",
            "mail_from": "news@acme.example",
            "client_ip": "192.0.2.1",
            "action": Action.REJECT,
            "rule": "content",
            "stage": "data",
            "code": 550,
            "enhanced": "5.7.1",
            "text": "[SS] refused",
        }
        whose = self.whose(number, other.pop("sender", "acme|mailfrom|news@acme.example"))
        return Rejection(**self.stamp(seconds), **whose, **(defaults | other))

    def attempt(self, number: int, received: float, queued: float, index: int = 0, **other: Any) -> dict[str, Any]:
        defaults: dict[str, Any] = {
            "recipient_id": number + index,
            "recipient": f"r{index}@post.example",
            "destination": "post.example",
            "attempt": 1,
            "received_at": self.start + timedelta(seconds=received),
            "queued_seconds": queued,
            "code": 250,
            "text": "ok",
        }
        whose = self.whose(number, other.pop("sender", "acme|mailfrom|news@acme.example"))
        return self.stamp(received + queued) | whose | defaults | other

    def delivery(self, number: int, received: float = 0, queued: float = 1, index: int = 0, **other: Any) -> Delivery:
        return Delivery(**self.attempt(number, received, queued, index, **other))

    def bounce(self, number: int, received: float = 0, queued: float = 1, index: int = 0, **other: Any) -> Bounce:
        defaults = {"code": 550, "enhanced": "5.1.1", "text": "no such user", "is_hard": True}
        return Bounce(**self.attempt(number, received, queued, index, **(defaults | other)))


def write(folder: Path, name: str, records: Iterable[Record]) -> Path:
    """A closed journal file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jsonl"
    path.write_bytes(b"".join(encode(record) + b"\n" for record in records))
    return path


def traffic(
    messages: int, hours: float = 1.0, senders: int = 40, seed: int = 1, start: datetime = START, after: int = 0
) -> Iterator[Record]:
    """Plain traffic: mostly delivered, a few bounces and refusals; message n is received at a fixed instant.

    `after`: ids begin behind it, so that a relay which runs beside has ids of its own.
    """
    chance = random.Random(seed)
    story = Story(f"20261124T090000Z-{seed}", start)
    for number in range(1, messages + 1):
        seconds = hours * 3600 * number / messages
        sender = f"host{number % 4}|x-authuser|user{number % senders}@shop.example"
        if chance.random() < 0.02:
            yield story.rejection(0, seconds, sender=sender, score=0.995)
            continue
        yield story.reception(after + number, seconds, sender=sender, score=round(chance.random() ** 8, 4))
        queued = round(chance.lognormvariate(0, 1), 3)
        if chance.random() < 0.02:
            yield story.bounce(after + number, seconds, queued, sender=sender, source="127.0.0.1")
        else:
            yield story.delivery(after + number, seconds, queued, sender=sender, source="127.0.0.1")
