"""The ladder: what an alarm leads to, from what a sender has behind it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from relay.account import Account
from relay.events import Action, Hit
from relay.policy.decisions.decision import Decision, Effect, Proposal, Standing, State, fold
from relay.policy.decisions.ladder import climbs, early_end, rung
from relay.policy.limits.claims import LimitUse
from relay.policy.triggers.sequential import Alarm, SignalState, spam_certainty
from relay.policy.verdict.judge import Inputs, judge
from relay.settings import Policy
from relay.tree import SenderId, newcomers_of

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
POLICY = Policy()
BOB = SenderId("shop", "x-authuser", "bob@site.example")
OK = State(Standing.OK)


def row(sequence: int, effect: Effect, starts_at: datetime = NOON, author: str = "relay", **more: object) -> Decision:
    given: dict[str, object] = {
        "account": "shop",
        "sender": BOB.key,
        "rule": "spam_rate",
        "reason": "7 of 7 were spam",
    }
    proposal = Proposal(author=author, effect=effect, starts_at=starts_at, **{**given, **more})  # type: ignore[arg-type]
    return Decision("mw1", sequence, proposal)


def stop(sequence: int, effect: Effect, starts_at: datetime, length: timedelta = HOUR) -> Decision:
    return row(sequence, effect, starts_at, ends_at=starts_at + length)


def alarm(effect: Effect) -> Alarm:
    return Alarm("a_rule", "because", 0.995, 3600, {}, effect)


def signal(spam: float = 0, seen: float = 10, **more: object) -> SignalState:
    certainty = spam_certainty(spam, seen, POLICY.spam_line)
    return SignalState(spam, seen, certainty, history=5000, first_seen_unix=0, **more)  # type: ignore[arg-type]


def inputs(**changes: object) -> Inputs:
    usual = Inputs(BOB, Account("shop"), OK, LimitUse(3, 200, True, NOON.timestamp()), signal(), score=0.02, model="m1")
    return replace(usual, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("effect", "minutes"), [(Effect.HOLD, 1440), (Effect.BLOCK, 60), (Effect.THROTTLE, 360), (Effect.WATCH, 1440)]
)
def test_the_first_alarm_has_the_effect_it_asks_for_and_an_end(effect: Effect, minutes: int) -> None:
    found = rung(alarm(effect), OK, NOON, POLICY)

    assert found is not None
    assert (found.effect, found.ends_at) == (effect, NOON + timedelta(minutes=minutes))


def test_an_alarm_adds_nothing_to_the_same_standing_or_a_worse_one() -> None:
    assert rung(alarm(Effect.WATCH), State(Standing.WATCH), NOON, POLICY) is None
    assert rung(alarm(Effect.WATCH), State(Standing.THROTTLED), NOON, POLICY) is None
    assert rung(alarm(Effect.THROTTLE), State(Standing.HELD), NOON, POLICY) is None
    assert rung(alarm(Effect.THROTTLE), State(Standing.WATCH), NOON, POLICY) is not None


def test_a_stop_that_ended_by_itself_leaves_a_day_of_watching_with_limits_that_return() -> None:
    rows = [stop(1, Effect.HOLD, NOON)]

    states = [fold(rows, NOON + HOUR * hours) for hours in (1, 7, 13, 24.9, 25)]

    assert [state.standing for state in states] == [Standing.WATCH] * 4 + [Standing.OK]
    assert [state.multiplier for state in states[:3]] == [0.25, 0.625, 0.812]
    assert states[-1].multiplier == 1
    assert states[0].decision == rows[0]


def test_a_relapse_in_that_day_is_blocked_and_says_so() -> None:
    found = rung(alarm(Effect.HOLD), fold([stop(1, Effect.HOLD, NOON)], NOON + 2 * HOUR), NOON + 2 * HOUR, POLICY)

    assert found is not None
    assert found.effect is Effect.BLOCK
    assert found.note == "again within 24 h after the stop that ended at 13:00 UTC"


def test_whom_a_person_released_begins_anew() -> None:
    rows = [stop(1, Effect.HOLD, NOON, DAY), row(2, Effect.RELEASE, NOON + HOUR, "dana", supersedes="mw1-d1")]

    state = fold(rows, NOON + 2 * HOUR)

    assert (state.standing, state.multiplier, state.watched_from) == (Standing.OK, 1.0, None)
    assert state.is_reinstated(NOON + 2 * HOUR)
    assert rung(alarm(Effect.HOLD), state, NOON + 2 * HOUR, POLICY).effect is Effect.HOLD  # type: ignore[union-attr]


def test_whom_clean_traffic_released_is_watched_all_the_same() -> None:
    rows = [stop(1, Effect.HOLD, NOON, DAY), row(2, Effect.RELEASE, NOON + HOUR, supersedes="mw1-d1")]

    state = fold(rows, NOON + 2 * HOUR)

    assert (state.standing, state.watched_from, state.reinstated_at) == (Standing.WATCH, NOON + HOUR, None)


def test_the_third_block_in_seven_days_suspends_until_a_person_releases() -> None:
    blocks = [stop(n, Effect.BLOCK, NOON + n * 2 * DAY) for n in (0, 1)]
    now = NOON + 5 * DAY

    found = rung(alarm(Effect.BLOCK), fold(blocks, now), now, POLICY)

    assert found is not None
    assert (found.effect, found.ends_at, found.note) == (Effect.SUSPEND, None, "stopped for the 3rd time in 7 days")


def test_blocks_older_than_seven_days_or_taken_back_by_a_person_do_not_count() -> None:
    blocks = [stop(n, Effect.BLOCK, NOON + n * 2 * DAY) for n in (0, 1)]
    back = row(9, Effect.RELEASE, NOON + 2 * DAY + HOUR / 2, "dana", supersedes="mw1-d1")

    assert fold(blocks, NOON + 8 * DAY).blocks == 1
    assert fold([*blocks, back], NOON + 5 * DAY).blocks == 1
    assert fold(blocks, NOON + 5 * DAY).blocks == 2


def test_a_throttle_takes_its_share_of_the_limits_and_gives_it_back_with_time() -> None:
    rows = [row(1, Effect.THROTTLE, NOON, ends_at=NOON + HOUR, value=0.25)]

    assert fold(rows, NOON).multiplier == 0.25
    assert fold(rows, NOON + 7 * HOUR).multiplier == 0.625
    assert fold(rows, NOON + 26 * HOUR).multiplier == 1


def test_what_reputation_said_fades_when_nobody_says_it_any_more() -> None:
    rows = [row(1, Effect.MULTIPLY, NOON, "analytics", ends_at=NOON + HOUR, value=0.5)]

    assert [fold(rows, NOON + HOUR * hours).multiplier for hours in (0.5, 1, 7, 25)] == [0.5, 0.5, 0.75, 1.0]


def test_enough_clean_mail_ends_an_automatic_hold_before_its_time() -> None:
    held = fold([stop(1, Effect.HOLD, NOON, DAY)], NOON + 2 * HOUR)

    ended = early_end(held, signal(0, 20), POLICY)

    assert ended is not None
    assert ended.reason.startswith("the last 20 messages within an hour were clean; ")


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        (fold([stop(1, Effect.HOLD, NOON, DAY)], NOON), signal(0, 19)),
        (fold([stop(1, Effect.HOLD, NOON, DAY)], NOON), signal(0.5, 40)),
        (fold([row(1, Effect.HOLD, NOON, "dana", ends_at=NOON + DAY)], NOON), signal(0, 40)),
        (fold([stop(1, Effect.BLOCK, NOON, DAY)], NOON), signal(0, 40)),
    ],
    ids=["too little", "a suspect one", "a person's hold", "a block"],
)
def test_nothing_else_ends_a_stop_early(state: State, seen: SignalState) -> None:
    assert early_end(state, seen, POLICY) is None


def test_a_hold_that_a_person_confirmed_does_not_end_early() -> None:
    hold = stop(1, Effect.HOLD, NOON, DAY)
    endless = replace(hold, proposal=replace(hold.proposal, ends_at=None))  # as Standings.lasting gives it

    assert early_end(fold([endless], NOON), signal(0, 40), POLICY) is None


def test_three_senders_of_an_account_stopped_within_the_hour_climb() -> None:
    assert climbs("c", ["a", "b"], POLICY) == ["a", "b", "c"]
    assert climbs("b", ["a", "b"], POLICY) == []


def test_the_climb_holds_the_newcomers_and_nobody_with_a_history() -> None:
    verdict = judge(inputs(signal=signal(9, 9), stopped=["shop|x|a", "shop|x|b"]), POLICY, NOON, "mw1.1")

    assert [proposal.sender for proposal in verdict.proposals] == [BOB.key, newcomers_of("shop")]
    assert verdict.proposals[1].rule == "account_wide"
    assert verdict.proposals[1].evidence["senders"] == ["shop|x|a", "shop|x|b", BOB.key]


def test_a_block_defers_the_message_that_brought_it_about_with_the_whole_reason() -> None:
    found = judge(inputs(signal=signal(hard_bounces=31, day_seen=74)), POLICY, NOON, "mw1.1")

    assert (found.action, found.reply.code, found.proposals[0].effect) == (Action.DEFER, 450, Effect.BLOCK)
    assert found.reply.text.startswith(f"[TSA] Sender {BOB.key} is blocked since 2026-11-24 12:00 UTC until")
    assert "hard bounces 31 of 74 in 24 h" in found.reply.text


def test_a_hold_that_ends_early_lets_the_message_go_on_and_proposes_the_release() -> None:
    held = fold([stop(1, Effect.HOLD, NOON - HOUR, DAY)], NOON)

    found = judge(inputs(state=held, signal=signal(0, 30)), POLICY, NOON, "mw1.1")

    assert found.action is Action.ACCEPT
    assert [(p.effect, p.rule, p.supersedes) for p in found.proposals] == [(Effect.RELEASE, "clean_traffic", "mw1-d1")]


def exempt(**more: object) -> Decision:
    return row(7, Effect.EXEMPT, NOON - HOUR, "dana", ends_at=NOON + DAY, reason="a newsletter we know", **more)


def test_who_is_exempt_is_stopped_by_no_trigger_and_no_score() -> None:
    spam = inputs(signal=signal(9, 9), score=0.999, exempt=exempt())

    verdict = judge(spam, POLICY, NOON, "mw1.1")

    assert (verdict.action, list(verdict.proposals)) == (Action.ACCEPT, [])
    assert any("exempt by dana (mw1-d7): a newsletter we know" in step.detail for step in verdict.trace)


def test_malware_and_limits_and_a_person_still_stop_who_is_exempt() -> None:
    malware = Hit("executable", Action.REJECT, "MW", "invoice.exe is a program")
    full = LimitUse(200, 200, False, NOON.timestamp() + 60, whose="sender")
    held = fold([row(1, Effect.HOLD, NOON - HOUR, "dana")], NOON)

    found = [
        judge(inputs(exempt=exempt(), hits=[malware]), POLICY, NOON, "m"),
        judge(inputs(exempt=exempt(), limit=full), POLICY, NOON, "m"),
        judge(inputs(exempt=exempt(), state=held), POLICY, NOON, "m"),
    ]

    assert [verdict.rule for verdict in found] == ["content_executable", "rate_limit", "sender_held"]


def test_an_exemption_ends() -> None:
    assert fold([exempt()], NOON).exempt is not None
    assert fold([exempt()], NOON + 2 * DAY).exempt is None
