"""Warm-up plans and IP states on a stepped clock: quotas, advance, repeat, step back, idle; rests; round trips."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.delivery.egress.ip_states import IpStates, blames_address
from relay.delivery.egress.plan import load_plan
from relay.delivery.egress.warmup import WarmUp, per_hour
from relay.delivery.replies import Category, OwnReply
from relay.reply import Reply

HOUR, DAY = 3_600.0, 86_400.0
MIDNIGHT = 20_600 * DAY
GOOGLE = load_plan().shares["google"]


def plans() -> WarmUp:
    return WarmUp(load_plan())


def send_all_day(plan: WarmUp, day: int, share: float = 1.0, destination: str = "google") -> int:
    """Send as fast as allowed until `share` of the day's quota is used; returns how many."""
    now, sent, quota = MIDNIGHT + day * DAY, 0, 0
    end = now + DAY
    while now < end - 1:
        quota = quota or plan.state("ip1", destination, now).quota
        if sent >= share * quota:
            break
        wait = plan.take("ip1", destination, now)
        sent += not wait
        now += wait or 1e-3
    return sent


def stage(plan: WarmUp, day: float, destination: str = "google") -> int:
    return plan.state("ip1", destination, MIDNIGHT + day * DAY).stage


def test_the_plan_begins_with_200_a_day_shared_out_between_providers() -> None:
    plan = plans()

    assert [plan.state("ip1", name, MIDNIGHT).quota for name in ("google", "yahoo", "others", "example.org")] == [
        *(80, 20, 40, 40),
    ]
    assert plan.plan.stages[-1] == 10_000_000


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32), st.sampled_from([0.0, 30.0, 600.0, 4_000.0]))
def test_no_hour_and_no_day_ever_has_more_than_its_quota(first: int, seed: int, pause: float) -> None:
    plan, chance = plans(), random.Random(seed)
    plan.set_stage("ip1", "google", first, MIDNIGHT)
    quota, now, sent = plan.state("ip1", "google", MIDNIGHT).quota, MIDNIGHT, []
    while now < MIDNIGHT + DAY:
        wait = plan.take("ip1", "google", now)
        if not wait:
            sent.append(now)
            if chance.random() < 0.1:
                plan.give_back("ip1", "google")
                sent.pop()
        now += max(wait, chance.random() * pause, 1e-3) if wait or pause else 0.5

    most = max(
        (sum(begin <= at < begin + HOUR for at in sent[n : n + 4_000]) for n, begin in enumerate(sent)), default=0
    )
    assert most <= per_hour(quota)
    assert len(sent) <= quota


def test_no_hour_across_midnights_has_more_than_the_newer_stage_allows() -> None:
    plan, now, sent = plans(), MIDNIGHT, []
    while now < MIDNIGHT + 4 * DAY:
        wait = plan.take("ip1", "google", now)
        if not wait:
            sent.append((now, per_hour(plan.state("ip1", "google", now).quota)))
        now += wait or 1e-3

    for begin, _ in sent:
        hour = [most for at, most in sent if begin <= at < begin + HOUR]
        assert len(hour) <= max(hour)
    assert stage(plan, 4) == 5
    assert len(sent) == 80 + 200 + 400 + 800


def test_a_day_used_cleanly_advances_and_one_not_used_stays() -> None:
    plan = plans()

    assert send_all_day(plan, 0, 0.9) == 72
    assert stage(plan, 1) == 2
    send_all_day(plan, 1, 0.89)
    assert stage(plan, 2) == 2
    assert plan.state("ip1", "google", MIDNIGHT + 2 * DAY).last == "stayed: 178 of 200 used"


def test_days_without_mail_neither_advance_nor_punish() -> None:
    plan = plans()
    send_all_day(plan, 0)

    assert [stage(plan, day) for day in (1, 2, 9, 29)] == [2, 2, 2, 2]
    send_all_day(plan, 29)
    assert stage(plan, 30) == 3


