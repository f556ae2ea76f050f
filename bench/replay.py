"""How long does it take to judge a journal again, and one message?

    python -m bench.replay --rows 1000000

Writes a journal of 20,000 different messages of a mixed day (honest senders with and without a reputation, suspects,
spam, senders that are held, blocked or over their limits, newcomers) as the relay writes it, and goes through it as
often as the rows ask for, by the command's own code, with the same and with a stricter policy. Then times `judge` and
what a record's inputs cost, on the same messages. Seconds are of CPU: all of it runs in one thread.
Exit code 1 when a verdict came out otherwise than it was recorded.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from relay.account import Account
from relay.events import Action, Features, Hit, Rcpt, Reception, encode
from relay.policy.decisions.decision import AUTOMATIC, Decision, Effect, Proposal, Standing, State
from relay.policy.limits.claims import LimitUse
from relay.policy.signals.signal import SignalState
from relay.policy.triggers.newcomers import Group, GroupSignal
from relay.policy.triggers.sequential import spam_certainty
from relay.policy.verdict.judge import judge, version_of
from relay.policy.verdict.recorded import packed
from relay.policy.verdict.steps import Inputs
from relay.policy.verdict.whatif import Tally, look_again
from relay.settings import Policy
from relay.tree import SenderId

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DISTINCT = 20_000
POLICY = Policy()
STRICTER = Policy(hold_score=0.7, spam_line=0.1)


def play(rows: int, seed: int = 1) -> dict[str, float]:
    """The figures."""
    dice = random.Random(seed)
    cases = [drawn(dice) for _ in range(DISTINCT)]
    rounds = max(1, rows // DISTINCT)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relay-mw1-x-00000001.jsonl"
        path.write_bytes(b"".join(encode(record(number, inputs)) + b"\n" for number, inputs in enumerate(cases)))
        size_bytes = path.stat().st_size
        same, same_seconds = _gone_through(path, POLICY, rounds)
        other, other_seconds = _gone_through(path, STRICTER, rounds)
    return {
        "rows": same.judged,
        "row_bytes": round(size_bytes / DISTINCT),
        "inputs_bytes": round(sum(len(bytes(packed(inputs, NOW))) for inputs in cases) / DISTINCT),
        "changed_by_the_same": same.changed,
        "seconds_by_the_same": round(same_seconds, 1),
        "changed_by_another": other.changed,
        "seconds_by_another": round(other_seconds, 1),
        "judge_us": _each(cases, lambda inputs: judge(inputs, POLICY, NOW, "mw1.42")),
        "packed_us": _each(cases, lambda inputs: packed(inputs, NOW)),
    }


def drawn(dice: random.Random) -> Inputs:
    """What is known of one message of a mixed day."""
    account = f"host{dice.randrange(200)}"
    sender = SenderId(account, "x-authuser", f"user{dice.randrange(5000)}@site{dice.randrange(900)}.example")
    seen = dice.randrange(1, 400)
    is_spammer = dice.random() < 0.04
    spam = float(dice.randrange(seen) if is_spammer else dice.random() < 0.05)
    since = NOW.timestamp() - dice.uniform(0, 90 * 86_400)
    signal = SignalState(
        spam_count=spam,
        seen=float(seen),
        certainty=spam_certainty(spam, float(seen), POLICY.spam_line),
        history=dice.randrange(100_000),
        first_seen_unix=since,
        day_seen=seen * 4,
        week_seen=seen * 20,
        bad_messages=("mw1.17", "mw1.18") if spam else (),
        counted_from_unix=since,
        **_habits(dice, seen),
    )
    return Inputs(
        sender=sender,
        account=Account(account),
        state=_state(dice, sender),
        limit=_limit(dice, sender),
        signal=signal,
        score=dice.betavariate(0.3, 0.1 if is_spammer else 6),
        model="shipped",
        reasons=("many links", "brand in link text") if is_spammer else (),
        hits=[Hit("lure", Action.ACCEPT, "PH", "asks for a password")] if dice.random() < 0.02 else [],
        group=_group(dice, account) if dice.random() < 0.1 else None,
    )


def record(number: int, inputs: Inputs) -> Reception:
    """The journal's row about it."""
    verdict, signal = judge(inputs, POLICY, NOW, f"mw1.{number}"), inputs.signal
    return Reception(
        node="mw1",
        boot="20261126T110000Z-1",
        seq=number,
        logged_at=NOW,
        received_at=NOW,
        message_id=f"mw1.{number}",
        account=inputs.account.name,
        sender=inputs.sender.key,
        sender_kind=inputs.sender.kind,
        mail_from=inputs.sender.value,
        recipients=[Rcpt(number, f"somebody{number}@elsewhere.example")],
        client_ip="192.0.2.1",
        subject="Your order 4711",
        action=verdict.action,
        rule=verdict.rule,
        trace=verdict.trace,
        standing=inputs.state.standing,
        score=inputs.score,
        model=inputs.model,
        reasons=list(inputs.reasons),
        hits=list(inputs.hits),
        features=Features(subject_length=15, text_words=90, link_domains=["site.example"], body_digest="0" * 64),
        spam_count=signal.spam_count,
        spam_seen=signal.seen,
        spam_certainty=signal.certainty,
        hour_used=inputs.limit.used,
        hour_limit=inputs.limit.limit,
        multiplier=inputs.state.multiplier,
        policy_version=version_of(POLICY),
        inputs=packed(inputs, NOW),
    )


