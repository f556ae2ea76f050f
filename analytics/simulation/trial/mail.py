"""The values of a trial: who sends, what it says, whom it goes to, and what will come of it.

Everything that chance decides about a message (is the mailbox dead, will somebody complain, when) is drawn when it is
written: so every regulator is tried on the very same mail.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from analytics.simulation.world import EndSender
from relay.account import Account
from relay.content.protocol import ContentResult
from relay.tree import SenderId

DAY, HOUR = 86_400.0, 3_600.0
MONTH_DAYS = 30.0


@dataclass(frozen=True, slots=True)
class Text:
    """A text with its headers (CRLF), and what the content stage found in it."""

    raw: bytes
    result: ContentResult

    @property
    def score(self) -> float:
        return self.result.score or 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """An end sender of an account. `client_ip`: where it is logged in from. `is_forwarded`: it passes on strangers'."""

    account: Account
    end: EndSender
    client_ip: str
    is_forwarded: bool = False

    @property
    def key(self) -> str:
        return self.end.key

    @property
    def sender(self) -> SenderId:
        return SenderId(*self.end.key.split("|", 2))


@dataclass(slots=True, eq=False)
class Mail:
    """One message with one recipient. `at` in Unix seconds; the others in seconds from what they follow.

    `latency`: from when it leaves to the receiver's answer. `reported_after`: from the answer to the bounce that comes
    later, or to the complaint; None: neither. `is_dead`: there is no such mailbox.
    """

    at: float
    actor: Actor
    recipient: str
    text: Text
    is_abusive: bool
    is_dead: bool
    latency: float
    reported_after: float | None
    client_ip: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class World:
    """A labelled world: all its mail in the order of time, from `start` for `days`.

    `attack_at`: when abuse begins, 0 for never. `abused`: keys of senders that send abuse, beside
    honest mail or not. `limits`: recipients an hour that an operator has granted, by account.
    """

    name: str
    start: float
    days: float
    actors: Sequence[Actor]
    mails: Callable[[], Iterator[Mail]]
    attack_at: float = 0.0
    abused: frozenset[str] = frozenset()
    limits: dict[str, int] = field(default_factory=dict)

    @property
    def end(self) -> float:
        return self.start + self.days * DAY
