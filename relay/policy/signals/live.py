"""Live counts per end sender: spam of the last hour, hard bounces of a day, complaints of a week, and its history.

What senders of less than a day send counts for the newcomers of their account too, under a key of their own (see
newcomers.py); a sender set apart takes its share out of it again.

Bounded: see senders.py. Rows for counters.sqlite come from `dirty`, once a second, and come back one by one by
`recall`. Must never decide anything: see triggers and verdict.
"""

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from relay.policy.signals.counters import Table
from relay.policy.signals.counts import (
    COMPLAINTS,
    DAY_WIDTH,
    DEFERRED,
    FAILED,
    HARD_BOUNCES,
    MINUTE_SECONDS,
    MINUTE_SLOTS,
    MINUTE_WIDTH,
    Counts,
    Seen,
    absolve,
    count,
    count_as,
    count_recipients,
    forget,
    lose,
    open_day,
)
from relay.policy.signals.habits import is_to_strangers
from relay.policy.signals.logins import Logins
from relay.policy.signals.members import MEMBER_SECONDS, Members
from relay.policy.signals.outages import Outages, OutcomeKind
from relay.policy.signals.senders import Senders
from relay.policy.signals.signal import SignalState as SignalState
from relay.policy.signals.signal import Traits
from relay.policy.signals.summing import state_of
from relay.policy.signals.surges import Surges
from relay.policy.triggers.newcomers import NEWCOMER_SECONDS, NEWCOMER_SENDERS, GroupSignal
from relay.policy.triggers.sequential import spam_certainty
from relay.settings import Policy
from relay.tree import newcomers_of

KEPT_SECONDS = 90 * 86_400.0  # as long as analytics keeps messages
BAD_SENDERS = 32  # newcomers with bad messages, kept by group; NEWCOMER_SENDERS decide

_CALM = GroupSignal()
_PLAIN = Traits()

_COLUMN = {"hard_bounce": HARD_BOUNCES, "complaint": COMPLAINTS, "failed": FAILED, "deferred": DEFERRED}