def _habits(dice: random.Random, seen: int) -> dict[str, Any]:
    """What is usual for a sender of two weeks and more, as two of three are."""
    if dice.random() < 0.33:
        return {}
    return {
        "volume": seen,
        "usual_volume": round(seen * dice.uniform(0.5, 3), 1),
        "most_volume": round(seen * dice.uniform(3, 6), 1),
        "unique": seen,
        "usual_unique": round(seen * dice.uniform(0.5, 3), 1),
        "most_unique": round(seen * dice.uniform(3, 6), 1),
        "weeks": dice.randrange(2, 6),
        "failed": dice.randrange(4),
        "strangers": dice.randrange(9),
        "usual_strangers": dice.random() / 10,
    }


def _state(dice: random.Random, sender: SenderId) -> State:
    chance = dice.random()
    if chance < 0.6:
        return State(Standing.OK)
    if chance < 0.95:
        return State(Standing.OK, multiplier=1.5, band="good")
    effect, standing = dice.choice(
        [(Effect.HOLD, Standing.HELD), (Effect.BLOCK, Standing.BLOCKED), (Effect.SUSPEND, Standing.SUSPENDED)]
    )
    starts_at = NOW - timedelta(minutes=dice.randrange(50))
    reason = "9 of 12 messages in the last hour were scored as spam; 99.9 % sure the true rate is above 20 %"
    proposal = Proposal(
        AUTOMATIC, sender.account, sender.key, effect, "spam_rate", reason, starts_at, NOW + timedelta(hours=1)
    )
    return State(standing, Decision("mw1", dice.randrange(9000), proposal))


def _limit(dice: random.Random, sender: SenderId) -> LimitUse:
    usual = LimitUse(dice.randrange(200), 200, True, NOW.timestamp(), whose=f"sender {sender.key}")
    if dice.random() < 0.98:
        return usual
    full = replace(usual, used=200, is_allowed=False, next_unix=NOW.timestamp() + 720)
    return full if dice.random() < 0.5 else replace(full, is_allowed=True, due_unix=full.next_unix)


def _group(dice: random.Random, account: str) -> Group:
    seen = float(dice.randrange(1, 50))
    return Group(f"{account}|newcomers|", State(Standing.OK), GroupSignal(0.0, seen, 0.0))


def _gone_through(path: Path, policy: Policy, rounds: int) -> tuple[Tally, float]:
    tally, began = Tally(), time.process_time()
    for _ in range(rounds):
        for _size in look_again(path, policy, NOW - timedelta(days=30), tally):
            pass
    return tally, time.process_time() - began


def _each(cases: list[Inputs], action: Any) -> float:
    """The microseconds of one, in the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for inputs in cases:
            action(inputs)
        best = min(best, time.process_time() - began)
    return round(best / len(cases) * 1e6, 1)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures = play(options.rows, options.seed)
    print(json.dumps(figures))
    return 1 if figures["changed_by_the_same"] else 0


if __name__ == "__main__":
    sys.exit(main())
