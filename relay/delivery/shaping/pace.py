"""One rate limit: GCRA, the generic cell rate algorithm of ITU-T I.371. Pure arithmetic on `now`."""

_WINDOW_SECONDS = 60.0
_SLACK_PARTS = 20  # a twentieth of a minute's worth may be caught up after a late timer


class Pace:
    """At most `per_minute` in any 60 seconds, evenly spread; 0: no limit.

    GCRA with tolerance k allows k more than its rate in a window, so the rate is set k lower: what was promised holds
    in every window. Below 20 a minute k is 0.
    """

    __slots__ = ("_before", "_due", "_tolerance", "interval", "per_minute")

    def __init__(self, per_minute: float = 0.0) -> None:
        self.per_minute = per_minute
        self.interval = self._tolerance = 0.0
        self._due = self._before = 0.0
        self._measure()

    def change(self, per_minute: float, now: float) -> None:
        """Hold to another rate. A slower one begins with a whole pause: somebody has just asked for it."""
        if per_minute == self.per_minute:
            return
        is_slower = per_minute > 0 and (per_minute < self.per_minute or not self.per_minute)
        self.per_minute = per_minute
        self._measure()
        pause = now + self.interval + self._tolerance
        self._due = max(self._due, pause) if is_slower else min(self._due, now + self.interval)
        self._before = self._due

    def wait(self, now: float) -> float:
        """Seconds until one more may go; 0: now."""
        return max(0.0, self._due - self._tolerance - now) if self.interval else 0.0

    def take(self, now: float) -> float:
        """Count one more and return 0, or count nothing and return the seconds to wait."""
        if not self.interval:
            return 0.0
        due = self._due
        wait = due - self._tolerance - now
        if wait > 0:
            return wait
        self._before = due
        self._due = (due if due > now else now) + self.interval
        return 0.0

    def give_back(self) -> None:
        """Forget the last one that was counted; a second call without a `take` between changes nothing."""
        self._due = self._before

    def is_idle(self, now: float) -> bool:
        """Tell whether nothing of the past counts any more."""
        return self._due <= now

    def _measure(self) -> None:
        if self.per_minute <= 0:
            self.interval = self._tolerance = 0.0
            return
        slack = self.per_minute // _SLACK_PARTS
        self.interval = _WINDOW_SECONDS / (self.per_minute - slack)
        self._tolerance = slack * self.interval
