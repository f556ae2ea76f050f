"""What is tried: something that answers each message, hears what came of it, and may stop a sender."""

from dataclasses import dataclass
from typing import Literal, Protocol

from analytics.simulation.trial.mail import Mail
from relay.events import Action

Outcome = Literal["delivered", "hard_bounce", "complaint"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to one message. `due_unix`: accepted, and leaves then. `rule`: what decided."""

    action: Action
    rule: str
    due_unix: float | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """A sender's mail no longer leaves, from `at_unix` until `until_unix` (None: until a person says so).

    `sender` is its key, or that of an account's new senders. `effect`: hold, block, suspend; a throttle or watch stops
    nothing and is counted apart.
    """

    at_unix: float
    sender: str
    rule: str
    effect: str
    reason: str
    until_unix: float | None = None


class Regulator(Protocol):
    """Answers mail on a clock of its own: `now_unix` never goes back."""

    name: str
    stops: list[Stop]

    def submit(self, mail: Mail, now_unix: float) -> Answer:
        """Answer one message. New stops are added to `stops`."""
        ...

    def outcome(self, mail: Mail, kind: Outcome, now_unix: float) -> None:
        """Hear what a receiver said of a message that left."""
        ...

    def pace(self, mail: Mail, now_unix: float) -> int:
        """Recipients an hour at which this sender's parked mail leaves when a stop has ended; 0: at once."""
        ...

    def is_parked(self, mail: Mail, now_unix: float) -> bool:
        """Tell whether accepted mail of this sender must not leave now."""
        ...
