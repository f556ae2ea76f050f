"""What an operator configures of egress: the addresses mail leaves from, and the pools they stand in. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

# They exist without being made; one without members of its own uses those of FAIR.
GOOD, FAIR, SUSPECT, FORWARD, NEW = DEFAULT_POOLS = ("good", "fair", "suspect", "forward", "new")

Members = Mapping[str, Mapping[str, int]]  # pool -> name of a source -> its weight


class SourceState(StrEnum):
    """What a person decided about a source. Degraded and resting are found per destination: see ip_states.py."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"  # takes nothing new until somebody activates it
    RETIRED = "retired"  # the same, for good: only its name and history remain


@dataclass(frozen=True, slots=True)
class EgressSource:
    """One local address. `ehlo` "": the node's hostname. `is_warming`: its warm-up plans hold it back."""

    name: str
    address: str
    ehlo: str = ""
    state: SourceState = SourceState.ACTIVE
    is_warming: bool = False
    created_at: datetime | None = None


def may_warm(pool: str) -> bool:
    """Tell whether a pool's mail is fit to warm an address: that of suspect, forwarded and new senders is not."""
    return pool not in (SUSPECT, FORWARD, NEW)
