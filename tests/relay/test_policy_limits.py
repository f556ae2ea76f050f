"""Sliding limits against a plain list of instants."""

from hypothesis import given
from hypothesis import strategies as st

from relay.policy.limits import SLOT_SECONDS, SlidingLimits, effective_limit

HOUR = 3_600
NOON = 1_800_000_000.0

requests = st.lists(st.tuples(st.floats(0, 900), st.integers(1, 4)), max_size=120)


def replay(steps: list[tuple[float, int]], limit: int) -> list[tuple[float, int, bool]]:
    limits, now, seen = SlidingLimits(), NOON, []
    for wait_seconds, amount in steps:
        now += wait_seconds
        seen.append((now, amount, limits.take("key", amount, limit, now).is_allowed))
    return seen


@given(requests, st.integers(1, 12))
def test_no_window_of_an_hour_ever_holds_more_than_the_limit(steps: list[tuple[float, int]], limit: int) -> None:
    taken = [(at, amount) for at, amount, is_allowed in replay(steps, limit) if is_allowed]

    for end, _ in taken:
        assert sum(amount for at, amount in taken if end - HOUR < at <= end) <= limit


@given(requests, st.integers(1, 12))
def test_a_refusal_comes_at_most_one_slot_early(steps: list[tuple[float, int]], limit: int) -> None:
    seen = replay(steps, limit)

    for number, (end, asked, is_allowed) in enumerate(seen):
        used = sum(amount for at, amount, taken in seen[:number] if taken and at >= end - HOUR - SLOT_SECONDS)
        assert is_allowed or used + asked > limit


@given(requests, st.integers(4, 12))
def test_a_refused_request_fits_at_the_time_named_and_not_a_slot_before(
    steps: list[tuple[float, int]], limit: int
) -> None:
    limits, now = SlidingLimits(), NOON
    for wait_seconds, amount in steps:
        now += wait_seconds
        use = limits.take("key", amount, limit, now)
        if not use.is_allowed:
            assert not limits.take("key", amount, limit, use.next_unix - SLOT_SECONDS / 2).is_allowed
            assert limits.take("key", amount, limit, use.next_unix).is_allowed
            return
        assert use.next_unix == now


def test_a_request_above_the_limit_itself_names_the_time_when_all_is_free() -> None:
    limits = SlidingLimits()
    limits.take("key", 1, 10, NOON)

    use = limits.take("key", 11, 10, NOON + 5)

    assert (use.used, use.asked, use.is_allowed) == (1, 11, False)
    assert limits.take("key", 10, 10, use.next_unix).is_allowed


def test_a_refused_request_takes_nothing() -> None:
    limits = SlidingLimits()

    limits.take("key", 9, 10, NOON)
    limits.take("key", 2, 10, NOON)

    assert limits.take("key", 1, 10, NOON).used == 10


def test_keys_do_not_share_a_limit() -> None:
    limits = SlidingLimits()

    limits.take("one", 10, 10, NOON)

    assert limits.take("other", 10, 10, NOON).is_allowed


def test_units_given_back_are_free_again_and_others_stay() -> None:
    limits = SlidingLimits()
    limits.take("key", 6, 10, NOON)
    limits.take("key", 4, 10, NOON + 600)

    limits.give_back("key", 4, NOON + 600)

    assert limits.take("key", 5, 10, NOON + 601).used == 6
    assert limits.take("key", 4, 10, NOON + 602).is_allowed


@given(requests, st.integers(1, 12), st.data())
def test_giving_back_never_lets_a_window_exceed_the_limit(
    steps: list[tuple[float, int]], limit: int, data: st.DataObject
) -> None:
    limits, now = SlidingLimits(), NOON
    taken: list[tuple[float, int]] = []
    for wait_seconds, amount in steps:
        now += wait_seconds
        if not limits.take("key", amount, limit, now).is_allowed:
            continue
        taken.append((now, amount))
        if data.draw(st.booleans()):
            given_back = taken.pop(data.draw(st.integers(0, len(taken) - 1)))
            limits.give_back("key", given_back[1], given_back[0])
        assert sum(amount for at, amount in taken if now - HOUR < at) <= limit


def test_a_clock_that_goes_back_frees_nothing_and_locks_nobody_out_for_long() -> None:
    limits = SlidingLimits()
    limits.take("key", 10, 10, NOON + 86_400)

    refused = limits.take("key", 1, 10, NOON)

    assert not refused.is_allowed
    assert refused.next_unix <= NOON + HOUR + 2 * SLOT_SECONDS
    assert limits.take("key", 1, 10, refused.next_unix).is_allowed


def test_idle_keys_leave_memory() -> None:
    limits = SlidingLimits()
    for number in range(1_000):
        limits.take(f"old{number}", 1, 10, NOON)
    limits.take("refused from the first", 11, 10, NOON)

    for number in range(1_000):
        limits.take(f"new{number}", 1, 10, NOON + 2 * HOUR)

    assert len(limits) == 1_000


def test_the_multiplier_moves_the_limit_within_its_bounds() -> None:
    week = 7 * 86_400

    assert effective_limit(200, 0.25, 0) == 50
    assert effective_limit(200, 0.0001, week) == 20
    assert effective_limit(200, 100, week) == 800
    assert effective_limit(1, 0.1, week) == 1


def test_a_sender_younger_than_a_week_never_gets_more_than_the_base() -> None:
    assert effective_limit(200, 4, 86_400) == 200