def _often(times: int, note: Callable[[str, str, float], None]) -> Callable[[float], None]:
    def note_all(now: float) -> None:
        for _ in range(times):
            note("ip1", "google", now)

    return note_all


BAD_DAYS: dict[str, Callable[[WarmUp], Callable[[float], None]]] = {
    "deferred": lambda plan: _often(10, plan.deferred),
    "blocked": lambda plan: _often(2, plan.blocked),
    "complaints": lambda plan: lambda now: plan.complained("ip1", "google", 3, now),
}


@pytest.mark.parametrize("evil", BAD_DAYS)
def test_a_bad_day_repeats_and_two_step_back_two(evil: str) -> None:
    plan = plans()
    plan.set_stage("ip1", "google", 3, MIDNIGHT)
    before = plan.state("ip1", "google", MIDNIGHT).quota

    for day, expected in ((0, 3), (1, 1)):
        send_all_day(plan, day, 0.5)
        BAD_DAYS[evil](plan)(MIDNIGHT + (day + 0.5) * DAY)
        assert stage(plan, day + 1) == expected
    assert before == 400
    assert "stepped back" in plan.state("ip1", "google", MIDNIGHT + 2 * DAY).last
    send_all_day(plan, 2)
    assert stage(plan, 3) == 2


def test_just_below_the_lines_a_day_still_advances() -> None:
    plan = plans()
    plan.set_stage("ip1", "google", 3, MIDNIGHT)  # 400 a day
    send_all_day(plan, 0)
    for _ in range(19):  # 4.75 %
        plan.deferred("ip1", "google", MIDNIGHT + DAY / 2)
    for _ in range(3):  # 0.75 %
        plan.blocked("ip1", "google", MIDNIGHT + DAY / 2)
    plan.complained("ip1", "google", 1, MIDNIGHT + DAY / 2)

    assert stage(plan, 1) == 4


def test_a_clean_day_between_two_bad_ones_forgives_the_first() -> None:
    plan = plans()
    plan.set_stage("ip1", "google", 5, MIDNIGHT)
    for day, is_bad in ((0, True), (1, False), (2, True)):
        send_all_day(plan, day, 0.1)
        if is_bad:
            for _ in range(1_000):
                plan.deferred("ip1", "google", MIDNIGHT + (day + 0.5) * DAY)

    assert stage(plan, 3) == 5


@pytest.mark.parametrize(("first", "after"), [(3, 1), (9, 4)])
def test_after_30_idle_days_a_plan_starts_five_stages_lower(first: int, after: int) -> None:
    plan = plans()
    plan.set_stage("ip1", "google", first, MIDNIGHT)
    plan.take("ip1", "google", MIDNIGHT)

    assert stage(plan, 29.9) == first
    assert stage(plan, 31.1) == after


def test_a_plan_that_is_done_holds_nothing_back_until_it_was_idle_too_long() -> None:
    plan = plans()
    done = len(plan.plan.stages) + 1
    plan.set_stage("ip1", "google", done, MIDNIGHT)

    assert all(plan.take("ip1", "google", MIDNIGHT + second) == 0 for second in range(10_000))
    assert plan.is_warm("ip1", "google", MIDNIGHT + 29 * DAY)
    assert stage(plan, 31) == done - 5
    assert not plan.is_warm("ip1", "google", MIDNIGHT + 31 * DAY)


def test_thirty_clean_days_walk_the_whole_list() -> None:
    plan = plans()
    walked = []
    for day in range(8):
        walked.append(stage(plan, day))
        send_all_day(plan, day)

    assert walked == [1, 2, 3, 4, 5, 6, 7, 8]
    assert stage(plan, 0, "yahoo") == 1


def test_a_clock_that_goes_back_neither_frees_nor_locks_out() -> None:
    plan = plans()
    plan.take("ip1", "google", MIDNIGHT + 10 * DAY)

    wait = plan.wait("ip1", "google", MIDNIGHT)

    assert 0 < wait <= DAY / 80
    assert plan.state("ip1", "google", MIDNIGHT).sent == 1


