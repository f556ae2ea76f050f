"""When released mail leaves: one after another, at the pace its sender may send. Pure.

A release that went out all at once would look to receivers like the burst the hold was there to stop. What is released
was counted under the sender's limits when it came, so it is not counted again: the pace alone is theirs. What a sender
may have in six minutes leaves at once, so that few messages need not wait for each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from relay.policy.limits.ledger import LONGEST_DELAY_SECONDS
from relay.spool.held import Choice, Departure

_HOUR_SECONDS = 3600.0
_BURST_SECONDS = 360.0


@dataclass(slots=True)
class Schedule:
    """Departures in the order given; `until`: from when each paced sender has room again. `later` do not leave: at
    this pace it would take more than a day."""

    leaving: list[tuple[Choice, Departure]] = field(default_factory=list)
    until: dict[str, float] = field(default_factory=dict)
    later: list[Choice] = field(default_factory=list)
    last_unix: float = 0.0

    @property
    def recipients(self) -> int:
        return sum(choice.rcpts for choice, _ in self.leaving)


def scheduled(
    chosen: Sequence[Choice],
    hourly_of: Callable[[str, str], int],
    paced_until: Mapping[str, float],
    now_unix: float,
    *,
    at_once: bool = False,
) -> Schedule:
    """Give each message its departure. `hourly_of(account, sender)`: recipients an hour, 0 for no limit.

    `paced_until`: what earlier releases have taken; the new ones stand behind them.
    """
    found = Schedule(last_unix=now_unix)
    hourly: dict[str, int] = {}
    for choice in chosen:
        sender = choice.sender
        if sender not in hourly:
            hourly[sender] = 0 if at_once else hourly_of(choice.account, sender)
        if not hourly[sender]:
            found.leaving.append((choice, Departure(choice.number, 0.0)))
            continue
        free = max(found.until.get(sender) or paced_until.get(sender, 0.0), now_unix - _BURST_SECONDS)
        due = max(free, now_unix)
        if due > now_unix + LONGEST_DELAY_SECONDS:
            found.later.append(choice)
            continue
        found.leaving.append((choice, Departure(choice.number, due)))
        found.until[sender] = free + choice.rcpts * _HOUR_SECONDS / hourly[sender]
        found.last_unix = max(found.last_unix, due)
    return found
