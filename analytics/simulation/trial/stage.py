"""Sets up one world: accounts, end senders and what they write, from one seed."""

import heapq
import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime

from analytics.simulation.population import Kind
from analytics.simulation.trial.bag import Bag
from analytics.simulation.trial.flows import Audience, Flow, Habits, bursty, rhythmic
from analytics.simulation.trial.mail import DAY, Actor, Mail, Text, World
from analytics.simulation.world import EndSender, seeded
from relay.account import Account

START = datetime(2026, 6, 1, tzinfo=UTC).timestamp()  # a Monday
_TEMPLATES = 8  # of one sender's software
_FIRST_DAYS = 31.0  # before a world begins its customers were there


class Stage:
    """Builds the actors and flows of one world from one seed."""

    def __init__(self, name: str, seed: int, bag: Bag, days: float) -> None:
        self.name, self.bag, self.days = name, bag, days
        self.rng = seeded("trial", name, seed)
        self.actors: list[Actor] = []
        self.limits: dict[str, int] = {}
        self._flows: list[tuple[Flow, random.Random]] = []

    def account(self, name: str, *, is_shared: bool = False, age_days: float = _FIRST_DAYS, hourly: int = 0) -> Account:
        """Open an account; `hourly`: what its operator has granted each of its senders."""
        if hourly:
            self.limits[name] = hourly
        created_at = datetime.fromtimestamp(START - age_days * DAY, UTC)
        return Account(name, "hoster", shared_host=is_shared, domains=(f"{name}.example",), created_at=created_at)

    def actor(self, account: Account, box: str, kinds: tuple[Kind, ...], *, forwards: bool = False) -> Actor:
        """An end sender, named as the relay would name it."""
        domain = f"{account.name}.example"
        client_ip = f"198.51.100.{self.rng.randrange(1, 255)}"
        name = f"{box}@{domain}"
        if forwards:
            client_ip, name = "127.0.0.9", f"SRS0=4f2a=7K=gmail.example=member@{domain}"
            key = f"{account.name}|forwarded|{client_ip}"
        else:
            key = f"{account.name}|{'x-authuser' if account.shared_host else 'mailfrom'}|{name}"
        user = name if account.shared_host else ""
        language = self.rng.choice(("en", "de"))
        end = EndSender(key, account.name.title(), domain, name, language, kinds, auth_user=user)
        found = Actor(account, end, client_ip, is_forwarded=forwards)
        self.actors.append(found)
        return found

    def add(self, flow: Flow) -> None:
        self._flows.append((flow, self.dice()))

    def dice(self) -> random.Random:
        """Dice of its own for what is drawn while the world is played."""
        return seeded(self.name, self.rng.random())

    def usual(self, actor: Actor, per_day: float, rhythm: str, *, bursts: float = 0.02, begin: float = START) -> None:
        """The mail of an ordinary sender: a few templates, now and then a burst, some addresses that are new to it."""
        audience = Audience(self.rng, max(20, round(per_day * 5)), dead=0.01, prefix=actor.end.domain[:3])
        dice, days = self.dice(), self.days - (begin - START) / DAY
        instants = bursty(dice, rhythmic(dice, begin, days, per_day, rhythm), bursts, 12)
        self.add(Flow(actor, instants, self.templates(actor), audience, Habits(strangers=0.15)))

    def templates(self, actor: Actor, count: int = _TEMPLATES) -> list[Text]:
        """What a sender's software writes; one of its texts may be misread, and then each time."""
        return [self.bag.misread(self.rng, text) for text in self.bag.honest(self.rng, actor, count)]

    def campaign(self, actor: Actor, instants: list[float], audience: Audience, habits: Habits | None = None) -> None:
        """One newsletter to the following addresses of a list."""
        text = [self.bag.misread(self.rng, one) for one in self.bag.bulk(self.rng, actor, 1)]
        self.add(Flow(actor, instants, text, audience, habits or Habits(complaints=0.0004, is_list=True)))

    def world(self, attack_at: float = 0.0) -> World:
        """The world; its mail can be read once."""

        def mails() -> Iterator[Mail]:
            merged = heapq.merge(*(flow.mails(rng) for flow, rng in self._flows), key=lambda mail: mail.at)
            return itertools.takewhile(lambda mail: mail.at < START + self.days * DAY, merged)

        abused = frozenset(flow.actor.key for flow, _ in self._flows if flow.habits.is_abusive)
        return World(self.name, START, self.days, self.actors, mails, attack_at, abused, self.limits)
