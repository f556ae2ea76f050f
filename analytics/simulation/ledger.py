"""What really happened: who sent what, what the relay answered, what arrived. The truth that figures are judged by.

Written by the simulated customers and receivers, which see only their own side of SMTP. Nothing here asks the relay.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from analytics.simulation.texts import Letter

_QUEUED = re.compile(r"queued as (\S+)")


@dataclass(slots=True)
class Sent:
    """One message with one recipient. Instants are Unix seconds; `code` 0 until the relay has answered."""

    header_id: str
    sender: str
    mail_from: str
    recipient: str
    is_abusive: bool
    phase: str
    is_living: bool
    began_unix: float
    code: int = 0
    text: str = ""
    arrivals: list[float] = field(default_factory=list)

    @property
    def is_ours(self) -> bool:
        """Tell whether the relay took responsibility for it."""
        return self.code == 250

    @property
    def is_held(self) -> bool:
        """Tell whether the relay said that it parked the message."""
        return self.is_ours and self.text.endswith("(held)")

    @property
    def message_id(self) -> str:
        found = _QUEUED.search(self.text)
        return found[1] if found else ""

    @property
    def delay_seconds(self) -> float | None:
        """From the start of the transaction with the relay until a mailbox had it."""
        return self.arrivals[0] - self.began_unix if self.arrivals else None


class Ledger:
    """All messages of one run."""

    def __init__(self) -> None:
        self.sent: dict[str, Sent] = {}
        self.dead_ends: Counter[tuple[str, str]] = Counter()  # (mail_from, recipient) refused as unknown
        self.notices = 0  # bounces (null sender) that came back to the customers
        self.strangers = 0  # mail at the receivers that no customer has sent

    def begin(self, letter: Letter, sender: str, *, abusive: bool, phase: str, living: bool) -> Sent:
        """Note a message that will be sent; `began_unix` is set when its transaction starts."""
        entry = Sent(letter.header_id, sender, letter.mail_from, letter.recipient, abusive, phase, living, 0.0)
        self.sent[letter.header_id] = entry
        return entry

    def arrived(self, header_id: str, now_unix: float) -> Sent | None:
        """Note that a mailbox has it. None: not one of ours."""
        entry = self.sent.get(header_id)
        if entry is None:
            self.strangers += 1
        else:
            entry.arrivals.append(now_unix)
        return entry

    def open_ends(self) -> list[Sent]:
        """Messages the relay answers for that neither reached a mailbox nor were refused by the provider."""
        return [
            one
            for one in self.sent.values()
            if one.is_ours and not one.arrivals and not self.dead_ends[one.mail_from, one.recipient]
        ]

    def duplicates(self) -> int:
        return sum(len(one.arrivals) - 1 for one in self.sent.values() if len(one.arrivals) > 1)

    def honest(self, phase: str | None = None) -> list[Sent]:
        return [one for one in self.sent.values() if not one.is_abusive and phase in (None, one.phase)]

    def abusive(self) -> list[Sent]:
        return [one for one in self.sent.values() if one.is_abusive]


def p95(values: Iterable[float]) -> float | None:
    """Give the nearest-rank 95th percentile; None of nothing.

    >>> p95(range(1, 101))
    95
    """
    ordered = sorted(values)
    return ordered[-(-len(ordered) * 95 // 100) - 1] if ordered else None


def delays(entries: Iterable[Sent]) -> list[float]:
    return [one.delay_seconds for one in entries if one.delay_seconds is not None]
