"""What speaks against one sender: its burst, its latest bad messages, their texts. Most senders have no such thing.

Copies of one text are one piece of evidence, not many: a misjudged newsletter is wrong in all its 500 copies. So the
n-th copy of a text counts `ratio` ** (n - 1). Bounded: see the numbers below. Must never decide anything.
"""

from collections.abc import Collection

import msgspec

from relay.policy.signals import burst
from relay.settings import Policy

LATEST = 64  # bad messages that can be absolved
_FAMILIES = 16  # texts
_FAMILY_MINUTES = 24 * 60
_ABSOLVED_MINUTES = 30 * 24 * 60
_RATIO, _SURE_RATIO = 0.5, 0.9  # sums: 2 messages' worth of a text, 10 of one that is surely spam
_LEAST_TO_STRANGERS = 0.5  # a text to people its known sender never wrote to is not his newsletter
_BANDS = (0, 8, 16, 24)


class Bad(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One bad message: what it counted in its minute and in the burst, and its text's bands."""

    message_id: str
    minute: int
    bad: float
    gain: float
    bands: str | None


class Family(msgspec.Struct, array_like=True, gc=False):
    """Nearly equal texts of one sender. `is_absolved`: a person said that they are no spam."""

    bands: str
    copies: int
    minute: int
    is_absolved: bool = False


class Trouble(msgspec.Struct, array_like=True, gc=False):
    """`burst` is the sum of burst.py as of `burst_unix`; `run_bad` of `run_seen` messages since it left 0 raised it."""

    burst: float = 0.0
    burst_unix: float = 0.0
    run_seen: int = 0
    run_bad: int = 0
    latest: list[Bad] = []
    families: list[Family] = []

    def decay(self, now_unix: float) -> float:
        """Bring the burst up to now and return it."""
        self.burst = burst.decayed(self.burst, now_unix - self.burst_unix)
        self.burst_unix = now_unix
        return self.burst

    def calm(self, now_unix: float) -> None:
        """Count a clean message."""
        if self.burst:
            self.run_seen += 1
            self.burst = max(self.decay(now_unix) + burst.CLEAN, 0.0)
            if not self.burst:
                self.run_seen = self.run_bad = 0

    def raise_burst(self, gain: float, now_unix: float, line: float) -> None:
        """Count a message that speaks against the sender; at most twice the line is remembered, or none could end."""
        if not self.decay(now_unix):
            self.run_seen = self.run_bad = 0
        self.run_seen += 1
        self.run_bad += 1
        self.burst = min(self.burst + gain, 2 * line)

    def weigh(
        self, fingerprint: str | None, score: float, minute: int, policy: Policy, *, is_to_strangers: bool
    ) -> float:
        """Count one more copy of a text; return what it counts, in [0, 1]. None: each such text is another one."""
        if fingerprint is None:
            return 1.0
        family = self._family(fingerprint[17:], minute)
        family.copies += 1
        family.minute = max(family.minute, minute)
        if family.is_absolved:
            return 0.0
        ratio = _SURE_RATIO if score >= policy.reject_score else _RATIO
        weight = ratio ** (family.copies - 1)
        return max(weight, _LEAST_TO_STRANGERS) if is_to_strangers else weight

    def absolve(self, message_ids: Collection[str]) -> list[Bad]:
        """Forget these messages and let their texts count no more; return those it knew."""
        found = [bad for bad in self.latest if bad.message_id in message_ids]
        for bad in found:
            self.latest.remove(bad)
            self.burst = max(self.burst - bad.gain, 0.0)
            for family in self.families:
                family.is_absolved |= bad.bands is not None and _is_same(family.bands, bad.bands)
        if not self.burst:
            self.run_seen = self.run_bad = 0
        return found

    def prune(self, minute: int) -> bool:
        """Drop what no longer matters; tell whether anything is left."""
        self.latest = [bad for bad in self.latest if bad.minute > minute - 60]
        self.families = [
            one
            for one in self.families
            if one.minute > minute - (_ABSOLVED_MINUTES if one.is_absolved else _FAMILY_MINUTES)
        ]
        is_bursting = burst.decayed(self.burst, minute * 60.0 - self.burst_unix) > 0.01
        return is_bursting or bool(self.latest or self.families)

    def _family(self, bands: str, minute: int) -> Family:
        for family in self.families:
            if _is_same(family.bands, bands):
                return family
        family = Family(bands, 0, minute)
        self.families.append(family)
        if len(self.families) > _FAMILIES:
            self.prune(minute)
            if len(self.families) > _FAMILIES:
                rest = [one for one in self.families if not one.is_absolved] or self.families
                self.families.remove(min(rest, key=lambda one: one.minute))
        return family


def _is_same(one: str, other: str) -> bool:
    """Tell whether two texts are nearly the same: they share a band at its place; texts without bands are all alike."""
    return one == other or any(one[at : at + 8] == other[at : at + 8] != "" for at in _BANDS)
