"""The ledger against a plain list of what was taken when."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.policy.limits import unique
from relay.policy.limits.claims import Ask, Claim
from relay.policy.limits.ledger import LONGEST_DELAY_SECONDS, Ledger, Taking
from relay.policy.limits.levels import Level, LimitSet

HOUR, DAY = 3_600, 86_400
SLOT = {HOUR: 60, DAY: 1_440}
NOON = 1_800_000_000.0
NAME = {HOUR: "rcpts_per_hour", DAY: "rcpts_per_day"}

steps = st.lists(st.tuples(st.floats(0, 900), st.integers(1, 4)), max_size=120)
spans = st.sampled_from([HOUR, DAY])


def claim(name: str = "bob", level: Level = Level.SENDER, band: int = 0, **limits: int) -> Claim:
    found = LimitSet(**limits)
    return Claim(level, f"{level}={name}", f"{level} {name}", found, found, band=band)


def only(span: int, limit: int, band: int = 0) -> Claim:
    return claim(band=band, **{NAME[span]: limit})


def take(ledger: Ledger, one: Claim, amount: int, now: float) -> Taking:
    return ledger.take((one,), Ask(amount), now)


def is_free(ledger: Ledger, one: Claim, amount: int, now: float) -> bool:
    """Tell whether `amount` fits, leaving no trace."""
    taking = take(ledger, one, amount, now)
    ledger.give_back(taking)
    return taking.use.is_allowed


@given(spans, steps, st.integers(1, 12))
def test_no_window_wherever_it_begins_ever_holds_more_than_the_limit(
    span: int, waits: list[tuple[float, int]], limit: int
) -> None:
    ledger, now, taken = Ledger(), NOON, []
    for wait_seconds, amount in waits:
        now += wait_seconds * span / HOUR
        if take(ledger, only(span, limit), amount, now).use.is_allowed:
            taken.append((now, amount))

    for end, _ in taken:
        assert sum(amount for at, amount in taken if end - span < at <= end) <= limit


@given(spans, steps, st.integers(1, 12))
def test_a_refusal_comes_at_most_one_slot_early(span: int, waits: list[tuple[float, int]], limit: int) -> None:
    ledger, now, taken = Ledger(), NOON, []
    for wait_seconds, amount in waits:
        now += wait_seconds * span / HOUR
        used = sum(before for at, before in taken if at >= now - span - SLOT[span])
        if take(ledger, only(span, limit), amount, now).use.is_allowed:
            taken.append((now, amount))
        else:
            assert used + amount > limit


@given(spans, steps, st.integers(4, 12))
def test_a_refused_message_fits_at_the_time_named_and_not_a_slot_before(
    span: int, waits: list[tuple[float, int]], limit: int
) -> None:
    ledger, now, one = Ledger(), NOON, only(span, limit)
    for wait_seconds, amount in waits:
        now += wait_seconds * span / HOUR
        use = take(ledger, one, amount, now).use
        if not use.is_allowed:
            before = use.next_unix - SLOT[span] / 2
            assert before < now or not is_free(ledger, one, amount, before)
            assert is_free(ledger, one, amount, use.next_unix)
            return
        assert use.next_unix == now


@given(steps, st.integers(1, 12), st.data())
def test_giving_back_frees_at_once_and_never_too_much(
    waits: list[tuple[float, int]], limit: int, data: st.DataObject
) -> None:
    ledger, now, one = Ledger(), NOON, only(HOUR, limit)
    taken: list[tuple[float, int, Taking]] = []
    for wait_seconds, amount in waits:
        now += wait_seconds
        taking = take(ledger, one, amount, now)
        if taking.use.is_allowed:
            taken.append((now, amount, taking))
        if taken and data.draw(st.booleans()):
            given_back = taken.pop(data.draw(st.integers(0, len(taken) - 1)))[2]
            ledger.give_back(given_back)
            ledger.give_back(given_back)  # twice is once
        assert sum(amount for at, amount, _ in taken if now - HOUR < at) <= limit
    for *_, taking in taken:
        ledger.give_back(taking)
    assert is_free(ledger, one, limit, now)


@given(steps, st.integers(4, 12), st.integers(6, 30))
def test_what_leaves_keeps_the_limit_and_nobody_overtakes_in_the_band(
    waits: list[tuple[float, int]], hourly: int, daily: int
) -> None:
    ledger, now = Ledger(), NOON
    one = claim(band=200, rcpts_per_hour=hourly, rcpts_per_day=daily)
    leaves: list[tuple[float, int]] = []
    for wait_seconds, amount in waits:
        now += wait_seconds
        use = take(ledger, one, amount, now).use
        if use.is_allowed:
            due = now if use.due_unix is None else use.due_unix
            assert now <= due <= now + LONGEST_DELAY_SECONDS
            leaves.append((due, amount))

    assert leaves == sorted(leaves, key=lambda leaving: leaving[0])
    for end, _ in leaves:
        assert sum(amount for at, amount in leaves if end - HOUR < at <= end) <= hourly
        assert sum(amount for at, amount in leaves if end - DAY < at <= end) <= daily


@given(st.lists(st.tuples(st.floats(0, 900), st.integers(0, 3), st.integers(1, 4)), max_size=80), st.integers(4, 8))
def test_what_leaves_of_senders_that_share_a_limit_keeps_it_too(
    waits: list[tuple[float, int, int]], shared: int
) -> None:
    ledger, now = Ledger(), NOON
    group = replace(claim("all", Level.SENDERS, band=200, rcpts_per_hour=shared), is_shared=True)
    leaves: list[tuple[float, int]] = []
    for wait_seconds, who, amount in waits:
        now += wait_seconds
        use = ledger.take((group, claim(f"s{who}", band=200, rcpts_per_hour=4)), Ask(amount), now).use
        if use.is_allowed:
            due = now if use.due_unix is None else use.due_unix
            assert now <= due <= now + LONGEST_DELAY_SECONDS
            leaves.append((due, amount))

    for end, _ in leaves:
        assert sum(amount for at, amount in leaves if end - HOUR < at <= end) <= shared


people = st.lists(st.tuples(st.floats(0, 900), st.sets(st.integers(0, 9), min_size=1, max_size=3)), max_size=80)


@given(people, st.integers(1, 5), st.sampled_from([0, 200]))
def test_no_hour_ever_sees_more_different_recipients_than_the_limit(
    waits: list[tuple[float, set[int]]], limit: int, band: int
) -> None:
    ledger, now, one = Ledger(), NOON, claim(band=band, unique_rcpts_per_hour=limit)
    written: list[tuple[float, int]] = []
    for wait_seconds, names in waits:
        now += wait_seconds
        recent = {name for at, name in written if at >= now - HOUR - 60}
        use = ledger.take((one,), Ask(len(names), unique.hashed(map(str, sorted(names)), b"key")), now).use
        if use.is_allowed:
            written += [(use.due_unix or now, name) for name in names]
        elif not band:
            assert len(recent | names) > limit

    for end, _ in written:
        assert len({name for at, name in written if end - HOUR < at <= end}) <= limit


def test_a_known_recipient_costs_nothing() -> None:
    ledger, one = Ledger(), claim(unique_rcpts_per_hour=2)
    ann, ben, cid = unique.hashed(["ann@d.example", "ben@d.example", "cid@d.example"], b"key")
    ledger.take((one,), Ask(2, [ann, ben]), NOON)

    again = ledger.take((one,), Ask(1, unique.hashed(["Ann@D.example"], b"key")), NOON + 1).use
    third = ledger.take((one,), Ask(1, [cid]), NOON + 2).use

    assert again.is_allowed
    assert (third.is_allowed, third.name, third.used, third.limit) == (False, "unique_rcpts_per_hour", 2, 2)


def test_hashes_are_keyed_and_say_nothing_of_the_address() -> None:
    assert unique.hashed(["ann@d.example"], b"one") != unique.hashed(["ann@d.example"], b"other")


def test_several_claims_are_taken_together_or_none_is() -> None:
    ledger = Ledger()
    domain, account = claim("d.example", Level.DOMAIN, rcpts_per_hour=100), claim("a", Level.ACCOUNT, rcpts_per_hour=3)
    ledger.take((domain, account), Ask(2), NOON)

    refused = ledger.take((domain, account), Ask(2), NOON)

    assert (refused.use.is_allowed, refused.use.whose, refused.claims) == (False, "account a", ())
    assert is_free(ledger, domain, 98, NOON)
    assert not is_free(ledger, domain, 99, NOON)


def test_the_wider_level_is_named_before_the_narrower() -> None:
    ledger = Ledger()
    claims = (claim("a", Level.ACCOUNT, rcpts_per_hour=1), claim(band=200, rcpts_per_hour=1))
    ledger.take(claims, Ask(1), NOON)

    assert ledger.take(claims, Ask(1), NOON).use.whose == "account a"


def test_messages_are_counted_when_they_are_whole() -> None:
    ledger, one = Ledger(), claim(messages_per_hour=1)
    ledger.take((one,), Ask(1, is_final=False), NOON)
    ledger.take((one,), Ask(50), NOON)

    use = ledger.take((one,), Ask(1), NOON).use

    assert (use.is_allowed, use.name, use.used) == (False, "messages_per_hour", 1)


def test_too_many_recipients_in_one_message_are_never_taken() -> None:
    use = take(Ledger(), claim(band=200, rcpts_per_message=2, rcpts_per_hour=9), 3, NOON).use

    assert (use.is_allowed, use.name, use.limit, use.asked) == (False, "rcpts_per_message", 2, 3)


def test_a_message_above_the_limit_itself_names_the_time_when_all_is_free() -> None:
    ledger, one = Ledger(), only(HOUR, 10, band=200)
    take(ledger, one, 1, NOON)

    use = take(ledger, one, 11, NOON + 5).use

    assert (use.used, use.asked, use.is_allowed) == (1, 11, False)
    assert is_free(ledger, one, 10, use.next_unix)


def test_beyond_the_band_it_is_refused_until_enough_have_left() -> None:
    ledger, one = Ledger(), only(HOUR, 100, band=200)
    for _ in range(3):
        assert take(ledger, one, 100, NOON).use.is_allowed

    use = take(ledger, one, 1, NOON).use

    assert (use.is_allowed, use.booked, use.band, use.used) == (False, 200, 200, 100)
    assert take(ledger, one, 1, use.next_unix).use.due_unix is not None
    assert ledger.is_crowded(NOON)
    assert not ledger.is_crowded(use.next_unix)


def test_nobody_is_booked_more_than_a_day_ahead() -> None:
    ledger, one = Ledger(), only(DAY, 10, band=200)
    while (use := take(ledger, one, 10, NOON).use).is_allowed:
        assert (use.due_unix or NOON) <= NOON + LONGEST_DELAY_SECONDS

    assert use.booked < 200
    assert take(ledger, one, 10, use.next_unix).use.is_allowed


def test_a_delayed_message_counts_where_it_leaves_and_is_given_back_there() -> None:
    ledger, one = Ledger(), only(HOUR, 10, band=200)
    take(ledger, one, 10, NOON)
    delayed = take(ledger, one, 10, NOON)
    assert take(ledger, one, 1, NOON).use.due_unix == pytest.approx((delayed.use.due_unix or 0) + HOUR + 60)
    fresh = Ledger()
    take(fresh, one, 10, NOON)
    delayed = take(fresh, one, 10, NOON)

    fresh.give_back(delayed)

    assert take(fresh, one, 1, NOON).use.due_unix == delayed.use.due_unix


def test_a_look_takes_nothing_and_says_what_would_be_refused() -> None:
    ledger, one = Ledger(), only(HOUR, 1)

    assert ledger.look((one,), Ask(1), NOON) is None
    assert take(ledger, one, 1, NOON).use.is_allowed
    assert ledger.look((one,), Ask(1), NOON) is not None


def test_some_levels_can_stay_used_when_a_message_is_refused() -> None:
    ledger = Ledger()
    account, bob = claim("a", Level.ACCOUNT, rcpts_per_hour=1), claim(rcpts_per_hour=1)

    ledger.give_back(ledger.take((account, bob), Ask(1), NOON), but=(Level.SENDER,))

    assert is_free(ledger, account, 1, NOON)
    assert not is_free(ledger, bob, 1, NOON)


def test_a_clock_that_goes_back_frees_nobody_and_locks_nobody_out() -> None:
    ledger, one = Ledger(), only(HOUR, 10)
    take(ledger, one, 10, NOON + DAY)

    refused = take(ledger, one, 1, NOON).use

    assert not refused.is_allowed
    assert refused.next_unix <= NOON + HOUR + 60
    assert not is_free(ledger, one, 1, NOON + HOUR - 60)
    assert is_free(ledger, one, 1, NOON + HOUR + 60)


def test_a_delay_is_as_long_as_it_would_have_been_when_the_clock_goes_back() -> None:
    ledger, one = Ledger(), only(HOUR, 10, band=200)
    take(ledger, one, 10, NOON + DAY)

    assert take(ledger, one, 1, NOON).use.due_unix == pytest.approx(NOON + HOUR + 60, abs=60)


def test_another_limit_at_the_next_message_counts_what_was_before() -> None:
    ledger, one = Ledger(), only(HOUR, 10)
    take(ledger, one, 10, NOON)

    assert not is_free(ledger, only(HOUR, 5), 1, NOON)
    assert is_free(ledger, replace(one, limits=LimitSet(rcpts_per_hour=11)), 1, NOON)


def test_idle_keys_leave_memory_and_the_file() -> None:
    ledger = Ledger()
    for number in range(1_000):
        take(ledger, claim(f"old{number}", rcpts_per_hour=10), 1, NOON)
    ledger.dirty()

    for number in range(1_000):
        take(ledger, claim(f"new{number}", rcpts_per_hour=10), 1, NOON + 2 * HOUR)

    assert len(ledger) == 1_000
    gone = {row for row, data in ledger.dirty() if not data}
    assert gone == {f"sender=old{number}" for number in range(1_000)}


def test_one_key_that_stays_busy_does_not_keep_the_idle_ones() -> None:
    ledger = Ledger()
    take(ledger, claim("busy", rcpts_per_hour=10, rcpts_per_day=10), 1, NOON)
    for number in range(100):
        take(ledger, claim(f"old{number}", rcpts_per_hour=10), 1, NOON)

    for number in range(200):
        take(ledger, claim(f"new{number}", rcpts_per_hour=10), 1, NOON + 2 * HOUR)

    assert len(ledger) == 201
    assert not is_free(ledger, claim("busy", rcpts_per_day=10), 10, NOON + 2 * HOUR)


def test_there_is_a_bound_to_what_is_remembered() -> None:
    ledger = Ledger(capacity=50)

    for number in range(500):
        take(ledger, claim(f"name{number}", rcpts_per_hour=10), 1, NOON)

    assert len(ledger) <= 50


@given(steps, st.integers(4, 12))
def test_rows_written_and_read_back_go_on_as_if_nothing_had_happened(
    waits: list[tuple[float, int]], limit: int
) -> None:
    kept, now, file = Ledger(), NOON, dict[str, bytes]()
    one = claim(band=200, rcpts_per_hour=limit, rcpts_per_day=3 * limit, unique_rcpts_per_hour=4, messages_per_hour=6)
    for number, (wait_seconds, amount) in enumerate(waits):
        now += wait_seconds
        ask = Ask(amount, unique.hashed([str(number % 7)], b"key"))
        file.update(kept.dirty())
        restarted = Ledger()
        restarted.load(file.items())

        assert restarted.take((one,), ask, now).use == kept.take((one,), ask, now).use


def test_a_row_of_a_clock_that_was_ahead_neither_frees_nor_locks_out() -> None:
    ahead, one = Ledger(), only(HOUR, 10)
    take(ahead, one, 10, NOON + DAY)
    ledger = Ledger()
    ledger.load(ahead.dirty())

    assert not is_free(ledger, one, 1, NOON)
    assert is_free(ledger, one, 1, NOON + HOUR + 60)


@pytest.mark.parametrize("row", [b"", b"\xff", b"\x94\xc4\x01x\xc4\x00\xc4\x00\xc4\x00", b"\xc1" * 40])
def test_a_broken_row_is_forgotten_and_nothing_else(row: bytes) -> None:
    ledger, one = Ledger(), only(HOUR, 1)
    ledger.load([(one.row, row), ("", b"not a clock")])

    assert take(ledger, one, 1, NOON).use.is_allowed
    assert not take(ledger, one, 1, NOON).use.is_allowed
