"""The story played headless and judged: `mailweir demo --check`.

The figures come from what customers sent and receivers got; relay and warehouse are compared with that.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from analytics.client import QueryError
from analytics.simulation.ledger import Sent, delays, p95
from analytics.simulation.plot import delivered, first_abuse_unix, release, start_attack, until, until_held, waiting
from analytics.simulation.stage import LIVE_RATE, Stage, in_thread
from analytics.simulation.teller import Teller
from relay.control.views import DecisionView

_HOLD_SECONDS = 25.0  # the attack goes on so long if nothing stops it
_SETTLE_SECONDS = 20.0
_MOST_ABUSIVE_DELIVERED = 15
_LARGEST_RATIO = 1.5
# Two delays of some hundredths of a second differ by this much by chance where two busy cores run relay, analytics,
# customers and receivers together (measured: the same calm story gave a p95 of 0.035 and of 0.138 s).
_NOISE_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Times:
    """How long each phase lasts, in seconds; the attack at least as long."""

    calm: float = 18.0
    attack: float = 14.0


class Score(msgspec.Struct, kw_only=True):
    """The one JSON line. Messages have one recipient each; delays are from MAIL to arrival in the mailbox, p95.

    `abusive_delivered` counts arrivals before the release; `problems` says what did not go as told.
    """

    abusive_sent: int = 0
    abusive_delivered: int = 0
    abusive_held: int = 0
    abusive_refused: int = 0
    innocents_sent: int = 0
    innocents_held: int = 0
    innocents_refused: int = 0
    p95_delay_without_s: float | None = None
    p95_delay_with_s: float | None = None
    ratio: float | None = None
    noise_floor_s: float = _NOISE_SECONDS
    seconds_to_hold: float | None = None
    messages_to_hold: int | None = None
    reason: str = ""
    released_messages: int = 0
    held_released_delivered: bool = False
    lost: int = 0
    duplicated: int = 0
    warehouse_equal: bool = False
    complaints: int = 0
    model: str = ""
    seconds: float = 0.0
    problems: list[str] = []
    ok: bool = False


async def play_check(stage: Stage, times: Times, tell: Teller) -> Score:
    """Play calm, attack and release, and judge them."""
    score = Score()
    customers, victim = stage.customers, stage.victim
    customers.start(LIVE_RATE)
    with tell.step(f"Calm: {len(stage.world.customers)} customers send about {LIVE_RATE:g} messages a second"):
        await stage.clock.sleep(times.calm)
    tell.say(f"The plugin of {victim.name} ({victim.key}) is hacked and spams", "red")
    await start_attack(stage)
    ends_unix = stage.clock.unix() + times.attack
    decision = await until_held(stage, _HOLD_SECONDS)
    if decision is not None:
        _note_hold(stage, score, decision)
        tell.say(f"Held after {score.messages_to_hold} messages: {decision.reason}", "green")
    with tell.step("The attack goes on, everybody else sends as before"):
        await stage.clock.sleep(max(0.0, ends_unix - stage.clock.unix()))
    customers.stop_attack()
    await customers.stop()
    with tell.step("Mail on its way arrives"):
        await until(stage, lambda: not _on_their_way(stage), _SETTLE_SECONDS)
    score.abusive_delivered = delivered(stage.ledger.abusive())
    if decision is not None:
        await _release(stage, score, decision, tell)
    _count(stage, score)
    with tell.step("The warehouse is compared with what customers were told and receivers got"):
        score.warehouse_equal = await _until_warehouse_equal(stage)
    return judge(score)


def judge(score: Score) -> Score:
    """Say what did not go as told; `ok` is nothing."""
    claims = {
        "the hacked site was not held": score.seconds_to_hold is not None,
        f"more than {_MOST_ABUSIVE_DELIVERED} abusive messages delivered": (
            score.abusive_delivered <= _MOST_ABUSIVE_DELIVERED
        ),
        "innocent messages held": score.innocents_held == 0,
        "innocent messages refused": score.innocents_refused == 0,
        "no innocent message arrived in one of the phases": score.ratio is not None,
        "innocent messages were late": _is_punctual(score),
        "the release did not deliver the held mail": score.held_released_delivered,
        "accepted messages lost": score.lost == 0,
        "messages delivered twice": score.duplicated == 0,
        "the warehouse tells something else": score.warehouse_equal,
    }
    score.problems = [problem for problem, is_fine in claims.items() if not is_fine]
    score.ok = not score.problems
    return score


def _is_punctual(score: Score) -> bool:
    with_s, without_s = score.p95_delay_with_s, score.p95_delay_without_s
    if with_s is None or without_s is None:
        return False
    return with_s <= max(without_s * _LARGEST_RATIO, without_s + _NOISE_SECONDS)


def _note_hold(stage: Stage, score: Score, decision: DecisionView) -> None:
    held_unix = decision.starts_at.timestamp()
    score.seconds_to_hold = round(max(0.0, held_unix - first_abuse_unix(stage)), 2)
    score.messages_to_hold = sum(0 < one.began_unix <= held_unix for one in stage.ledger.abusive())
    score.reason, score.model = decision.reason, decision.model


def _on_their_way(stage: Stage) -> list[Sent]:
    """Messages that are neither parked nor at their end."""
    return [one for one in stage.ledger.open_ends() if one.sender != stage.victim.key]


async def _release(stage: Stage, score: Score, decision: DecisionView, tell: Teller) -> None:
    parked = waiting(stage)
    freed = await release(stage, decision)
    score.released_messages = freed.messages
    with tell.step(f"Released: {freed.messages} held messages go out"):
        arrived = await until(stage, lambda: not waiting(stage), _SETTLE_SECONDS)
    score.held_released_delivered = arrived and freed.messages == len(parked) > 0


def _count(stage: Stage, score: Score) -> None:
    ledger = stage.ledger
    honest, abusive = ledger.honest(), ledger.abusive()
    score.abusive_sent, score.innocents_sent = len(abusive), len(honest)
    score.abusive_held = sum(one.is_held for one in abusive)
    score.abusive_refused = sum(not one.is_ours for one in abusive)
    score.innocents_held = sum(one.is_held for one in honest)
    score.innocents_refused = sum(not one.is_ours for one in honest)
    score.lost, score.duplicated = len(ledger.open_ends()), ledger.duplicates()
    score.complaints = len(stage.complaints)
    without_s, with_s = (p95(delays(ledger.honest(phase))) for phase in ("calm", "attack"))
    if without_s and with_s:
        score.p95_delay_without_s, score.p95_delay_with_s = round(without_s, 4), round(with_s, 4)
        score.ratio = round(with_s / without_s, 3)


async def _until_warehouse_equal(stage: Stage) -> bool:
    expected = _expected(stage)
    deadline = stage.clock.unix() + _SETTLE_SECONDS
    while stage.clock.unix() < deadline:
        try:
            if await in_thread(lambda: _found(stage)) == expected:
                return True
        except QueryError:
            return False
        await stage.clock.sleep(0.5)
    return False


def _expected(stage: Stage) -> dict[str, Any]:
    sent = list(stage.ledger.sent.values())
    ours = [one for one in sent if one.is_ours]
    return {
        "accepted": sorted(one.message_id for one in ours),
        "delivered": sorted(one.message_id for one in ours if one.arrivals),
        "bounced": sorted(one.message_id for one in ours if not one.arrivals),
        "refused": sum(one.code >= 400 for one in sent),
    }


def _found(stage: Stage) -> dict[str, Any]:
    """The same from the warehouse, without the bounces that the relay itself sent to the customers."""
    node, since = stage.made.settings.node.name, _literal(stage.opened_at)
    whose = f"node = '{node}' AND received_at >= {since}"
    messages = stage.queries.sql(f"SELECT message_id FROM message WHERE {whose} AND mail_from <> ''")  # noqa: S608
    known = sorted(messages["message_id"])
    outcomes = stage.queries.sql(f"SELECT message_id, outcome FROM recipient WHERE {whose}")  # noqa: S608
    outcomes = outcomes[outcomes["message_id"].isin(known)]
    refused = stage.queries.sql(
        f"SELECT count(*) AS n FROM rejection WHERE node = '{node}' AND logged_at >= {since}"  # noqa: S608
    )
    return {
        "accepted": known,
        "delivered": sorted(outcomes[outcomes["outcome"] == "delivered"]["message_id"]),
        "bounced": sorted(outcomes[outcomes["outcome"] == "bounced"]["message_id"]),
        "refused": int(refused["n"][0]),
    }


def _literal(instant: datetime) -> str:
    return f"TIMESTAMPTZ '{instant.isoformat()}'"
