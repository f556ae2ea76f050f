"""The guard steps: which decides, what it answers, and what it says of itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replaced

from relay.account import Account
from relay.events import Action, Hit
from relay.policy.decisions.decision import Decision, Effect, Proposal, Standing, State
from relay.policy.limits.claims import LimitUse
from relay.policy.triggers.sequential import SignalState, spam_certainty
from relay.policy.verdict.judge import STEPS, Inputs, judge, version_of
from relay.reply import printable
from relay.settings import Policy
from relay.tree import SenderId

POLICY = Policy()
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BOB = SenderId("shop", "x-authuser", "bob@site.example")
CALM = SignalState(0, 10, 0.0, history=10, first_seen_unix=0)


def spamming(spam: float = 9, seen: float = 9, **more: Any) -> SignalState:
    certainty = spam_certainty(spam, seen, POLICY.spam_line)
    return SignalState(spam, seen, certainty, history=10, first_seen_unix=0, bad_messages=("mw1.7",), **more)


def standing(effect: Effect, name: Standing, since: timedelta = timedelta(minutes=5)) -> State:
    proposal = Proposal(
        author="dana",
        account="shop",
        sender=BOB.key,
        effect=effect,
        rule="manual",
        reason="phishing was reported",
        starts_at=NOW - since,
        ends_at=NOW + timedelta(hours=1),
    )
    return State(name, Decision("mw1", 7, proposal))


USUAL = Inputs(
    sender=BOB,
    account=Account("shop"),
    state=State(Standing.OK),
    limit=LimitUse(3, 200, True, NOW.timestamp(), whose=f"sender {BOB.key}"),
    signal=CALM,
    score=0.02,
    model="m1",
)
FULL = LimitUse(200, 200, False, NOW.timestamp() + 720, 2, whose=f"sender {BOB.key}")
WAITS = replace(FULL, is_allowed=True, due_unix=FULL.next_unix)


def verdict_on(**changes: Any) -> tuple[str, str, str]:
    verdict = judge(replace(USUAL, **changes), POLICY, NOW, "mw1.42")
    return verdict.action.value, verdict.rule, str(verdict.reply)


def test_a_usual_message_is_accepted_and_every_step_has_left_its_line() -> None:
    verdict = judge(USUAL, POLICY, NOW, "mw1.42")

    assert (verdict.action, str(verdict.reply)) == (Action.ACCEPT, "250 2.0.0 queued as mw1.42")
    assert not verdict.proposals
    assert [step.rule for step in verdict.trace] == [name for name, _ in STEPS]
    assert [step.decided for step in verdict.trace] == [False] * (len(STEPS) - 1) + [True]
    assert "3 of 200 recipients used in 60 min" in [step.detail for step in verdict.trace]


def test_a_suspended_account_is_refused_for_good() -> None:
    action, rule, reply = verdict_on(account=Account("shop", is_suspended=True))

    assert (action, rule) == ("reject", "account_suspended")
    assert reply == (
        "550 5.7.1 [ESA] sender shop|x-authuser|bob@site.example refused: account shop is suspended "
        "until a person releases it (rule account_suspended)"
    )


def test_a_suspended_sender_is_refused_for_good_and_told_why_and_until_when() -> None:
    action, rule, reply = verdict_on(state=standing(Effect.SUSPEND, Standing.SUSPENDED))

    assert (action, rule) == ("reject", "sender_suspended")
    assert reply == (
        "550 5.7.1 [ESA] Sender shop|x-authuser|bob@site.example is suspended since 2026-11-24 11:55 UTC "
        "until 2026-11-24 13:00 UTC, because phishing was reported (rule manual, decision mw1-d7 by dana). "
        "Nobody else is touched."
    )


@pytest.mark.parametrize(
    ("minutes", "code"), [(0, "450 4.7.1 [TSA]"), (14, "450 4.7.1 [TSA]"), (15, "550 5.7.1 [TSB]")]
)
def test_a_blocked_sender_may_retry_for_15_minutes_only(minutes: int, code: str) -> None:
    blocked = standing(Effect.BLOCK, Standing.BLOCKED, timedelta(minutes=minutes))

    action, rule, reply = verdict_on(state=blocked)

    assert (action, rule) == ("defer" if code.startswith("4") else "reject", "sender_blocked")
    assert reply.startswith(code)
    assert "until 2026-11-24 13:00 UTC" in reply


def test_over_the_limit_the_reply_names_limit_used_multiplier_and_next_time() -> None:
    action, rule, reply = verdict_on(limit=replace(FULL, limit=50, used=49, base=200, multiplier=0.25))

    assert (action, rule) == ("defer", "rate_limit")
    assert reply == (
        "451 4.7.1 [RATE] sender shop|x-authuser|bob@site.example over rcpts_per_hour: "
        "limit=50, used=49, asked=2, base=200 x 0.25, next=2026-11-24T12:12:00Z"
    )


def test_a_message_larger_than_the_limit_itself_is_told_to_split() -> None:
    assert "split it" in verdict_on(limit=replace(FULL, asked=300))[2]
    assert "split it" not in verdict_on(limit=FULL)[2]


def test_a_message_in_the_band_is_taken_and_told_when_it_leaves() -> None:
    assert verdict_on(limit=WAITS) == (
        "accept",
        "rate_delay",
        "250 2.0.0 queued as mw1.42 (delayed until 2026-11-24T12:12:00Z, "
        "[RATE] sender shop|x-authuser|bob@site.example over rcpts_per_hour: "
        "limit=200, used=200, asked=2, base=200 x 1, next=2026-11-24T12:12:00Z)",
    )
    trace = judge(replace(USUAL, limit=WAITS), POLICY, NOW, "mw1.42").trace
    assert [step.detail for step in trace if step.rule == "rate_limit"] == [
        f"sender {BOB.key} over rcpts_per_hour, delayed: limit=200, used=200, asked=2, base=200 x 1, "
        "next=2026-11-24T12:12:00Z"
    ]


def test_what_speaks_against_a_message_in_the_band_is_still_heard() -> None:
    assert verdict_on(limit=WAITS, score=0.95) == ("hold", "content", "250 2.0.0 queued as mw1.42 (held)")
    assert verdict_on(limit=WAITS, score=0.999)[0] == "reject"


def test_a_full_band_is_refused_with_how_many_wait() -> None:
    reply = verdict_on(limit=replace(FULL, booked=400, band=400))[2]

    assert reply.startswith("451 4.7.1 [RATE]")
    assert "waiting=400 of 400" in reply


def test_a_held_senders_mail_is_parked_whatever_its_score() -> None:
    for score in (0.0, 0.95, 1.0, None):
        held = verdict_on(state=standing(Effect.HOLD, Standing.HELD), score=score)
        assert held == ("hold", "sender_held", "250 2.0.0 queued as mw1.42 (held)")


def test_a_held_sender_cannot_fill_the_disk() -> None:
    assert verdict_on(state=standing(Effect.HOLD, Standing.HELD), limit=FULL)[1] == "rate_limit"


def test_a_trigger_holds_the_message_and_proposes_to_hold_its_sender_alone() -> None:
    verdict = judge(replace(USUAL, signal=spamming(), score=0.95), POLICY, NOW, "mw1.42")

    (proposal,) = verdict.proposals
    assert (verdict.action, verdict.rule, str(verdict.reply)) == (
        Action.HOLD,
        "spam_rate",
        "250 2.0.0 queued as mw1.42 (held)",
    )
    assert (proposal.sender, proposal.effect, proposal.author) == (BOB.key, Effect.HOLD, "relay")
    assert proposal.ends_at == NOW + timedelta(minutes=POLICY.hold_minutes)
    assert proposal.reason.startswith("9 of 9 messages in the last hour were scored as spam")
    assert proposal.evidence["messages"] == ["mw1.7"]
    assert proposal.evidence["last_score"] == 0.95
    assert (proposal.policy_version, proposal.model) == (version_of(POLICY), "m1")


def test_evidence_from_before_the_reinstatement_holds_nobody() -> None:
    reinstated = State(Standing.OK, reinstated_at=NOW - timedelta(minutes=10))

    verdict = judge(replace(USUAL, signal=spamming(), state=reinstated), POLICY, NOW, "mw1.42")

    assert verdict.action is Action.ACCEPT
    assert any("from before the sender was reinstated" in step.detail for step in verdict.trace)


def test_a_relapse_after_the_reinstatement_is_held() -> None:
    forgiven_unix = NOW.timestamp() - 600
    reinstated = State(Standing.OK, reinstated_at=NOW - timedelta(minutes=10))

    assert verdict_on(state=reinstated, signal=spamming(counted_from_unix=forgiven_unix))[1] == "spam_rate"
    long_ago = State(Standing.OK, reinstated_at=NOW - timedelta(minutes=61))
    assert verdict_on(state=long_ago, signal=spamming())[1] == "spam_rate"


def test_a_message_that_could_not_be_scored_is_held_and_says_why() -> None:
    assert verdict_on(score=None, error="timeout")[:2] == ("hold", "unscored")


def test_without_a_model_mail_flows() -> None:
    assert verdict_on(score=None)[:2] == ("accept", "accept")


@pytest.mark.parametrize(
    ("score", "expected"),
    [(0.0, "accept"), (0.899, "accept"), (0.9, "hold"), (0.989, "hold"), (0.99, "reject"), (1.0, "reject")],
)
def test_the_score_decides_by_its_lines(score: float, expected: str) -> None:
    assert verdict_on(score=score)[0] == expected


def test_refused_content_names_sender_rule_and_score() -> None:
    reply = verdict_on(score=0.997)[2]

    assert reply == (
        "550 5.7.1 [SS] message mw1.42 of sender shop|x-authuser|bob@site.example refused: content "
        "scored 0.997 as spam, refused from 0.99 (rule content; this message only)"
    )


def test_a_known_senders_mail_is_held_where_a_strangers_is_refused() -> None:
    known = replaced(CALM, history=POLICY.known_after + 1)

    assert verdict_on(score=0.999, signal=known)[:2] == ("hold", "content")
    assert verdict_on(score=0.999, signal=known, state=standing(Effect.WATCH, Standing.WATCH))[0] == "reject"


def test_a_throttled_sender_is_refused_from_the_hold_line_on() -> None:
    throttled = standing(Effect.THROTTLE, Standing.THROTTLED)

    assert verdict_on(score=0.9, state=throttled)[0] == "reject"
    assert verdict_on(score=0.89, state=throttled)[0] == "accept"


@given(st.text(max_size=400), st.text(max_size=400), st.sampled_from(list(Standing)), st.floats(0, 1))
def test_no_foreign_byte_reaches_a_reply(value: str, reason: str, name: Standing, score: float) -> None:
    sender = replace(BOB, value=value)
    state = standing(Effect.SUSPEND, name)
    assert state.decision is not None
    proposal = replace(state.decision.proposal, sender=sender.key, reason=reason)
    hostile = replace(
        USUAL,
        sender=sender,
        state=replace(state, decision=Decision("mw1", 7, proposal)),
        account=Account(value, is_suspended=score > 0.95),
        limit=FULL if score < 0.05 else USUAL.limit,
        score=score,
    )

    line = str(judge(hostile, POLICY, NOW, "mw1.42").reply)

    assert line.isascii()
    assert line.isprintable()
    assert len(line) <= 510


def test_every_reply_agrees_with_its_action() -> None:
    codes = {Action.ACCEPT: 2, Action.HOLD: 2, Action.DEFER: 4, Action.REJECT: 5}
    cases: list[dict[str, Any]] = [
        {},
        {"limit": FULL},
        {"score": 0.95},
        {"score": 1.0},
        {"state": standing(Effect.BLOCK, Standing.BLOCKED)},
        {"account": Account("shop", is_suspended=True)},
    ]
    for case in cases:
        verdict = judge(replace(USUAL, **case), POLICY, NOW, "mw1.42")
        assert verdict.reply.code // 100 == codes[verdict.action]
        assert verdict.reply.enhanced.startswith(f"{codes[verdict.action]}.")


def test_the_same_inputs_give_the_same_verdict() -> None:
    inputs = replace(USUAL, signal=spamming(), score=0.95)

    assert judge(inputs, POLICY, NOW, "mw1.42") == judge(inputs, POLICY, NOW, "mw1.42")


def test_a_policy_is_named_by_its_content() -> None:
    assert version_of(Policy()) == version_of(POLICY)
    assert version_of(Policy(hold_score=0.8)) != version_of(POLICY)


def test_foreign_text_is_made_printable_and_short() -> None:
    assert printable("a\r\nb\x00ü", 20) == "a??b??"
    assert printable("x" * 30, 10) == "xxxxxxx..."


REFUSED = Hit("eicar", Action.REJECT, "MW", "contains the EICAR test virus")
PARKED_BY_RULE = Hit("brand-link", Action.HOLD, "PH", "link text says paypal.com, goes to 203.0.113.9")
SHOWN = Hit("shortener", Action.ACCEPT, "URL", "links through a URL shortener")


def test_a_certain_rule_refuses_whatever_the_score_and_the_history() -> None:
    action, rule, reply = verdict_on(hits=(SHOWN, PARKED_BY_RULE, REFUSED), signal=replaced(CALM, history=5000))

    assert (action, rule) == ("reject", "content_eicar")
    assert reply == (
        "550 5.7.1 [MW] message mw1.42 of sender shop|x-authuser|bob@site.example refused: contains the EICAR test "
        "virus (rule eicar; this message only)"
    )


def test_a_certain_rule_holds_and_a_feature_does_not() -> None:
    assert verdict_on(hits=(SHOWN, PARKED_BY_RULE)) == (
        "hold",
        "content_brand-link",
        "250 2.0.0 queued as mw1.42 (held)",
    )
    assert verdict_on(hits=(SHOWN,))[:2] == ("accept", "accept")


def test_a_certain_rule_decides_about_a_held_senders_message_too_so_that_no_release_lets_malware_out() -> None:
    held = standing(Effect.HOLD, Standing.HELD)
    suspect = replace_hit(REFUSED, Action.HOLD)

    assert verdict_on(hits=(REFUSED,), state=held)[:2] == ("reject", f"content_{REFUSED.rule}")
    assert verdict_on(hits=(suspect,), state=held)[:2] == ("hold", f"content_{REFUSED.rule}")
    assert verdict_on(hits=(replace_hit(REFUSED, Action.ACCEPT),), state=held)[:2] == ("hold", "sender_held")


def test_malware_that_fires_the_trigger_is_refused_and_its_sender_held() -> None:
    verdict = judge(replace(USUAL, hits=(REFUSED,), signal=spamming()), POLICY, NOW, "mw1.42")

    assert (verdict.action, [proposal.effect for proposal in verdict.proposals]) == (Action.REJECT, [Effect.HOLD])
    assert [step.rule for step in verdict.trace if step.decided] == ["rule_refused"]


def replace_hit(hit: Hit, action: Action) -> Hit:
    return replaced(hit, action=action)
