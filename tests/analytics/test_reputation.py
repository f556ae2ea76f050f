"""Reputation: additive points that explain themselves, honest about what is not known (spec 2.7, its sanity run)."""

from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import numpy as np
import pytest

from analytics.listings.rounds import COSTS
from analytics.reputation.counts import PRIOR_RATES, TRACKS, Counts, senders_and_accounts
from analytics.reputation.run import compute
from analytics.reputation.score import SIGNALS, Scores, assess
from relay.dns_lists import Weight
from relay.events import Complaint, Listing, Record
from tests.analytics.conftest import Room
from tests.analytics.records import START, Story

NOW = START + timedelta(days=10)


def entity(n: float, **seen_and_bad: tuple[float, float]) -> Counts:
    """One entity: signal=(bad, seen) on all of the signal's half-lives, or spam0=... on one."""
    bad, seen = [], []
    for number, track in enumerate(TRACKS):
        counted = seen_and_bad.get(f"{track.signal}{number}", seen_and_bad.get(track.signal, (0.0, 0.0)))
        bad.append(counted[0])
        seen.append(counted[1])
    prior = np.array([[PRIOR_RATES[track.signal] for track in TRACKS]])
    return Counts("sender", ["e"], ["a"], [""], np.array([bad]), np.array([seen]), np.array([n]), prior)


def judged(counts: Counts) -> tuple[float, float, float, str]:
    scores = assess(counts)
    return float(scores.score[0]), float(scores.low[0]), float(scores.high[0]), scores.bands[0]


def test_nobody_knows_a_new_sender() -> None:
    score, low, high, band = judged(entity(0))

    assert score == pytest.approx(100)
    assert (low < 30, high > 99) == (True, True)
    assert band == "unknown"


def test_honest_big_sender_is_good_with_a_narrow_interval() -> None:
    sent = {"hard_bounce": (70.0, 5000.0), "complaint": (8.0, 34_000.0), "block": (10.0, 5000.0)}

    _, low, high, band = judged(entity(35_000, spam0=(0, 1), spam1=(5, 900), spam2=(150, 35_000), **sent))

    assert band == "good"
    assert high - low < 15


def test_hijacked_small_sender_is_bad_because_of_spam() -> None:
    counts = entity(120, spam=(20, 30), hard_bounce=(1, 100), complaint=(0, 100))

    score, _, high, band = judged(counts)
    points = dict(zip((*SIGNALS, "listing"), assess(counts).points[0], strict=True))

    assert (score < 30, high < 30, band) == (True, True, "bad")
    assert points["spam"] / sum(points.values()) > 0.99


def test_burst_of_a_big_sender_shows_in_the_hour_though_the_week_hides_it() -> None:
    burst = entity(35_000, spam0=(50, 250), spam1=(52, 1800), spam2=(100, 35_000), hard_bounce=(50, 5000))

    score, *_, band = judged(burst)

    assert (score < 40, band in ("poor", "bad")) == (True, True)


def test_complaints_cost_more_the_more_there_are() -> None:
    few, *_ = judged(entity(2000, complaint=(8, 2000)))
    many, *_ = judged(entity(2000, complaint=(40, 2000)))

    assert 30 < few < 70
    assert many < 15


@pytest.mark.parametrize("n", [0, 49])
def test_little_evidence_is_unknown_never_good(n: int) -> None:
    assert judged(entity(n))[3] == "unknown"
    assert judged(entity(n, spam=(n / 2, n)))[3] == "unknown"
    assert judged(entity(50))[3] == "good"


def test_points_add_up_to_the_score_exactly() -> None:
    scores = assess(entity(900, spam=(40, 900), hard_bounce=(60, 900), complaint=(3, 900), block=(90, 900)))

    assert 100 * np.exp(-scores.points[0].sum()) == pytest.approx(scores.score[0], rel=1e-12)
    assert (scores.points[0][:4] > 0).all()


