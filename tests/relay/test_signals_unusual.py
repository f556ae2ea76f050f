"""What is unusual for a sender: volume, strangers, failures, storms, logins, one text of many; and what is not."""

import hashlib
import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.policy.decisions.decision import Effect
from relay.policy.signals.acquaintances import Acquaintances
from relay.policy.signals.habits import Habits
from relay.policy.signals.live import Signals
from relay.policy.signals.logins import NETWORKS, Logins
from relay.policy.signals.outages import HARD, SOFT, Outages, slot_of
from relay.policy.signals.signal import SignalState, Traits
from relay.policy.signals.surges import Surges
from relay.policy.triggers.sequential import alarms
from relay.settings import Policy

POLICY = Policy()
MONDAY = 1_800_230_400.0  # a Monday, 00:00 UTC is enough: nothing asks which day it is
HOUR, DAY, WEEK = 3_600.0, 86_400.0, 7 * 86_400.0


def hashed(*names: object) -> tuple[bytes, ...]:
    return tuple(hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in names)


def fired(signal: SignalState, effect: Effect = Effect.THROTTLE) -> list[str]:
    return [alarm.rule for alarm in alarms(signal, POLICY) if alarm.effect is effect]


def office(signals: Signals, weeks: int, per_hour: int = 10) -> float:
    """A sender of office hours that writes to the same 40 people; return when the last week is over."""
    for day in range(weeks * 7):
        for hour in range(8, 17) if day % 7 < 5 else ():
            for number in range(per_hour):
                people = Traits("", hashed(f"friend{number % 40}"))
                signals.observe("s", 0.01, MONDAY + day * DAY + hour * HOUR + number, POLICY, traits=people)
    return MONDAY + weeks * WEEK


def burst(signals: Signals, at: float, count: int, prefix: str = "stranger") -> SignalState:
    for number in range(count):
        state = signals.observe("s", 0.01, at + number, POLICY, traits=Traits("", hashed(f"{prefix}{number}")))
    return state


def test_a_volume_far_above_what_is_usual_in_that_hour_of_the_week_is_an_alarm() -> None:
    signals = Signals()
    start = office(signals, 4)

    usual = burst(signals, start + 9 * HOUR, 95, "friend")
    unusual = burst(signals, start + 9 * HOUR + 600, 20, "more")

    assert "volume" not in fired(usual)
    assert {"volume", "unique_recipients"} <= set(fired(unusual))
    alarm = next(alarm for alarm in alarms(unusual, POLICY) if alarm.rule == "volume")
    assert alarm.reason == (
        "115 recipients in this hour; in this hour of the week usually at most 9.8, in any hour of five weeks "
        "at most 9.8; throttled above 100"
    )


@pytest.mark.parametrize("weeks", [0, 1])
def test_nobody_is_judged_by_its_volume_before_two_weeks(weeks: int) -> None:
    signals = Signals()
    start = office(signals, weeks)

    assert "volume" not in fired(burst(signals, start + 9 * HOUR, 400))


def test_a_months_invoices_are_usual_the_next_month() -> None:
    signals = Signals()
    for day in range(100):
        amount = 5_000 if day % 30 == 0 else 20
        state = signals.observe("s", 0.01, MONDAY + day * DAY + 9 * HOUR, POLICY, recipients=amount)
        assert "volume" not in fired(state) or day < 30


def test_the_hours_of_an_attack_do_not_become_usual() -> None:
    signals, habits = Signals(), []
    start = office(signals, 4)
    for week in range(3):
        state = signals.observe("s", 0.01, start + week * WEEK + 9 * HOUR, POLICY, recipients=100_000)
        habits.append(state.most_volume)
        assert "volume" in fired(state)

    assert habits[0] <= 12
    assert habits[2] <= 400


