"""Which pool a message leaves through, and that it does: from the decision to the address the next hop sees."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from relay.control.views import HoldOrder, NewDecision, ReleaseOrder
from relay.delivery.egress.sources import EgressSource
from relay.events import Delivery, Reception
from relay.policy.decisions.decision import Effect, Standing, State, fold
from relay.policy.verdict.pools import Leaving, pool_name
from relay.tree import Principal, Role
from tests.builders import ADMIN, journaled
from tests.delivering import eventually, story
from tests.relay.test_policy_decision import HOUR, NOON, row
from tests.relay.test_reception import GOOD, known_for_long, send, started
from tests.relay.test_reception import sink as sink
from tests.sink import Sink

OLD = NOON.timestamp() - 2 * 86_400
OK = State(Standing.OK)
T = TypeVar("T")
USUAL = Leaving(OK, OLD, 0.1)


@pytest.mark.parametrize(
    ("message", "pool"),
    [
        (USUAL, "fair"),
        (replace(USUAL, score=None), "fair"),
        (replace(USUAL, state=replace(OK, band="good")), "good"),
        (replace(USUAL, state=replace(OK, band="fair")), "fair"),
        (replace(USUAL, state=replace(OK, band="good", multiplier=1.5)), "good"),
        (replace(USUAL, first_seen_unix=NOON.timestamp() - 86_300), "new"),
        (replace(USUAL, first_seen_unix=NOON.timestamp() - 86_300, state=replace(OK, band="good")), "new"),
        (replace(USUAL, score=0.5), "suspect"),
        (replace(USUAL, score=0.49), "fair"),
        (replace(USUAL, state=State(Standing.WATCH)), "suspect"),
        (replace(USUAL, state=State(Standing.THROTTLED, band="good")), "suspect"),
        (replace(USUAL, state=State(Standing.HELD)), "suspect"),
        (replace(USUAL, state=replace(OK, multiplier=0.5)), "suspect"),
        (replace(USUAL, state=replace(OK, band="poor")), "suspect"),
        (replace(USUAL, state=replace(OK, band="bad")), "suspect"),
        (replace(USUAL, state=replace(OK, reinstated_at=NOON - 23 * HOUR)), "suspect"),
        (replace(USUAL, state=replace(OK, reinstated_at=NOON - 25 * HOUR)), "fair"),
        (replace(USUAL, is_forwarded=True), "forward"),
        (replace(USUAL, is_forwarded=True, score=0.8), "forward"),
        (replace(USUAL, dedicated="own"), "own"),
        (replace(USUAL, dedicated="own", first_seen_unix=NOON.timestamp()), "own"),
        (replace(USUAL, dedicated="own", is_forwarded=True), "own"),
        (replace(USUAL, dedicated="own", score=0.8), "suspect"),
        (replace(USUAL, dedicated="own", state=State(Standing.WATCH)), "suspect"),
    ],
)
def test_the_pool_is_what_the_sender_has_earned(message: Leaving, pool: str) -> None:
    assert pool_name(message, 0.5, NOON) == pool


def test_the_band_is_that_of_the_youngest_multiplier_in_force() -> None:
    rows = [
        row(1, Effect.MULTIPLY, value=0.5, evidence={"band": "poor"}),
        row(2, Effect.MULTIPLY, NOON + HOUR, value=1.0, evidence={"band": "good"}, ends_at=NOON + 2 * HOUR),
    ]

    assert [fold(rows, NOON + hours * HOUR).band for hours in (-1, 0, 1, 2)] == ["", "poor", "good", "poor"]
    assert fold([row(1, Effect.MULTIPLY, value=0.5)], NOON).band == ""
    assert [one.proposal.is_praise for one in rows] == [False, True]


@story
async def test_each_reputation_leaves_from_its_own_address(sink: Sink, tmp_path: Path) -> None:
    analytics = Principal("analytics", Role.OPERATOR)
    async with started(tmp_path, sink) as parts:
        state = parts.core.state
        pools = ("good", "fair", "suspect", "new")
        for number, pool in enumerate(pools, 2):
            await state.egress.add_source(EgressSource(f"ip{number}", f"127.0.0.{number}"), ADMIN)
            await state.egress.put_pool(pool, {f"ip{number}": 1}, ADMIN)
        for who in ("good", "fair", "suspect"):
            known_for_long(parts, who)
        praise = NewDecision(
            account="hosting",
            sender="hosting|x-authuser|good",
            effect=Effect.MULTIPLY,
            rule="reputation_band",
            reason="r",
            evidence={"band": "good"},
            value=1.0,
        )
        await parts.commands.propose(analytics, praise)
        held = await parts.commands.hold(ADMIN, "hosting|x-authuser|suspect", HoldOrder())
        await parts.commands.release_decision(ADMIN, held.decision.id, ReleaseOrder())

        for who in pools:
            await send(parts, who, GOOD)
        await eventually(lambda: len(sink.messages) == 4)
    receptions = {record.message_id: record for record in journaled(tmp_path / "journal", Reception)}
    found = [
        (receptions[record.message_id].sender.rpartition("|")[2], receptions[record.message_id].pool, record.source)
        for record in journaled(tmp_path / "journal", Delivery)
    ]
    assert sorted((who, pool, source.partition(":")[0]) for who, pool, source in found) == sorted(
        (pool, pool, f"127.0.0.{number}") for number, pool in enumerate(pools, 2)
    )