def test_plans_are_the_same_after_a_round_trip() -> None:
    plan, again = plans(), plans()
    send_all_day(plan, 0)
    plan.deferred("ip1", "example.org", MIDNIGHT + 60)

    rows = plan.dirty()
    unreadable = again.load([*rows, ("ip9|google", b"\xff")])

    assert unreadable == 1
    assert plan.dirty() == []
    assert sorted(key for key, _ in rows) == ["ip1|google", "ip1|others"]
    for name in ("google", "others"):
        assert again.state("ip1", name, MIDNIGHT + DAY) == plan.state("ip1", name, MIDNIGHT + DAY)


def test_a_rest_is_4_hours_doubles_to_48_and_begins_anew_after_a_clean_day() -> None:
    states, now, rests = IpStates(), MIDNIGHT, []
    for _ in range(6):
        states.blocked("ip1", "outlook", now)
        states.blocked("ip1", "outlook", now + 1)  # of a transaction that was in flight: the same block
        states.delivered("ip1", "outlook", now + 2)
        rests.append(states.rest_left("ip1", "outlook", now) / HOUR)
        now += rests[-1] * HOUR
        assert states.rest_left("ip1", "outlook", now) == 0

    assert rests == [4, 8, 16, 32, 48, 48]
    states.delivered("ip1", "outlook", now)
    states.blocked("ip1", "outlook", now + 23 * HOUR)
    assert states.rest_left("ip1", "outlook", now + 23 * HOUR) == 48 * HOUR
    now += 23 * HOUR + 48 * HOUR
    states.delivered("ip1", "outlook", now)
    states.blocked("ip1", "outlook", now + 24 * HOUR)
    assert states.rest_left("ip1", "outlook", now + 24 * HOUR) == 4 * HOUR


def test_rests_and_shares_are_the_same_after_a_round_trip() -> None:
    states, again = IpStates(), IpStates()
    states.blocked("ip1", "outlook", MIDNIGHT)
    for _ in range(30):
        states.deferred("ip1", "yahoo", MIDNIGHT)

    assert again.load([*states.dirty(), ("ip1|x", b"")]) == 1
    assert [*again.troubles(MIDNIGHT + 60)] == [*states.troubles(MIDNIGHT + 60)]
    assert [(one.destination, one.kind) for one in again.troubles(MIDNIGHT)] == [
        ("outlook", "resting"),
        ("yahoo", "degraded"),
    ]
    assert [one.kind for one in again.troubles(MIDNIGHT + 5 * HOUR)] == []


def test_a_source_that_is_well_again_leaves_no_row() -> None:
    states = IpStates()
    states.deferred("ip1", "yahoo", MIDNIGHT)
    states.delivered("ip1", "yahoo", MIDNIGHT + HOUR)
    states.delivered("ip1", "yahoo", MIDNIGHT + HOUR + DAY)

    assert states.dirty() == [("ip1|yahoo", b"")]


@pytest.mark.parametrize(
    ("text", "is_blamed"),
    [
        ("5.7.1 Client host [192.0.2.1] blocked using zen.example.org", True),
        ("part of their network is on our block list (S3150)", True),
        ("Message contains a URL listed by SURBL", False),
        ("the domain shop.example is blocked using dbl.example.org", False),
        ("192.0.2.1 blocked for a bad domain reputation", True),
    ],
)
def test_only_a_block_that_means_our_address_makes_it_rest(text: str, is_blamed: bool) -> None:
    assert blames_address(Category.REPUTATION_BLOCK, Reply(550, "5.7.1", text), "192.0.2.1") is is_blamed
    assert not blames_address(Category.CONTENT_BLOCK, Reply(550, "5.7.1", text), "192.0.2.1")
    own = OwnReply(451, "4.4.2", text, Category.REPUTATION_BLOCK)
    assert not blames_address(Category.REPUTATION_BLOCK, own, "192.0.2.1")
