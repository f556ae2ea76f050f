"""Reputation of domains, pools and addresses by provider; and an explanation that adds up, whatever happened."""

import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.reputation.parts import refresh
from analytics.reputation.run import compute, compute_parts
from analytics.serving.ask import ask
from relay.events import Complaint, Features, Listing, Record
from relay.settings import Policy
from relay.tree import Scope
from tests.analytics.conftest import Room
from tests.analytics.records import START, Story

NOW = START + timedelta(hours=3)
HONEST, ABUSER = "acme|mailfrom|a@acme.example", "host|x-authuser|bob@host.example"


def mail(story: Story, sender: str, numbers: range, score: float, **way: Any) -> Iterator[Record]:
    """Delivered messages: their From domain is the sender's, links and pool as given."""
    features = Features(from_domain=sender.split("@")[1], link_domains=way.pop("links", []))
    pool, hours = way.pop("pool", "fair"), way.pop("hours", 2.9)
    for number in numbers:
        yield story.reception(number, hours * 3600, sender=sender, score=score, features=features, pool=pool)
        yield story.delivery(number, hours * 3600, 1, **({"sender": sender, "source": "192.0.2.9"} | way))


def work_out(room: Room, now: datetime = NOW) -> None:
    refresh(room.warehouse, Policy(), now)
    compute(room.warehouse, now)
    compute_parts(room.warehouse, now)


def standing(room: Room, kind: str, name: str, account: str = "") -> dict[str, Any]:
    rows = ask(room.warehouse, "reputations", {"entity_kind": kind, "entity": name}, Scope(), NOW).to_pylist()
    (row,) = [row for row in rows if not account or row["account"] == account]
    return dict(row)


def test_domains_pools_and_providers_have_reputations_of_their_own(room: Room) -> None:
    story = Story()
    room.bring(
        *mail(story, HONEST, range(1, 400), 0.01, links=["acme.example"], pool="good", destination="google"),
        *mail(story, ABUSER, range(1000, 1100), 0.97, links=["pills.example", "pills.example"], destination="yahoo"),
    )

    work_out(room)

    assert standing(room, "from_domain", "acme.example")["band"] == "good"
    assert standing(room, "from_domain", "host.example")["band"] == "bad"
    assert (standing(room, "url_domain", "acme.example")["band"], standing(room, "pool", "good")["band"]) == (
        "good",
    ) * 2
    assert standing(room, "url_domain", "pills.example")["n"] in (99, 100)  # once a message, not once a link
    assert standing(room, "pool", "fair")["band"] == "bad"
    assert standing(room, "ip_provider", "192.0.2.9|google")["band"] == "good"
    assert standing(room, "ip_provider", "192.0.2.9|yahoo")["band"] == "bad"


def test_heat_map_splits_address_and_provider(room: Room) -> None:
    room.bring(*mail(Story(), HONEST, range(1, 80), 0.01, destination="google"))

    work_out(room)

    (row,) = ask(room.warehouse, "reputation_heat", {}, Scope(), NOW).to_pylist()
    assert (row["address"], row["destination"], row["band"]) == ("192.0.2.9", "google", "good")
    assert ask(room.warehouse, "reputation_heat", {}, Scope(account="acme"), NOW).num_rows == 0  # nobody's alone


def test_from_domain_is_counted_per_account_and_seen_by_its_own(room: Room) -> None:
    story, other = Story(), "rival|mailfrom|x@acme.example"
    room.bring(*mail(story, HONEST, range(1, 400), 0.01), *mail(story, other, range(500, 580), 0.97))

    work_out(room)

    assert standing(room, "from_domain", "acme.example", "acme")["band"] == "good"
    assert standing(room, "from_domain", "acme.example", "rival")["band"] == "bad"
    mine = ask(room.warehouse, "reputations", {"entity_kind": "from_domain"}, Scope(account="acme"), NOW).to_pylist()
    assert [row["account"] for row in mine] == ["acme"]


