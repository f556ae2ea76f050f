"""Mailweir's own policy alone: limits, signals, certain rules, newcomers, verdict and ladder, in memory.

Composed of the relay's parts, by the one order of steps that the relay has (relay/reception/judging.py). Left out:
sockets, disk, content workers (texts come with their score), DNS.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from analytics.simulation.providers import PROVIDERS
from analytics.simulation.trial.mail import Actor, Mail, World
from analytics.simulation.trial.regulator import Answer, Outcome, Stop
from relay.content.rule_book import load_rules
from relay.control.state.standings import Standings
from relay.envelope import Submission
from relay.events import Action
from relay.front.identity import Identity
from relay.policy.decisions.decision import PARKED, Decision, Proposal, State
from relay.policy.decisions.enacted import enacted
from relay.policy.limits.ledger import Ledger
from relay.policy.limits.levels import Level, LimitSet
from relay.policy.signals.live import Signals
from relay.policy.signals.repeats import Repeats
from relay.policy.verdict.certain import Certain
from relay.policy.verdict.lockdown import NOT_ASKED
from relay.reception.admission import Gate
from relay.reception.case import UNREAD, Arrival
from relay.reception.judging import Judging
from relay.settings import Limits, Policy
from relay.tree import newcomers_of

_PROVIDERS = {domain: one.name for one in PROVIDERS for domain in one.domains}


class _Now:
    """A clock that shows the time of what is played."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def unix(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits in the pure policy")


class _Decided:
    """What the policy has decided so far."""

    def __init__(self, standings: Standings, clock: _Now) -> None:
        self._standings, self._clock = standings, clock

    def state_of(self, sender: str) -> State:
        return self._standings.state_of(sender, self._clock.now())

    def stopped(self, account: str) -> Sequence[str]:
        return self._standings.stopped(account, self._clock.now())

    def exempt_text(self, account: str, fingerprint: str) -> Decision | None:
        return None  # a person's word, and there is none here


def _nobody(*_: object) -> None:
    """Nobody is told of mail without an end sender: all of it has one."""


class MailweirPolicy:
    """A Regulator: the shipped policy with its default settings, or those given."""

    name = "mailweir"

    def __init__(self, world: World, policy: Policy | None = None, limits: Limits | None = None) -> None:
        self.stops: list[Stop] = []
        self._policy, self._clock = policy or Policy(), _Now()
        self._signals, self._standings = Signals(), Standings([])
        self._decided, self._decisions = _Decided(self._standings, self._clock), 0
        sets = {(Level.SENDERS, account): LimitSet(rcpts_per_hour=most) for account, most in world.limits.items()}
        self._gate = Gate(
            settings=limits or Limits(),
            clock=self._clock,
            ledger=Ledger(),
            sets=sets,
            state_of=self._decided.state_of,
            is_newcomer=self._signals.is_newcomer,
            age_of=self._age_of,
            key=b"trial",
        )
        certain = Certain(load_rules(""), Repeats())
        self._judging = Judging(self._policy, self._gate, self._signals, certain, self._decided, on_counted=_nobody)
        self._identities: dict[Actor, Identity] = {}

    def submit(self, mail: Mail, now_unix: float) -> Answer:
        self._clock.at = now_unix
        submission, identity = self._submission(mail), self._identity(mail.actor)
        taking = self._gate.settle(submission, identity.sender, now_unix)
        is_unread = self._judging.refuses_unread(submission.account, identity.sender, taking)
        result = UNREAD if is_unread else mail.text.result
        message_id = f"trial-{mail.number}"
        arrival = Arrival(submission, identity, mail.number, message_id, b"", taking, result, NOT_ASKED, now_unix)
        case = self._judging.judge(arrival, self._clock.now())
        if case.verdict.proposals:
            self._enact(case.verdict.proposals)
        if case.verdict.action not in (Action.ACCEPT, Action.HOLD):
            self._judging.give_back(case)
        due = taking.use.due_unix if case.verdict.action is Action.ACCEPT else None
        return Answer(case.verdict.action, case.verdict.rule, due)

    def outcome(self, mail: Mail, kind: Outcome, now_unix: float) -> None:
        self._clock.at = now_unix
        self._signals.outcome(mail.actor.key, kind, now_unix, provider_of(mail.recipient))

    def pace(self, mail: Mail, now_unix: float) -> int:
        self._clock.at = now_unix
        return self._gate.own(mail.actor.account, mail.actor.key)[-1].limits.rcpts_per_hour or 0

    def is_parked(self, mail: Mail, now_unix: float) -> bool:
        self._clock.at = now_unix
        key = mail.actor.key
        if self._decided.state_of(key).standing in PARKED:
            return True
        if not self._signals.is_newcomer(key, now_unix):
            return False
        return self._decided.state_of(newcomers_of(mail.actor.account.name)).standing in PARKED

    def _enact(self, proposals: Sequence[Proposal]) -> None:
        """In force at once; the engine parks what is on its way."""
        enacted(proposals, self._signals, self._clock.now())
        for proposal in proposals:
            self._decisions += 1
            self._standings.add(Decision("trial", self._decisions, proposal))
            self.stops.append(stop_of(proposal))

    def _age_of(self, sender: str, now_unix: float) -> float:
        known = self._signals.state(sender, now_unix, self._policy)
        return now_unix - known.first_seen_unix if known else 0.0

    def _submission(self, mail: Mail) -> Submission:
        actor = mail.actor
        return Submission(
            account=actor.account,
            credential=actor.account.name,
            client_ip=mail.client_ip,
            helo=actor.end.domain,
            tls="TLSv1.3",
            door="submission",
            mail_from=actor.end.mail_from,
            recipients=(mail.recipient,),
            content=b"",
            received_at=self._clock.now(),
        )

    def _identity(self, actor: Actor) -> Identity:
        found = self._identities.get(actor)
        if found is None:
            found = self._identities[actor] = Identity(actor.sender, "trial", [])
        return found


def provider_of(recipient: str) -> str:
    """The destination of an address."""
    domain = recipient.rpartition("@")[2]
    return _PROVIDERS.get(domain, domain)


def stop_of(proposal: Proposal) -> Stop:
    """The decision as a trial notes it."""
    return Stop(
        at_unix=proposal.starts_at.timestamp(),
        sender=proposal.sender,
        rule=proposal.rule,
        effect=proposal.effect.value,
        reason=proposal.reason,
        until_unix=proposal.ends_at.timestamp() if proposal.ends_at else None,
    )
