"""What is counted, for how long, and what survives a restart."""

from hypothesis import given
from hypothesis import strategies as st

from relay.policy.signals.live import Signals
from relay.settings import Policy

POLICY = Policy()
NOON = 1_800_000_000.0
HOUR, DAY = 3_600.0, 86_400.0


@given(st.lists(st.tuples(st.floats(0, 600), st.sampled_from([None, 0.1, 0.6, 0.95])), min_size=1, max_size=80))
def test_the_counts_are_those_of_the_last_hour(steps: list[tuple[float, float | None]]) -> None:
    signals, now, sent = Signals(), NOON, []
    for wait_seconds, score in steps:
        now += wait_seconds
        sent.append((now, score))
        state = signals.observe("s", score, now, POLICY)

    def count(seconds: float) -> tuple[float, int]:
        window = [score for at, score in sent if at > now - seconds and score is not None]
        return sum({0.1: 0.0, 0.6: 0.5, 0.95: 1.0}[score] for score in window), len(window)

    (least_spam, least_seen), (most_spam, most_seen) = count(HOUR - 60), count(HOUR)
    assert least_spam <= state.spam_count <= most_spam
    assert least_seen <= state.seen <= most_seen
    assert len(steps) == state.history


def test_a_message_without_a_score_is_history_but_no_evidence() -> None:
    state = Signals().observe("s", None, NOON, POLICY)

    assert (state.seen, state.spam_count, state.history) == (0, 0, 1)


def test_the_latest_ten_bad_messages_are_kept_as_evidence() -> None:
    signals = Signals()
    for number in range(12):
        signals.observe("s", 0.95, NOON, POLICY, f"bad{number}")

    state = signals.observe("s", 0.01, NOON, POLICY, "good")

    assert tuple(f"bad{number}" for number in range(2, 12)) == state.bad_messages


def test_evidence_older_than_the_window_is_not_shown() -> None:
    signals = Signals()
    signals.observe("s", 0.95, NOON, POLICY, "bad")

    state = signals.observe("s", 0.01, NOON + HOUR + 60, POLICY)

    assert (state.spam_count, state.bad_messages) == (0, ())


def test_hard_bounces_count_a_day_and_complaints_a_week() -> None:
    signals = Signals()
    signals.observe("s", 0.1, NOON, POLICY, recipients=3)
    signals.outcome("s", "hard_bounce", NOON)
    signals.outcome("s", "complaint", NOON)

    after = {days: signals.state("s", NOON + days * DAY, POLICY) for days in (0.8, 1.2, 6.8, 7.2)}

    seen = {days: (state.hard_bounces, state.day_seen, state.complaints) for days, state in after.items() if state}
    assert seen == {0.8: (1, 3, 1), 1.2: (0, 0, 1), 6.8: (0, 0, 1), 7.2: (0, 0, 0)}


def test_forgiving_clears_what_is_held_against_a_sender_and_keeps_its_history() -> None:
    signals = Signals()
    for _ in range(9):
        signals.observe("s", 0.95, NOON, POLICY, "bad")
    signals.outcome("s", "hard_bounce", NOON)

    signals.forgive("s", NOON + 60)

    state = signals.observe("s", 0.01, NOON + 61, POLICY)
    assert (state.spam_count, state.seen, state.hard_bounces, state.bad_messages) == (0, 1, 0, ())
    assert (state.history, state.first_seen_unix, state.counted_from_unix) == (10, NOON, NOON + 60)


def test_forgiving_a_stranger_makes_no_entry() -> None:
    signals = Signals()

    signals.forgive("nobody", NOON)

    assert (len(signals), signals.state("nobody", NOON, POLICY)) == (0, None)


def test_senders_do_not_share_counts() -> None:
    signals = Signals()
    signals.observe("bad", 0.95, NOON, POLICY)

    assert signals.observe("good", 0.01, NOON, POLICY).spam_count == 0


def test_all_that_is_known_survives_a_restart() -> None:
    before, after = Signals(), Signals()
    for number in range(100):
        before.observe(f"s{number % 3}", 0.95, NOON + number * 60, POLICY, f"m{number}", recipients=2)
    before.outcome("s1", "complaint", NOON)

    after.load(before.dump())

    for sender in ("s0", "s1", "s2"):
        assert before.state(sender, NOON + 6_000, POLICY) == after.state(sender, NOON + 6_000, POLICY)


def test_only_changed_rows_are_written_and_replaying_them_gives_the_same_counts() -> None:
    stored: dict[str, bytes] = {}
    signals = Signals()
    signals.observe("a", 0.95, NOON, POLICY)
    signals.observe("b", 0.95, NOON, POLICY)
    stored.update(signals.dirty())
    signals.observe("b", 0.95, NOON, POLICY)

    changed = signals.dirty()

    stored.update(changed)
    assert [name for name, _ in changed] == ["b"]
    assert signals.dirty() == []
    assert dict(signals.dump()) == stored


def test_an_unreadable_row_is_left_out_and_the_rest_taken() -> None:
    whole = Signals()
    whole.observe("good", 0.1, NOON, POLICY)
    [(_, row)] = whole.dump()
    signals = Signals()

    corrupt = signals.load([("torn", row[:-3]), ("foreign", b"\x80"), ("empty", b""), ("good", row)])

    assert (corrupt, len(signals)) == (3, 1)


def test_the_sender_not_heard_of_for_longest_leaves_memory_first_and_is_still_written() -> None:
    signals = Signals(capacity=2)
    for sender in ("a", "b", "a", "c"):
        signals.observe(sender, 0.1, NOON, POLICY)

    assert [name for name, _ in signals.dump()] == ["a", "c"]
    assert {name for name, _ in signals.dirty()} == {"a", "b", "c"}


def test_a_sender_that_comes_back_before_it_was_written_has_lost_nothing() -> None:
    signals = Signals(capacity=1)
    signals.observe("a", 0.95, NOON, POLICY)
    signals.observe("b", 0.1, NOON, POLICY)

    state = signals.observe("a", 0.95, NOON, POLICY)

    assert (state.history, state.spam_count) == (2, 2)


def test_a_clock_that_goes_back_keeps_counting_and_forgets_after_an_hour() -> None:
    signals = Signals()
    signals.observe("s", 0.95, NOON + DAY, POLICY)

    now = signals.observe("s", 0.95, NOON, POLICY)
    later = signals.observe("s", 0.1, NOON + HOUR + 60, POLICY)

    assert (now.spam_count, later.spam_count) == (2, 0)