@settings(deadline=None)  # a busy machine is no defect
@given(st.lists(st.tuples(st.integers(0, 5 * 168), st.integers(1, 100_000)), max_size=60))
def test_what_is_usual_never_lies_above_the_most_and_memory_is_bounded(sent: list[tuple[int, int]]) -> None:
    habits = Habits()
    for hour, amount in sorted(sent):
        habits.count(amount, hashed(amount), MONDAY + hour * HOUR, MONDAY)

    assert 0 <= habits.usual_volume.usual <= habits.usual_volume.most
    assert len(habits.samples) <= 4 * 6 * 168
    assert habits.unique <= len(sent)


def test_a_sender_that_writes_to_its_own_people_and_then_to_strangers_is_an_alarm() -> None:
    signals = Signals()
    start = office(signals, 2)

    few, many = burst(signals, start + 9 * HOUR, 20), burst(signals, start + 10 * HOUR, 70, "other")

    assert "unknown_recipients" not in fired(few)
    [alarm] = [alarm for alarm in alarms(many, POLICY) if alarm.rule == "unknown_recipients"]
    assert alarm.reason.startswith("90 of 90 recipients in 24 h were never written to before, usually ")
    assert "sure the true share is above 50 %" in alarm.reason


def test_a_sender_that_always_writes_to_strangers_is_none_and_a_new_one_neither() -> None:
    signals = Signals()
    for number in range(1_000):
        state = signals.observe(
            "s", 0.01, MONDAY + number * 600, POLICY, traits=Traits("", hashed(f"customer{number}"))
        )
        assert fired(state) == []


def test_a_suspect_text_to_strangers_counts_more_than_a_newsletter_to_known_people() -> None:
    hijacked, newsletter = Signals(), Signals()
    start = office(hijacked, 2)
    office(newsletter, 2)
    text = "0123456789abcdef-" + "ab12cd34" * 4
    for number in range(40):
        stranger, friend = hashed(f"stranger{number}"), hashed(f"friend{number % 10}")
        bad = hijacked.observe("s", 0.7, start + number, POLICY, traits=Traits(text, stranger))
        good = newsletter.observe("s", 0.7, start + number, POLICY, traits=Traits(text, friend))

    assert "spam_burst" in fired(bad, Effect.HOLD)
    assert fired(good, Effect.HOLD) == []


@settings(deadline=None)  # a busy machine is no defect
@given(st.lists(st.binary(min_size=8, max_size=8), max_size=300))
def test_an_acquaintance_is_never_taken_for_a_stranger(people: list[bytes]) -> None:
    known = Acquaintances()
    known.meet(tuple(people))

    assert known.meet(tuple(people)) == 0
    assert known.count <= len(set(people))
    assert len(known.kept) <= 1_024


def test_strangers_are_told_from_acquaintances_up_to_1600() -> None:
    known = Acquaintances()
    met = sum(known.meet(hashed(number)) for number in range(1_500))

    assert met >= 1_350
    assert sum(known.meet(hashed(number)) for number in range(1_500)) == 0


def test_a_storm_of_mail_from_nobody_is_held_and_a_few_bounces_are_not() -> None:
    signals = Signals()
    for number in range(POLICY.null_line):
        state = signals.observe("s", 0.01, MONDAY + number, POLICY, traits=Traits("", is_null=True))
        assert fired(state, Effect.HOLD) == (["null_sender_storm"] if number + 1 == POLICY.null_line else [])

    [alarm] = [alarm for alarm in alarms(state, POLICY) if alarm.rule == "null_sender_storm"]
    assert alarm.reason == "200 recipients of mail from <> in this hour; usually 0, held from 200"


def test_a_server_that_always_sends_bounces_is_no_storm() -> None:
    signals = Signals()
    for hour in range(72):
        state = signals.observe("s", 0.01, MONDAY + hour * HOUR, POLICY, recipients=300, traits=Traits(is_null=True))
        assert hour < 24 or fired(state, Effect.HOLD) == []


