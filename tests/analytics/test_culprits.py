"""Who caused a listing: senders ranked by the mail that left the address before it; probabilities add up to 1."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.listings.blocks import Blocks
from analytics.queries.listings import CULPRITS
from analytics.serving.ask import ask
from relay.events import AlarmRaised, Complaint, Deferral, Listing, Record
from relay.tree import Scope
from tests.analytics.conftest import Room
from tests.analytics.records import START, Story

ADDRESS = "192.0.2.9"
LISTED_AT = START + timedelta(hours=30)
HIJACKED, SHOP, NEWS = "host|x-authuser|bob@a.example", "shop|mailfrom|a@shop.example", "news|mailfrom|n@news.example"


class Traffic:
    """Mail of several senders, numbered through."""

    def __init__(self) -> None:
        self.story, self.number = Story(), 0

    def mail(
        self, sender: str, count: int, hours: float, score: float, *, to: str = "", bounced: bool = False, **other: Any
    ) -> Iterable[Record]:
        for _ in range(count):
            self.number += 1
            recipient = to or f"r{self.number % 50}@known.example"
            outcome = self.story.bounce if bounced else self.story.delivery
            way = {"sender": sender, "source": ADDRESS, "recipient": recipient} | other
            yield self.story.reception(self.number, hours * 3600, sender=sender, score=score)
            yield outcome(self.number, hours * 3600, 1, **way)

    def listing(self) -> Listing:
        return Listing(
            **self.story.stamp(),
            address=ADDRESS,
            zone="zen.example",
            status="listed",
            checked_at=LISTED_AT + timedelta(minutes=11),
            since_at=LISTED_AT,
            confirmed=True,
        )


def culprits(room: Room, scope: Scope | None = None, **other: object) -> list[dict[str, Any]]:
    now = LISTED_AT + timedelta(hours=2)
    rows = ask(room.warehouse, "culprits", {"address": ADDRESS} | other, scope or Scope(), now).to_pylist()
    return [dict(row) for row in rows]


def test_hijacked_sender_is_named_before_a_large_honest_one(room: Room) -> None:
    traffic = Traffic()
    room.bring(
        *traffic.mail(SHOP, 200, 1, 0.02),  # its recipients are known
        *traffic.mail(SHOP, 800, 20, 0.04),
        *traffic.mail(HIJACKED, 60, 25, 0.97),
        traffic.listing(),
    )

    rows = culprits(room)

    assert rows[0]["sender"] == HIJACKED
    assert rows[0]["probability"] > 0.9
    assert sum(row["probability"] for row in rows) == pytest.approx(1, abs=1e-12)
    assert rows[0]["until_at"] == LISTED_AT


def test_mail_after_the_listing_of_the_day_before_or_from_elsewhere_is_nobodys_fault(room: Room) -> None:
    traffic = Traffic()
    room.bring(
        *traffic.mail(HIJACKED, 50, 31, 0.97),  # after it
        *traffic.mail(NEWS, 50, 2, 0.97),  # 28 h before
        *traffic.mail(SHOP, 50, 20, 0.97, source="192.0.2.10"),
        traffic.listing(),
    )

    rows = culprits(room)

    assert [(row["sender"], row["probability"]) for row in rows] == [("", 1.0)]


def test_unknown_recipients_and_complaints_speak_against_a_sender_without_a_score(room: Room) -> None:
    traffic = Traffic()
    bought = [
        record
        for number in range(60)
        for record in traffic.mail(NEWS, 1, 20, 0.05, to=f"trap{number}@x.example", bounced=True)
    ]
    known = list(traffic.mail(SHOP, 50, 1, 0.05))
    complaint = Complaint(
        **traffic.story.stamp(), message_id="mw1.1", reported_at=LISTED_AT, sender=NEWS, account="news"
    )
    room.bring(*bought, *known, *traffic.mail(SHOP, 60, 20, 0.05, bounced=True), complaint, traffic.listing())

    first, second, rest = culprits(room)

    assert (first["sender"], first["traps"], first["strangers"], first["complaints"]) == (NEWS, 60, 60, 1)
    assert first["probability"] > 0.8
    assert (second["sender"], second["traps"], second["strangers"], rest["sender"]) == (SHOP, 0, 0, "")


def test_scope_sees_its_own_senders_with_their_true_probability(room: Room) -> None:
    traffic = Traffic()
    room.bring(*traffic.mail(HIJACKED, 30, 20, 0.97), *traffic.mail(NEWS, 10, 20, 0.97), traffic.listing())

    everybody = {row["sender"]: row["probability"] for row in culprits(room)}
    mine = culprits(room, Scope(account="news"))

    assert [row["sender"] for row in mine] == [NEWS, ""]
    assert mine[0]["probability"] == everybody[NEWS]
    assert mine[1]["mails"] == 0


def test_reply_that_names_the_address_is_an_event_with_whom_it_blames(room: Room) -> None:
    story = Story()
    reply: dict[str, Any] = {"code": 421, "enhanced": "4.7.28", "category": "ReputationBlock", "source": ADDRESS}
    texts = {
        "address": "unusual rate of unsolicited mail originating from your IP address",
        "link": "unsolicited mail containing one of your URL domains",
        "dkim domain": "unsolicited mail originating from your DKIM domain",
    }
    room.bring(
        *(
            Deferral(**story.attempt(number, 0, 5, **reply, text=text), due_at=LISTED_AT)
            for number, text in enumerate(texts.values(), 1)
        )
    )

    rows = ask(room.warehouse, "ip_events", {}, Scope(), START + timedelta(hours=1)).to_pylist()

    assert sorted(row["blames"] for row in rows) == ["address", "dkim domain", "link"]
    assert {(row["address"], row["place"], row["kind"]) for row in rows} == {(ADDRESS, "post.example", "reply")}


def test_provider_that_blocks_an_address_raises_one_alarm_a_day_with_culprits(room: Room) -> None:
    traffic, alarms = Traffic(), list[tuple[str, str, dict[str, Any]]]()
    reply: dict[str, Any] = {"code": 421, "enhanced": "4.7.28", "text": "unusual rate of unsolicited mail"}
    blocks = [
        Deferral(
            **traffic.story.attempt(number, 26 * 3600, 5, category="ReputationBlock", source=ADDRESS, **where, **reply),
            due_at=LISTED_AT,
        )
        for number, where in enumerate([{"destination": "google"}] * 3 + [{"destination": "yahoo"}] * 2, 900)
    ]
    room.bring(*traffic.mail(HIJACKED, 40, 25, 0.97, destination="google"), *blocks)
    looking, now = Blocks(room.warehouse, lambda *alarm: alarms.append(alarm)), START + timedelta(hours=26.5)

    told = [looking.look(now), looking.look(now + timedelta(minutes=2)), looking.look(now + timedelta(hours=25))]

    assert told == [1, 0, 0]  # yahoo said it twice only
    condition, text, evidence = alarms[0]
    assert (condition, evidence["address"], evidence["destination"]) == ("ip_blocked", ADDRESS, "google")
    assert f"Likeliest: {HIJACKED} 9" in text


def test_alarm_that_the_warehouse_has_is_not_raised_again_by_a_new_process(room: Room) -> None:
    traffic = Traffic()
    blocks = [
        Deferral(
            **traffic.story.attempt(number, 3600, 5, category="ReputationBlock", source=ADDRESS, destination="google"),
            due_at=LISTED_AT,
        )
        for number in range(4)
    ]
    evidence: dict[str, Any] = {"address": ADDRESS, "destination": "google"}
    alarm = AlarmRaised(**traffic.story.stamp(3700), condition="ip_blocked", account="", text="", evidence=evidence)
    room.bring(*blocks)
    now = START + timedelta(hours=1.5)

    before = Blocks(room.warehouse, lambda *_: None).look(now)
    room.bring(alarm, name="analytics-mw1-a-00000002")

    assert (before, Blocks(room.warehouse, lambda *_: None).look(now)) == (1, 0)


MAILS = st.lists(st.tuples(st.sampled_from([HIJACKED, SHOP, NEWS]), st.floats(0, 1)), max_size=12)


@given(mails=MAILS, limit=st.integers(1, 4))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_probabilities_always_add_up_to_one(room: Room, mails: list[tuple[str, float]], limit: int) -> None:
    traffic = Traffic()
    records = [record for sender, score in mails for record in traffic.mail(sender, 1, 20, score)]
    for table in ("message", "recipient", "listing"):
        room.warehouse.write(lambda c, table=table: c.execute(f"DELETE FROM {table}")).result()
    room.bring(*records, traffic.listing(), name=f"relay-mw1-a-{abs(hash((tuple(mails), limit))):08d}")

    rows = culprits(room, limit=limit)

    assert sum(row["probability"] for row in rows) == pytest.approx(1, abs=1e-9)
    assert all(0 <= row["probability"] <= 1 for row in rows)
    assert rows[-1]["sender"] == ""
    assert "{scope}" in CULPRITS
