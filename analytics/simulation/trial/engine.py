"""Plays a world against a regulator: submissions, deliveries, retries, bounces and complaints in the order of time.

"Delivered" means accepted by a receiver. Honest mail that is put off is offered again as a mail server would; abuse
that is put off is not, as scripts do not. What lies parked when a stop ends leaves from
then on as the relay plans it, except what scored as suspect, and nothing where much of it did.
"""

import heapq
import itertools
from collections.abc import Callable

from analytics.simulation.trial.mail import DAY, Mail, World
from analytics.simulation.trial.regulator import Answer, Regulator, Stop
from analytics.simulation.trial.sheet import Sheet, Tally
from relay.events import Action
from relay.holds.schedule import scheduled
from relay.policy.decisions.ladder import gives_back
from relay.settings import Policy
from relay.spool.held import Choice

_RETRIES = (900.0, 1_800.0, 3_600.0, 7_200.0)  # then every 4 h, as Exim and Postfix do
_LONGEST_RETRY, _LIFETIME = 14_400.0, 4 * DAY
_LINES = Policy()

_Event = tuple[float, int, Callable[[float], None]]


def play(world: World, regulator: Regulator, step: Callable[[float], None] | None = None) -> Sheet:
    """Return the score sheet. `step` hears the share of the world's time that has passed."""
    game = _Game(world, regulator)
    for at, mail in enumerate(world.mails()):
        mail.number = at + 1
        game.until(mail.at)
        game.offer(mail, mail.at, 0)
        if step is not None and at % 2_000 == 0:
            step((mail.at - world.start) / (world.end - world.start))
    game.until(world.end)
    return game.tally.sheet(world, regulator.name)


class _Game:
    def __init__(self, world: World, regulator: Regulator) -> None:
        self._regulator = regulator
        self._events: list[_Event] = []
        self._order = itertools.count()
        self._parked: dict[str, list[Mail]] = {}
        self._stops_seen = 0
        self.tally = Tally(world)

    def until(self, now: float) -> None:
        while self._events and self._events[0][0] <= now:
            at, _, act = heapq.heappop(self._events)
            act(at)

    def offer(self, mail: Mail, now: float, tries: int) -> None:
        answer = self._regulator.submit(mail, now)
        self.tally.answered(mail, answer, now, is_first=not tries)
        self._note_stops()
        match answer.action:
            case Action.ACCEPT:
                self._leave(mail, max(now, answer.due_unix or 0.0))
            case Action.DEFER if not mail.is_abusive:
                self._again(mail, answer, now, tries)
            case Action.REJECT | Action.DEFER:
                self.tally.refused(mail, answer.rule)
            case _:
                pass  # held: a person's, or what frees it at the stop's end
        if answer.action is Action.HOLD and answer.rule in ("sender_held", "newcomers_held"):
            self._parked.setdefault(mail.actor.key, []).append(mail)

    def _again(self, mail: Mail, answer: Answer, now: float, tries: int) -> None:
        wait = _RETRIES[tries] if tries < len(_RETRIES) else _LONGEST_RETRY
        if now + wait - mail.at > _LIFETIME:
            self.tally.refused(mail, answer.rule)
        else:
            self._at(now + wait, lambda at: self.offer(mail, at, tries + 1))

    def _leave(self, mail: Mail, due: float) -> None:
        self._at(due + mail.latency, lambda at: self._arrive(mail, at))

    def _arrive(self, mail: Mail, now: float) -> None:
        if self._regulator.is_parked(mail, now):
            self._parked.setdefault(mail.actor.key, []).append(mail)
            self.tally.parked(mail)
            return
        if not mail.is_dead:
            self.tally.delivered(mail, now)
            self._regulator.outcome(mail, "delivered", now)
            if mail.reported_after is not None:
                self._at(now + mail.reported_after, lambda at: self._complain(mail, at))
        elif mail.reported_after:  # accepted first, and bounced later: nobody had it
            self._at(now + mail.reported_after, lambda at: self._bounce(mail, at))
        else:
            self._bounce(mail, now)

    def _bounce(self, mail: Mail, now: float) -> None:
        self.tally.bounced(mail, now)
        self._regulator.outcome(mail, "hard_bounce", now)
        self._note_stops()

    def _complain(self, mail: Mail, now: float) -> None:
        self.tally.complained(mail, now)
        self._regulator.outcome(mail, "complaint", now)
        self._note_stops()

    def _note_stops(self) -> None:
        for stop in self._regulator.stops[self._stops_seen :]:
            self.tally.stopped(stop)
            if stop.effect == "release":
                self._free_at(stop, stop.at_unix)
            elif stop.until_unix is not None:
                self._free_at(stop, stop.until_unix)
        self._stops_seen = len(self._regulator.stops)

    def _free_at(self, stop: Stop, until: float) -> None:
        def free(now: float) -> None:
            for key in [key for key in self._parked if key == stop.sender or _is_group_of(stop.sender, key)]:
                self._free(key, now)

        self._at(until + 1.0, free)

    def _free(self, key: str, now: float) -> None:
        parked = self._parked[key]
        if not parked or self._regulator.is_parked(parked[0], now):
            return  # stopped for another reason meanwhile: that one's end frees it
        clean = {mail.number: mail for mail in parked if mail.text.score < _LINES.suspect_score}
        if not gives_back(len(parked) - len(clean), len(parked), _LINES):
            return
        hourly = self._regulator.pace(parked[0], now)
        plan = scheduled([_chosen(mail) for mail in clean.values()], lambda *_: hourly, {}, now)
        leaving = {choice.number: departure.due_unix for choice, departure in plan.leaving}
        for number, due in leaving.items():
            self._leave(clean[number], max(due, now))
        self._parked[key] = [mail for mail in parked if mail.number not in leaving]

    def _at(self, at: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at, next(self._order), act))


def _chosen(mail: Mail) -> Choice:
    actor = mail.actor
    return Choice("", mail.number, actor.account.name, actor.account.reseller, actor.key, 1, mail.text.score, 0)


def _is_group_of(group: str, key: str) -> bool:
    return group.endswith("|newcomers|") and key.startswith(group.split("|", 1)[0] + "|")
