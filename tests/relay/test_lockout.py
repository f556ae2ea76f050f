"""The lock-out's rules over any history of successes and failures, and what of it survives a restart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.front.lockout import (
    ENTRIES,
    FAILURES,
    GUESS_SECONDS,
    GUESSES,
    LOCK_SECONDS,
    TRUST_SECONDS,
    WINDOW_SECONDS,
    Lockout,
)

ADDRESSES, LOGINS = [b"A" * 16, b"B" * 16], [b"1" * 16, b"2" * 16]
NOW = 1_800_000_000.0

_steps = st.lists(
    st.tuples(
        st.sampled_from(["fail", "succeed", "wait"]),
        st.sampled_from(ADDRESSES),
        st.sampled_from(LOGINS),
        st.sampled_from([0.1, 30.0, 400.0, 1000.0, 90_000.0]),
    ),
    max_size=80,
)


@given(_steps, st.booleans())
def test_an_address_with_a_success_today_is_never_locked(
    steps: list[tuple[str, bytes, bytes, float]], dies: bool
) -> None:
    lockout, now, successes = Lockout(), NOW, dict.fromkeys(ADDRESSES, float("-inf"))
    for what, address, login, seconds in steps:
        if what == "wait":
            now += seconds
        elif what == "succeed" and lockout.locked_until(address, login, now) is None:
            lockout.succeeded(address, login, now)
            successes[address] = now
        elif what == "fail":
            lockout.failed(address, login, now)
        if dies:
            lockout, rows = Lockout(), [*lockout.dirty(), *_everything(lockout).items()]
            assert lockout.load(rows) == 0

    for address in ADDRESSES:
        if now - successes[address] < TRUST_SECONDS - 60:  # a success soon after another is not written
            assert all(lockout.locked_until(address, login, now) is None for login in LOGINS)


def _everything(lockout: Lockout) -> dict[str, bytes]:
    """All rows there are, as a file that was written each second has them."""
    lockout._dirty = {f"lock {key.hex()}": instant for key, instant in lockout._locks.items()}
    lockout._dirty |= {f"trust {key.hex()}": instant for key, instant in lockout._successes.items()}
    return dict(lockout.dirty())


@given(st.lists(st.floats(0, 3 * WINDOW_SECONDS), min_size=1, max_size=40).map(sorted))
def test_a_login_is_locked_when_ten_failures_fall_in_ten_minutes_and_not_before(instants: list[float]) -> None:
    lockout, counted = Lockout(), list[float]()
    address, login, locked_until = ADDRESSES[0], LOGINS[0], 0.0
    for instant in instants:
        if lockout.locked_until(address, login, instant) is not None:
            assert instant < locked_until
            continue
        lockout.failed(address, login, instant)
        counted = [known for known in counted if known > instant - WINDOW_SECONDS] + [instant]
        if len(counted) >= FAILURES:
            counted, locked_until = [], instant + LOCK_SECONDS
        until = lockout.locked_until(address, login, instant)
        assert until == (locked_until if locked_until > instant else None)
        assert lockout.locked_until(ADDRESSES[1], login, instant) is None
        assert lockout.locked_until(address, LOGINS[1], instant) is None


def test_a_lock_and_a_trust_survive_a_restart_until_their_time() -> None:
    before = Lockout()
    for _ in range(FAILURES):
        before.failed(ADDRESSES[0], LOGINS[0], NOW)
    before.succeeded(ADDRESSES[1], LOGINS[0], NOW)
    rows = before.dirty()

    after = Lockout()
    assert after.load(rows) == 0
    for _ in range(FAILURES):
        after.failed(ADDRESSES[1], LOGINS[0], NOW)

    assert before.dirty() == []
    assert after.locked_until(ADDRESSES[0], LOGINS[0], NOW + 1) == NOW + LOCK_SECONDS
    assert after.locked_until(ADDRESSES[0], LOGINS[0], NOW + LOCK_SECONDS) is None
    assert after.locked_until(ADDRESSES[1], LOGINS[0], NOW + 1) is None
    assert after.locked_until(ADDRESSES[1], LOGINS[0], NOW + TRUST_SECONDS) is None  # the lock is over by then
    assert after.is_trusted(ADDRESSES[1], NOW + TRUST_SECONDS - 1)
    assert not after.is_trusted(ADDRESSES[1], NOW + TRUST_SECONDS)


def test_logins_in_a_row_cost_one_write_a_minute() -> None:
    lockout = Lockout()

    written = []
    for second in range(180):
        lockout.succeeded(ADDRESSES[0], LOGINS[0], NOW + second)
        written += lockout.dirty()

    assert len(written) == 3


def test_a_clock_that_went_back_does_not_stop_the_writing() -> None:
    lockout = Lockout()
    lockout.succeeded(ADDRESSES[0], LOGINS[0], NOW)
    lockout.succeeded(ADDRESSES[0], LOGINS[0], NOW - 86_400)

    assert lockout.is_trusted(ADDRESSES[0], NOW - 86_399)


@pytest.mark.parametrize("row", [("lock", b"x" * 8), ("lock zz", b"x" * 8), ("other 00", b"x" * 8), ("lock 00", b"x")])
def test_an_unreadable_row_is_left_out(row: tuple[str, bytes]) -> None:
    lockout = Lockout()
    good = ("lock " + ADDRESSES[0].hex(), b"\0" * 8)

    assert lockout.load([row, good]) == 1
    assert len(lockout._locks) == 1


def test_guesses_of_an_address_stay_bounded_over_all_logins() -> None:
    lockout = Lockout()

    answers = [lockout.begin_guess(ADDRESSES[0], NOW + n / 100) for n in range(2 * GUESSES)]

    assert answers[:GUESSES] == [None] * GUESSES
    assert answers[GUESSES:] == [NOW + GUESS_SECONDS] * GUESSES
    assert lockout.begin_guess(ADDRESSES[0], NOW + GUESS_SECONDS) is None


def test_memory_stays_bounded() -> None:
    lockout = Lockout()
    for number in range(ENTRIES + 100):
        address = number.to_bytes(16)
        lockout.failed(address, LOGINS[0], NOW)
        lockout.succeeded(address, LOGINS[0], NOW)

    assert len(lockout._failures) <= ENTRIES
    assert len(lockout._successes) == ENTRIES
