"""What limits are about, and the five of each, by name."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """What a limit is about; the key that goes with it stands behind each."""

    SENDER = "sender"  # one end sender: account|kind|value
    SENDERS = "senders"  # each end sender of an account: the account
    DOMAIN = "domain"  # one envelope domain of an account: account|domain
    DOMAINS = "domains"  # each envelope domain of an account: the account
    ACCOUNT = "account"  # all of an account: the account
    RESELLER = "reseller"  # all of a reseller: the reseller


@dataclass(frozen=True, slots=True)
class LimitSet:
    """Five limits, told apart by name (spec 2.3). None: whatever the wider level says; 0: no limit."""

    rcpts_per_hour: int | None = None
    rcpts_per_day: int | None = None
    unique_rcpts_per_hour: int | None = None
    rcpts_per_message: int | None = None
    messages_per_hour: int | None = None
