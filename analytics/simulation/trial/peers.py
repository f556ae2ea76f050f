"""What others ship, written from their documentation, on our end senders and, where they score, with our scores.

So each is shown better than in the field: a panel would count the whole server or domain, not the end sender. Each
stops a sender for as long as its product does. Must never be tuned to look bad.
"""

import math
from collections import deque

from analytics.simulation.trial.mail import DAY, HOUR, Mail, World
from analytics.simulation.trial.regulator import Answer, Outcome, Regulator, Stop
from relay.events import Action

_ACCEPT = Answer(Action.ACCEPT, "accept")
_REJECT_SCORE = 0.99  # as ours
_SPAM_SCORE = 0.9


class _Window:
    """Instants of the last `seconds`."""

    __slots__ = ("_instants", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._instants: deque[float] = deque()
        self._seconds = seconds

    def add(self, now: float) -> None:
        self._instants.append(now)

    def count(self, now: float) -> int:
        while self._instants and self._instants[0] <= now - self._seconds:
            self._instants.popleft()
        return len(self._instants)


class _Peer:
    name = ""

    def __init__(self, world: World) -> None:
        self.stops: list[Stop] = []
        self._until: dict[str, float] = {}
        self._windows: dict[tuple[str, str], _Window] = {}

    def is_parked(self, mail: Mail, now_unix: float) -> bool:
        return now_unix < self._until.get(mail.actor.key, 0.0)

    def pace(self, mail: Mail, now_unix: float) -> int:
        return 0

    def _window(self, what: str, mail: Mail, seconds: float) -> _Window:
        key = what, mail.actor.key
        if key not in self._windows:
            self._windows[key] = _Window(seconds)
        return self._windows[key]

    def _stop(self, mail: Mail, now: float, rule: str, seconds: float) -> None:
        self._until[mail.actor.key] = now + seconds
        self.stops.append(Stop(now, mail.actor.key, rule, "hold", rule, now + seconds))


class Panel(_Peer):
    """cPanel: at least 5 failed or deferred, and 25 % of the hour's mail: no mail until the hour is over."""

    name = "panel: 5 fails and 25 %/h"

    def submit(self, mail: Mail, now_unix: float) -> Answer:
        if self.is_parked(mail, now_unix):
            return Answer(Action.DEFER, "failures")
        self._window("sent", mail, HOUR).add(now_unix)
        return _ACCEPT

    def outcome(self, mail: Mail, kind: Outcome, now_unix: float) -> None:
        if kind != "hard_bounce" or self.is_parked(mail, now_unix):
            return
        fails = self._window("fails", mail, HOUR)
        fails.add(now_unix)
        count, sent = fails.count(now_unix), self._window("sent", mail, HOUR).count(now_unix)
        if count >= 5 and count >= 0.25 * sent:
            self._stop(mail, now_unix, "failures", HOUR - now_unix % HOUR)


class Ratio(_Peer):
    """The plain ratio: from 50 messages on, 10 % hard bounces (24 h) or spam (1 h), or 0.5 % complaints (7 d)."""

    name = "ratio 10 % from n = 50"

    def submit(self, mail: Mail, now_unix: float) -> Answer:
        if self.is_parked(mail, now_unix):
            return Answer(Action.HOLD, "sender_held")
        for what, seconds in (("hour", HOUR), ("day", DAY), ("week", 7 * DAY)):
            self._window(what, mail, seconds).add(now_unix)
        if mail.text.score >= _SPAM_SCORE:
            self._bad(mail, now_unix, "spam", "hour", HOUR, 0.1)
            return Answer(Action.REJECT if mail.text.score >= _REJECT_SCORE else Action.HOLD, "content")
        return _ACCEPT

    def outcome(self, mail: Mail, kind: Outcome, now_unix: float) -> None:
        if kind == "hard_bounce":
            self._bad(mail, now_unix, kind, "day", DAY, 0.1)
        elif kind == "complaint":
            self._bad(mail, now_unix, kind, "week", 7 * DAY, 0.005)

    def _bad(self, mail: Mail, now: float, kind: str, window: str, seconds: float, line: float) -> None:
        bad = self._window(kind, mail, seconds)
        bad.add(now)
        seen = self._window(window, mail, seconds).count(now)
        if seen >= 50 and bad.count(now) >= line * seen and not self.is_parked(mail, now):
            self._stop(mail, now, f"ratio_{kind}", DAY)


class Fixed(_Peer):
    """200 messages an hour, the rest is put off."""

    name = "fixed 200/h"

    def submit(self, mail: Mail, now_unix: float) -> Answer:
        sent = self._window("sent", mail, HOUR)
        if sent.count(now_unix) >= 200:
            return Answer(Action.DEFER, "rate_limit")
        sent.add(now_unix)
        return _ACCEPT

    def outcome(self, mail: Mail, kind: Outcome, now_unix: float) -> None:
        pass


class Moving(_Peer):
    """rspamd-like: a leaky bucket of 200/h whose rate and burst (100) follow ham and spam by factors of 1.01 and 0.99
    (burst 1.02, 0.98), within 5 and 10 times; and a moving average of scores, by the time passed (30 days), that adds
    to each score. It stops nobody: it refuses messages, from the same score as ours, and puts off what is too fast."""

    name = "moving average and bucket"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._rate: dict[str, float] = {}
        self._burst: dict[str, float] = {}
        self._level: dict[str, tuple[float, float]] = {}
        self._average: dict[str, tuple[float, float]] = {}

    def submit(self, mail: Mail, now_unix: float) -> Answer:
        key, score = mail.actor.key, mail.text.score
        rate, burst = self._rate.get(key, 1.0), self._burst.get(key, 1.0)
        level, at = self._level.get(key, (0.0, now_unix))
        level = max(0.0, level - (now_unix - at) * 200 * rate / HOUR)
        if level + 1 > 100 * burst:
            self._level[key] = level, now_unix
            return Answer(Action.DEFER, "rate_limit")
        is_spam = score >= _SPAM_SCORE
        self._rate[key] = min(max(rate * (0.99 if is_spam else 1.01), 0.2), 5.0)
        self._burst[key] = min(max(burst * (0.98 if is_spam else 1.02), 0.1), 10.0)
        self._level[key] = level + 1, now_unix
        if self._weighed(key, _points(score), now_unix) >= 15.0:
            return Answer(Action.REJECT, "content")
        return _ACCEPT

    def outcome(self, mail: Mail, kind: Outcome, now_unix: float) -> None:
        pass

    def _weighed(self, key: str, points: float, now: float) -> float:
        average, at = self._average.get(key, (points, now))
        part = 1 - math.exp(-(now - at) / (30 * DAY))
        average += part * (points - average)
        self._average[key] = average, now
        return points + 5.0 * math.tanh(average / 15.0 * 1.83178)


def _points(score: float) -> float:
    """Our probability on rspamd's scale: 6 (add a header) at 0.5, 15 (refuse) at 0.99; below 0 for clean ham."""
    odds = math.log(max(score, 1e-6) / max(1 - score, 1e-6))
    return 6.0 + odds * (15.0 - 6.0) / math.log(99)


def peers_of(world: World) -> list[Regulator]:
    """All of them, fresh."""
    return [Panel(world), Moving(world), Ratio(world), Fixed(world)]
