"""What the journal keeps of a verdict is enough to judge again: the same action, rule, trace and reply come out."""

import asyncio
from collections import Counter
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.account import Account
from relay.control.views import HoldOrder
from relay.events import Action, Hit, Judged, Rcpt, Rejection, decode, encode
from relay.policy.decisions.decision import Effect, Proposal, Standing, State
from relay.policy.triggers.newcomers import Group, GroupSignal
from relay.policy.triggers.sequential import SignalState
from relay.policy.verdict.judge import Inputs, judge, version_of
from relay.policy.verdict.lockdown import Lock, LockdownResult
from relay.policy.verdict.recorded import packed, unpacked
from relay.policy.verdict.replay import replay
from relay.policy.verdict.whatif import Difference, Tally, look_again
from relay.reply import Reply
from relay.running.parts import Parts
from relay.settings import Limits, Policy
from tests.builders import ADMIN, journaled
from tests.relay.test_identity import SERVER
from tests.relay.test_policy_verdict import FULL, NOW, POLICY, USUAL, WAITS, spamming, standing
from tests.relay.test_reception import GOOD, HEAD, HOST, SPAM, known_for_long, send, started
from tests.relay.test_reception import sink as sink
from tests.sink import Sink

LOOP = "".join(f"Received: from h{number} by h; Thu, 26 Nov 2026 10:00:00 +0000\r\n" for number in range(120))
NEWCOMERS = "shop|newcomers|"
BAND = State(Standing.OK, multiplier=1.5, band="good")
CROWD = GroupSignal(9, 9, 0.9999, ("a", "b", "c"), ("mw1.5", "mw1.6"), NOW.timestamp() - 900)
EXEMPT = standing(Effect.EXEMPT, Standing.OK)
RELAPSED = standing(Effect.HOLD, Standing.WATCH)
VARIATIONS: list[dict[str, Any]] = [
    {},
    {"account": Account("shop", is_suspended=True)},
    {"state": BAND},
    {"state": replace(BAND, reinstated_at=NOW - timedelta(hours=1))},
    *(
        {"state": standing(effect, name)}
        for effect, name in [
            (Effect.WATCH, Standing.WATCH),
            (Effect.THROTTLE, Standing.THROTTLED),
            (Effect.HOLD, Standing.HELD),
            (Effect.BLOCK, Standing.BLOCKED),
            (Effect.SUSPEND, Standing.SUSPENDED),
        ]
    ),
    {"limit": FULL},
    {"limit": WAITS},
    {"signal": spamming()},
    {"signal": spamming(), "state": State(Standing.OK, reinstated_at=NOW - timedelta(minutes=3))},
    {"signal": SignalState(0, 9, 0.0, 9, 1.5, hard_bounces=31, day_seen=74, counted_from_unix=1.5)},
    {"group": Group(NEWCOMERS, State(Standing.OK), CROWD)},
    {"group": Group(NEWCOMERS, standing(Effect.HOLD, Standing.HELD), GroupSignal())},
    {"lockdown": LockdownResult(Lock.REFUSED, "other.example", "_mailweir.other.example: v=mw1 auth=x")},
    {"lockdown": LockdownResult(Lock.UNKNOWN, "other.example", error="SERVFAIL")},
    {"foreign_domain": "bank.example"},
    {"score": None, "error": "the worker died"},
    {"score": 0.95, "reasons": ("many links", "brand in link")},
    {"score": 0.999, "unchecked": ("clamd",)},
    {"hits": [Hit("eicar", Action.REJECT, "MW", "contains the test virus")]},
    {"stopped": ("shop|x-authuser|a", "shop|x-authuser|b"), "signal": spamming()},
    {"exempt": EXEMPT.decision, "score": 0.999},
    {"state": replace(RELAPSED, watched_from=NOW - timedelta(hours=1), blocks=1), "signal": spamming()},
    {"state": standing(Effect.HOLD, Standing.HELD), "signal": SignalState(0, 400, 0.0, 900, 1.5)},
    {"hits": [Hit("lure", Action.HOLD, "PH", "asks for a password")]},
]