def test_score_lies_in_its_interval_and_comes_out_the_same_twice() -> None:
    counts = entity(120, spam=(20, 30))

    first, second = assess(counts), assess(counts)

    assert first.low[0] <= first.score[0] <= first.high[0]
    assert (first.low[0], first.high[0]) == (second.low[0], second.high[0])


def test_listed_address_is_bad_even_when_little_left_it() -> None:
    points = -np.log(1 - COSTS[Weight.SOURCE])

    scores: Scores = assess(entity(3), listing_points=np.array([points]))

    assert (scores.bands[0], round(float(scores.score[0]))) == ("bad", 20)


def mail(story: Story, sender: str, count: int, ago: timedelta, score: float, first: int) -> list[Record]:
    seconds = (NOW - ago - START).total_seconds()
    return [
        record
        for number in range(first, first + count)
        for record in (
            story.reception(number, seconds, sender=sender, score=score),
            story.delivery(number, seconds, 1, sender=sender, source="192.0.2.9"),
        )
    ]


def standing(room: Room, kind: str, name: str) -> dict[str, Any]:
    query = "SELECT * FROM reputation_now WHERE entity_kind = $kind AND entity = $name"
    (row,) = room.warehouse.table(query, kind=kind, name=name).to_pylist()
    return dict(row)


def test_hijacked_neighbour_does_not_spoil_an_honest_sender(room: Room) -> None:
    story, hour = Story(), timedelta(minutes=30)
    honest, hijacked = "host|x-authuser|ann@a.example", "host|x-authuser|bob@a.example"
    room.bring(*mail(story, honest, 300, hour, 0.01, 1000), *mail(story, hijacked, 100, hour, 0.97, 5000))

    compute(room.warehouse, NOW)

    assert standing(room, "sender", honest)["band"] == "good"
    assert standing(room, "sender", hijacked)["band"] == "bad"
    assert standing(room, "account", "host")["band"] in ("poor", "bad")
    assert standing(room, "ip", "192.0.2.9")["n"] in (399, 400)


def test_bad_neighbours_alone_cost_nobody_a_point(room: Room) -> None:
    """Forty abused senders in an account of forty-one."""
    story, hour = Story(), timedelta(minutes=30)
    honest = "host|x-authuser|ann@a.example"
    abused = [
        record
        for number in range(40)
        for record in mail(story, f"host|x-authuser|x{number}@a.example", 20, hour, 0.97, 10_000 + number * 100)
    ]
    room.bring(*mail(story, honest, 8, hour, 0.01, 1000), *abused)

    compute(room.warehouse, NOW)

    assert standing(room, "sender", honest)["points"] == "{}"
    assert standing(room, "sender", "host|x-authuser|x7@a.example")["score"] < 30


def test_old_sins_are_forgotten(room: Room) -> None:
    story, sender = Story(), "acme|mailfrom|a@acme.example"
    room.bring(
        *mail(story, sender, 60, timedelta(days=9), 0.99, 1000),
        *mail(story, sender, 900, timedelta(minutes=10), 0.01, 5000),
    )
    compute(room.warehouse, START + timedelta(days=1, hours=1))
    then = standing(room, "sender", sender)

    compute(room.warehouse, NOW)

    assert then["score"] < 30
    assert standing(room, "sender", sender)["score"] > 60


def test_complaints_count_against_sender_and_address(room: Room) -> None:
    story, sender = Story(), "acme|mailfrom|a@acme.example"
    records = mail(story, sender, 200, timedelta(hours=1), 0.01, 1000)
    complaints = [
        Complaint(**story.stamp(), message_id=f"mw1.{number}", reported_at=NOW) for number in range(1000, 1008)
    ]

    room.bring(*records, *complaints)
    compute(room.warehouse, NOW)

    assert '"complaint"' in standing(room, "sender", sender)["points"]
    assert '"complaint"' in standing(room, "ip", "192.0.2.9")["points"]