class Signals:
    """The counts of every end sender; at most `capacity` of them in memory. `members`: the new ones, by name."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._senders = Senders(capacity)
        self.members = Members()
        self.outages = Outages()
        self.logins = Logins()
        self.surges = Surges()

    def __len__(self) -> int:
        return len(self._senders)

    def tables(self) -> tuple[Table, ...]:
        """What of it is kept in counters.sqlite: senders are read when they are heard of, the rest at start."""
        return (
            Table("signal", self, KEPT_SECONDS, newest=0, on_lookup=self.recall_by),
            Table("newcomer", self.members, MEMBER_SECONDS),
            self.outages.table(),
            self.logins.table(),
            self.surges.table(),
        )

    def recall_by(self, lookup: Callable[[str], bytes | None]) -> None:
        """Have senders that are not in memory looked for in the file."""
        self._senders.recall = lookup

    def observe(
        self,
        sender: str,
        score: float | None,
        now_unix: float,
        policy: Policy,
        message_id: str = "",
        recipients: int = 1,
        group: str = "",
        traits: Traits = _PLAIN,
    ) -> SignalState:
        """Count one message, before its verdict. A message without a score says nothing about spam.

        `group` is the key for which it counts too while its sender is new; "" when it must not.
        """
        known = self._senders.open(sender, now_unix)
        known.history += 1
        strangers = count_recipients(known, now_unix, recipients, traits)
        is_new = bool(group) and now_unix - known.first_seen_unix < NEWCOMER_SECONDS
        if is_new and not known.is_member:
            known.is_member = True
            self.members.note(sender, known.first_seen_unix, now_unix)
        if score is not None:
            is_unasked = strangers > 0 and is_to_strangers(known.habits, strangers, recipients, policy)
            seen = Seen(score, message_id, traits.fingerprint, is_unasked)
            bad = count(known, now_unix, seen, policy)
            if is_new and not known.is_apart:
                self._count_newcomer(group, sender, now_unix, seen, bad, policy)
        state = state_of(known, now_unix, policy, self.outages)
        roaming = traits.roaming
        if not roaming.networks and not traits.same_text:  # a country that is new is in a network that is
            return state
        abroad = roaming.abroad
        return replace(
            state,
            networks=roaming.networks,
            usual_networks=roaming.usual,
            news=roaming.news,
            place=abroad.place,
            place_days=abroad.days,
            place_moves=abroad.moves,
            usual_places=abroad.usual,
            same_text=traits.same_text,
        )

    def outcome(self, sender: str, kind: OutcomeKind, now_unix: float, destination: str = "") -> None:
        """Count what became of one recipient, or one complaint. `destination`: where, for outages.py; "": unknown."""
        if kind != "delivered":
            known = self._senders.open(sender, now_unix)
            known.has_outcomes = True
            open_day(known, now_unix)[_COLUMN[kind] - DAY_WIDTH] += 1
            if destination and kind != "complaint":
                lose(known, destination, now_unix, is_hard=kind == "hard_bounce")
        if destination and not self.is_newcomer(sender, now_unix):
            self.outages.note(destination, sender, kind, now_unix)

    def state(self, sender: str, now_unix: float, policy: Policy) -> SignalState | None:
        """Look at a sender without counting anything; None when nothing is known of it."""
        known = self._senders.find(sender)
        return None if known is None else state_of(known, now_unix, policy, self.outages)

    def is_newcomer(self, sender: str, now_unix: float) -> bool:
        """Tell whether a sender was first seen less than 24 h ago, or never."""
        return self.age_seconds(sender, now_unix) < NEWCOMER_SECONDS

    def age_seconds(self, sender: str, now_unix: float) -> float:
        """How long ago a sender was first seen; 0 for a stranger."""
        known = self._senders.find(sender)
        return now_unix - known.first_seen_unix if known else 0.0

    def newcomers(self, account: str, now_unix: float) -> list[str]:
        """Name an account's new senders, those set apart too, but none that was forgiven since."""
        return self.members.of(account, now_unix)

    def group(self, group: str, now_unix: float, policy: Policy) -> GroupSignal:
        """Look at what an account's newcomers sent together."""
        known = self._senders.find(group)
        if known is None or not known.bad_senders:
            return _CALM
        last = int(now_unix // MINUTE_SECONDS) - MINUTE_SLOTS
        forget(known.minutes, MINUTE_WIDTH, last)
        known.bad_senders = {name: minute for name, minute in known.bad_senders.items() if minute > last}
        spam_count, seen = sum(known.minutes[1::MINUTE_WIDTH]), sum(known.minutes[2::MINUTE_WIDTH])
        is_enough = len(known.bad_senders) >= NEWCOMER_SENDERS  # else the arithmetic is not worth its microseconds
        return GroupSignal(
            spam_count=spam_count,
            seen=seen,
            certainty=spam_certainty(spam_count, seen, policy.spam_line) if is_enough else 0.0,
            senders=tuple(known.bad_senders),
            bad_messages=known.bad_messages,
            counted_from_unix=known.counted_from_unix,
        )

    def set_apart(self, sender: str) -> None:
        """Take a sender's share out of its account's newcomers, until it is forgiven: it is held for itself."""
        known = self._senders.find(sender)
        if known is not None and not known.is_apart:
            self._leave(sender, known)
            known.is_apart = True
            self._senders.changed(sender)

    def pay_outcomes(self, sender: str) -> None:
        """Forget bounces and complaints for which the sender is stopped now: it must not be stopped for them again."""
        known = self._senders.find(sender)
        if known is not None and known.days:
            del known.days[:]
            known.lost = None
            self._senders.changed(sender)

    def forgive(self, sender: str, now_unix: float) -> None:
        """Forget what is held against a sender; its history and age stay."""
        known = self._senders.find(sender)
        if known is None:
            return
        if not known.is_apart:
            self._leave(sender, known)
        known.is_member = known.is_apart = False
        self.members.drop(sender)
        known.bad_senders = {}
        known.counted_from_unix = now_unix
        del known.minutes[:]
        del known.days[:]
        known.lost = None
        known.trouble = None
        self._senders.changed(sender)

    def absolve(self, sender: str, message_ids: Iterable[str], now_unix: float) -> None:
        """Take single messages that a person released as no spam out of the bad counts, and their texts with them.

        Of a sender LATEST bad messages can be absolved; older ones have mostly left the window.
        """
        known, ids = self._senders.find(sender), frozenset(message_ids)
        if known is None or not ids:
            return
        absolve(known, ids)
        self._senders.changed(sender)
        name = newcomers_of(sender.split("|", 1)[0])
        group = self._senders.find(name)
        if group is not None and group.trouble is not None:
            absolve(group, ids)
            last = now_unix // MINUTE_SECONDS - MINUTE_SLOTS
            if not any(bad.minute > last for bad in (known.trouble or group.trouble).latest):
                group.bad_senders.pop(sender, None)
            self._senders.changed(name)

    def dirty(self) -> list[tuple[str, bytes]]:
        """Return the rows changed since the last call, as bytes for `load`."""
        return self._senders.dirty()

    def dump(self) -> list[tuple[str, bytes]]:
        """Return every row in memory, the sender not heard of for longest first."""
        return self._senders.dump()

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        """Take rows back in, the latest last, and return how many were unreadable and left out (and logged)."""
        return self._senders.load(rows)

    def _count_newcomer(self, group: str, sender: str, now_unix: float, seen: Seen, bad: float, policy: Policy) -> None:
        known = self._senders.open(group, now_unix)
        count_as(known, now_unix, seen, bad, policy)
        if bad:
            known.bad_senders.pop(sender, None)  # the latest stands last
            known.bad_senders[sender] = int(now_unix // MINUTE_SECONDS)
            if len(known.bad_senders) > BAD_SENDERS:
                del known.bad_senders[next(iter(known.bad_senders))]

    def _leave(self, sender: str, known: Counts) -> None:
        """Take back what a member counted for its group since the group was last forgiven."""
        name = newcomers_of(sender.split("|", 1)[0])
        group = self._senders.find(name)
        if group is None or not known.is_member:
            return
        first = group.counted_from_unix // MINUTE_SECONDS
        last = (known.first_seen_unix + NEWCOMER_SECONDS) // MINUTE_SECONDS
        own = {known.minutes[row]: row for row in range(0, len(known.minutes), MINUTE_WIDTH)}
        for row in range(0, len(group.minutes), MINUTE_WIDTH):
            minute = group.minutes[row]
            if first <= minute <= last and minute in own:
                for column in (1, 2):
                    rest = group.minutes[row + column] - known.minutes[own[minute] + column]
                    group.minutes[row + column] = max(rest, 0.0)
        group.bad_senders.pop(sender, None)
        if group.trouble and known.trouble:
            group.trouble.absolve([bad.message_id for bad in known.trouble.latest])
        self._senders.changed(name)