def recorded(inputs: Inputs, policy: Policy = POLICY, now: datetime = NOW) -> Judged:
    """The record of a verdict, as it comes back from the disk."""
    verdict = judge(inputs, policy, now, "mw1.42")
    record = Rejection(
        node="mw1",
        boot="b",
        seq=1,
        logged_at=now + timedelta(seconds=1),
        message_id="mw1.42",
        account=inputs.account.name,
        sender=inputs.sender.key,
        sender_kind=inputs.sender.kind,
        mail_from="",
        recipients=[Rcpt(1, "r@d.example")],
        client_ip="192.0.2.1",
        action=verdict.action,
        rule=verdict.rule,
        trace=verdict.trace,
        standing=inputs.state.standing,
        score=inputs.score,
        model=inputs.model,
        reasons=list(inputs.reasons),
        hits=list(inputs.hits),
        spam_count=inputs.signal.spam_count,
        spam_seen=inputs.signal.seen,
        spam_certainty=inputs.signal.certainty,
        hour_used=inputs.limit.used,
        hour_limit=inputs.limit.limit,
        policy_version=version_of(policy),
        inputs=packed(inputs, now),
        stage="data",
        code=verdict.reply.code,
        enhanced=verdict.reply.enhanced,
        text=verdict.reply.text,
    )
    back = decode(encode(record))
    assert isinstance(back, Judged)
    return back


@pytest.mark.parametrize("changes", VARIATIONS, ids=lambda changes: "-".join(changes) or "usual")
def test_every_input_comes_back_and_so_does_the_verdict(changes: dict[str, Any]) -> None:
    inputs = replace(USUAL, **changes)

    record = recorded(inputs)
    found = unpacked(record)

    assert found is not None
    for name in (
        "sender",
        "state",
        "signal",
        "score",
        "error",
        "model",
        "group",
        "lockdown",
        "foreign_domain",
        "exempt",
    ):
        assert getattr(found.inputs, name) == getattr(inputs, name), name
    assert (list(found.inputs.reasons), list(found.inputs.hits)) == (list(inputs.reasons), list(inputs.hits))
    assert (found.inputs.account, found.inputs.unchecked) == (inputs.account, tuple(inputs.unchecked))
    assert found.inputs.stopped == tuple(inputs.stopped)
    if not inputs.limit.is_allowed or inputs.limit.due_unix:
        assert found.inputs.limit == inputs.limit
    assert replay(record, POLICY) == judge(inputs, POLICY, NOW, "mw1.42")


