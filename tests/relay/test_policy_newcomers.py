"""What an account's new senders share: who counts, who leaves, and what it takes to hold them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.policy.decisions.decision import Decision, Effect, Proposal, Standing, State
from relay.policy.decisions.why import sentence
from relay.policy.signals.live import Signals
from relay.policy.triggers.newcomers import Group, GroupSignal, group_alarm
from relay.policy.verdict.group import Newcomers
from relay.policy.verdict.judge import Verdict, judge
from relay.settings import Policy
from relay.tree import is_group, newcomers_of
from tests.relay.test_policy_verdict import BOB, NOW, USUAL, spamming

POLICY = Policy()
NOON = 1_800_000_000.0
HOUR, DAY = 3_600.0, 86_400.0
GROUP = newcomers_of("shop")


def told(signals: Signals, *names: str, score: float = 0.97, at: float = NOON) -> GroupSignal:
    for number, name in enumerate(names):
        signals.observe(f"shop|x|{name}", score, at, POLICY, f"{name}.{number}", group=GROUP)
    return signals.group(GROUP, at, POLICY)


def fires(signal: GroupSignal) -> bool:
    return group_alarm(signal, POLICY) is not None


def test_names_that_live_for_one_message_are_caught_together() -> None:
    signals, sent = Signals(), 0
    while not fires(told(signals, f"name{sent}")):
        sent += 1

    assert sent < 7
    assert all(signals.state(f"shop|x|name{number}", NOON, POLICY).seen == 1 for number in range(sent))  # type: ignore[union-attr]


@pytest.mark.parametrize("names", [("a",) * 30, ("a", "b") * 15])
def test_fewer_than_three_bad_senders_never_hold_the_others(names: tuple[str, ...]) -> None:
    signals = Signals()

    assert not fires(told(signals, *names))
    assert fires(told(signals, "b", "c"))


def test_good_mail_of_newcomers_counts_too() -> None:
    signals = Signals()
    told(signals, *(f"good{number}" for number in range(60)), score=0.01)

    assert not fires(told(signals, "a", "b", "c", "d", "e"))


def test_who_is_set_apart_takes_his_share_out() -> None:
    signals = Signals()
    told(signals, *("hijacked",) * 20, "b")

    signals.set_apart("shop|x|hijacked")
    after = told(signals, "c", "d")

    assert (after.spam_count, after.seen, after.senders) == (3, 3, ("shop|x|b", "shop|x|c", "shop|x|d"))
    assert not any(message.startswith("hijacked") for message in after.bad_messages)
    assert told(signals, *("hijacked",) * 5).seen == 3


def test_a_forgiven_sender_counts_again_from_nothing() -> None:
    signals = Signals()
    told(signals, *("a",) * 5)
    signals.set_apart("shop|x|a")
    told(signals, *("a",) * 5)

    signals.forgive("shop|x|a", NOON + 1)

    assert told(signals, "a", at=NOON + 2).spam_count == 1


def test_the_groups_own_release_forgets_all_of_it() -> None:
    signals = Signals()
    told(signals, "a", "b", "c", "d", "e", "f")

    signals.forgive(GROUP, NOON + 90)

    assert not fires(told(signals, "g", at=NOON + 91))
    signals.set_apart("shop|x|a")
    assert signals.group(GROUP, NOON + 91, POLICY).seen == 1


def test_a_sender_of_more_than_a_day_counts_for_himself_alone() -> None:
    signals = Signals()
    told(signals, "old", score=0.01)

    assert told(signals, "old", at=NOON + DAY).seen == 0
    assert told(signals, "new", at=NOON + DAY).seen == 1


def test_what_counts_is_the_last_hour() -> None:
    signals = Signals()
    told(signals, "a", "b", "c", "d", "e", "f")

    assert signals.group(GROUP, NOON + HOUR + 60, POLICY).senders == ()
    assert told(signals, "g", "h", at=NOON + HOUR + 60).seen == 2


def test_the_names_kept_are_bounded() -> None:
    signal = told(Signals(), *(f"n{number}" for number in range(500)))

    assert len(signal.senders) == 32
    assert signal.senders[-1] == "shop|x|n499"


def test_a_newcomer_is_who_was_first_seen_within_a_day_or_never() -> None:
    signals = Signals()
    told(signals, "a", score=0.1)

    assert signals.is_newcomer("shop|x|a", NOON + DAY - 1)
    assert not signals.is_newcomer("shop|x|a", NOON + DAY)
    assert signals.is_newcomer("shop|x|nobody", NOON)
    assert signals.newcomers("shop", NOON + 1) == ["shop|x|a"]
    assert signals.newcomers("sho", NOON + 1) == signals.newcomers("shop", NOON + DAY + 61) == []


def test_all_of_it_survives_a_restart() -> None:
    before, after = Signals(), Signals()
    told(before, *("a",) * 5, "b", "c")
    before.set_apart("shop|x|a")

    after.load(before.dump())

    assert after.group(GROUP, NOON, POLICY) == before.group(GROUP, NOON, POLICY)
    assert told(after, "a").seen == 2
    after.set_apart("shop|x|b")
    assert after.group(GROUP, NOON, POLICY).senders == ("shop|x|c",)


def test_rows_written_before_there_were_groups_are_read() -> None:
    import msgspec

    signals = Signals()

    assert signals.load([("s", msgspec.msgpack.encode([7, NOON, NOON, [], [], []]))]) == 0
    assert signals.state("s", NOON, POLICY).history == 7  # type: ignore[union-attr]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.1, 0.6, 0.95]), st.integers(0, 900)), max_size=60))
def test_setting_all_apart_leaves_nothing_of_them(steps: list[tuple[int, float, int]]) -> None:
    signals, now = Signals(), NOON
    for name, score, wait in steps:
        now += wait
        told(signals, str(name), score=score, at=now)

    for name, _, _ in steps:
        signals.set_apart(f"shop|x|{name}")

    assert signals.group(GROUP, now, POLICY).senders == ()
    told(signals, "p", "q", "r", at=now)
    assert signals.group(GROUP, now, POLICY).seen == 3


def test_a_message_judged_as_a_newcomers_is_parked_by_a_hold_that_comes_before_it_is_stored() -> None:
    signals, states = Signals(), {GROUP: held()}
    told(signals, "a", score=0.1, at=NOW.timestamp())
    newcomers = Newcomers(signals, lambda key: states.get(key, CLEAN), POLICY)
    group = Group(GROUP, CLEAN, GroupSignal())

    assert newcomers.is_parked("shop|x|a", group, NOW)
    assert not newcomers.is_parked("shop|x|a", None, NOW)
    assert not newcomers.is_parked("shop|x|a", group, NOW + timedelta(days=1))
    states["shop|x|a"] = State(Standing.OK, reinstated_at=NOW)
    assert not newcomers.is_parked("shop|x|a", group, NOW)


# ---- the verdict ----

CLEAN = State(Standing.OK)
SURE = GroupSignal(9, 9, 0.999, ("shop|x|a", "shop|x|b", "shop|x|c"), ("mw1.1",), NOW.timestamp() - 60)


def held(since: timedelta = timedelta(minutes=5)) -> State:
    proposal = Proposal("relay", "shop", GROUP, Effect.HOLD, "newcomer_spam_rate", "they spam", NOW - since)
    return State(Standing.HELD, Decision("mw1", 9, proposal))


def on(group: Group | None, **changes: object) -> Verdict:
    return judge(replace(USUAL, group=group, **changes), POLICY, NOW, "mw1.42")  # type: ignore[arg-type]


def test_the_alarm_holds_the_group_and_says_why() -> None:
    verdict = on(Group(GROUP, CLEAN, SURE))

    assert (verdict.action.value, verdict.rule) == ("hold", "newcomer_spam_rate")
    (proposal,) = verdict.proposals
    assert (proposal.sender, proposal.account) == (GROUP, "shop")
    assert proposal.reason == (
        "9 of 9 messages of new senders in the last hour were scored as spam, from 3 senders; "
        "99.9 % sure the true rate is above 20 %"
    )
    assert proposal.evidence["senders"] == ["shop|x|a", "shop|x|b", "shop|x|c"]


def test_a_new_senders_own_trigger_comes_first() -> None:
    for state in (CLEAN, held()):
        verdict = on(Group(GROUP, state, SURE), signal=spamming())
        (proposal,) = verdict.proposals
        assert proposal.sender == BOB.key


def test_while_the_group_is_held_new_senders_are_and_others_are_not() -> None:
    assert on(Group(GROUP, held(), GroupSignal())).rule == "newcomers_held"
    assert on(None).rule == "accept"


def test_a_new_sender_whom_a_person_released_is_not_held_with_the_others() -> None:
    released = State(Standing.OK, reinstated_at=NOW - timedelta(hours=1))

    assert on(Group(GROUP, held(), SURE), state=released).rule == "accept"


def test_evidence_from_before_the_groups_release_does_not_hold_it_again() -> None:
    released = State(Standing.OK, reinstated_at=NOW - timedelta(seconds=30))
    stale = on(Group(GROUP, released, SURE))
    fresh = on(Group(GROUP, released, replace(SURE, counted_from_unix=NOW.timestamp() - 20)))

    assert (stale.rule, fresh.rule) == ("accept", "newcomer_spam_rate")


def test_the_sentence_names_whom_it_concerns() -> None:
    decision = held().decision
    assert decision is not None

    text = sentence(decision, NOW)

    assert text.startswith("New senders of account shop (in their first 24 h) are held since 2026-11-24 11:55 UTC")
    assert "Nobody else is touched. Undo: mailweir held release --sender 'shop|newcomers|'" in text
    assert is_group(GROUP)
    assert not is_group("shop|mailfrom|x|newcomers|")
