"""The score sheet of one world played once: what the abuse achieved, and what it cost everybody else."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from analytics.simulation.ledger import p95
from analytics.simulation.trial.mail import MONTH_DAYS, Mail, World
from analytics.simulation.trial.regulator import Answer, Stop
from relay.events import Action
from relay.tree import GROUP_RULES, is_group

LATE_SECONDS = 300.0  # a person who waits for a code has given up
_STOPPING = ("hold", "block", "suspend")


@dataclass(frozen=True, slots=True)
class Abuse:
    """What abusive senders achieved. `before_stop`: delivered until each was stopped for the first time; `accepted` and
    `bounces` likewise: were receivers to answer at once, all accepted would be delivered. `delivered`: to the world's
    end, with nobody looking. `seconds` from the first abusive message to the last sender's stop, None
    while one is not stopped. `completing`: which of its delivered messages the complaint that stopped it was about, in
    the order of delivery; 0 where complaints did not stop it."""

    sent: int = 0
    accepted: int = 0
    before_stop: int = 0
    delivered: int = 0
    bounces: int = 0
    senders: int = 0
    stopped: int = 0
    seconds: float | None = None
    rule: str = ""
    completing: int = 0


@dataclass(frozen=True, slots=True)
class Innocent:
    """What others felt. `held_for_others`: parked by a decision about somebody else. `misread`: held or refused for
    what the content stage took it for. `limited`: refused in the end for a limit. `late`: delivered after 5 minutes.
    `paused`: honest senders stopped, each once; `slowed`: throttled or watched. `own_mail_held`: honest mail of the
    abused senders themselves."""

    sent: int = 0
    delivered: int = 0
    limited: int = 0
    refused: int = 0
    held: int = 0
    held_for_others: int = 0
    misread: int = 0
    late: int = 0
    p95_seconds: float = 0.0
    paused: int = 0
    slowed: int = 0
    sender_months: float = 0.0
    own_mail_held: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """One world, one seed, one regulator."""

    world: str
    regulator: str
    abuse: Abuse
    innocent: Innocent
    pauses: dict[str, int] = field(default_factory=dict)


class Tally:
    """Counts while a world is played."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._abusers = world.abused
        self._stops: list[Stop] = []
        self._accepted: list[tuple[str, float]] = []
        self._arrivals: list[tuple[str, float]] = []
        self._ordinals: dict[int, int] = {}
        self._bounces: list[tuple[str, float]] = []
        self._complaints: list[tuple[str, float, int]] = []
        self._delays = array("d")
        self._count: Counter[str] = Counter()
        self._first_abuse = 0.0

    def answered(self, mail: Mail, answer: Answer, now: float, *, is_first: bool) -> None:
        if mail.is_abusive:
            self._first_abuse = self._first_abuse or now
            self._count["abusive"] += 1
            if answer.action is Action.ACCEPT:
                self._accepted.append((mail.actor.key, now))
            return
        if mail.actor.key not in self._abusers:
            self._count["sent"] += is_first
        if answer.action is Action.HOLD:
            self._hold(mail, answer.rule)
        elif answer.action is Action.REJECT and answer.rule.startswith("content"):
            self._count["misread"] += mail.actor.key not in self._abusers

    def parked(self, mail: Mail) -> None:
        """Accepted, and stopped on its way."""
        if not mail.is_abusive:
            self._hold(mail, "sender_held")

    def refused(self, mail: Mail, rule: str) -> None:
        if not mail.is_abusive and mail.actor.key not in self._abusers:
            self._count["refused"] += not rule.startswith("content")
            self._count["limited"] += rule == "rate_limit"

    def delivered(self, mail: Mail, now: float) -> None:
        if mail.is_abusive:
            self._arrivals.append((mail.actor.key, now))
            self._ordinals[mail.number] = len(self._arrivals)
            return
        if mail.actor.key in self._abusers:
            return
        self._count["delivered"] += 1
        self._count["late"] += now - mail.at > LATE_SECONDS
        self._delays.append(now - mail.at)

    def bounced(self, mail: Mail, now: float) -> None:
        if mail.is_abusive:
            self._bounces.append((mail.actor.key, now))

    def complained(self, mail: Mail, now: float) -> None:
        if mail.is_abusive:
            self._complaints.append((mail.actor.key, now, self._ordinals[mail.number]))

    def stopped(self, stop: Stop) -> None:
        self._stops.append(stop)

    def sheet(self, world: World, regulator: str) -> Sheet:
        """Add it all up."""
        honest = [actor for actor in world.actors if actor.key not in self._abusers]
        keys = {actor.key for actor in honest}
        paused = {stop.sender: stop.rule for stop in self._stops if stop.effect in _STOPPING and stop.sender in keys}
        innocent = Innocent(
            sent=self._count["sent"],
            delivered=self._count["delivered"],
            limited=self._count["limited"],
            refused=self._count["refused"],
            held=self._count["held"],
            held_for_others=self._count["held_for_others"],
            misread=self._count["misread"],
            late=self._count["late"],
            p95_seconds=p95(self._delays) or 0.0,
            paused=len(paused),
            slowed=len({stop.sender for stop in self._stops if stop.effect not in _STOPPING and stop.sender in keys}),
            sender_months=len(honest) * world.days / MONTH_DAYS,
            own_mail_held=self._count["own_mail_held"],
        )
        return Sheet(world.name, regulator, self._abuse(), innocent, dict(Counter(paused.values())))

    def _abuse(self) -> Abuse:
        first: dict[str, Stop] = {}
        for stop in self._stops:
            if stop.effect in _STOPPING and stop.at_unix >= self._first_abuse > 0:
                for key in self._abusers:
                    if stop.sender == key or (
                        is_group(stop.sender) and key.startswith(stop.sender.split("|")[0] + "|")
                    ):
                        first.setdefault(key, stop)
        decisive = max(first.values(), key=lambda stop: stop.at_unix, default=None)
        is_over = decisive is not None and len(first) == len(self._abusers)

        def before(instants: Sequence[tuple[str, float]]) -> int:
            return sum(key not in first or at <= first[key].at_unix for key, at in instants)

        return Abuse(
            sent=self._count["abusive"],
            delivered=len(self._arrivals),
            accepted=before(self._accepted),
            before_stop=before(self._arrivals),
            bounces=before(self._bounces),
            senders=len(self._abusers),
            stopped=len(first),
            seconds=decisive.at_unix - self._first_abuse if decisive and is_over else None,
            rule=decisive.rule if decisive else "",
            completing=self._completing(decisive),
        )

    def _completing(self, stop: Stop | None) -> int:
        if stop is None or not stop.rule.startswith("complaint"):
            return 0
        heard = [(at, ordinal) for key, at, ordinal in self._complaints if key == stop.sender and at <= stop.at_unix]
        return max(heard)[1] if heard else 0

    def _hold(self, mail: Mail, rule: str) -> None:
        if mail.actor.key in self._abusers:
            self._count["own_mail_held"] += 1
            return
        is_own = any(stop.sender == mail.actor.key for stop in self._stops)
        self._count["held"] += 1
        if rule in GROUP_RULES or (rule == "sender_held" and not is_own):
            self._count["held_for_others"] += 1
        if rule.startswith("content") or rule == "unscored":
            self._count["misread"] += 1