def test_failures_are_an_alarm_above_half_of_the_recipients() -> None:
    signals = Signals()
    for number in range(40):
        signals.observe("s", 0.01, MONDAY, POLICY)
        if number % 4:
            signals.outcome("s", "deferred" if number % 2 else "failed", MONDAY + 1, "far.example")

    state = signals.state("s", MONDAY + 60, POLICY)

    assert state is not None
    [alarm] = [alarm for alarm in alarms(state, POLICY) if alarm.effect is Effect.THROTTLE]
    assert alarm.rule == "failed_share"
    assert alarm.reason.startswith("recipients failed or put off 30 of 40 in 24 h; 99.")
    for _ in range(40):
        state = signals.observe("s", 0.01, MONDAY + 60, POLICY)
    assert fired(state) == []


def old_senders(signals: Signals, names: Iterable[str]) -> None:
    for name in names:
        signals.observe(name, 0.01, MONDAY - 10 * DAY, POLICY)


def test_an_outage_of_a_provider_counts_for_nobody_and_a_bad_list_still_does() -> None:
    signals, names = Signals(), [f"honest{number}" for number in range(6)]
    old_senders(signals, [*names, "listbuyer"])
    for name in [*names, "listbuyer"]:
        for _ in range(20):
            signals.observe(name, 0.01, MONDAY - HOUR, POLICY)
            signals.outcome(name, "delivered", MONDAY - HOUR, "big")
    for number in range(20):
        signals.outcome("listbuyer", "hard_bounce", MONDAY - HOUR, "other.example")
        for name in names:
            signals.outcome(name, "hard_bounce", MONDAY + number, "big")

    honest, buyer = signals.state("honest0", MONDAY + 60, POLICY), signals.state("listbuyer", MONDAY + 60, POLICY)

    assert honest is not None
    assert buyer is not None
    assert (honest.hard_bounces, fired(honest, Effect.BLOCK)) == (0, [])
    assert (buyer.hard_bounces, fired(buyer, Effect.BLOCK)) == (20, ["hard_bounce_rate"])


def test_one_bad_list_is_no_outage_and_neither_are_new_senders_together() -> None:
    signals = Signals()
    old_senders(signals, [f"honest{number}" for number in range(6)])
    for number in range(60):
        signals.outcome(f"honest{number % 6}", "delivered", MONDAY - HOUR, "big")
        signals.outcome(f"honest{number % 6}", "delivered", MONDAY, "big")
    for number in range(40):
        signals.observe(f"new{number % 8}", 0.01, MONDAY, POLICY)
        signals.outcome(f"new{number % 8}", "hard_bounce", MONDAY, "big")
        signals.outcome("honest0", "hard_bounce", MONDAY, "big")

    assert not signals.outages.is_out("big", HARD, slot_of(MONDAY))


def test_when_everything_is_put_off_it_is_our_own_network() -> None:
    outages = Outages()
    for number in range(40):
        outages.note(f"domain{number}.example", f"s{number % 5}", "delivered", MONDAY - HOUR)
    for number in range(12):
        outages.note(f"domain{number}.example", f"s{number % 4}", "deferred", MONDAY)

    assert outages.is_out("domain30.example", SOFT, slot_of(MONDAY))
    assert not outages.is_out("domain30.example", HARD, slot_of(MONDAY))
    assert not outages.is_out("domain30.example", SOFT, slot_of(MONDAY + 2 * HOUR))


def test_an_outage_survives_a_restart_and_is_forgotten_after_a_day() -> None:
    before, after = Outages(), Outages()
    for at in (MONDAY - HOUR, MONDAY, MONDAY + 2 * DAY - HOUR, MONDAY + 2 * DAY):
        for number in range(24):
            is_over = at in (MONDAY - HOUR, MONDAY + 2 * DAY - HOUR)
            before.note("big", f"s{number % 4}", "delivered" if is_over else "hard_bounce", at)
        if at == MONDAY:
            after.load(before.dirty())
            assert after.is_out("big", HARD, slot_of(MONDAY))

    assert len(before) == 1
    assert sorted(row for _, row in before.dirty()) == [b"", b"1"]