@given(st.datetimes(datetime(2026, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.floats(0, 1))
def test_instants_and_scores_come_back_to_the_last_digit(now: datetime, score: float) -> None:
    blocked = standing(Effect.BLOCK, Standing.BLOCKED)
    inputs = replace(USUAL, score=score, state=blocked)

    record = recorded(inputs, now=now)

    assert replay(record, POLICY) == judge(inputs, POLICY, now, "mw1.42")


def test_no_input_is_forgotten() -> None:
    """Who adds an input writes it in recorded.py, and its variation above."""
    varied = {name for changes in VARIATIONS for name in changes}

    assert {field.name for field in fields(Inputs)} == varied | {"sender", "model"}


def test_another_policy_judges_by_its_own_lines_and_leaves_the_rest() -> None:
    calm, spam = recorded(replace(USUAL, score=0.7)), recorded(replace(USUAL, signal=spamming(3, 9)))
    strict, loose = Policy(hold_score=0.6), Policy(spam_line=0.02)

    assert (calm.rule, spam.rule) == ("accept", "accept")
    for record, policy, rule in ((calm, strict, "content"), (calm, loose, "accept"), (spam, loose, "spam_rate")):
        verdict = replay(record, policy)
        assert verdict is not None
        assert verdict.rule == rule


def test_what_was_never_judged_is_not_judged_now() -> None:
    record = msgspec.structs.replace(recorded(USUAL), inputs=msgspec.Raw(b"null"))

    assert replay(record, POLICY) is None


def test_a_usual_message_costs_few_bytes() -> None:
    assert len(bytes(packed(USUAL, NOW))) < 120
    assert len(bytes(packed(replace(USUAL, state=standing(Effect.HOLD, Standing.HELD)), NOW))) < 500


def test_a_journal_is_gone_through_line_by_line_and_damage_is_counted(tmp_path: Path) -> None:
    path, tally = tmp_path / "relay-mw1-x-00000001.jsonl", Tally()
    good, other = encode(recorded(USUAL)), encode(recorded(replace(USUAL, score=0.7)))
    torn = good[: len(good) // 2]
    path.write_bytes(b"\n".join([good, torn, b'{"kind":"Held"}', other, b""]))

    read = sum(look_again(path, Policy(hold_score=0.6), NOW - timedelta(days=1), tally))
    list(look_again(path, POLICY, NOW + timedelta(days=1), late := Tally()))
    list(look_again(tmp_path / "gone.jsonl", POLICY, NOW, late))

    assert read == path.stat().st_size
    assert (tally.judged, tally.changed, tally.unjudged, tally.unreadable) == (2, 1, 0, 1)
    assert dict(tally.differences) == {Difference("accept", "accept", "hold", "content"): 1}
    assert list(tally.senders) == [(USUAL.sender.key, Difference("accept", "accept", "hold", "content"))]
    assert late.judged == 0


def journal(parts: Parts) -> list[Judged]:
    """All judged records of a relay that has stopped."""
    return journaled(parts.core.settings.journal_dir, Judged)


def test_all_that_a_relay_judged_is_judged_the_same_again(sink: Sink, tmp_path: Path) -> None:
    parts = asyncio.run(played(sink, tmp_path))

    policy, records = parts.core.settings.policy, journal(parts)
    rules = Counter(record.rule for record in records)
    wanted = "accept content spam_rate sender_held newcomer_spam_rate newcomers_held mail_loop account_suspended"
    assert set(f"{wanted} rate_delay rate_limit sender_blocked content_eicar".split()) <= set(rules)
    for record in records:
        verdict = replay(record, policy)
        assert verdict is not None, record.rule
        assert record.policy_version == version_of(policy)
        assert (verdict.action, verdict.rule, verdict.trace) == (record.action, record.rule, record.trace)
        if isinstance(record, Rejection):
            assert verdict.reply == Reply(record.code, record.enhanced, record.text)


async def played(sink: Sink, tmp_path: Path) -> Parts:
    """A relay that has met one of everything."""
    limits = Limits(rcpts_per_hour=30, newcomer_rcpts_per_hour=0, unique_rcpts_per_hour=0)
    virus = r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    async with started(tmp_path, sink, limits=limits) as parts:
        commands = parts.commands
        for body in (GOOD, SPAM, LOOP + GOOD, f"Subject: file\r\n\r\n{virus}\r\n"):
            await send(parts, "bob", body)
        for _ in range(9):
            await send(parts, "hijacked", SPAM)
        await send(parts, "hijacked", GOOD)
        known_for_long(parts, "busy")
        for _ in range(300):
            await send(parts, "busy", GOOD)
        for number in range(9):
            await send(parts, f"name{number}", SPAM)
        await send(parts, "innocent", GOOD)
        await commands.hold(ADMIN, "hosting|x-authuser|desk", HoldOrder(reason="a test", minutes=5))
        await send(parts, "desk", GOOD)
        await commands.apply([block("hosting|x-authuser|shop", parts.core.clock.now())])
        await send(parts, "shop", GOOD)
        await send(parts, "late", GOOD)
        content = (HEAD.format(who="late", author="late@site.example") + GOOD).encode()
        suspended = replace(HOST, is_suspended=True)
        await parts.receiver.receive(
            replace(SERVER, account=suspended, content=content, received_at=parts.core.clock.now())
        )
    return parts


def block(sender: str, now: datetime) -> Proposal:
    return Proposal("relay", "hosting", sender, Effect.BLOCK, "by-hand", "a test", now, now + timedelta(hours=1))