@pytest.mark.parametrize(
    ("status", "confirmed", "age", "costs"),
    [
        ("listed", True, timedelta(minutes=5), True),
        ("clean", True, timedelta(minutes=5), True),  # clean once: not over yet
        ("listed", False, timedelta(minutes=5), False),
        ("unknown", False, timedelta(minutes=5), False),
        ("refused", False, timedelta(minutes=5), False),
        ("clean", False, timedelta(minutes=5), False),
        ("listed", True, timedelta(hours=12), False),
    ],
)
def test_only_a_fresh_confirmed_listing_costs(
    room: Room, status: str, confirmed: bool, age: timedelta, costs: bool
) -> None:
    story = Story()
    checked = {"zone": "z.example", "status": status, "confirmed": confirmed, "checked_at": NOW - age, "weight": 0.8}
    room.bring(
        *mail(story, "acme|mailfrom|a@acme.example", 60, timedelta(hours=1), 0.01, 1000),
        Listing(**story.stamp(), address="192.0.2.9", **checked),
    )

    compute(room.warehouse, NOW)

    assert ('"listing"' in standing(room, "ip", "192.0.2.9")["points"]) == costs


def history(room: Room) -> list[datetime]:
    return [row[0] for row in room.rows("SELECT computed_at FROM reputation WHERE entity_kind = 'sender' ORDER BY 1")]


def test_history_has_a_row_when_something_moved_else_one_an_hour(room: Room) -> None:
    story = Story()
    room.bring(*mail(story, "acme|mailfrom|a@acme.example", 300, timedelta(hours=1), 0.01, 1000))
    minutes = [timedelta(minutes=number) for number in (0, 1, 2, 60, 61)]

    for passed in minutes:
        compute(room.warehouse, NOW + passed)

    assert history(room) == [NOW, NOW + timedelta(hours=1)]


def test_empty_warehouse_has_no_reputations(room: Room) -> None:
    assert compute(room.warehouse, NOW) == 0
    assert senders_and_accounts(room.warehouse, NOW)[0].entities == []


def test_senders_that_rest_take_turns_and_those_that_send_are_scored_each_time(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.reputation.run._IDLE_AT_ONCE", 2)
    story, later = Story(), NOW + timedelta(hours=1)
    names = [f"acme|mailfrom|{name}@acme.example" for name in ("0", "1", "2", "3", "4", "new")]
    old = [mail(story, name, 60, timedelta(hours=2), 0.01, place * 100) for place, name in enumerate(names[:5])]
    room.bring(*chain.from_iterable(old))
    compute(room.warehouse, NOW)
    ago = -timedelta(minutes=59)
    room.bring(
        *mail(story, names[4], 60, ago, 0.99, 900), *mail(story, names[5], 60, ago, 0.01, 1000), name="relay-mw1-a-2"
    )

    assert compute(room.warehouse, later) == 8  # 6 senders, their account, an address

    def scored_since(then: datetime) -> list[str]:
        query = "SELECT entity FROM reputation_now WHERE entity_kind = 'sender' AND computed_at >= $then ORDER BY 1"
        return [str(entity).split("|")[2].split("@")[0] for (entity,) in room.rows(query, then=then)]

    assert scored_since(later) == ["0", "1", "4", "new"]
    assert standing(room, "sender", "acme|mailfrom|4@acme.example")["score"] < 30
    compute(room.warehouse, later + timedelta(hours=1))
    assert scored_since(later + timedelta(hours=1)) == ["2", "3", "4", "new"]  # what came shortly before may come late
    compute(room.warehouse, later + timedelta(hours=2))
    assert len(scored_since(later + timedelta(hours=2))) == 2
    assert scored_since(NOW) == ["0", "1", "2", "3", "4", "new"]


def test_a_sender_whose_mail_is_forgotten_has_no_reputation_any_more(room: Room) -> None:
    story = Story()
    room.bring(*mail(story, "acme|mailfrom|a@acme.example", 60, timedelta(hours=2), 0.01, 100))
    compute(room.warehouse, NOW)

    assert compute(room.warehouse, NOW + timedelta(days=50)) == 0
    assert room.rows("SELECT entity FROM reputation_now") == []