def test_bounce_and_complaint_that_come_later_count_in_their_hour(room: Room) -> None:
    story = Story()
    room.bring(*mail(story, HONEST, range(1, 80), 0.01, destination="google"))
    work_out(room)
    complaints = [
        Complaint(**story.stamp(), message_id=f"mw1.{number}", reported_at=NOW - timedelta(minutes=5))
        for number in range(1, 9)
    ]

    room.bring(*complaints, name="analytics-mw1-a-00000002")
    work_out(room)

    for kind, name in (("from_domain", "acme.example"), ("pool", "fair"), ("ip_provider", "192.0.2.9|google")):
        assert '"complaint"' in standing(room, kind, name)["points_json"], kind


def test_making_an_hour_anew_changes_nothing(room: Room) -> None:
    room.bring(*mail(Story(), HONEST, range(1, 80), 0.4))
    work_out(room)
    before = room.rows("SELECT * FROM rollup_part ORDER BY ALL")

    room.warehouse.write(
        lambda c: c.execute("INSERT INTO part_due SELECT DISTINCT date_trunc('hour', bucket) FROM rollup_part")
    ).result()
    left = refresh(room.warehouse, Policy(), NOW)

    assert (left, room.rows("SELECT * FROM rollup_part ORDER BY ALL")) == (0, before)
    assert len(before) > 2


def test_listed_domain_costs_its_entities(room: Room) -> None:
    story = Story()
    listing = Listing(
        **story.stamp(), address="acme.example", zone="dbl.example", status="listed", checked_at=NOW,
        entity_kind="domain", confirmed=True, weight=0.8,
    )  # fmt: skip
    room.bring(*mail(story, "acme|mailfrom|a@mail.acme.example", range(1, 80), 0.01, links=["acme.example"]), listing)

    work_out(room)

    assert '"listing":1.609' in standing(room, "from_domain", "mail.acme.example")["points_json"]
    assert standing(room, "url_domain", "acme.example")["band"] == "bad"
    assert standing(room, "pool", "fair")["band"] == "good"


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([HONEST, ABUSER]), st.floats(0, 1), st.sampled_from(["ok", "hard", "block"]), st.booleans()
    ),
    min_size=1,
    max_size=40,
)


@given(events=EVENTS, seed=st.integers(0, 10**9))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_explanation_adds_up_exactly_whatever_happened(
    room: Room, events: list[tuple[str, float, str, bool]], seed: int
) -> None:
    chance, story = random.Random(seed), Story(f"boot-{seed}")
    records: list[Record] = []
    for place, (sender, score, fate, complains) in enumerate(events):
        number, hours = seed * 1000 + place, chance.uniform(0, 2.9)
        way = {"sender": sender, "source": "192.0.2.9"}
        features = Features(from_domain=sender.split("@")[1], link_domains=["x.example"])
        records.append(story.reception(number, hours * 3600, sender=sender, score=score, features=features, pool="new"))
        if fate == "ok":
            records.append(story.delivery(number, hours * 3600, 1, **way))
        else:
            refused = {"is_hard": fate == "hard", "category": "InvalidRecipient" if fate == "hard" else "PolicyRelated"}
            records.append(story.bounce(number, hours * 3600, 1, **way, **refused))
        if complains:
            records.append(Complaint(**story.stamp(), message_id=f"mw1.{number}", reported_at=NOW))
    room.bring(*records, name=f"relay-mw1-a-{seed:010d}")

    work_out(room)

    rows = room.rows("SELECT entity_kind, entity, score, points, signals FROM reputation_now")
    assert {row[0] for row in rows} == {
        "sender", "account", "ip", "from_domain", "url_domain", "pool", "ip_provider"
    }  # fmt: skip
    for kind, entity, score, points, signals in rows:
        costs = [one["points"] for one in msgspec.json.decode(signals)]
        assert 100 * math.exp(-sum(costs)) == pytest.approx(score, rel=1e-12)
        assert sum(msgspec.json.decode(points).values()) == pytest.approx(sum(costs), rel=1e-12, abs=1e-15)
        fall = ask(room.warehouse, "reputation_signals", {"entity_kind": kind, "entity": entity}, Scope(), NOW)
        steps = fall.to_pylist()
        assert steps[-1]["score_after"] == pytest.approx(score, rel=1e-9)
        assert sum(step["share"] for step in steps) == pytest.approx(1 if sum(costs) else 0, abs=1e-9)
