"""What the counts of one sender amount to now: the value that its verdict and the journal see."""

import math
from array import array

from relay.policy.signals.counts import (
    COMPLAINTS,
    DAY_SECONDS,
    DAY_SLOTS,
    DAY_WIDTH,
    DEFERRED,
    FAILED,
    HARD_BOUNCES,
    KEPT_SLOTS,
    MINUTE_SECONDS,
    MINUTE_SLOTS,
    MINUTE_WIDTH,
    NULLS,
    ONE_DAY_SLOTS,
    RECIPIENTS,
    STRANGERS,
    Counts,
    forget,
)
from relay.policy.signals.habits import HOUR_SECONDS, LEAST, Habits
from relay.policy.signals.outages import HARD, SOFT, Outages
from relay.policy.signals.outages import slot_of as outage_slot
from relay.policy.signals.signal import ZERO, SignalState
from relay.policy.triggers.sequential import spam_certainty
from relay.settings import Policy


def _share(slots: float) -> float:
    """Of the complaints about a message, the share that has come after so many slots: log-normal, median 3 h."""
    return 0.5 + 0.5 * math.erf(math.log(max(3.0 * slots, 0.75) / 3.0) / (1.2 * math.sqrt(2)))


# Of what was sent this many slots of 3 h ago, so large a share of the complaints lies in the window of a week. To count
# all that was sent would take the latest mail, about which nobody can have complained yet, for praise: at 25 messages
# an hour a sender of 2 % complaints would be stopped after 513 instead of 360. Mail of a week and some hours ago counts
# for the complaints that came that late: else a weekly list, which writes again just as its last mail leaves the
# window, would look as if few readers were all it has. Neither below a third: where feedback comes within minutes, a
# large mailing of an hour ago must not look three times as bad as it is, nor where it comes late one of eight days ago.
_COMPLAINED = tuple(
    max(1 / 3, _share(slots) if slots < DAY_SLOTS else 1 - _share(slots - DAY_SLOTS)) for slots in range(KEPT_SLOTS)
)
_UNUSED = Habits()
_WEEK_HOURS = 168
_FIRST_HOURS = 24  # of a sender that is younger, an hour's average is not known


def state_of(known: Counts, now_unix: float, policy: Policy, outages: Outages) -> SignalState:
    """Sum up what lies in the windows; drops what has left them."""
    minutes, days, trouble = known.minutes, known.days, known.trouble
    forget(minutes, MINUTE_WIDTH, int(now_unix // MINUTE_SECONDS) - MINUTE_SLOTS)
    day = int(now_unix // DAY_SECONDS)
    forget(days, DAY_WIDTH, day - KEPT_SLOTS)
    week = 0
    while week < len(days) and days[week] <= day - DAY_SLOTS:
        week += DAY_WIDTH
    spam_count, seen = sum(minutes[1::MINUTE_WIDTH]), sum(minutes[2::MINUTE_WIDTH])
    recent = len(days)
    while recent and days[recent - DAY_WIDTH] > day - ONE_DAY_SLOTS:
        recent -= DAY_WIDTH
    hard = soft = complaints = 0
    if known.has_outcomes:
        complaints = sum(days[week + COMPLAINTS :: DAY_WIDTH])
        hard = sum(days[recent + HARD_BOUNCES :: DAY_WIDTH])
        soft = sum(days[recent + FAILED :: DAY_WIDTH]) + sum(days[recent + DEFERRED :: DAY_WIDTH])
        known.has_outcomes = bool(hard or soft or complaints)
        if known.lost and len(outages):
            hard, soft = _without_outages(known, hard, soft, now_unix, outages)
    burst = trouble.decay(now_unix) if trouble else ZERO
    habits = known.habits
    if habits is None or habits.hour != int(now_unix // HOUR_SECONDS):
        habits = _UNUSED
    usual, usual_unique, friends = habits.usual_volume, habits.usual_unique, habits.known
    is_settled = friends is not None and friends.is_settled
    return SignalState(
        spam_count=spam_count or ZERO,
        seen=seen,
        certainty=spam_certainty(spam_count, seen, policy.spam_line),
        history=known.history,
        first_seen_unix=known.first_seen_unix,
        hard_bounces=hard,
        day_seen=sum(days[recent + RECIPIENTS :: DAY_WIDTH]),
        complaints=complaints,
        week_seen=_could_complain(days, day) if complaints else sum(days[week + RECIPIENTS :: DAY_WIDTH]),
        bad_messages=known.bad_messages if spam_count or burst >= policy.burst_line else (),
        counted_from_unix=known.counted_from_unix,
        burst=burst or ZERO,
        burst_bad=trouble.run_bad if trouble and burst else 0,
        burst_seen=trouble.run_seen if trouble and burst else 0,
        failed=soft,
        nulls=habits.nulls,
        usual_nulls=_usual_nulls(known, week, now_unix) if habits.nulls else ZERO,
        volume=habits.volume,
        usual_volume=usual.usual or ZERO,
        most_volume=usual.most or ZERO,
        unique=habits.unique if habits.volume > LEAST else 0,
        usual_unique=usual_unique.usual or ZERO,
        most_unique=usual_unique.most or ZERO,
        weeks=habits.weeks,
        strangers=sum(days[recent + STRANGERS :: DAY_WIDTH]) if is_settled else 0,
        usual_strangers=friends.usual_share or ZERO if friends and is_settled else ZERO,
    )


def _could_complain(days: "array[int]", day: int) -> int:
    """Recipients of eight days, each counted for as much of its complaints as can lie in the week's window."""
    slots = range(0, len(days), DAY_WIDTH)
    return round(sum(days[at + RECIPIENTS] * _COMPLAINED[min(max(day - days[at], 0), KEPT_SLOTS - 1)] for at in slots))


def _without_outages(known: Counts, hard: int, soft: int, now_unix: float, outages: Outages) -> tuple[int, int]:
    oldest = outage_slot(now_unix) - outage_slot(ONE_DAY_SLOTS * DAY_SECONDS)
    for lost in known.lost or ():
        if lost.slot > oldest:
            hard -= lost.hard if lost.hard and outages.is_out(lost.destination, HARD, lost.slot) else 0
            soft -= lost.soft if lost.soft and outages.is_out(lost.destination, SOFT, lost.slot) else 0
    return max(hard, 0), max(soft, 0)


def _usual_nulls(known: Counts, week: int, now_unix: float) -> float:
    """Recipients of mail from <> in a usual hour of the last week, this hour not among them."""
    hours = min((now_unix - known.first_seen_unix) / HOUR_SECONDS, _WEEK_HOURS)
    if hours < _FIRST_HOURS or known.habits is None:
        return ZERO
    return round(max(sum(known.days[week + NULLS :: DAY_WIDTH]) - known.habits.nulls, 0) / hours, 1)
