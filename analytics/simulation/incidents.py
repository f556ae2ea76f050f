"""Two things that happened in the week before: a hijacked mailbox, and a newsletter that was held by mistake."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from analytics.simulation.chronicle import NODE, Chronicle
from analytics.simulation.population import Kind
from analytics.simulation.samples import Sample, Samples
from analytics.simulation.world import Customer, EndSender, seeded
from relay.events import Action, DecisionLogged, Dropped, Reception, Released, TraceStep
from relay.policy.triggers.sequential import percent, spam_certainty

_LINE = 0.2  # settings.Policy.spam_line


def write_incidents(chronicle: Chronicle, samples: Samples, until: datetime) -> None:
    """Write both, some days before `until`."""
    hijack_at = (until - timedelta(days=4)).replace(hour=9, minute=41, second=8)
    _Hijack(chronicle, "waldstadt", Kind.PERSONAL, hijack_at).write(samples.abusive)
    mistake_at = (until - timedelta(days=2)).replace(hour=7, minute=52, second=30)
    mistake = _Mistake(chronicle, "briefwerk", Kind.NEWSLETTER, mistake_at)
    mistake.write(samples.honest[mistake.sender.key])


class _Incident:
    """What both have in common: an end sender whose mail is held by a decision."""

    def __init__(self, chronicle: Chronicle, account: str, kind: Kind, began_at: datetime) -> None:
        self.chronicle, self.began_at = chronicle, began_at
        self.customer: Customer = next(one for one in chronicle.world.customers if one.account == account)
        of_kind = [sender for sender in self.customer.senders if kind in sender.kinds]
        self.sender: EndSender = of_kind[-1]
        self.rng = seeded("incident", account, chronicle.world.seed)
        self.decision_id = f"{NODE}-d-{account}"
        self.held: list[Reception] = []

    def hold(self, sample: Sample, recipient: str, at: datetime, rule: str, detail: str, **judged: Any) -> None:
        """Write a message that is held."""
        self.held.append(
            self.chronicle.message(
                self.customer,
                self.sender,
                sample,
                recipient,
                at,
                action=Action.HOLD,
                rule=rule,
                trace=[TraceStep(rule, True, detail)],
                decision_id=self.decision_id if rule == "sender_held" else "",
                standing="held" if rule == "sender_held" else "ok",
                **judged,
            )
        )

    def decide(self, bad: int, seen: int, at: datetime) -> str:
        """Write the automatic hold; return its reason."""
        certainty = spam_certainty(bad, seen, _LINE)
        reason = f"spam {bad} of {seen} in 60 min; {percent(certainty)} sure the true rate is above {percent(_LINE)}"
        evidence: dict[str, float | int | str | list[str]] = {
            "bad": bad,
            "seen": seen,
            "messages": [one.message_id for one in self.held[-10:]],
        }
        self._log(
            at,
            decision_id=self.decision_id,
            author="relay",
            effect="hold",
            rule="spam_rate",
            reason=reason,
            evidence=evidence,
            certainty=certainty,
            ends_at=at + timedelta(hours=24),
        )
        return reason

    def answer(self, effect: str, author: str, reason: str, at: datetime) -> None:
        """Write what a person made of the decision."""
        self._log(
            at,
            decision_id=f"{self.decision_id}-{effect}",
            author=author,
            effect=effect,
            rule="by hand",
            reason=reason,
            supersedes=self.decision_id,
        )

    def attributes(self, one: Reception) -> dict[str, Any]:
        return {
            "message_id": one.message_id,
            "account": one.account,
            "reseller": one.reseller,
            "sender": one.sender,
        }

    def _log(self, at: datetime, **decided: Any) -> None:
        writer = self.chronicle.writer
        writer.append(
            DecisionLogged(
                **writer.stamp(at),
                account=self.customer.account,
                reseller=self.customer.reseller,
                sender=self.sender.key,
                starts_at=at,
                **decided,
            )
        )


class _Hijack(_Incident):
    """A professor's password was phished: held after a handful, confirmed, the rest dropped."""

    def write(self, abusive: Sequence[Sample]) -> None:
        at = self.began_at
        for number in range(3):  # the first ones looked harmless enough
            reception = self.chronicle.message(
                self.customer, self.sender, abusive[number], self._address(), at, score=0.31 + 0.06 * number
            )
            self.chronicle.deliver(reception, at)
            if number:
                self.chronicle.complain(reception, "yahoo.example", at + timedelta(minutes=14 + number))
            at += timedelta(seconds=2)
        for sample in abusive[3:10]:
            self.hold(sample, self._address(), at, "content", "held from 0.9")
            at += timedelta(seconds=2)
        reason = self.decide(7, 10, at)
        for _ in range(140):
            at += timedelta(seconds=self.rng.uniform(1, 9))
            self.hold(self.rng.choice(abusive), self._address(), at, "sender_held", reason)
        self.answer("confirm", "abuse desk", "password was phished, changed by the university's help desk", at)
        self._drop_all(at + timedelta(minutes=2))

    def _address(self) -> str:
        return self.rng.choice(self.chronicle.world.bought_list)

    def _drop_all(self, at: datetime) -> None:
        writer = self.chronicle.writer
        for one in self.held:
            writer.append(Dropped(**writer.stamp(at), **self.attributes(one), author="abuse desk", reason="spam"))


class _Mistake(_Incident):
    """A raffle in a newsletter looked like spam: held, looked at, released as not spam 14 minutes later."""

    def write(self, honest: Sequence[Sample]) -> None:
        at = self.began_at
        members = iter(self.rng.sample(self.customer.recipients, 40))
        for _ in range(9):
            score = round(self.rng.uniform(0.905, 0.957), 3)
            detail = f"scored {score} as spam, held from 0.9"
            self.hold(self.rng.choice(honest), next(members), at, "content", detail, score=score)
            at += timedelta(seconds=3)
        reason = self.decide(9, 11, at)
        for member in members:
            at += timedelta(seconds=self.rng.uniform(1, 4))
            self.hold(self.rng.choice(honest), member, at, "sender_held", reason, score=0.92)
        self._release_all(self.began_at + timedelta(minutes=14))

    def _release_all(self, at: datetime) -> None:
        self.answer("release", "abuse desk", "not spam: a raffle among members", at)
        writer = self.chronicle.writer
        for one in self.held:
            writer.append(
                Released(
                    **writer.stamp(at),
                    **self.attributes(one),
                    decision_id=self.decision_id,
                    author="abuse desk",
                    verdict="not_spam",
                )
            )
            self.chronicle.deliver(one, at)