def test_a_login_used_from_many_new_networks_is_an_alarm_and_its_usual_ones_are_not() -> None:
    logins = Logins()
    for hour in range(10 * 24):
        roaming = logins.note("bob", f"192.0.{hour % 3}.7", MONDAY + hour * HOUR)
    assert roaming.networks == 0

    for number in range(10):
        roaming = logins.note("bob", f"198.{number}.100.1", MONDAY + 10 * DAY + number)

    signal = SignalState(networks=roaming.networks, usual_networks=roaming.usual)
    [alarm] = alarms(signal, POLICY)
    assert (alarm.rule, alarm.effect) == ("login_networks", Effect.THROTTLE)
    assert alarm.reason == "the login was used from 10 new networks in 24 h, usually 0 a day"


def test_a_company_whose_phones_change_networks_every_day_is_not_an_alarm() -> None:
    logins, dice = Logins(), random.Random(7)
    for hour in range(30 * 24):
        address = f"10.{dice.randrange(250)}.{dice.randrange(250)}.1"
        roaming = logins.note("company", address if hour % 2 else "192.0.2.1", MONDAY + hour * HOUR)
        signal = SignalState(networks=roaming.networks, usual_networks=roaming.usual)
        assert hour < 8 * 24 or fired(signal) == []


def test_logins_are_bounded_and_survive_a_restart() -> None:
    before, after = Logins(capacity=2), Logins()
    for number in range(200):
        before.note("bob", f"10.{number}.0.1", MONDAY + number * HOUR)
    for login in ("eve", "dan"):
        before.note(login, "192.0.2.1", MONDAY + 300 * HOUR)

    rows = dict(before.dirty())
    after.load([*rows.items(), ("torn", b"\x93")])

    assert set(rows) == {"eve", "dan"}
    assert before.note("eve", "2001:db8::1", MONDAY + 301 * HOUR) == after.note(
        "eve", "2001:db8::1", MONDAY + 301 * HOUR
    )
    assert max(len(row) for row in rows.values()) < 40 * NETWORKS


@pytest.mark.parametrize(
    ("counts", "rule"),
    [
        ({"hard_bounces": 10, "day_seen": 100}, "hard_bounce_warning"),
        ({"complaints": 2, "week_seen": 500}, "complaint_warning"),
        ({"spam_count": 3.0, "seen": 8.0}, "spam_warning"),
    ],
)
def test_above_the_warn_line_a_sender_is_watched(counts: dict[str, float], rule: str) -> None:
    [alarm] = alarms(SignalState(**counts), POLICY)  # type: ignore[arg-type]

    assert (alarm.rule, alarm.effect) == (rule, Effect.WATCH)
    assert "sure the true rate is above the warn line of" in alarm.reason


def test_a_single_misjudged_message_is_no_warning() -> None:
    assert list(alarms(SignalState(spam_count=1.0, seen=1.0), POLICY)) == []


def test_one_suspect_text_of_new_senders_only_is_held() -> None:
    calm, alarm = (SignalState(same_text=count) for count in (7, 8))

    assert fired(calm, Effect.HOLD) == []
    assert fired(alarm, Effect.HOLD) == ["same_text"]


def test_an_account_above_three_times_its_usual_hour_is_told_of_once_in_six_hours() -> None:
    surges, again = Surges(), Surges()
    for hour in range(15 * 24):
        assert surges.note("shop", 200, MONDAY + hour * HOUR) is None
    now = MONDAY + 15 * DAY
    again.load([*surges.dirty(), ("torn", b"\x93")])

    for account in (surges, again):
        assert account.note("shop", 550, now) is None
        surge = account.note("shop", 200, now + 60)
        assert surge is not None
        assert surge.volume == 750
        assert 180 <= surge.usual <= 220
        assert account.note("shop", 5_000, now + 120) is None
        assert account.note("shop", 5_000, now + 7 * HOUR) is not None


def test_a_new_account_has_nothing_to_be_compared_with() -> None:
    assert Surges().note("new", 100_000, MONDAY) is None
